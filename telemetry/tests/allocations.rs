//! Recording a request allocates nothing once its like was seen, on either side of the call: a program of its own, for its allocator counts.

use model::SpiffeId;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};
use telemetry::{Destination, Metrics, Outcome, Peer, Record, Reporter, Security};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn record(reporter: Reporter, path: &str) -> Record {
    let id = SpiffeId::parse("spiffe://organza.local/ns/shop/sa/web").ok();
    let peer = |name: &str| Arc::new(Peer::claimed(name, "shop", name, "v1", "", id.as_ref()));
    Record {
        path: path.into(),
        status: 200,
        outcome: Outcome::Answered(200),
        duration: Duration::from_millis(3),
        security: Security::MutualTls,
        service_port: 80,
        dialled_service: Some(Arc::new(Destination { host: "catalog".into(), name: "catalog".into(), namespace: "shop".into() })),
        ..Record::begin(UNIX_EPOCH, reporter, peer("web"), peer("catalog"))
    }
}

/// Rounds of which one at least must be quiet: the allocator counts all threads, and that of the test's runner is at work now and then.
const ROUNDS: usize = 5;

/// The fewest allocations that a thousand times of this took.
fn fewest(mut work: impl FnMut()) -> usize {
    let round = |_| {
        let region = Region::new(ALLOCATOR);
        (0..1000).for_each(|_| work());
        let counted = region.change();
        counted.allocations + counted.reallocations
    };
    (0..ROUNDS).map(round).min().unwrap()
}

#[test]
fn recording_a_request_allocates_nothing() {
    for reporter in [Reporter::Source, Reporter::Destination, Reporter::Gateway] {
        let metrics = Metrics::new();
        let mut worker = metrics.worker();
        let record = record(reporter, "/items/4711");
        worker.observe(&record);
        assert_eq!(fewest(|| worker.observe(&record)), 0, "{reporter:?}");
        assert_eq!(metrics.edges().values().map(|edge| edge.requests).sum::<u64>(), 1 + 1000 * ROUNDS as u64);
    }
    // Nor of a caller whose paths are too many to be told apart.
    let metrics = Metrics::new();
    let mut worker = metrics.worker();
    let word = |n: usize| n.to_string().bytes().map(|b| char::from(b - b'0' + b'a')).collect::<String>();
    let mut record = record(Reporter::Destination, "/");
    for n in 0..telemetry::limits::CALLS_OF_CALLER + 2 {
        record.path = format!("/a/{}", word(n));
        worker.observe(&record);
    }
    assert_eq!(fewest(|| worker.observe(&record)), 0, "of one who scans");
}
