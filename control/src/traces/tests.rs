use super::*;
use serde_json::json;
use wire::api::TraceQuery;

fn line(trace: u64, span: u64, millis: u64, status: u16) -> String {
    let line = json!({
        "reporter": "source", "method": "GET", "path": "/items", "source_workload": "web-v1", "source_namespace": "shop",
        "destination_service": "catalog.shop.svc.cluster.local", "response_code": status,
        "trace_id": format!("{trace:032x}"), "span_id": format!("{span:016x}"), "start_time_ms": 1_790_000_000_000.5, "duration_ms": millis,
    });
    line.to_string()
}

/// What somebody told who pads.
fn heavy(trace: u64, bytes: usize) -> String {
    let line = line(trace, 1, 1, 200);
    let spaces = bytes.saturating_sub(line.len());
    line + &" ".repeat(spaces)
}

fn put(traces: &mut Traces, line: String, now: u64) {
    traces.put(&"web-1".into(), line, now);
}

#[test]
fn a_trace_is_found_by_its_id_and_listed_with_who_took_part() {
    let mut traces = Traces::default();
    put(&mut traces, line(1, 1, 20, 200), 5);
    put(&mut traces, line(2, 1, 300, 503), 6);
    let all = traces.list(&TraceQuery::default());
    let told: Vec<_> = all.items.iter().map(|trace| (trace.duration_millis, trace.failed, &*trace.name, &*trace.service)).collect();
    assert_eq!(told, [(300.0, 1, "GET /items", "catalog"), (20.0, 0, "GET /items", "catalog")]);
    assert_eq!(all.items[0].workloads, ["web-v1"]);
    let found = |query: TraceQuery| traces.list(&query).items.len();
    assert_eq!(found(TraceQuery { failed: true, ..TraceQuery::default() }), 1);
    assert_eq!(found(TraceQuery { slower: Some(301), ..TraceQuery::default() }), 0);
    for (name, count) in [("catalog", 2), ("shop/catalog", 2), ("shop/web-v1", 2), ("other/catalog", 0), ("reviews", 0)] {
        assert_eq!(found(TraceQuery { service: Some(name.into()), ..TraceQuery::default() }), count, "{name}");
    }
    let one = traces.of(&format!("{:032x}", 2)).unwrap();
    assert_eq!((one.spans.len(), one.spans[0].status, one.started_millis, one.duration_millis), (1, 503, 1_790_000_000_000.5, 300.0));
    assert!(traces.of("2").is_none() && traces.of(&format!("{:032x}", 3)).is_none());
}

#[test]
fn nothing_grows_beyond_its_bounds_and_what_found_no_room_is_counted() {
    let mut traces = Traces::default();
    (0..limits::TRACES as u64 + 9).for_each(|n| put(&mut traces, line(n + 1, 1, 1, 200), 0));
    assert_eq!((traces.traces.len(), traces.order.len()), (limits::TRACES, limits::TRACES));
    (0..limits::SPANS_OF_ONE as u64 + 3).for_each(|n| put(&mut traces, line(7_000_000, n + 1, 1, 200), 0));
    let crowded = traces.of(&format!("{:032x}", 7_000_000)).unwrap();
    assert_eq!((crowded.spans.len(), crowded.left_out, traces.dropped), (limits::SPANS_OF_ONE, 3, 3));
    put(&mut traces, "{}".into(), 0);
    assert_eq!(traces.dropped, 4);
    // Heavy ones push others out.
    (0..10).for_each(|n| put(&mut traces, heavy(8_000_000 + n, limits::TRACE_BYTES / 4), 0));
    assert!(traces.bytes <= limits::TRACE_BYTES && traces.traces.len() <= 4, "{}", traces.traces.len());
    put(&mut traces, line(9_000_000, 1, 1, 200), limits::TRACE_SECONDS + 1);
    assert_eq!((traces.traces.len(), traces.bytes), (1, line(9_000_000, 1, 1, 200).len()));
}

#[test]
fn a_list_tells_so_many() {
    let mut traces = Traces::default();
    (0..limits::TRACES_TOLD as u64 + 5).for_each(|n| put(&mut traces, line(n + 1, 1, 1, 200), 0));
    assert_eq!(traces.list(&TraceQuery::default()).items.len(), limits::TRACES_TOLD);
}
