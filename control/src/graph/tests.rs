use super::*;
use telemetry::{EdgeDelta, Protocol, Security};

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
    EdgeDelta { incarnation, sequence, edges, ..EdgeDelta::default() }
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
    let mut told: Vec<_> = graph.calls(100, 10).map(|told| (told.id.service.to_string(), told.totals.requests)).collect();
    told.sort();
    assert_eq!(told, [("catalog".into(), 9), ("catalog-v1".into(), 1)]);
}

#[test]
fn an_hour_is_kept_of_the_callees_word_until_its_caller_tells_too() {
    let mut graph = Graph::default();
    let callee = |graph: &mut Graph, sequence: u64, now: u64| {
        graph.report("catalog-v1", delta(1, sequence, vec![edge(Reporter::Destination, "catalog", 7)]), now);
        graph.edges(now, 3600).find(|told| told.id.reporter == Reporter::Destination).map(|told| told.recent.requests)
    };
    assert_eq!(callee(&mut graph, 1, 1000), Some(7));
    assert_eq!(callee(&mut graph, 2, 1010), Some(14));
    graph.report("web", delta(1, 1, vec![edge(Reporter::Source, "catalog", 9)]), 1015);
    assert_eq!(callee(&mut graph, 3, 1020), Some(14));
}

#[test]
fn rates_are_of_the_window_alone() {
    let mut graph = Graph::default();
    graph.report("web", delta(1, 1, vec![edge(Reporter::Source, "catalog", 100)]), 100);
    graph.report("web", delta(1, 2, vec![edge(Reporter::Source, "catalog", 30)]), 120);
    let told = graph.edges(120, 10).next().unwrap();
    assert_eq!((told.totals.requests, told.recent.requests), (130, 30));
    // Who is silent is still known as it was when it was busy.
    let told = graph.edges(140, 10).next().unwrap();
    assert_eq!((told.recent.requests, told.latest().requests), (0, 30));
    // How fast it was is not forgotten for what was no answer.
    let (id, mut answered) = edge(Reporter::Source, "catalog", 5);
    answered.latency.0[30] = 5;
    graph.report("web", delta(1, 3, vec![(id.clone(), answered)]), 150);
    graph.report("web", delta(1, 4, vec![(id, EdgeTotals { opened: 1, ..EdgeTotals::default() })]), 160);
    let told = graph.edges(190, 10).next().unwrap();
    assert_eq!((told.recent.requests, told.latest().requests), (0, 5));
}

#[test]
fn what_came_while_nobody_heard_is_a_rate_of_all_that_time() {
    let mut graph = Graph::default();
    let told = [edge(Reporter::Source, "catalog", 80)].map(|(id, counts)| read::written(&id, &counts));
    let time = Time { now: 100, over: 8 };
    assert_eq!(graph.hear("web", (1, 1), read::edges(&told), &mut Named::default(), time), Ok(true));
    let told = graph.edges(100, 10).next().unwrap();
    assert_eq!((told.recent.requests, told.seconds), (80, 8.0));
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
    (0..=limits::EDGES)
        .for_each(|n| _ = graph.report("web", delta(1, n as u64 + 1, vec![named(n, Reporter::Source)]), 1000 + n as u64 / 100));
    assert_eq!((graph.edges(1000, 10).count(), graph.left_out), (limits::EDGES, 1));
    let mut tell = |sequence: u64, n: usize, now: u64| {
        graph.report("web", delta(2, sequence, vec![named(n, Reporter::Source)]), now);
        let has = |n: usize| graph.edges(now, 10).any(|told| *told.id.source_workload == *format!("web-{n}"));
        (has(n), has(0), graph.left_out)
    };
    // An hour after the first was told it is not yet silent for longer; then it is, and makes room for one.
    assert_eq!(tell(1, 1_000_000, 1000 + 3600), (false, true, 2));
    assert_eq!(tell(2, 1_000_000, 1000 + 3601), (true, false, 2));
    assert_eq!((graph.edges(5000, 10).count(), graph.spoken, graph.words.len()), (limits::EDGES, limits::EDGES, limits::EDGES));
    assert_eq!(graph.numbers.len(), limits::EDGES);
    // Who made room is not found any more by what named it: told again it begins anew, in the place of the next.
    let told =
        |graph: &Graph, n: usize| graph.edges.values().find(|edge| *edge.id.source_workload == *format!("web-{n}")).map(|edge| edge.seen);
    graph.report("web", delta(2, 3, vec![named(0, Reporter::Source)]), 1000 + 3601);
    assert_eq!((told(&graph, 0), told(&graph, 1), graph.edges.len()), (Some(1000 + 3601), None, limits::EDGES));
}

#[test]
fn an_edge_that_is_told_again_makes_no_room_for_one_that_is_told_beside_it() {
    let mut graph = Graph::default();
    (0..limits::EDGES).for_each(|n| _ = graph.report("web", delta(1, n as u64 + 1, vec![named(n, Reporter::Source)]), 1000 + n as u64));
    let both = vec![named(1_000_000, Reporter::Source), named(0, Reporter::Source)];
    graph.report("web", delta(2, 1, both), 1000 + 3602);
    let told =
        |n: usize| graph.edges.values().find(|edge| *edge.id.source_workload == *format!("web-{n}")).map(|edge| edge.totals.requests);
    assert_eq!((told(0), told(1), told(1_000_000), graph.left_out), (Some(20), None, Some(10), 0));
}

#[test]
fn an_edge_may_be_named_in_many_ways_of_which_so_many_are_remembered() {
    let mut graph = Graph::default();
    let (id, counts) = edge(Reporter::Source, "catalog", 1);
    let plain = read::written(&id, &counts);
    let most = (0..limits::EDGES_NAMED + 5).map(|n| {
        // A namespace that the next one takes back.
        let told = [bytes::Bytes::from([&[0x12, 5][..], format!("{n:05}").as_bytes(), &plain[..]].concat())];
        assert_eq!(graph.hear("web", (1, n as u64 + 1), read::edges(&told), &mut Named::default(), 100), Ok(true));
        graph.named.len()
    });
    assert_eq!(most.max(), Some(limits::EDGES_NAMED));
    let told: Vec<_> = graph.edges(100, 10).map(|told| (told.id.clone(), told.totals.requests)).collect();
    assert_eq!(told, [(id, limits::EDGES_NAMED as u64 + 5)]);
}

#[test]
fn an_edge_with_names_without_end_is_left_out_and_counted() {
    let mut graph = Graph::default();
    for (n, length, left_out) in [(1, limits::EDGE_NAMES - 200, 0), (2, limits::EDGE_NAMES, 1), (3, 2 * limits::EDGE_NAMES, 2)] {
        graph.report("web", delta(1, n, vec![edge(Reporter::Source, &"c".repeat(length), 1)]), 100);
        assert_eq!((graph.edges.len(), graph.left_out()), (1, left_out));
    }
}

#[test]
fn there_is_room_for_both_ends_words_on_as_many_calls_as_there_may_be() {
    let mut graph = Graph::default();
    let mut sequence = 0;
    let mut tell = |graph: &mut Graph, n: usize, reporter| {
        sequence += 1;
        graph.report("web", delta(1, sequence, vec![named(n, reporter)]), 1000);
        (graph.edges.len(), graph.spoken, graph.left_out)
    };
    // Of half of them the called side is heard first.
    (0..limits::EDGES / 2).for_each(|n| _ = tell(&mut graph, n, Reporter::Destination));
    (0..limits::EDGES).for_each(|n| _ = tell(&mut graph, n, Reporter::Source));
    (limits::EDGES / 2..limits::EDGES).for_each(|n| _ = tell(&mut graph, n, Reporter::Destination));
    let all = (2 * limits::EDGES, limits::EDGES, 0);
    assert_eq!((graph.edges.len(), graph.spoken, graph.left_out), all);
    assert_eq!(graph.calls(1000, 10).count(), limits::EDGES);
    // Neither end has more.
    assert_eq!(tell(&mut graph, limits::EDGES, Reporter::Source), (all.0, all.1, 1));
    let (id, counts) = named(0, Reporter::Destination);
    graph.report("web", delta(2, 1, vec![(EdgeId { service: "another".into(), ..id }, counts)]), 1000);
    assert_eq!((graph.edges.len(), graph.left_out), (all.0, 2));
}

/// The promise of 250 MB: an hour of 5,000 edges, all of them busy with latencies spread over twelve cells, what the called side tells of as many, and two
/// minutes of the 50,000 that a thousand processes tell.
#[test]
fn an_hour_of_all_edges_fits_its_memory() {
    let mut graph = Graph::default();
    // Every edge is alike: a hundredth of them tells.
    let edges = limits::EDGES / 100;
    for second in 0..3700 {
        let all = |reporter| (0..edges).map(|n| named(n, reporter)).collect();
        graph.report("web", delta(1, second + 1, all(Reporter::Source)), 1000 + second);
        graph.report("catalog", delta(1, second + 1, all(Reporter::Destination)), 1000 + second);
        // Of replicas no more than two minutes are kept.
        let replicas = if second < 3400 { 0 } else { limits::WORKLOAD_EDGES / 100 / edges - 2 };
        (0..replicas).for_each(|one| _ = graph.report(&format!("web-{one}"), delta(1, second + 1, all(Reporter::Source)), 1000 + second));
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

#[test]
fn a_denial_that_both_ends_know_is_one_though_they_tell_it_in_neighbouring_slots() {
    // By slot: what callers and callees tell, and what they were.
    for (told, calls) in [
        (vec![(3, 0), (0, 3)], vec![3, 0]),
        (vec![(0, 2), (2, 0)], vec![2, 0]),
        (vec![(3, 2), (5, 6)], vec![3, 5]),
        (vec![(1, 0), (1, 1), (0, 1)], vec![1, 1, 1]),
        (vec![(2, 0), (0, 5)], vec![2, 3]),
        (vec![(4, 0), (4, 0)], vec![4, 4]),
    ] {
        let slots = |gap: u64| {
            let slot = |(n, (by_callers, by_callees)): (usize, &(u64, u64))| {
                (1000 + n as u64 * gap, Denied { by_callers: *by_callers, by_callees: *by_callees })
            };
            told.iter().enumerate().map(slot).collect()
        };
        let of = |gap| Denied::by_slots(slots(gap)).map(|(_, calls)| calls).collect::<Vec<_>>();
        assert_eq!(of(limits::SLOT_SECONDS), calls, "{told:?}");
        // Farther apart they are others.
        assert_eq!(of(2 * limits::SLOT_SECONDS), told.iter().map(|(a, b)| *a.max(b)).collect::<Vec<_>>(), "{told:?}");
    }
    let mut graph = Graph::default();
    let denied = |reporter| (named(1, reporter).0, EdgeTotals { denied: 3, ..EdgeTotals::default() });
    graph.report("web", delta(1, 1, vec![denied(Reporter::Source)]), 1009);
    graph.report("catalog", delta(1, 1, vec![denied(Reporter::Destination)]), 1010);
    assert_eq!(graph.history(0, |_| Some(())).values().map(|sum| sum.denied).sum::<u64>(), 3);
}

#[test]
fn of_each_process_its_own_edges_are_told_for_two_minutes() {
    let mut graph = Graph::default();
    let failing = |failures: u64| (edge(Reporter::Source, "catalog", 0).0, EdgeTotals { requests: 10, failures, ..EdgeTotals::default() });
    graph.report("web-1", delta(1, 1, vec![failing(0)]), 1020);
    graph.report("web-2", delta(1, 1, vec![failing(10)]), 1020);
    let told = |graph: &Graph, proxy: &str, now| -> Vec<_> {
        graph.of_workload(proxy, now).into_iter().map(|told| (told.recent.requests, told.recent.failures, told.totals.requests)).collect()
    };
    // Drawn together they are one edge; each is told by itself.
    assert_eq!(graph.calls(1020, 10).map(|told| (told.recent.requests, told.recent.failures)).collect::<Vec<_>>(), [(20, 10)]);
    assert_eq!((told(&graph, "web-1", 1020), told(&graph, "web-2", 1020)), (vec![(10, 0, 10)], vec![(10, 10, 10)]));
    assert_eq!(told(&graph, "web-3", 1020), []);
    graph.report("web-2", delta(1, 2, vec![failing(1)]), 1130);
    assert_eq!(told(&graph, "web-2", 1130), [(20, 11, 20)]);
    assert_eq!((told(&graph, "web-1", 1139).len(), told(&graph, "web-1", 1140).len()), (1, 0));
    assert_eq!(told(&graph, "web-2", 1150), [(10, 1, 20)]);
    // Who calls itself is told once, by its caller's word.
    let to_itself = |reporter| {
        (
            EdgeId { source_workload: "catalog-v1".into(), ..edge(reporter, "catalog", 0).0 },
            EdgeTotals { requests: 4, ..EdgeTotals::default() },
        )
    };
    graph.report("catalog-1", delta(1, 1, vec![to_itself(Reporter::Source), to_itself(Reporter::Destination)]), 1150);
    assert_eq!(told(&graph, "catalog-1", 1150), [(4, 0, 4)]);
}
