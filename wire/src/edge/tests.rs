mod read;

use super::*;
use proptest::prelude::*;
use read::read;
use v1::Edge;

fn any_number() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 0..300u64, any::<u64>(), Just(u64::MAX)]
}

fn any_edge() -> impl Strategy<Value = v1::Edge> {
    let words = proptest::collection::vec("|[a-z-]{1,12}|.{0,3}", NAMES);
    let numbers = proptest::collection::vec(any_number(), 10);
    let cells = proptest::collection::vec((0..300u32, any_number()), 0..12);
    (words, numbers, cells).prop_map(|(words, numbers, cells)| {
        let (latency_cells, latency_counts) = cells.into_iter().unzip();
        let word = |at: usize| words[at].clone();
        v1::Edge {
            reporter: word(0),
            source_namespace: word(1),
            source_workload: word(2),
            source_version: word(3),
            service_namespace: word(4),
            service: word(5),
            destination_namespace: word(6),
            destination_workload: word(7),
            destination_version: word(8),
            protocol: word(9),
            security: word(10),
            opened: numbers[0],
            requests: numbers[1],
            failures: numbers[2],
            retries: numbers[3],
            request_bytes: numbers[4],
            response_bytes: numbers[5],
            latency_cells,
            latency_counts,
            client_errors: numbers[6],
            denied: numbers[7],
            faults: numbers[8],
            number: numbers[9] as u32,
        }
    })
}

proptest! {
    #[test]
    fn an_edge_is_read_as_it_was_written(edge in any_edge()) {
        prop_assert_eq!(read(&encode(&edge)), Some(edge));
    }

    #[test]
    fn what_ends_or_differs_anywhere_is_read_or_not_and_harms_nobody(
        edge in any_edge(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut bytes = encode(&edge).to_vec();
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            let _ = read(&bytes[..at]);
            bytes[at] = byte;
        }
        let _ = read(&bytes);
    }
}

#[test]
fn what_a_later_release_adds_is_passed_over_and_what_is_no_message_is_refused() {
    let edge = v1::Edge { reporter: "source".into(), requests: 3, ..Default::default() };
    let encoded = encode(&edge);
    let with = |more: &[u8]| read(&[&encoded, more].concat());
    // Field 100 of each kind: a number, eight bytes, a text, four bytes.
    for more in [&[0xa0, 6, 1][..], &[0xa1, 6, 1, 2, 3, 4, 5, 6, 7, 8], &[0xa2, 6, 2, b'h', b'i'], &[0xa5, 6, 1, 2, 3, 4]] {
        assert_eq!(with(more), Some(edge.clone()), "{more:?}");
    }
    // A group, a length beyond the end, a number without end, a name behind the counts, a name that is a number, a name that is no text.
    for more in [&[0xa3, 6][..], &[0xa2, 6, 9, b'h'], &[0xa0, 6, 0xff], &[0x0a, 1, b'x'], &[0x08, 1]] {
        assert_eq!(with(more), None, "{more:?}");
    }
    assert_eq!((read(&[0x08, 1]), read(&[0x0a, 1, 0xff]), read(&[0x02, 1, b'x'])), (None, None, None));
    assert_eq!(read(&[]), Some(v1::Edge::default()));
}
