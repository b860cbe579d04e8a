use super::*;
use telemetry::{Protocol, Security};

fn edge(reporter: Reporter, service: &str, requests: u64) -> (EdgeId, EdgeTotals) {
    let id = EdgeId {
        reporter,
        source_namespace: "shop".into(),
        source_workload: "web".into(),
        source_version: "v1".into(),
        service_namespace: "shop".into(),
        service: service.into(),
        destination_namespace: "shop".into(),
        destination_workload: "catalog-v1".into(),
        destination_version: "v1".into(),
        protocol: Protocol::Http,
        security: Security::MutualTls,
    };
    (id, EdgeTotals { requests, ..EdgeTotals::default() })
}

fn delta(incarnation: u64, sequence: u64, edges: Vec<(EdgeId, EdgeTotals)>) -> EdgeDelta {
    EdgeDelta { incarnation, sequence, edges, calls: Vec::new(), consumed: Vec::new() }
}

#[test]
fn a_repeated_report_counts_once_and_a_new_incarnation_begins_anew() {
    let mut graph = Graph::default();
    for (incarnation, sequence) in [(1, 1), (1, 1), (1, 2), (1, 1), (2, 1)] {
        graph.report("web", delta(incarnation, sequence, vec![edge(Reporter::Source, "catalog", 5)]), 100);
    }
    assert_eq!(graph.edges(100, 10).map(|told| told.totals.requests).collect::<Vec<_>>(), [15]);
}

#[test]
fn two_processes_of_one_proxy_report_side_by_side_and_each_report_counts_once() {
    let mut graph = Graph::default();
    // The elder repeats its report after the younger has begun.
    for (incarnation, sequence) in [(1, 7), (2, 1), (1, 7), (2, 1), (1, 8), (2, 2), (1, 8)] {
        graph.report("web", delta(incarnation, sequence, vec![edge(Reporter::Source, "catalog", 1)]), 100);
    }
    assert_eq!(graph.edges(100, 10).map(|told| told.totals.requests).collect::<Vec<_>>(), [4]);
}

#[test]
fn each_call_is_told_once_by_service_and_the_callers_word_counts() {
    let mut graph = Graph::default();
    let callee = vec![edge(Reporter::Destination, "catalog", 7)];
    graph.report("catalog-v1", delta(1, 1, callee), 100);
    assert_eq!(graph.calls(100, 10).map(|told| told.totals.requests).collect::<Vec<_>>(), [7]);
    graph.report("web", delta(1, 1, vec![edge(Reporter::Source, "catalog", 9), edge(Reporter::Source, "catalog-v1", 1)]), 100);
    let told: Vec<_> = graph.calls(100, 10).map(|told| (told.id.service.to_string(), told.totals.requests)).collect();
    assert_eq!(told, [("catalog".into(), 9), ("catalog-v1".into(), 1)]);
}

#[test]
fn rates_are_of_the_window_alone() {
    let mut graph = Graph::default();
    graph.report("web", delta(1, 1, vec![edge(Reporter::Source, "catalog", 100)]), 100);
    graph.report("web", delta(1, 2, vec![edge(Reporter::Source, "catalog", 30)]), 120);
    let told = graph.edges(120, 10).next().unwrap();
    assert_eq!((told.totals.requests, told.recent.requests), (130, 30));
    assert_eq!(graph.edges(140, 10).next().unwrap().recent.requests, 0);
}

#[test]
fn the_window_of_an_hour_has_what_ten_seconds_have_forgotten() {
    let mut graph = Graph::default();
    graph.report("web", delta(1, 1, vec![edge(Reporter::Source, "catalog", 100)]), 1000);
    graph.report("web", delta(1, 2, vec![edge(Reporter::Source, "catalog", 30)]), 2000);
    assert_eq!(graph.edges(2000, 3600).next().unwrap().recent.requests, 130);
    assert_eq!(graph.edges(2000, 60).next().unwrap().recent.requests, 30);
    let told: Vec<_> = graph.history(0, |_| Some(())).into_iter().map(|(start, counts)| (start, counts.requests)).collect();
    assert_eq!(told, [(1000, 100), (2000, 30)]);
    assert!(graph.history(1001, |id| (&*id.service == "other").then_some(())).is_empty());
}

fn named(n: usize, reporter: Reporter) -> (EdgeId, EdgeTotals) {
    let (id, mut counts) = edge(reporter, "catalog", 10);
    (0..12).for_each(|cell| counts.latency.0[30 + cell] = 1);
    (EdgeId { source_workload: format!("web-{n}").into(), ..id }, counts)
}

#[test]
fn a_full_graph_says_what_it_left_out_and_forgets_what_was_silent_for_an_hour() {
    let mut graph = Graph::default();
    (0..=limits::EDGES).for_each(|n| _ = graph.report("web", delta(1, n as u64 + 1, vec![named(n, Reporter::Source)]), 1000));
    assert_eq!((graph.edges(1000, 10).count(), graph.left_out()), (limits::EDGES, 1));
    let sequence = limits::EDGES as u64 + 2;
    graph.report("web", delta(1, sequence, vec![named(1_000_000, Reporter::Source)]), 1000 + 3601);
    assert_eq!((graph.edges(1000, 10).count(), graph.left_out()), (limits::EDGES, 1));
    assert!(graph.edges(5000, 10).any(|told| &*told.id.source_workload == "web-1000000"));
    assert_eq!(graph.callers.len(), limits::EDGES);
}

/// The promise of an hour of 5,000 edges in 250 MB, all of them busy with latencies spread over twelve cells.
#[test]
fn an_hour_of_all_edges_fits_its_memory() {
    let mut graph = Graph::default();
    // Every edge is alike: a hundredth of them tells.
    let edges = limits::EDGES / 100;
    for second in 0..3700 {
        let all = (0..edges).map(|n| named(n, Reporter::Source)).collect();
        graph.report("web", delta(1, second + 1, all), 1000 + second);
    }
    let bytes = graph.footprint() * 100;
    assert!((100_000_000..250_000_000).contains(&bytes), "{bytes}");
}

#[test]
fn what_a_proxy_invents_overflows_nothing() {
    let mut graph = Graph::default();
    let (id, mut counts) = edge(Reporter::Source, "catalog", u64::MAX);
    counts.latency.0[3] = u64::MAX;
    (1..4).for_each(|n| _ = graph.report("web", delta(1, n, vec![(id.clone(), counts.clone())]), 100));
    let told = graph.edges(100, 10).next().unwrap();
    assert_eq!(told.totals.requests, u64::MAX);
    assert!(told.recent.latency.quantile(0.99).is_some());
}

#[test]
fn of_the_callees_word_an_hour_is_kept_of_what_it_alone_knows() {
    let mut graph = Graph::default();
    let (id, _) = edge(Reporter::Destination, "catalog", 0);
    let counts = EdgeTotals { requests: 9, failures: 3, denied: 2, retries: 4, ..EdgeTotals::default() };
    graph.report("web", delta(1, 1, vec![edge(Reporter::Source, "catalog", 9)]), 1000);
    graph.report("catalog", delta(1, 1, vec![(id.clone(), counts)]), 1000);
    graph.report("catalog", delta(1, 2, vec![edge(Reporter::Destination, "catalog", 9)]), 2000);
    let kept = graph.edges(2000, 3600).find(|told| *told.id == id).unwrap().recent;
    assert_eq!((kept.requests, kept.failures, kept.denied, kept.retries), (0, 0, 2, 4));
    // Its denials and its tries again are told with the caller's word, and nothing else of it.
    let told = |graph: &Graph| -> Vec<_> {
        graph.history(0, |_| Some(())).into_iter().map(|(at, sum)| (at, sum.requests, sum.denied, sum.retries)).collect()
    };
    assert_eq!(told(&graph), [(1000, 9, 2, 4)]);
    // What its caller counts as well is the same call.
    let (id, _) = edge(Reporter::Source, "catalog", 0);
    graph.report("web", delta(1, 2, vec![(id, EdgeTotals { denied: 3, ..EdgeTotals::default() })]), 1000);
    assert_eq!(told(&graph), [(1000, 9, 3, 4)]);
}

#[test]
fn an_hours_denials_are_held_against_each_other_between_two_and_added_among_several() {
    let mut graph = Graph::default();
    let denied = |reporter, web: usize, denied| (named(web, reporter).0, EdgeTotals { denied, ..EdgeTotals::default() });
    graph.report("web", delta(1, 1, vec![denied(Reporter::Source, 1, 4), denied(Reporter::Source, 2, 1)]), 1000);
    graph.report("catalog", delta(1, 1, vec![denied(Reporter::Destination, 1, 3), denied(Reporter::Destination, 2, 5)]), 1000);
    let told = graph.history(0, |id| Some(id.source_workload.clone()));
    assert_eq!(told.into_iter().map(|(at, sum)| (at, sum.denied)).collect::<Vec<_>>(), [(1000, 9)]);
}
