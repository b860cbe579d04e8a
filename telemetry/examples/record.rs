//! What it costs to record a request: `cargo run --release -p telemetry --example record [REQUESTS]`. Metrics, edge and call of it are counted as a worker does
//! it; times are of this thread's processor. How often memory is asked for is told by `valgrind target/release/examples/record N` for two N: their
//! difference is what requests cost.

#![expect(clippy::print_stdout, reason = "a program that says what it measured")]

use model::SpiffeId;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};
use telemetry::{Destination, Metrics, Outcome, Peer, Record, Reporter, Security};

#[path = "../../bench/meter.rs"]
mod meter;

use meter::processor;

fn main() {
    let requests: u32 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(2_000_000);
    for reporter in [Reporter::Source, Reporter::Destination] {
        let metrics = Metrics::new();
        let mut worker = metrics.worker();
        let record = record(reporter);
        // What is seen for the first time is made.
        worker.observe(&record);
        let before = processor();
        for _ in 0..requests {
            worker.observe(std::hint::black_box(&record));
        }
        let took = processor().saturating_sub(before);
        println!(
            "{reporter:?}: {:?} each, {} counted",
            took / requests.max(1),
            metrics.edges().values().map(|edge| edge.requests).sum::<u64>()
        );
    }
}

fn record(reporter: Reporter) -> Record {
    let id = SpiffeId::parse("spiffe://organza.local/ns/shop/sa/web").ok();
    let peer = |name: &str| Arc::new(Peer::claimed(name, "shop", name, "v1", "", id.as_ref()));
    Record {
        path: "/items/4711".into(),
        authority: "catalog".into(),
        status: 200,
        outcome: Outcome::Answered(200),
        duration: Duration::from_millis(3),
        request_bytes: 100,
        response_bytes: 4000,
        security: Security::MutualTls,
        service_port: 80,
        dialled_service: Some(Arc::new(Destination { host: "catalog".into(), name: "catalog".into(), namespace: "shop".into() })),
        ..Record::begin(UNIX_EPOCH, reporter, peer("web"), peer("catalog"))
    }
}
