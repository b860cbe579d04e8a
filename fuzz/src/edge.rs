//! Edges of reports, read where they lie, with the generated reader as the oracle: what both read they read the same, and what a writer of ours may have
//! written is read.

#[path = "../../wire/src/edge/tests/read.rs"]
mod read;

use prost::Message;
use read::read;
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
