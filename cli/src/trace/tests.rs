use super::*;
use serde_json::json;
use wire::api::TraceSummary;

fn span(depth: u32, kind: SpanKind, workload: &str, start: f64, duration: f64, status: u16) -> Span {
    Span {
        span_id: "00f067aa0ba902b7".into(),
        parent_span_id: None,
        depth,
        kind,
        name: "GET /items".into(),
        proxy: workload.into(),
        workload: workload.into(),
        service: "catalog".into(),
        start_millis: start,
        duration_millis: duration,
        status,
        failed: status >= 500,
        clock_millis: None,
        record: json!({"fault": "no_endpoint", "reason": "nobody is there", "verdict_by": "HTTPRoute shop/a"}),
    }
}

#[test]
fn a_waterfall_shows_who_when_how_long_and_why() {
    let spans = vec![span(0, SpanKind::Client, "web-v1", 0.0, 40.0, 200), span(1, SpanKind::Server, "catalog-v1", 20.0, 10.0, 503)];
    let trace = Trace { trace_id: "4bf9".into(), started_millis: 0.0, duration_millis: 40.0, spans, left_out: 2 };
    let expected = "\
trace 4bf9, 40 ms in all
web-v1 → catalog  GET /items  ████████████████████████████████    40 ms  200
  catalog-v1  GET /items      ················████████········    10 ms  503
      no_endpoint: nobody is there (by HTTPRoute shop/a)
2 more spans found no room
";
    assert_eq!(waterfall(&trace, 78), expected);
}

#[test]
fn what_no_proxy_would_tell_is_drawn_all_the_same() {
    let spans = vec![span(4_000_000_000, SpanKind::Client, "a", -5.0, f64::NAN, 0), span(0, SpanKind::Client, "b", 1e300, 1e300, 200)];
    let trace = Trace { trace_id: String::new(), started_millis: f64::NAN, duration_millis: 0.0, spans, left_out: 0 };
    assert_eq!(waterfall(&trace, 20).lines().count(), 3);
}

#[test]
fn the_last_traces_are_listed() {
    let one = TraceSummary {
        trace_id: "4bf92f3577b34da6a3ce929d0e0e4736".into(),
        name: "GET /".into(),
        service: "web".into(),
        started_millis: 1_790_000_000_500.0,
        duration_millis: 41.5,
        spans: 3,
        failed: 1,
        workloads: vec!["web-v1".into()],
    };
    let list = TraceList { items: vec![one], dropped: 0 };
    let text = listed(&list, Duration::from_secs(1_790_000_003), 120);
    assert!(text.ends_with("4bf92f3577b34da6a3ce929d0e0e4736  2 s ago  41 ms  3      1       web GET /\n"), "{text}");
    assert!(listed(&TraceList::default(), Duration::ZERO, 80).starts_with("no trace"));
}
