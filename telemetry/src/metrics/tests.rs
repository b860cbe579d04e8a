use super::*;
use crate::trace::carrier::Told;
use crate::{EdgeTracker, Outcome, Trace, TraceContext};
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
    assert!(text.contains("organza_metrics_folded_total 50"));
    assert!(metrics.edges().len() <= limits::EDGES + 1);
    assert_eq!(worker.handles.len(), limits::SERIES, "who is told apart no more is not remembered either");
}

#[test]
fn a_policy_lowers_the_budget_and_never_raises_it() {
    for (most, want) in [(20, 20), (limits::SERIES * 2, limits::SERIES)] {
        let metrics = Metrics::new();
        metrics.limit_series(most);
        let mut worker = metrics.worker();
        (0..want + 5).for_each(|i| worker.observe(&Record { source: peer(&format!("stranger-{i}")), ..record(200, 1) }));
        assert_eq!(metrics.folded(), 5, "{most}");
    }
}

/// Lines of a family, each with its value.
fn told(metrics: &Metrics, family: &str) -> Vec<String> {
    metrics.encode().lines().filter(|line| line.starts_with(&format!("{family}{{"))).map(str::to_owned).collect()
}

#[test]
fn a_label_that_is_left_out_is_told_nowhere_and_what_differed_in_it_alone_is_one() {
    let metrics = Metrics::new();
    let mut worker = metrics.worker();
    let of = |who: &str, status| Record { source: peer(who), ..record(status, 3) };
    [of("a", 200), of("b", 200), of("b", 404)].iter().for_each(|record| worker.observe(record));
    assert_eq!(told(&metrics, "istio_requests_total").len(), 3);
    let without = |names: &[&str]| names.iter().fold(Labels::NONE, |labels, name| labels.with(name).unwrap());
    // Who is called so in all labels.
    metrics.drop_labels(without(&["source_workload", "source_app", "source_canonical_service"]));
    // What was counted before is told without it too, and added up with what comes.
    worker.observe(&of("c", 200));
    let all = told(&metrics, "istio_requests_total");
    let with = |all: &[String], what: &str| all.iter().find(|line| line.contains(what)).unwrap().rsplit(' ').next().unwrap().to_owned();
    assert_eq!((all.len(), with(&all, "response_code=\"200\""), with(&all, "response_code=\"404\"")), (2, "3".into(), "1".into()));
    assert!(all.iter().all(|line| !line.contains("source_workload=") && !line.contains("source_app=") && line.contains("source_version=")));
    let count = told(&metrics, "istio_request_duration_milliseconds_count");
    assert_eq!(count.len(), 2, "{count:?}");
    // Each of them can be left out, and nothing else is told of them but who says it and the bounds of buckets.
    metrics.drop_labels(without(&model::telemetry::labels::LABELS));
    worker.observe(&of("d", 500));
    assert_eq!(told(&metrics, "istio_requests_total"), ["istio_requests_total{reporter=\"source\"} 5"]);
    metrics.drop_labels(Labels::NONE);
    let whole = told(&metrics, "istio_requests_total").join("\n");
    for label in model::telemetry::labels::LABELS {
        assert!(whole.contains(&format!("{label}=")), "{label}");
    }
}

#[test]
fn what_is_told_as_one_takes_the_room_of_one() {
    let metrics = Metrics::new();
    let mut worker = metrics.worker();
    metrics.limit_series(20);
    metrics
        .drop_labels(Labels::NONE.with("source_workload").unwrap().with("source_app").unwrap().with("source_canonical_service").unwrap());
    let stranger = |i: usize| Record { source: peer(&format!("stranger-{i}")), ..record(200, 1) };
    (0..100).for_each(|i| worker.observe(&stranger(i)));
    assert_eq!((metrics.folded(), told(&metrics, "istio_requests_total").len()), (0, 1));
    // What was admitted is given back, whatever is left out by then.
    metrics.drop_labels(Labels::NONE);
    (0..2).for_each(|_| worker.sweep(limits::SERIES_IDLE));
    (0..20).for_each(|i| worker.observe(&stranger(i)));
    assert_eq!(metrics.folded(), 0);
    worker.observe(&stranger(20));
    assert_eq!(metrics.folded(), 1);
}

#[test]
fn what_is_over_the_budget_grows_nothing_and_finds_room_again() {
    let metrics = Metrics::new();
    let mut worker = metrics.worker();
    let stranger = |i: usize| Record { source: peer(&format!("stranger-{i}")), ..record(200, 1) };
    (0..limits::SERIES).for_each(|i| worker.observe(&stranger(i)));
    let cells = |metrics: &Metrics| metrics.0.workers.lock().unwrap().iter().map(|store| store.series.lock().unwrap().len()).sum::<usize>();
    assert_eq!(cells(&metrics), limits::SERIES);
    (0..5000).for_each(|i| worker.observe(&stranger(limits::SERIES + i)));
    assert_eq!((cells(&metrics), metrics.folded()), (limits::SERIES + 1, 5000));
    // What another worker counts of the same is the same.
    metrics.worker().observe(&stranger(0));
    assert_eq!(metrics.folded(), 5000);
    // An hour without a word makes room, but for one of which something came.
    worker.observe(&stranger(7));
    worker.sweep(limits::SERIES_IDLE);
    worker.observe(&stranger(7));
    worker.sweep(limits::SERIES_IDLE / 2);
    assert_eq!(cells(&metrics), limits::SERIES + 2);
    worker.observe(&stranger(7));
    worker.sweep(limits::SERIES_IDLE / 2);
    worker.observe(&stranger(limits::SERIES + 1));
    assert_eq!((metrics.folded(), worker.handles.len()), (5000, 2));
    let text = metrics.encode();
    let told = text.lines().filter(|line| line.starts_with("istio_requests_total{"));
    let mut told: Vec<String> =
        told.map(|line| line.split("source_workload=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()).collect();
    told.sort();
    assert_eq!(told, ["stranger-0".to_owned(), format!("stranger-{}", limits::SERIES + 1), "stranger-7".to_owned()]);
}

#[test]
fn what_is_over_the_budget_ends_in_so_many_ways_and_no_more() {
    let metrics = Metrics::new();
    let mut worker = metrics.worker();
    (0..limits::SERIES).for_each(|i| worker.observe(&Record { source: peer(&format!("stranger-{i}")), ..record(200, 1) }));
    (0..limits::FOLDED as u16 + 100).for_each(|status| worker.observe(&Record { source: peer("late"), ..record(status, 1) }));
    let cells: usize = metrics.0.workers.lock().unwrap().iter().map(|store| store.series.lock().unwrap().len()).sum();
    assert_eq!(cells, limits::SERIES + limits::FOLDED + 1, "the last is for all other ends");
}

#[test]
fn a_connection_that_is_open_is_not_forgotten() {
    let metrics = Metrics::new();
    let mut worker = metrics.worker();
    let tcp = Record { protocol: Protocol::Tcp, ..record(0, 1) };
    worker.handle(&Pair::of(&tcp)).opened();
    (0..5).for_each(|_| worker.sweep(limits::SERIES_IDLE));
    worker.observe(&tcp);
    let text = metrics.encode();
    let value = |name: &str| text.lines().find(|l| l.starts_with(name)).unwrap().rsplit(' ').next().unwrap().to_owned();
    assert_eq!((value("istio_tcp_connections_opened_total{"), value("istio_tcp_connections_closed_total{")), ("1".into(), "1".into()));
    (0..3).for_each(|_| worker.sweep(limits::SERIES_IDLE));
    assert!(!metrics.encode().contains("istio_tcp"));
}

#[test]
fn edges_that_are_forgotten_are_told_first_and_counted_once() {
    let metrics = Metrics::new();
    let mut worker = metrics.worker();
    let mut tracker = EdgeTracker::new(7);
    let mut told = 0;
    let mut report = |tracker: &mut EdgeTracker, acknowledged: bool| {
        let Some(delta) = tracker.poll(&metrics, true) else { return };
        if acknowledged {
            told += delta.edges.iter().map(|(_, counts)| counts.requests).sum::<u64>();
            tracker.acknowledged(delta.sequence);
        }
    };
    (0..3).for_each(|_| worker.observe(&record(200, 1)));
    report(&mut tracker, false);
    (0..3).for_each(|_| worker.sweep(limits::SERIES_IDLE));
    // Nobody has heard of them yet.
    assert_eq!(metrics.edges().len(), 1);
    report(&mut tracker, true);
    report(&mut tracker, true);
    assert_eq!(metrics.edges().len(), 0);
    // The same one again, in new cells.
    (0..2).for_each(|_| worker.observe(&record(200, 1)));
    report(&mut tracker, true);
    assert_eq!((told, metrics.edges().len()), (5, 1));
}

#[test]
fn a_bucket_leads_to_a_trace_where_the_reader_knows_how_to_read_that() {
    let metrics = Metrics::new();
    let mut worker = metrics.worker();
    let context = TraceContext { trace_id: [0xab; 16], span_id: [0xcd; 8], sampled: true };
    let traced = |context, millis| Record {
        trace: Some(Trace { context, told: Told::default(), server: None, dialled: None }),
        ..record(200, millis)
    };
    worker.observe(&traced(context, 3));
    worker.observe(&traced(TraceContext { sampled: false, ..context }, 30));
    worker.observe(&record(500, 3));
    let text = metrics.encode();
    let told: Vec<&str> = text.lines().filter(|line| line.contains("trace_id")).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].starts_with("istio_request_duration_milliseconds_bucket{le=\"5.0\"") && told[0].contains("response_code=\"200\""),
        "{told:?}"
    );
    let example = format!(" # {{trace_id=\"{}\",span_id=\"{}\"}} 3 0.003", "ab".repeat(16), "cd".repeat(8));
    assert!(told[0].ends_with(&example), "{told:?}");
    let text = metrics.encode_as(Exposition::Text);
    assert!(!text.contains("trace_id") && !text.contains("# EOF"));
    assert!(
        text.contains("# TYPE istio_requests_total counter\n") && text.contains("# TYPE istio_request_duration_milliseconds histogram\n")
    );
    assert_eq!(Exposition::accepted("text/plain;version=0.0.4;q=0.2,application/openmetrics-text;version=1.0.0"), Exposition::OpenMetrics);
    assert_eq!(Exposition::accepted("*/*"), Exposition::Text);
}

#[test]
fn what_is_found_by_address_is_forgotten_when_it_is_too_much() {
    let metrics = Metrics::new();
    let mut worker = metrics.worker();
    let others: Vec<Record> = (0..=limits::RECENT).map(|_| Record { source: peer("one"), ..record(200, 1) }).collect();
    for (i, other) in others.iter().enumerate() {
        worker.observe(other);
        assert_eq!(worker.recent.len(), i % limits::RECENT + 1);
    }
    assert_eq!((metrics.folded(), worker.handles.len()), (0, 1), "all are of one label set");
}

#[test]
fn retries_are_counted_by_service_and_by_who_tried_again_and_edges_count_the_same() {
    let metrics = Metrics::new();
    let mut worker = metrics.worker();
    let tried = |attempt| Record { attempt, ..record(200, 1) };
    [1, 3, 2].map(tried).iter().for_each(|record| worker.observe(record));
    // Outside of the mesh, and by the proxy beside the program that was called: whoever tries again is counted, everywhere.
    worker.observe(&Record { way: crate::Way::Outside, dialled_service: None, ..tried(9) });
    worker.observe(&Record { way: crate::Way::Application, reporter: Reporter::Destination, ..tried(2) });
    let line = |reporter: &str, (namespace, name): (&str, &str), count: u64| {
        let service = format!("destination_service_namespace=\"{namespace}\",destination_service_name=\"{name}\"");
        format!("organza_retries_total{{reporter=\"{reporter}\",{service}}} {count}")
    };
    let lines = |metrics: &Metrics| {
        let text = metrics.encode();
        text.lines().filter(|line| line.starts_with("organza_retries_total")).map(str::to_owned).collect::<Vec<_>>()
    };
    let catalog = ("shop", "catalog");
    let wanted = [line("destination", catalog, 1), line("source", catalog, 3), line("source", ("unknown", "unknown"), 8)];
    assert_eq!(lines(&metrics), wanted);
    let totals = metrics.edges();
    assert_eq!(totals.values().map(|edge| edge.retries).sum::<u64>(), 1 + 3 + 8);
    // They go with the label sets that they are summed of ...
    (0..2).for_each(|_| worker.sweep(limits::SERIES_IDLE));
    assert!(!metrics.encode().contains("organza_retries"));
    // ... and where those have no room, nor have they.
    let small = Metrics::new();
    small.limit_series(1);
    let mut worker = small.worker();
    for name in ["first", "second", "third"] {
        let service = Destination { host: name.into(), name: name.into(), namespace: "shop".into() };
        worker.observe(&Record { dialled_service: Some(Arc::new(service)), ..tried(2) });
    }
    let lines = lines(&small);
    assert_eq!((lines.len(), lines.contains(&line("source", ("other", "other"), 2))), (2, true), "{lines:?}");
}

#[test]
fn faults_are_failures_that_neither_policy_nor_the_caller_wanted() {
    let metrics = Metrics::new();
    let mut worker = metrics.worker();
    let ended = |fault| Record { outcome: Outcome::Failed(fault), ..record(503, 1) };
    for fault in [Fault::ConnectRefused, Fault::NoEndpoint, Fault::RequestTimeout, Fault::AccessDenied, Fault::MalformedRequest] {
        worker.observe(&ended(fault));
    }
    worker.observe(&record(503, 1));
    let edge = metrics.edges().into_values().next().unwrap();
    assert_eq!((edge.failures, edge.denied, edge.faults), (6, 1, 3), "a program's own 503 is none");
}
