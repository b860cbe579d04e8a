//! An edge that is read where it lies, as the value that writes it: for the tests beside, and for the fuzzer's.

use super::{Edge, counts, split, words};

pub fn read(bytes: &[u8]) -> Option<Edge> {
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
        number: u32::try_from(told.number).ok()?,
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
