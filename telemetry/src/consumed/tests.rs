use super::*;
use crate::edge::EdgeTracker;
use crate::{Metrics, Outcome, Peer, Reporter};
use model::Fault;

fn record(status: u16, fault: Option<Fault>) -> Record {
    let peer = Arc::new(Peer::unknown());
    let mut record = Record::begin(std::time::UNIX_EPOCH, Reporter::Gateway, peer.clone(), peer);
    record.status = status;
    record.outcome = fault.map_or(Outcome::Answered(status), Outcome::Failed);
    record
}

#[test]
fn each_request_is_counted_by_how_it_ended_and_told_once() {
    let metrics = Metrics::new();
    let id = ConsumedId { consumer: "shop/acme".into(), api: "HTTPRoute shop/orders".into() };
    let cells = metrics.consumed(&id.consumer, &id.api).unwrap();
    let ended = [
        (200, None),
        (404, None),
        (500, None),
        (503, Some(Fault::NoEndpoint)),
        (403, Some(Fault::AccessDenied)),
        (429, Some(Fault::RateLimited)),
        (0, Some(Fault::UpstreamReset)),
    ];
    ended.into_iter().for_each(|(status, fault)| cells.observe(&record(status, fault)));
    let all = ConsumedCounts { requests: 7, refused: 2, client_errors: 1, failures: 3 };
    let mut tracker = EdgeTracker::new(1);
    assert!(tracker.poll(&metrics, false).is_none(), "told with calls alone");
    let delta = tracker.poll(&metrics, true).unwrap();
    assert_eq!(delta.consumed, [(id.clone(), all)]);
    // Repeated as it was until it is taken, and then told no more.
    cells.observe(&record(200, None));
    assert_eq!(tracker.poll(&metrics, true).unwrap(), delta);
    tracker.acknowledged(delta.sequence);
    let more = tracker.poll(&metrics, true).unwrap();
    assert_eq!(more.consumed, [(id, ConsumedCounts { requests: 1, ..ConsumedCounts::default() })]);
    tracker.acknowledged(more.sequence);
    assert!(tracker.poll(&metrics, true).is_none());
}

#[test]
fn so_many_are_told_apart_and_for_the_rest_there_is_no_room() {
    let all = Consumed::default();
    let cells = |n: usize| all.cells(&format!("shop/c{n}").into(), &"Service shop/orders".into());
    (0..limits::CONSUMED).for_each(|n| cells(n).unwrap().observe(&record(200, None)));
    assert!(cells(limits::CONSUMED).is_none());
    cells(0).unwrap().observe(&record(200, None));
    let totals = all.totals();
    assert_eq!(totals.len(), limits::CONSUMED);
    assert_eq!(totals.values().map(|counts| counts.requests).max(), Some(2), "those that are known are counted on");
}

#[test]
fn what_no_worker_counts_any_more_makes_room_once_it_was_told() {
    let (metrics, mut tracker) = (Metrics::new(), EdgeTracker::new(1));
    let cells = |n: usize| metrics.consumed(&format!("shop/c{n}").into(), &"Service shop/orders".into());
    let mut held: Vec<_> = (0..limits::CONSUMED).filter_map(&cells).collect();
    held.iter().for_each(|cells| cells.observe(&record(200, None)));
    held.truncate(1);
    let first = tracker.poll(&metrics, true).unwrap();
    assert_eq!(first.consumed.len(), limits::CONSUMED);
    assert!(cells(limits::CONSUMED).is_none(), "nothing was told yet");
    tracker.acknowledged(first.sequence);
    assert!(tracker.poll(&metrics, true).is_none(), "what is let go is told no second time");
    assert_eq!(metrics.consumption().len(), 1);
    for cells in [cells(7), cells(limits::CONSUMED), held.pop()] {
        cells.unwrap().observe(&record(200, None));
    }
    let next = tracker.poll(&metrics, true).unwrap();
    let told: Vec<_> = next.consumed.iter().map(|(id, counts)| (&*id.consumer, counts.requests)).collect();
    assert_eq!(told, [("shop/c0", 1), ("shop/c4096", 1), ("shop/c7", 1)]);
}
