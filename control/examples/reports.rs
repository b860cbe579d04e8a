//! What it costs to hear of a mesh: `cargo run --release -p control --example reports [SECONDS]`. 1,000 proxies tell 50 edges each, each second, all of them
//! busy: 500 of them of the calls that they make, and 500 of those that they are asked, of 100 services that call 50 others each. So there are 5,000 edges, of
//! which both ends tell, and 50,000 of single processes. Messages are read as they come from the wire. Times are of this thread's processor; memory is what the
//! kernel says that the process has.

#![expect(clippy::print_stdout, reason = "a program that says what it measured")]

use control::graph::{Graph, read};
use prost::Message;
use std::time::{Duration, Instant};
use wire::v1::{Edge, ReportRequest};

/// The program's own: messages are hundreds of words each.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PROXIES: usize = 1000;
const SERVICES: usize = 100;
const EDGES: usize = 50;

#[path = "../../bench/meter.rs"]
mod meter;

use meter::{resident, timed};

fn main() {
    let seconds: u64 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(3700);
    let mut graph = Graph::default();
    let (mut reading, mut counting, begun) = (Duration::ZERO, Duration::ZERO, Instant::now());
    let mut passed = 0;
    for second in 1..=seconds {
        passed = second;
        for proxy in 0..PROXIES {
            let report = told(proxy, second).encode_to_vec();
            let (read, took) = timed(|| ReportRequest::decode(report.as_slice()));
            reading += took;
            let Ok(report) = read else { return println!("a message that cannot be read") };
            let told = (report.incarnation, report.sequence);
            let (is_news, took) = timed(|| graph.hear(&report.proxy, told, read::edges(&report.edges), 1_000_000 + second));
            assert!(is_news, "each report is counted");
            counting += took;
            // What was read is let go.
            let ((), took) = timed(|| drop(report));
            reading += took;
        }
        if begun.elapsed() > Duration::from_secs(540) {
            break;
        }
    }
    let of_core = |took: Duration| took.as_secs_f64() * 100.0 / passed as f64;
    println!("{passed} s of the mesh: {:.1} % of a core to read, {:.1} % to count", of_core(reading), of_core(counting));
    let now = 1_000_000 + passed;
    println!(
        "{} MB hold {} calls of {} edges, {} left out",
        resident() / 1_000_000,
        graph.calls(now, 10).count(),
        graph.edges(now, 10).count(),
        graph.left_out()
    );
}

/// What a proxy of a caller tells, and one of a called service: replicas tell of the same edges.
fn told(proxy: usize, second: u64) -> ReportRequest {
    let (is_caller, own) = (proxy.is_multiple_of(2), proxy / 2 % SERVICES);
    let edge = |n: usize| match is_caller {
        true => edge("source", own, (own + n + 1) % SERVICES, second),
        false => edge("destination", (own + SERVICES - n - 1) % SERVICES, own, second),
    };
    ReportRequest {
        proxy: format!("proxy-{proxy}"),
        incarnation: 1,
        sequence: second,
        edges: (0..EDGES).map(edge).collect(),
        ..ReportRequest::default()
    }
}

fn edge(reporter: &str, source: usize, called: usize, second: u64) -> Edge {
    let service = |n: usize| format!("service-{n}");
    // Ten answers in as many cells, of twelve.
    let latency_cells = (0..10).map(|n| 30 + n + (second % 3) as u32).collect();
    Edge {
        reporter: reporter.into(),
        source_namespace: "shop".into(),
        source_workload: service(source),
        source_version: "v1".into(),
        service_namespace: "shop".into(),
        service: service(called),
        destination_namespace: "shop".into(),
        destination_workload: service(called),
        destination_version: "v1".into(),
        protocol: "http".into(),
        security: "mutual_tls".into(),
        requests: 10,
        request_bytes: 1000,
        response_bytes: 50_000,
        latency_cells,
        latency_counts: vec![1; 10],
        ..Edge::default()
    }
}
