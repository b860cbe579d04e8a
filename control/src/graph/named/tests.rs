use super::*;
use crate::graph::{Graph, read};
use bytes::Bytes;
use wire::v1::Edge;

const NUMBERS: u64 = EDGE_NUMBERS as u64;

fn service(name: &str, number: u32) -> Bytes {
    let (reporter, protocol, security) = ("source".into(), "http".into(), "mutual_tls".into());
    wire::edge::encode(&Edge { reporter, protocol, security, service: name.into(), requests: 1, number, ..Edge::default() })
}

fn numbered(number: u32) -> Bytes {
    wire::edge::encode(&Edge { requests: 1, number, ..Edge::default() })
}

fn hear(graph: &mut Graph, named: &mut Named, sequence: u64, told: &[Bytes], now: u64) -> Result<bool, Unnamed> {
    graph.hear("web", (1, sequence), read::edges(told), named, now)
}

/// Of each service, sorted.
fn requests(graph: &Graph) -> Vec<(String, u64)> {
    let mut told: Vec<_> = graph.edges(0, 10).map(|told| (told.id.service.to_string(), told.totals.requests)).collect();
    told.sort();
    told
}

fn of(told: &[(&str, u64)]) -> Vec<(String, u64)> {
    told.iter().map(|(name, requests)| ((*name).to_owned(), *requests)).collect()
}

#[test]
fn a_number_stands_for_what_it_was_named_last_and_none_is_higher_than_may_be() {
    let mut named = Named::default();
    for (number, is_known) in [(0, false), (1, true), (7, true), (NUMBERS, true), (NUMBERS + 1, false), (u64::MAX, false)] {
        named.put(number, b"a"[..].into(), None);
        assert_eq!(named.at(number), if is_known { Ok(None) } else { Err(Unnamed(number)) });
        named.found(number, 5);
        assert_eq!(named.at(number).ok(), is_known.then_some(Some(5)));
    }
    assert_eq!((named.at(2), named.known.len()), (Err(Unnamed(2)), EDGE_NUMBERS));
    named.put(7, b"b"[..].into(), None);
    assert_eq!((named.at(7), named.names(7).as_deref()), (Ok(None), Some(&b"b"[..])));
}

#[test]
fn names_of_one_connection_are_of_so_many_bytes_and_what_comes_then_stands_for_nothing() {
    let (mut named, long) = (Named::default(), limits::NAMED_BYTES / 4);
    let of = |length: usize| -> Arc<[u8]> { vec![b'a'; length].into() };
    (1..=4).for_each(|number| named.put(number, of(long), None));
    named.put(5, of(1), None);
    assert_eq!((named.at(4), named.at(5)), (Ok(None), Err(Unnamed(5))));
    // What is named anew makes room for itself, and for others where it is shorter.
    named.put(4, of(long), None);
    named.put(3, of(long - 1), None);
    named.put(5, of(1), None);
    assert_eq!((named.at(3), named.at(4), named.at(5)), (Ok(None), Ok(None), Ok(None)));
    named.put(5, of(2), None);
    assert_eq!((named.at(5), named.bytes), (Err(Unnamed(5)), limits::NAMED_BYTES - 1));
}

#[test]
fn an_edge_is_named_once_and_counted_by_number_from_then_on() {
    let (mut graph, mut named) = (Graph::default(), Named::default());
    let first = [service("catalog", 1), service("orders", 2), service("more", 0)];
    assert_eq!(hear(&mut graph, &mut named, 1, &first, 100), Ok(true));
    assert_eq!(hear(&mut graph, &mut named, 2, &[numbered(2), numbered(1), numbered(1)], 100), Ok(true));
    assert_eq!(requests(&graph), of(&[("catalog", 3), ("more", 1), ("orders", 2)]));
    // By another connection the same number is another edge.
    let mut other = Named::default();
    assert_eq!(graph.hear("api", (1, 1), read::edges(&[service("orders", 1), numbered(1)]), &mut other, 100), Ok(true));
    assert_eq!(requests(&graph), of(&[("catalog", 3), ("more", 1), ("orders", 4)]));
    // What is no number is no name either.
    assert_eq!(hear(&mut graph, &mut named, 3, &[numbered(0)], 100), Ok(true));
    assert_eq!(requests(&graph), of(&[("catalog", 3), ("more", 1), ("orders", 4)]));
}

#[test]
fn a_number_that_is_given_twice_is_the_edge_that_it_was_given_last() {
    let (mut graph, mut named) = (Graph::default(), Named::default());
    assert_eq!(hear(&mut graph, &mut named, 1, &[service("orders", 1)], 100), Ok(true));
    // The last is known to the graph, and the last is as new as the first.
    for (sequence, told) in [(2, [service("catalog", 1), service("orders", 1)]), (4, [service("stock", 1), service("web", 1)])] {
        assert_eq!(hear(&mut graph, &mut named, sequence, &told, 100), Ok(true));
        assert_eq!(hear(&mut graph, &mut named, sequence + 1, &[numbered(1)], 100), Ok(true));
    }
    assert_eq!(requests(&graph), of(&[("catalog", 1), ("orders", 3), ("stock", 1), ("web", 2)]));
}

#[test]
fn a_report_by_a_number_that_was_not_named_is_refused_whole_and_counts_once_when_it_is_told_by_names() {
    let (mut graph, mut named) = (Graph::default(), Named::default());
    assert_eq!(hear(&mut graph, &mut named, 1, &[service("catalog", 1), numbered(2)], 100), Err(Unnamed(2)));
    assert_eq!((requests(&graph), graph.unnamed()), (Vec::new(), 1));
    let both = [service("catalog", 1), service("orders", 2)];
    assert_eq!(hear(&mut graph, &mut named, 1, &both, 100), Ok(true));
    // Its answer was lost, and so was the connection.
    let mut anew = Named::default();
    assert_eq!(hear(&mut graph, &mut anew, 1, &[numbered(1), numbered(2)], 100), Err(Unnamed(1)));
    assert_eq!(hear(&mut graph, &mut anew, 1, &both, 100), Ok(false));
    // What was counted before names all the same: its answer says that it was heard.
    assert_eq!(hear(&mut graph, &mut anew, 2, &[numbered(1), numbered(2)], 100), Ok(true));
    assert_eq!((requests(&graph), graph.unnamed()), (of(&[("catalog", 2), ("orders", 2)]), 2));
}

#[test]
fn an_edge_that_was_forgotten_is_begun_anew_by_its_number_and_one_without_room_finds_it_later() {
    let (mut graph, mut named) = (Graph::default(), Named::default());
    assert_eq!(hear(&mut graph, &mut named, 1, &[service("catalog", 1)], 100), Ok(true));
    let others: Vec<_> = (0..limits::EDGES).map(|n| service(&format!("s{n}"), 0)).collect();
    let late = 100 + super::super::HOUR + 1;
    // As many as one process may tell of its own; so many of all that the first has to go.
    for (n, some) in others.chunks(limits::WORKLOAD_EDGES_OF_ONE).enumerate() {
        assert_eq!(graph.hear(&format!("api-{n}"), (1, 1), read::edges(some), &mut Named::default(), late), Ok(true));
    }
    assert!(requests(&graph).iter().all(|(name, _)| name != "catalog"));
    assert_eq!(hear(&mut graph, &mut named, 2, &[numbered(1)], late), Ok(true));
    assert_eq!((requests(&graph).iter().any(|(name, _)| name == "catalog"), graph.left_out()), (false, 1), "there is no room now");
    assert_eq!(hear(&mut graph, &mut named, 3, &[numbered(1)], late + super::super::HOUR + 1), Ok(true));
    assert!(requests(&graph).contains(&("catalog".into(), 1)), "and an hour later there is");
}

#[test]
fn names_without_end_are_left_out_by_their_number_as_well() {
    let (mut graph, mut named) = (Graph::default(), Named::default());
    let long = "c".repeat(3 * limits::EDGE_NAMES);
    assert_eq!(hear(&mut graph, &mut named, 1, &[service(&long, 1)], 100), Ok(true));
    assert_eq!(hear(&mut graph, &mut named, 2, &[numbered(1)], 100), Ok(true));
    assert_eq!((requests(&graph), graph.left_out()), (Vec::new(), 2));
    assert_eq!(named.names(1).map(|names| names.len()), Some(limits::EDGE_NAMES + 1), "no more of them is kept than that");
}
