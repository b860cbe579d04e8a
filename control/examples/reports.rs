//! What it costs to hear of a mesh: `cargo run --release -p control --example reports [SECONDS]`. 1,000 proxies tell 50 edges each, each second, all of them busy,
//! of 100 services that call 50 others each (5,000 edges). Times are of this thread's processor; memory is what the kernel says that the process has.

#![expect(clippy::print_stdout, reason = "a program that says what it measured")]

use control::graph::Graph;
use std::time::{Duration, Instant};
use telemetry::{EdgeDelta, EdgeId, EdgeTotals, Protocol, Reporter, Security};

const PROXIES: usize = 1000;
const SERVICES: usize = 100;
const EDGES: usize = 50;

#[path = "../../bench/meter.rs"]
mod meter;

use meter::{processor, resident};

fn main() {
    let seconds: u64 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(3700);
    let mut graph = Graph::default();
    let (mut took, begun) = (Duration::ZERO, Instant::now());
    for second in 1..=seconds {
        // Replicas of a service are one workload: they tell of the same edges.
        for proxy in 0..PROXIES {
            let edges = (0..EDGES).map(|n| edge(proxy % SERVICES, n, second)).collect();
            let delta = EdgeDelta { incarnation: 1, sequence: second, edges, calls: Vec::new(), consumed: Vec::new() };
            let name = format!("proxy-{proxy}");
            let before = processor();
            graph.report(&name, delta, 1_000_000 + second);
            took += processor().saturating_sub(before);
        }
        if begun.elapsed() > Duration::from_secs(600) {
            println!("ended after {second} seconds of the mesh");
            break;
        }
    }
    let of_core = took.as_secs_f64() * 100.0 / seconds as f64;
    println!("{of_core:.1} % of a core; {} MB hold {} edges", resident() / 1_000_000, graph.edges(1_000_000 + seconds, 10).count());
}

fn edge(service: usize, n: usize, second: u64) -> (EdgeId, EdgeTotals) {
    let (called, text) = ((service + n + 1) % SERVICES, |kind: &str, n: usize| format!("{kind}-{n}").into());
    let id = EdgeId {
        reporter: Reporter::Source,
        source_namespace: "shop".into(),
        source_workload: text("service", service),
        source_version: "v1".into(),
        service_namespace: "shop".into(),
        service: text("service", called),
        destination_namespace: "shop".into(),
        destination_workload: text("service", called),
        destination_version: "v1".into(),
        protocol: Protocol::Http,
        security: Security::MutualTls,
    };
    let mut counts = EdgeTotals { requests: 10, request_bytes: 1000, response_bytes: 50_000, ..EdgeTotals::default() };
    (0..10).for_each(|i| counts.latency.record(Duration::from_micros(500 + 300 * i + second % 7 * 100)));
    (id, counts)
}
