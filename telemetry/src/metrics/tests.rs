use super::*;
use crate::{EdgeTracker, Outcome};
use model::Fault;
use std::time::{Duration, UNIX_EPOCH};

fn peer(name: &str) -> Arc<Peer> {
    Arc::new(Peer::claimed(name, "shop", name, "v1", "Kubernetes", None))
}

fn record(status: u16, millis: u64) -> Record {
    let mut record = Record::begin(UNIX_EPOCH, Reporter::Source, peer("web"), peer("catalog"));
    record.status = status;
    record.outcome = Outcome::Answered(status);
    record.duration = Duration::from_millis(millis);
    record.security = Security::MutualTls;
    let host = "catalog.shop.svc.cluster.local".into();
    record.dialled_service = Some(Arc::new(Destination { host, name: "catalog".into(), namespace: "shop".into() }));
    record
}

#[test]
fn workers_are_summed_under_istios_names() {
    let metrics = Metrics::new();
    let (mut a, mut b) = (metrics.worker(), metrics.worker());
    a.observe(&record(200, 3));
    b.observe(&record(200, 7));
    let mut failed = record(503, 1);
    failed.outcome = Outcome::Failed(Fault::ConnectRefused);
    b.observe(&failed);
    metrics.gauge("organza_config_generation", "Generation in force", &[]).set(12.0);
    metrics.counter("organza_drains", "Drains", &[("why", "signal")]).add(2.0);
    let text = metrics.encode();
    let line = |start: &str, has: &str| text.lines().find(|l| l.starts_with(start) && l.contains(has)).unwrap_or_else(|| panic!("{text}"));
    let ok = line("istio_requests_total{", "response_code=\"200\"");
    assert!(ok.ends_with(" 2") && ok.contains("connection_security_policy=\"mutual_tls\""), "{ok}");
    assert!(line("istio_requests_total{", "response_code=\"503\"").contains("response_flags=\"UF\""));
    let bucket = line("istio_request_duration_milliseconds_bucket{le=\"5.0\"", "response_code=\"200\"");
    assert!(bucket.ends_with(" 1"), "{bucket}");
    // Without it no quantile can be computed.
    let all = line("istio_request_duration_milliseconds_bucket{le=\"+Inf\"", "response_code=\"200\"");
    assert!(all.ends_with(" 2"), "{all}");
    assert!(line("istio_request_duration_milliseconds_sum", "response_code=\"200\"").ends_with(" 10.0"));
    assert!(line("organza_config_generation", "").ends_with(" 12.0"));
    assert!(line("organza_drains_total{why=\"signal\"}", "").ends_with(" 2.0"));
    assert!(text.ends_with("# EOF\n"));
    assert!(encode::families(&text).values().all(|n| *n == 1), "a series stands once");
}

#[test]
fn edges_are_counted_exactly_once_over_repeats() {
    let metrics = Metrics::new();
    let mut worker = metrics.worker();
    let mut tracker = EdgeTracker::new(7);
    assert_eq!(tracker.poll(&metrics, true), None);
    worker.observe(&record(200, 1));
    let first = tracker.poll(&metrics, true).unwrap();
    worker.observe(&record(500, 1));
    assert_eq!(tracker.poll(&metrics, true).unwrap(), first, "repeated until acknowledged");
    tracker.acknowledged(first.sequence + 1);
    assert_eq!(tracker.poll(&metrics, true).unwrap(), first, "an acknowledgement of something else is none");
    tracker.acknowledged(first.sequence);
    let second = tracker.poll(&metrics, true).unwrap();
    assert_eq!((second.sequence, second.edges[0].1.requests, second.edges[0].1.failures), (2, 1, 1));
    tracker.acknowledged(2);
    assert_eq!(tracker.poll(&metrics, true), None);
}

#[test]
fn opaque_connections_have_their_own_families() {
    let metrics = Metrics::new();
    let mut worker = metrics.worker();
    let mut tcp = record(0, 50);
    tcp.protocol = Protocol::Tcp;
    tcp.request_bytes = 10;
    tcp.response_bytes = 20;
    let handle = worker.handle(&Pair::of(&tcp));
    handle.opened();
    handle.observe(&tcp);
    let text = metrics.encode();
    for (name, value) in [("connections_opened", 1), ("connections_closed", 1), ("sent_bytes", 20), ("received_bytes", 10)] {
        let line = text.lines().find(|l| l.starts_with(&format!("istio_tcp_{name}_total{{"))).unwrap();
        assert!(line.ends_with(&format!(" {value}")), "{line}");
    }
    assert!(!text.contains("istio_requests_total"));
}

#[test]
fn label_sets_have_a_budget() {
    let metrics = Metrics::new();
    let mut worker = metrics.worker();
    for i in 0..limits::SERIES + 50 {
        let mut r = record(200, 1);
        r.source = peer(&format!("stranger-{i}"));
        worker.observe(&r);
    }
    let text = metrics.encode();
    let series = text.lines().filter(|l| l.starts_with("istio_requests_total{")).count();
    assert_eq!(series, limits::SERIES + 1);
    assert!(text.lines().any(|l| l.starts_with("istio_requests_total{") && l.contains("source_workload=\"other\"") && l.ends_with(" 50")));
    assert!(text.contains("organza_metrics_folded_series_total 50"));
    assert!(metrics.edges().len() <= limits::EDGES + 1);
}
