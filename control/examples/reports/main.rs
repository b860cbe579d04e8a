//! What it costs to hear of a mesh: `cargo run --release -p control --example reports [SECONDS [ACKNOWLEDGED [PROXIES]]]`. 1,000 proxies tell 50 edges each, each
//! second, all of them busy: 500 of them of the calls that they make, and 500 of those that they are asked, of 100 services that call 50 others each. So there are
//! 5,000 edges, of which both ends tell, and 50,000 of single processes. Each names its edges with its first
//! report and tells them by number after it. Messages are read as they come from the wire. Times are of one thread's processor; memory is what the kernel says
//! that the process has.
//!
//! First the graph alone, as fast as it goes. Then all that becomes of a report until it is acknowledged, for so many seconds of the clock (`reports/live.rs`).

#![expect(clippy::print_stdout, reason = "a program that says what it measured")]

use bytes::Bytes;
use control::graph::{Graph, named::Named, read};
use prost::Message;
use std::time::{Duration, Instant};
use wire::v1::{Edge, ReportRequest};

/// The program's own: messages are hundreds of words each.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SERVICES: usize = 100;
const EDGES: usize = 50;

mod connected;
mod live;
#[path = "../../../bench/meter.rs"]
mod meter;

use meter::{resident, timed};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let argument = |at: usize| std::env::args().nth(at).and_then(|text| text.parse().ok());
    let proxies = argument(3).unwrap_or(1000);
    graph(argument(1).unwrap_or(3700), proxies);
    live::run(argument(2).unwrap_or(60), proxies as usize)
}

fn graph(seconds: u64, proxies: u64) {
    let mut graph = Graph::default();
    let (mut reading, mut counting, begun) = (Duration::ZERO, Duration::ZERO, Instant::now());
    let mut named: Vec<_> = (0..proxies).map(|_| Named::default()).collect();
    let mut passed = 0;
    for second in 1..=seconds {
        passed = second;
        for (proxy, named) in named.iter_mut().enumerate() {
            // As a connection gives it: what is read out of it is not copied.
            let report = Bytes::from(told(&format!("proxy-{proxy}"), proxy, second).encode_to_vec());
            let (read, took) = timed(|| ReportRequest::decode(report));
            reading += took;
            let Ok(report) = read else { return println!("a message that cannot be read") };
            let told = (report.incarnation, report.sequence);
            let (is_news, took) = timed(|| graph.hear(&report.proxy, told, read::edges(&report.edges), named, 1_000_000 + second));
            assert_eq!(is_news, Ok(true), "each report is counted");
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
fn told(name: &str, proxy: usize, second: u64) -> ReportRequest {
    let own = own(proxy);
    let edge = |n: usize| {
        let (reporter, source, called) = match is_caller(proxy) {
            true => ("source", own, (own + n + 1) % SERVICES),
            false => ("destination", caller(own, n), own),
        };
        let number = n as u32 + 1;
        if second > 1 { Edge { number, ..counted(second) } } else { Edge { number, ..named(reporter, source, called, counted(second)) } }
    };
    ReportRequest {
        proxy: name.to_owned(),
        incarnation: 1,
        sequence: second,
        edges: (0..EDGES).map(|n| wire::edge::encode(&edge(n))).collect(),
        ..ReportRequest::default()
    }
}

fn is_caller(proxy: usize) -> bool {
    proxy.is_multiple_of(2)
}

/// The service that a proxy is of.
fn own(proxy: usize) -> usize {
    proxy / 2 % SERVICES
}

/// One of those that call a service.
fn caller(own: usize, n: usize) -> usize {
    (own + SERVICES - n - 1) % SERVICES
}

fn named(reporter: &str, source: usize, called: usize, counted: Edge) -> Edge {
    let service = |n: usize| format!("service-{n}");
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
        ..counted
    }
}

fn counted(second: u64) -> Edge {
    // Ten answers in as many cells, of twelve.
    let latency_cells = (0..10).map(|n| 30 + n + (second % 3) as u32).collect();
    Edge { requests: 10, request_bytes: 1000, response_bytes: 50_000, latency_cells, latency_counts: vec![1; 10], ..Edge::default() }
}
