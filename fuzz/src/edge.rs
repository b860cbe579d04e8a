//! Edges of reports, read where they lie, with the generated reader as the oracle: what both read they read the same, and what a writer of ours may have
//! written is read.

use prost::Message;
use wire::edge::{counts, split, words};
use wire::v1::Edge;

pub fn check(bytes: &[u8]) {
    let Ok(mut theirs) = Edge::decode(bytes) else {
        // The generated reader refuses more than it must: numbers that are too long, known fields of another kind.
        let _ = read(bytes);
        return;
    };
    let is_canonical = theirs.encode_to_vec() == bytes;
    let Some(mut ours) = read(bytes) else {
        assert!(!is_canonical, "what every writer writes is not read");
        return;
    };
    if !is_canonical {
        // Lists that are told in pieces, or number by number, are nobody's: ours has the last piece alone.
        for edge in [&mut ours, &mut theirs] {
            edge.latency_cells.clear();
            edge.latency_counts.clear();
        }
    }
    assert_eq!(ours, theirs, "two readings");
}

fn read(bytes: &[u8]) -> Option<Edge> {
    let (names, counted) = split(bytes)?;
    let told = counts(counted)?;
    let mut edge = Edge {
        opened: told.opened,
        requests: told.requests,
        failures: told.failures,
        retries: told.retries,
        request_bytes: told.request_bytes,
        response_bytes: told.response_bytes,
        latency_cells: told.latency_cells.filter_map(|cell| u32::try_from(cell).ok()).collect(),
        latency_counts: told.latency_counts.collect(),
        client_errors: told.client_errors,
        denied: told.denied,
        faults: told.faults,
        ..Edge::default()
    };
    let fields = [
        &mut edge.reporter,
        &mut edge.source_namespace,
        &mut edge.source_workload,
        &mut edge.source_version,
        &mut edge.service_namespace,
        &mut edge.service,
        &mut edge.destination_namespace,
        &mut edge.destination_workload,
        &mut edge.destination_version,
        &mut edge.protocol,
        &mut edge.security,
    ];
    fields.into_iter().zip(words(names)?).for_each(|(field, word)| word.clone_into(field));
    Some(edge)
}
