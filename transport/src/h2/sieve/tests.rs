use super::*;
use proptest::prelude::*;

fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let length = payload.len() as u32;
    [&length.to_be_bytes()[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
}

/// All of it through one sieve, cut where `cuts` say.
fn sifted(bytes: &[u8], cuts: &[usize]) -> Vec<u8> {
    let (mut sieve, mut out, mut from) = (Sieve::default(), Vec::new(), 0);
    for to in cuts.iter().map(|cut| cut % (bytes.len() + 1)).chain([bytes.len()]) {
        if to < from {
            continue;
        }
        let mut piece = [sieve.held(), &bytes[from..to]].concat();
        let kept = sieve.sift(&mut piece);
        out.extend_from_slice(&piece[..kept]);
        from = to;
    }
    out.extend_from_slice(sieve.held());
    out
}

#[test]
fn empty_data_goes_and_all_else_stays() {
    let empty = frame(DATA, 0, b"");
    let others = [
        frame(4, 0, b""),
        frame(DATA, 0, b"x"),
        frame(DATA, END_STREAM, b""),
        // Padding alone is not nothing: it takes of the window.
        frame(DATA, 8, &[0]),
        frame(1, 4, &[7; 300]),
    ];
    let mut with = empty.clone();
    for other in &others {
        with.extend_from_slice(other);
        with.extend_from_slice(&empty);
        with.extend_from_slice(&empty);
    }
    assert_eq!(sifted(&with, &[]), others.concat());
    // What looks like a header inside a payload is payload.
    let inside = frame(DATA, 0, &empty);
    assert_eq!(sifted(&inside, &[]), inside);
}

#[test]
fn what_was_passed_on_for_want_of_room_is_not_taken_out() {
    let bytes = [frame(DATA, 0, b""), frame(DATA, 0, b"x")].concat();
    let mut sieve = Sieve::default();
    assert_eq!(sieve.sift(&mut bytes[..4].to_vec()), 0);
    let mut out = sieve.held()[..2].to_vec();
    sieve.give(2);
    let mut rest = [sieve.held(), &bytes[4..]].concat();
    let kept = sieve.sift(&mut rest);
    out.extend_from_slice(&rest[..kept]);
    assert_eq!(out, bytes);
    // And afterwards all is as before.
    let mut more = frame(DATA, 0, b"");
    assert_eq!(sieve.sift(&mut more), 0);
}

proptest! {
    #[test]
    fn cuts_make_no_difference(
        frames in prop::collection::vec((0u8..3, 0u8..10, prop::collection::vec(any::<u8>(), 0..20)), 0..20),
        cuts in prop::collection::vec(any::<usize>(), 0..30),
    ) {
        let bytes: Vec<u8> = frames.iter().flat_map(|(kind, flags, payload)| frame(*kind, *flags, payload)).collect();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
        cuts.sort_unstable();
        let kept = frames.iter().filter(|(kind, flags, payload)| !(*kind == DATA && flags & END_STREAM == 0 && payload.is_empty()));
        let expected: Vec<u8> = kept.flat_map(|(kind, flags, payload)| frame(*kind, *flags, payload)).collect();
        prop_assert_eq!(sifted(&bytes, &cuts), expected);
    }
}
