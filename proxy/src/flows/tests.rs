use super::*;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use telemetry::trace::carrier::Told;
use telemetry::{Destination, Outcome, Peer, Reporter, Tell, Trace, TraceContext};

fn record(status: u16) -> Record {
    let peer = |name: &str| Arc::new(Peer::claimed(name, "shop", &name[..name.len() - 3], "v1", "", None));
    let mut record = Record::begin(SystemTime::UNIX_EPOCH, Reporter::Source, peer("web-v1"), peer("catalog-v2"));
    record.status = status;
    record.outcome = Outcome::Answered(status);
    record.path = "/items".into();
    record.dialled_service = Some(Arc::new(Destination { host: "catalog.shop".into(), name: "catalog".into(), namespace: "shop".into() }));
    record
}

/// As a worker does where no policy says anything.
fn see(flows: &Flows, record: &Record) {
    flows.see(&access_log::Once::of(record), Tell::default().is_span(record));
}

fn tap() -> v1::Tap {
    v1::Tap { id: 7, per_second: 3, ..Default::default() }
}

#[test]
fn failures_are_told_without_a_tap_and_successes_are_not() {
    let flows = Flows::default();
    [200, 404, 503].into_iter().for_each(|status| see(&flows, &record(status)));
    let (told, dropped) = flows.take(Instant::now());
    assert_eq!((told.len(), dropped.flows), (1, 0));
    assert!(told[0].line.contains("\"response_code\":503") && told[0].taps == [FAILURES], "{told:?}");
}

#[test]
fn a_tap_narrows_by_each_of_its_words() {
    let now = Instant::now();
    let told = |change: fn(&mut v1::Tap)| {
        let (flows, mut wanted) = (Flows::default(), tap());
        change(&mut wanted);
        flows.tap(vec![wanted], now);
        see(&flows, &record(200));
        let (told, dropped) = flows.take(now);
        // What nobody asked for is not missing.
        assert_eq!(dropped.flows, 0);
        told.len()
    };
    assert_eq!(told(|_| {}), 1);
    assert_eq!(told(|tap| tap.source = "web-v1".into()), 1);
    assert_eq!(told(|tap| tap.source = "shop/web-v1".into()), 1);
    assert_eq!(told(|tap| tap.source = "other/web-v1".into()), 0);
    assert_eq!(told(|tap| tap.source = "web".into()), 1);
    assert_eq!(told(|tap| tap.source = "shop/web".into()), 1);
    assert_eq!(told(|tap| tap.source = "web-v".into()), 0);
    assert_eq!(told(|tap| tap.destination = "catalog".into()), 1);
    assert_eq!(told(|tap| tap.destination = "catalog-v2".into()), 1);
    assert_eq!(told(|tap| tap.destination = "reviews".into()), 0);
    assert_eq!(told(|tap| tap.route = "catalog".into()), 0);
    assert_eq!(told(|tap| (tap.status_from, tap.status_to) = (500, 599)), 0);
    assert_eq!(told(|tap| (tap.status_from, tap.status_to) = (200, 299)), 1);
}

#[test]
fn what_is_too_much_is_counted_and_the_next_report_has_room_again() {
    let (flows, now) = (Flows::default(), Instant::now());
    flows.tap(vec![tap()], now);
    (0..10).for_each(|_| see(&flows, &record(200)));
    let (told, dropped) = flows.take(now);
    assert_eq!((told.len(), dropped), (3, Missing { flows: 7, taps: vec![(7, 7)] }));
    see(&flows, &record(200));
    assert_eq!(flows.take(now).0.len(), 1);
    // Failures have a bound of their own.
    flows.tap(Vec::new(), now);
    (0..1000).for_each(|_| see(&flows, &record(503)));
    let (told, dropped) = flows.take(now);
    assert_eq!(told.iter().filter(|flow| flow.taps.contains(&FAILURES)).count(), limits::FAILURE_FLOWS);
    assert_eq!(told.len() as u64 + dropped.flows, 1000);
}

#[test]
fn a_tap_ends_with_the_word_that_it_has_ended_and_with_silence() {
    let (flows, now) = (Flows::default(), Instant::now());
    flows.tap(vec![tap()], now);
    flows.tap(Vec::new(), now);
    see(&flows, &record(200));
    assert!(flows.take(now).0.is_empty());
    flows.tap(vec![tap()], now);
    let later = now + limits::TAP_HOLDS + Duration::from_secs(1);
    flows.take(later);
    see(&flows, &record(200));
    assert_eq!(flows.take(later), (Vec::new(), Missing::default()));
}

fn traced(status: u16, sampled: bool) -> Record {
    let context = TraceContext { trace_id: [1; 16], span_id: [2; 8], sampled };
    Record { trace: Some(Trace { context, told: Told::default(), server: None, dialled: None }), ..record(status) }
}

#[test]
fn spans_are_told_where_it_was_decided_so_and_of_what_failed_or_was_slow() {
    let told = |record: Record| {
        let flows = Flows::default();
        see(&flows, &record);
        flows.take(Instant::now()).0.first().is_some_and(|flow| flow.taps.contains(&SPANS))
    };
    assert!(told(traced(200, true)) && told(traced(503, false)));
    assert!(!told(traced(200, false)) && !told(record(503)));
    assert!(told(Record { duration: telemetry::limits::SLOW, ..traced(200, false) }));
    // An answer that began at once and went on for long is not slow.
    assert!(!told(Record { duration: telemetry::limits::SLOW, upstream_duration: Some(Duration::ZERO), ..traced(200, false) }));
}

#[test]
fn spans_that_are_too_many_are_counted_and_take_no_room_from_others() {
    let flows = Flows::default();
    (0..1000).for_each(|_| see(&flows, &traced(200, true)));
    (0..5).for_each(|_| see(&flows, &record(503)));
    let (told, dropped) = flows.take(Instant::now());
    assert_eq!((told.len(), dropped.flows), (limits::SPAN_FLOWS + 5, 1000 - limits::SPAN_FLOWS as u64));
}

#[test]
fn so_many_taps_are_looked_at_and_so_many_requests_told() {
    let (flows, now) = (Flows::default(), Instant::now());
    let taps = (0..=limits::TAPS as u64).map(|id| v1::Tap { id: id + 100, per_second: u32::MAX, ..Default::default() });
    flows.tap(taps.collect(), now);
    (0..=limits::FLOWS).for_each(|_| see(&flows, &record(200)));
    let (told, dropped) = flows.take(now);
    assert_eq!((told.len(), dropped.flows, told[0].taps.len()), (limits::FLOWS, 1, limits::TAPS));
    assert!(dropped.taps.len() == limits::TAPS && dropped.taps.iter().all(|(_, flows)| *flows == 1), "{dropped:?}");
}

#[test]
fn each_tap_is_told_what_it_lacks_itself_over_answers_and_lost_reports() {
    let (flows, now) = (Flows::default(), Instant::now());
    let failed = v1::Tap { id: 8, status_from: 500, status_to: 599, ..tap() };
    flows.tap(vec![tap(), failed.clone()], now);
    (0..5).for_each(|_| see(&flows, &record(200)));
    (0..2).for_each(|_| see(&flows, &record(503)));
    // An answer that names the same taps begins nothing anew.
    flows.tap(vec![tap(), failed.clone()], now);
    see(&flows, &record(200));
    let (told, missing) = flows.take(now);
    assert_eq!((told.len(), missing.clone()), (5, Missing { flows: 5, taps: vec![(7, 5), (8, 0)] }));
    // That report is lost: who asked lacks what was in it, too.
    flows.lost(&missing.and(&told));
    flows.tap(vec![failed], now);
    let (told, missing) = flows.take(now);
    assert_eq!((told.len(), missing), (0, Missing { flows: 10, taps: vec![(8, 2)] }));
    // What spans and failures lack is no tap's.
    (0..1000).for_each(|_| see(&flows, &traced(200, true)));
    assert_eq!(flows.take(now).1, Missing { flows: 1000 - limits::SPAN_FLOWS as u64, taps: vec![(8, 0)] });
}
