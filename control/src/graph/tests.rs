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
    EdgeDelta { incarnation, sequence, edges }
}

#[test]
fn a_repeated_report_counts_once_and_a_new_incarnation_begins_anew() {
    let mut graph = Graph::default();
    for (incarnation, sequence) in [(1, 1), (1, 1), (1, 2), (1, 1), (2, 1)] {
        graph.report("web", delta(incarnation, sequence, vec![edge(Reporter::Source, "catalog", 5)]), 100);
    }
    assert_eq!(graph.edges(100).map(|told| told.totals.requests).collect::<Vec<_>>(), [15]);
}

#[test]
fn two_processes_of_one_proxy_report_side_by_side_and_each_report_counts_once() {
    let mut graph = Graph::default();
    // The elder repeats its report after the younger has begun.
    for (incarnation, sequence) in [(1, 7), (2, 1), (1, 7), (2, 1), (1, 8), (2, 2), (1, 8)] {
        graph.report("web", delta(incarnation, sequence, vec![edge(Reporter::Source, "catalog", 1)]), 100);
    }
    assert_eq!(graph.edges(100).map(|told| told.totals.requests).collect::<Vec<_>>(), [4]);
    // Of incarnations that are long gone nothing is kept.
    (3..100).for_each(|incarnation| graph.report("web", delta(incarnation, 1, Vec::new()), 100));
    assert_eq!(graph.heard["web"].len(), limits::INCARNATIONS);
}

#[test]
fn each_call_is_told_once_by_service_and_the_callers_word_counts() {
    let mut graph = Graph::default();
    let callee = vec![edge(Reporter::Destination, "catalog", 7)];
    graph.report("catalog-v1", delta(1, 1, callee), 100);
    assert_eq!(graph.calls(100).map(|told| told.totals.requests).collect::<Vec<_>>(), [7]);
    graph.report("web", delta(1, 1, vec![edge(Reporter::Source, "catalog", 9), edge(Reporter::Source, "catalog-v1", 1)]), 100);
    let told: Vec<_> = graph.calls(100).map(|told| (told.id.service.to_string(), told.totals.requests)).collect();
    assert_eq!(told, [("catalog".into(), 9), ("catalog-v1".into(), 1)]);
}

#[test]
fn rates_are_of_the_window_alone() {
    let mut graph = Graph::default();
    graph.report("web", delta(1, 1, vec![edge(Reporter::Source, "catalog", 100)]), 100);
    graph.report("web", delta(1, 2, vec![edge(Reporter::Source, "catalog", 30)]), 120);
    let told = graph.edges(120).next().unwrap();
    assert_eq!((told.totals.requests, told.recent.requests), (130, 30));
    assert_eq!(graph.edges(140).next().unwrap().recent.requests, 0);
}
