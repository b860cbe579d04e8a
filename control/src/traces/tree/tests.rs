use super::*;
use serde_json::json;
use telemetry::Span;

fn told(proxy: &str, id: u8, parent: u8, kind: SpanKind, start: u64, duration: u64) -> Told {
    let span = Span {
        trace_id: [9; 16],
        span_id: [id; 8],
        parent: (parent > 0).then_some([parent; 8]),
        kind,
        name: String::new(),
        start_micros: 1_000_000 + start,
        duration_micros: duration,
        status: 200,
        failed: false,
    };
    let serde_json::Value::Object(line) = json!({"proxy": proxy}) else { unreachable!() };
    Told { span, line: line.into() }
}

/// Ids with depths and starts, in order.
fn order(told: &[Told]) -> Vec<(u8, u32, u64)> {
    set(&told.iter().collect::<Vec<_>>())
        .iter()
        .map(|placed| (placed.told.span.span_id[0], placed.depth, placed.start - 1_000_000))
        .collect()
}

#[test]
fn children_follow_their_parents_whoever_told_first() {
    use SpanKind::{Client, Server};
    let all = [
        told("b", 4, 3, Server, 210, 50),
        told("a", 5, 2, Client, 400, 100),
        told("a", 3, 2, Client, 200, 100),
        told("g", 1, 0, Server, 0, 1000),
        told("a", 2, 1, Server, 100, 800),
    ];
    assert_eq!(order(&all), [(1, 0, 0), (2, 1, 100), (3, 2, 200), (4, 3, 210), (5, 2, 400)]);
}

#[test]
fn a_call_of_a_program_that_has_spans_of_its_own_hangs_below_the_request_that_it_serves() {
    use SpanKind::{Client, Server};
    let all = [told("a", 1, 0, Server, 0, 1000), told("a", 2, 77, Client, 100, 50), told("b", 3, 78, Client, 100, 50)];
    assert_eq!(order(&all), [(1, 0, 0), (2, 1, 100), (3, 0, 100)]);
}

#[test]
fn a_clock_that_is_an_hour_off_is_set_right_with_all_that_lies_below() {
    use SpanKind::{Client, Server};
    let hour = 3_600_000_000;
    let all = [
        told("a", 1, 0, Client, 0, 1000),
        told("b", 2, 1, Server, hour, 600),
        told("b", 3, 2, Client, hour + 100, 200),
        told("c", 4, 3, Server, 310, 180),
    ];
    // b's request lies in the middle of a's call, its own call where it was in it; c's clock is a's, and stays.
    assert_eq!(order(&all), [(1, 0, 0), (2, 1, 200), (3, 2, 300), (4, 3, 310)]);
}

#[test]
fn rings_and_spans_that_are_their_own_parent_are_shown_once() {
    use SpanKind::Server;
    let all =
        [told("a", 1, 2, Server, 0, 10), told("a", 2, 1, Server, 5, 10), told("a", 3, 3, Server, 7, 1), told("a", 3, 0, Server, 8, 1)];
    let mut ids: Vec<u8> = order(&all).iter().map(|(id, ..)| *id).collect();
    ids.sort_unstable();
    assert_eq!(ids, [1, 2, 3, 3]);
}
