use super::*;
use crate::tests::id;
use std::time::Duration;

#[test]
fn who_knew_no_trunks_is_asked_again() {
    let (mut trunks, begun) = (Trunks::default(), Instant::now());
    let place: Place = ("127.0.0.1:1".parse().unwrap(), [id("catalog")].into());
    trunks.without.insert(place.clone(), begun);
    trunks.sweep(begun + limits::WITHOUT_TRUNKS - Duration::from_secs(1));
    assert!(trunks.without.contains_key(&place));
    trunks.sweep(begun + limits::WITHOUT_TRUNKS);
    assert!(!trunks.without.contains_key(&place));
}
