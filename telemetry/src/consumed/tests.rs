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
    let cells = metrics.consumed(&id.consumer, &id.api);
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
fn so_many_are_told_apart_and_the_rest_is_counted_together() {
    let all = Consumed::default();
    let cells = |n: usize| all.cells(&format!("shop/c{n}").into(), &"Service shop/orders".into());
    (0..limits::CONSUMED + 3).for_each(|n| cells(n).observe(&record(200, None)));
    cells(0).observe(&record(200, None));
    let totals = all.totals();
    let other = ConsumedId { consumer: OTHER.into(), api: OTHER.into() };
    assert_eq!((totals.len(), totals[&other].requests), (limits::CONSUMED + 1, 3));
    assert_eq!(totals.values().map(|counts| counts.requests).max(), Some(3), "those that are known are counted on");
}
