//! Connections are kept for so long, and so many.

use super::*;
use crate::Stream;
use std::time::Duration;

/// A connection, and its other end, without which it would be stale.
fn opened(at: Instant) -> (Box<Pooled<&'static str, ()>>, Stream) {
    let (here, there) = Stream::pair(64);
    (Box::new(Pooled { key: "key", connection: h1::Connection::new(here), opened: at, since: at, reused: false, with: () }), there)
}

#[tokio::test]
async fn connections_are_kept_for_so_long_and_used_up_to_an_age() {
    let now = Instant::now();
    let just = Duration::from_millis(1);
    let kept = |age: Duration, idle: Duration| {
        let (mut pool, (pooled, _there)) = (Pool::default(), opened(now));
        pool.put(pooled, now + age - idle);
        pool.take(&"key", now + age).is_some()
    };
    assert!(kept(limits::POOL_IDLE - just, limits::POOL_IDLE - just));
    assert!(!kept(limits::POOL_IDLE, limits::POOL_IDLE), "it lay idle for too long");
    assert!(kept(limits::POOL_LIFE - just, just));
    assert!(!kept(limits::POOL_LIFE, just), "it is too old, however busy it was");
    let (mut pool, (pooled, _there)) = (Pool::default(), opened(now));
    pool.put(pooled, now);
    pool.sweep(now + limits::POOL_IDLE - just);
    assert_eq!(pool.len(), 1);
    pool.sweep(now + limits::POOL_IDLE);
    assert!(pool.is_empty());
}

#[tokio::test]
async fn so_many_are_kept_of_one_destination_and_no_more() {
    let now = Instant::now();
    let mut pool = Pool::default();
    let mut others = Vec::new();
    for _ in 0..=limits::POOL_KEPT {
        let (pooled, there) = opened(now);
        pool.put(pooled, now);
        others.push(there);
    }
    assert_eq!(pool.len(), limits::POOL_KEPT);
}
