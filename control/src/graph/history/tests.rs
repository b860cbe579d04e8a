use super::*;
use std::time::Duration;

fn counts(requests: u64, millis: u64) -> EdgeTotals {
    let mut latency = Histogram::default();
    (0..requests).for_each(|_| latency.record(Duration::from_millis(millis)));
    EdgeTotals { requests, failures: 1, client_errors: 2, denied: 3, retries: 4, opened: 5, request_bytes: 6, response_bytes: 7, latency }
}

#[test]
fn what_is_added_comes_back_whole_summed_by_slot() {
    let mut history = History::new(10, 360);
    let (a, b, c) = (counts(3, 5), counts(2, 80), counts(1, 5));
    history.add(&a, 1001);
    history.add(&b, 1009);
    history.add(&c, 1010);
    let mut first = a.clone();
    first.add(&b);
    assert_eq!(history.points(0).collect::<Vec<_>>(), [(1000, first.clone()), (1010, c.clone())]);
    let mut all = first;
    all.add(&c);
    assert_eq!(history.since(1012, 3600), Some((all, 1000)));
    assert_eq!(history.since(1012, 10), Some((c, 1010)));
    assert_eq!(history.since(5000, 10), None);
}

#[test]
fn it_keeps_so_many_slots_and_forgets_those_that_are_too_old_however_few() {
    let mut history = History::new(10, 6);
    (0..100).for_each(|n| history.add(&counts(1, 1), n * 10));
    assert_eq!(history.points(0).map(|(start, _)| start).collect::<Vec<_>>(), [940, 950, 960, 970, 980, 990]);
    history.add(&counts(1, 1), 5000);
    assert_eq!(history.points(0).map(|(start, _)| start).collect::<Vec<_>>(), [5000]);
}

#[test]
fn a_clock_that_goes_back_loses_nothing_and_grows_nothing() {
    let mut history = History::new(1, 3);
    history.add(&counts(1, 1), 100);
    (0..50).for_each(|n| history.add(&counts(1, 1), 99 - n));
    assert_eq!(history.points(0).map(|(start, told)| (start, told.requests)).collect::<Vec<_>>(), [(100, 51)]);
}

#[test]
fn numbers_that_cannot_be_stop_at_the_highest() {
    let mut history = History::new(10, 6);
    let mut huge = EdgeTotals { requests: u64::MAX, request_bytes: u64::MAX, ..EdgeTotals::default() };
    huge.latency.0[7] = u64::MAX;
    history.add(&huge, 10);
    history.add(&huge, 11);
    let told = history.points(0).next().unwrap().1;
    assert_eq!((told.requests, told.request_bytes, told.latency.0[7]), (u64::from(u32::MAX), u64::MAX, COUNT_MAX));
}
