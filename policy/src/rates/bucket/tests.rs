use super::{Apart, Buckets, Price, nanos};
use crate::limits;
use model::rate::RateLimit;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

fn price(requests: u32, window: u64, burst: u32) -> Price {
    Price::of(&RateLimit { name: "x".into(), requests, window: Duration::from_secs(window), burst, by: vec![] })
}

const STEP: Duration = Duration::from_millis(1);

/// Requests that pass where each of so many threads asks once in each step of a virtual clock.
fn passed(threads: usize, who: &[u8], price: Price, steps: u32) -> u64 {
    let (buckets, passed, begun, start) = (Buckets::default(), AtomicU64::new(0), Barrier::new(threads), Instant::now());
    buckets.take(b"the first", price, start).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                begun.wait();
                for step in 0..steps {
                    passed.fetch_add(u64::from(buckets.take(who, price, start + STEP * step).is_ok()), Ordering::Relaxed);
                }
            });
        }
    });
    passed.into_inner()
}

#[test]
fn a_limit_is_the_same_whatever_the_number_of_threads() {
    // 300 in a second for ten seconds, 50 at once; some of what is asked is refused even for one thread.
    let (price, steps) = (price(300, 1, 50), 10_000);
    let allowed = 50 + 300 * 10;
    for who in [&b""[..], b"web"] {
        for threads in [1, 2, 8] {
            let passed = passed(threads, who, price, steps);
            assert!(passed.abs_diff(allowed) * 100 <= allowed, "{threads} threads: {passed} of {allowed}");
            assert!(passed <= allowed, "{threads} threads: {passed} are more than {allowed}");
        }
    }
}

#[test]
fn as_many_as_the_bucket_holds_pass_at_once_and_then_one_by_one() {
    let (buckets, price, start) = (Buckets::default(), price(10, 1, 3), Instant::now());
    (0..3).for_each(|_| buckets.take(b"", price, start).unwrap());
    assert_eq!(buckets.take(b"", price, start), Err(Duration::from_millis(100)));
    assert_eq!(buckets.take(b"", price, start + Duration::from_millis(60)), Err(Duration::from_millis(40)));
    buckets.take(b"", price, start + Duration::from_millis(100)).unwrap();
    assert!(buckets.take(b"", price, start + Duration::from_millis(100)).is_err());
    let later = start + Duration::from_secs(3600);
    (0..3).for_each(|_| buckets.take(b"", price, later).unwrap());
    assert!(buckets.take(b"", price, later).is_err(), "an hour fills no more than the bucket holds");
}

#[test]
fn what_is_given_back_can_be_taken_again() {
    let (buckets, price, now) = (Buckets::default(), price(1, 60, 2), Instant::now());
    for who in [&b""[..], b"web"] {
        (0..2).for_each(|_| buckets.take(who, price, now).unwrap());
        assert!(buckets.take(who, price, now).is_err());
        buckets.give_back(who, price);
        buckets.take(who, price, now).unwrap();
        assert!(buckets.take(who, price, now).is_err());
    }
}

#[test]
fn callers_are_apart_and_so_many_are_kept_the_rest_share_one() {
    let (buckets, price, start) = (Buckets::default(), price(1, 10, 1), Instant::now());
    let name = |i: usize| i.to_be_bytes();
    (0..limits::RATE_KEYS).for_each(|i| buckets.take(&name(i), price, start).unwrap());
    assert!(buckets.take(&name(0), price, start).is_err());
    // No place is left: two more share what is common.
    buckets.take(&name(limits::RATE_KEYS), price, start).unwrap();
    assert!(buckets.take(&name(limits::RATE_KEYS + 1), price, start).is_err());
    assert_eq!(buckets.apart().full_at.len(), limits::RATE_KEYS);
    // Once theirs are full again the others are as good as forgotten.
    let later = start + Duration::from_secs(10);
    buckets.take(&name(limits::RATE_KEYS + 1), price, later).unwrap();
    assert_eq!(buckets.apart().full_at.len(), 1);
}

#[test]
fn places_are_looked_for_now_and_then_and_not_by_each_who_finds_none() {
    let names = (0..limits::RATE_KEYS as u64).map(|i| (i.to_be_bytes().into(), 10));
    let mut apart = Apart { full_at: names.collect(), sweep_at: 0 };
    assert!(!apart.has_place(5), "none is full again");
    let again = 5 + nanos(limits::RATE_SWEEP);
    assert!(!apart.has_place(again - 1), "all are, and nobody looks yet");
    assert_eq!(apart.full_at.len(), limits::RATE_KEYS);
    assert!(apart.has_place(again));
}
