use super::*;
use std::time::Duration;
use telemetry::Histogram;

fn counts(requests: u64, millis: u64) -> EdgeTotals {
    let mut latency = Histogram::default();
    (0..requests).for_each(|_| latency.record(Duration::from_millis(millis)));
    EdgeTotals {
        requests,
        failures: 1,
        client_errors: 2,
        denied: 3,
        faults: 8,
        retries: 4,
        opened: 5,
        request_bytes: 6,
        response_bytes: 7,
        latency,
    }
}

fn packed_counts(requests: u64, millis: u64) -> Packed {
    Packed::of(&counts(requests, millis))
}

#[test]
fn what_is_added_comes_back_whole_summed_by_slot() {
    let mut history = History::<10, 360>::default();
    let (a, b, c) = (counts(3, 5), counts(2, 80), counts(1, 5));
    history.add(&Packed::of(&a), 1001);
    history.add(&Packed::of(&b), 1009);
    history.add(&Packed::of(&c), 1010);
    let mut first = a.clone();
    first.add(&b);
    assert_eq!(history.points(0).collect::<Vec<_>>(), [(1000, first.clone()), (1010, c.clone())]);
    let mut all = first;
    all.add(&c);
    assert_eq!(history.since(1012, 3600), Some((all, 13)));
    assert_eq!(history.since(1012, 10), Some((c, 3)));
    assert_eq!(history.since(5000, 10), None);
}

#[test]
fn a_moment_that_is_over_is_told_as_it_was() {
    let mut history = History::<10, 360>::default();
    (0..5).for_each(|n| history.add(&packed_counts(n + 1, 5), 1000 + n * 10));
    let requests = |at| history.since(at, 20).map(|(sum, seconds)| (sum.requests, seconds));
    assert_eq!(requests(1019), Some((1 + 2, 20)));
    assert_eq!(requests(1049), Some((4 + 5, 20)));
    assert_eq!(requests(999), None);
}

#[test]
fn what_came_over_many_seconds_is_not_taken_for_that_of_one() {
    let since = |history: &History<1, 11>, now| history.since(now, 10).map(|(sum, seconds)| (sum.requests, seconds));
    let mut history = History::<1, 11>::default();
    history.reach_back(100, 8);
    history.add(&packed_counts(8, 1), 100);
    assert_eq!(since(&history, 100), Some((8, 8)));
    // What is told once more comes first, and is of one second.
    let mut history = History::<1, 11>::default();
    history.add(&packed_counts(1, 1), 100);
    for _ in 0..2 {
        history.reach_back(101, 8);
        history.add(&packed_counts(8, 1), 101);
    }
    assert_eq!((since(&history, 101), history.slots().count()), (Some((17, 8)), 3));
    // Nobody reaches further back than is kept, whatever he says, nor takes more room.
    (0..100).chain([u64::MAX]).for_each(|seconds| history.reach_back(101, seconds));
    assert_eq!((since(&history, 101), history.slots().count()), (Some((17, 10)), 11));
    assert!(history.slots().map(|slot| slot.start()).is_sorted());
    history.reach_back(0, 5);
    assert_eq!(since(&history, 101), Some((17, 10)));
}

#[test]
fn it_keeps_so_many_slots_and_forgets_those_that_are_too_old_however_few() {
    let mut history = History::<10, 6>::default();
    (0..100).for_each(|n| history.add(&packed_counts(1, 1), n * 10));
    assert_eq!(history.points(0).map(|(start, _)| start).collect::<Vec<_>>(), [940, 950, 960, 970, 980, 990]);
    history.add(&packed_counts(1, 1), 5000);
    assert_eq!(history.points(0).map(|(start, _)| start).collect::<Vec<_>>(), [5000]);
}

#[test]
fn a_clock_that_goes_back_loses_nothing_and_grows_nothing() {
    let mut history = History::<1, 3>::default();
    history.add(&packed_counts(1, 1), 100);
    (0..50).for_each(|n| history.add(&packed_counts(1, 1), 99 - n));
    assert_eq!(history.points(0).map(|(start, told)| (start, told.requests)).collect::<Vec<_>>(), [(100, 51)]);
}

#[test]
fn numbers_that_cannot_be_stop_at_the_highest() {
    let mut history = History::<10, 6>::default();
    let mut huge = EdgeTotals { requests: u64::MAX, request_bytes: u64::MAX, ..EdgeTotals::default() };
    huge.latency.0[7] = u64::MAX;
    history.add(&Packed::of(&huge), 10);
    history.add(&Packed::of(&huge), 11);
    let told = history.points(0).next().unwrap().1;
    assert_eq!((told.requests, told.request_bytes, told.latency.0[7]), (u64::from(u32::MAX), u64::MAX, COUNT_MAX));
}

#[test]
fn cells_of_both_are_merged_in_order() {
    let (mut a, mut b, mut both) = (Histogram::default(), Histogram::default(), Histogram::default());
    for (at, cell, count) in [(0, 3, 5), (0, 9, 1), (0, 40, 2), (1, 1, 7), (1, 9, 4), (1, 50, 1)] {
        let one = if at == 0 { &mut a } else { &mut b };
        one.0[cell] += count;
        both.0[cell] += count;
    }
    let [a, b] = [a, b].map(|latency| Packed::of(&EdgeTotals { latency, ..EdgeTotals::default() }).cells);
    let cells = merged(&merged(&[], &a), &b);
    assert!(cells.is_sorted());
    assert_eq!(Histogram::from_sparse(unpacked(&cells)), both);
    // Of what is there already nothing is made anew, and of what is not, nothing is added by half.
    let mut there = cells.clone();
    assert!(added_in_place(&mut there, &a) && added_in_place(&mut there, &b));
    both.add(&both.clone());
    assert_eq!(Histogram::from_sparse(unpacked(&there)), both);
    assert!(!added_in_place(&mut there, &[packed(3, 1), packed(4, 1)]) && !added_in_place(&mut there, &[packed(51, 1)]));
    assert_eq!(Histogram::from_sparse(unpacked(&there)), both);
}

#[test]
fn a_rate_does_not_fall_because_the_next_report_is_still_under_way_but_for_silence() {
    let mut history = History::<1, 11>::default();
    (91..=99).for_each(|second| history.add(&packed_counts(50, 1), second));
    let rate = |history: &History<1, 11>, now| history.since(now, 10).map(|(sum, seconds)| sum.requests as f64 / seconds as f64);
    assert_eq!(rate(&history, 100), Some(50.0));
    assert_eq!(rate(&history, 101), Some(50.0));
    assert_eq!(rate(&history, 102), Some(35.0));
    history.add(&packed_counts(50, 1), 100);
    assert_eq!(rate(&history, 100), Some(50.0));
    // One that has just begun is as busy as its first second was.
    let mut fresh = History::<1, 11>::default();
    fresh.add(&packed_counts(50, 1), 100);
    assert_eq!((rate(&fresh, 100), rate(&fresh, 109), rate(&fresh, 111)), (Some(50.0), Some(5.0), None));
}
