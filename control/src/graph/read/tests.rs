use super::*;
use crate::graph::Graph;
use crate::graph::history::Totals;
use crate::graph::named::Named;
use telemetry::{EdgeTotals, Histogram};
use wire::v1;

fn told(service: &str) -> v1::Edge {
    v1::Edge {
        reporter: "source".into(),
        service: service.into(),
        protocol: "http".into(),
        security: "mutual_tls".into(),
        requests: 1,
        ..v1::Edge::default()
    }
}

fn services(told: &[Bytes]) -> Vec<&str> {
    edges(told).flatten().filter_map(|told| id(told.names)).map(|id| id.service).collect()
}

#[test]
fn words_that_mean_nothing_are_left_out_and_no_more_is_read_than_a_report_may_have() {
    let nonsense = |change: fn(&mut v1::Edge)| {
        let mut edge = told("catalog");
        change(&mut edge);
        wire::edge::encode(&edge)
    };
    let all = [
        nonsense(|edge| edge.reporter = "bystander".into()),
        nonsense(|edge| edge.protocol = "telepathy".into()),
        nonsense(|edge| edge.security = "hope".into()),
        Bytes::from_static(b"no message"),
        nonsense(|edge| edge.service = "web".into()),
    ];
    assert_eq!(services(&all), ["web"]);
    let mut graph = Graph::default();
    assert_eq!(graph.hear("one", (1, 1), edges(&all), &mut Named::default(), 1000), Ok(true));
    // What is no message is counted; words of a later release are not ours to count.
    assert_eq!((graph.edges(1000, 10).count(), graph.left_out()), (1, 1));
    let many = vec![wire::edge::encode(&told("web")); wire::limits::EDGES + 5];
    assert_eq!(services(&many).len(), wire::limits::EDGES);
}

#[test]
fn latencies_in_any_order_twice_or_of_cells_that_there_are_not_count_as_they_are_told() {
    let cells = [(40, 2), (3, 5), (40, 1), (9, 0), (104, 7), (u32::MAX, 7), (103, u64::from(u32::MAX))];
    let (latency_cells, latency_counts) = cells.into_iter().unzip();
    let edge = v1::Edge { latency_cells, latency_counts, failures: 4, opened: 6, retries: 3, ..told("web") };
    let mut graph = Graph::default();
    // Of cells and counts that are not as many the longer end is left out.
    let odd = v1::Edge { latency_cells: vec![3, 4], latency_counts: vec![1], ..told("web") };
    assert_eq!(graph.hear("one", (1, 1), edges(&[edge, odd].map(|edge| wire::edge::encode(&edge))), &mut Named::default(), 1000), Ok(true));
    let most = (1 << 24) - 1;
    let latency = Histogram::from_sparse([(3, 6), (40, 3), (103, most)]);
    let all = EdgeTotals { requests: 2, failures: 4, opened: 6, retries: 3, latency, ..EdgeTotals::default() };
    let edge = graph.edges(1000, 10).next().unwrap();
    let totals = Totals { opened: 6, requests: 2, failures: 4, retries: 3 };
    assert_eq!((edge.totals, &edge.recent, &edge.latest()), (totals, &all, &all));
}

#[test]
fn what_is_borrowed_is_found_as_what_is_kept() {
    let mut graph = Graph::default();
    for sequence in 1..4 {
        // Each word stands somewhere else in memory.
        let all = [told("catalog"), told("web"), v1::Edge { reporter: "destination".into(), ..told("web") }];
        assert_eq!(
            graph.hear("one", (1, sequence), edges(&all.map(|edge| wire::edge::encode(&edge))), &mut Named::default(), 1000),
            Ok(true)
        );
    }
    let mut requests: Vec<_> = graph.edges(1000, 10).map(|told| told.totals.requests).collect();
    requests.sort_unstable();
    assert_eq!((requests, graph.calls(1000, 10).count()), (vec![3, 3, 3], 2));
}
