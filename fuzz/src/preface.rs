//! The first words of an `organza/1` connection, both ways.

use transport::limits;
use transport::preface::{Hello, Preface, Welcome, split};

pub fn check(bytes: &[u8]) {
    let whole = split(bytes);
    for cut in 0..bytes.len().min(64) {
        match split(&bytes[..cut]) {
            Ok(None) => {}
            Ok(Some((size, _))) => assert_eq!(whole.as_ref().ok().and_then(|w| w.as_ref()).map(|(s, _)| *s), Some(size)),
            Err(_) => assert!(whole.is_err(), "refused early, taken whole"),
        }
    }
    let Ok(Some((size, message))) = whole else { return };
    assert!(size <= bytes.len() && message.len() <= limits::PREFACE_BYTES);
    again::<Hello>(message);
    again::<Welcome>(message);
}

/// What was read can be written and read again, the same.
fn again<P: Preface + PartialEq + std::fmt::Debug>(message: &[u8]) {
    let Ok(read) = P::decode(message) else { return };
    let Ok(written) = read.encode() else { return };
    let Ok(Some((_, message))) = split(&written) else { panic!("our own preface cannot be found: {written:?}") };
    assert_eq!(P::decode(message).ok(), Some(read));
}
