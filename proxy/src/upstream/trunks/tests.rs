use super::*;
use crate::tests::{bounded, id};
use std::time::Duration;
use transport::limits::POOL_LIFE;

#[tokio::test]
async fn nothing_begins_on_a_trunk_that_is_too_old() {
    bounded(async {
        let (near, _far) = Stream::pair(1 << 16);
        let client = h2::Client::new(near, BytesMut::new()).await.unwrap();
        let (mut trunks, begun) = (Trunks::default(), Instant::now());
        let place: Place = ("127.0.0.1:1".parse().unwrap(), [id("catalog")].into());
        trunks.put(place.clone(), client, begun);
        assert!(trunks.take(&place, begun + POOL_LIFE - Duration::from_secs(1)).is_some());
        assert!(trunks.take(&place, begun + POOL_LIFE).is_none());
    })
    .await;
}

#[test]
fn who_knew_no_trunks_is_dialled_by_each_for_a_while() {
    let (mut trunks, begun) = (Trunks::default(), Instant::now());
    let place: Place = ("127.0.0.1:1".parse().unwrap(), [id("catalog")].into());
    trunks.without.insert(place.clone(), begun);
    trunks.sweep(begun + limits::WITHOUT_TRUNKS - Duration::from_secs(1));
    assert!(trunks.without.contains_key(&place));
    trunks.sweep(begun + limits::WITHOUT_TRUNKS);
    assert!(!trunks.without.contains_key(&place));
}
