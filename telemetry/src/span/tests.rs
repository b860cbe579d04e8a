use super::*;
use crate::trace::carrier::Told;
use crate::{Outcome, Peer, Record, Reporter, Trace, TraceContext, access_log};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

fn record(reporter: Reporter) -> Record {
    let peer = Arc::new(Peer::unknown());
    let mut record = Record::begin(UNIX_EPOCH + Duration::from_micros(1_790_000_000_123_456), reporter, peer.clone(), peer);
    record.duration = Duration::from_micros(5_250);
    record.path = "/items".into();
    record.status = 200;
    record.outcome = Outcome::Answered(200);
    let context = TraceContext { trace_id: [3; 16], span_id: [5; 8], sampled: true };
    let told = Told { ids: Some(([3; 16], [4; 8])), ..Told::default() };
    let server = (reporter == Reporter::Gateway).then_some([6; 8]);
    record.trace = Some(Trace { context, told, server, dialled: Some(Duration::from_micros(250)) });
    record
}

fn line(record: &Record) -> Line {
    let mut out = String::new();
    access_log::write_line(access_log::Format::Json, record, &mut out);
    serde_json::from_str(&out).unwrap()
}

#[test]
fn a_proxy_beside_a_program_makes_one_span_and_a_gateway_two() {
    let of = |reporter| spans(&line(&record(reporter)));
    let client = of(Reporter::Source);
    assert_eq!((client.len(), client[0].kind, client[0].span_id, client[0].parent), (1, SpanKind::Client, [5; 8], Some([4; 8])));
    assert_eq!((client[0].start_micros, client[0].duration_micros, &*client[0].name), (1_790_000_000_123_456, 5_250, "GET /items"));
    assert_eq!(of(Reporter::Destination)[0].kind, SpanKind::Server);
    let gateway = of(Reporter::Gateway);
    let told: Vec<_> = gateway.iter().map(|span| (span.kind, span.span_id, span.parent, span.duration_micros)).collect();
    assert_eq!(told, [(SpanKind::Server, [6; 8], Some([4; 8]), 5_250), (SpanKind::Client, [5; 8], Some([6; 8]), 5_000)]);
    assert_eq!(gateway[1].start_micros, 1_790_000_000_123_706);
}

#[test]
fn whoever_reads_a_line_once_finds_the_same() {
    for reporter in [Reporter::Source, Reporter::Destination, Reporter::Gateway] {
        let mut record = record(reporter);
        record.headers.request = vec![("x-said".into(), "\"quoted\" \u{1}".into())];
        let text = access_log::Once::of(&record).json().to_owned();
        let (kept, once) = (line(&record), ReadOnce::read(&text).unwrap());
        assert_eq!(once.iter().map(|(name, it)| (name.to_owned(), it.clone())).collect::<Line>(), kept);
        assert_eq!(spans(&once), spans(&kept));
        assert_eq!(glance(&text), Some(([3; 16], spans(&kept).len())));
    }
    assert!(ReadOnce::read("[]").is_none() && ReadOnce::read("{").is_none());
    for line in ["", "[]", "{}", r#"{"trace_id":"x"}"#, r#"{"trace_id":"00000000000000000000000000000000"}"#, r#"{"trace_id":7}"#] {
        assert_eq!(glance(line), None, "{line}");
    }
}

#[test]
fn a_request_that_reached_nobody_has_no_call() {
    let mut refused = record(Reporter::Gateway);
    refused.trace.as_mut().unwrap().dialled = None;
    refused.outcome = Outcome::Failed(model::Fault::NoRoute);
    let spans = spans(&line(&refused));
    assert_eq!((spans.len(), spans[0].failed), (1, true));
}

#[test]
fn nonsense_makes_no_span() {
    let whole = line(&record(Reporter::Gateway));
    for (name, value) in [("trace_id", "x"), ("trace_id", "00000000000000000000000000000000"), ("start_time_ms", "now")] {
        let mut line = whole.clone();
        line.insert(name.into(), value.into());
        assert!(spans(&line).is_empty(), "{name} {value}");
    }
    for (name, value) in [("duration_ms", -1.0), ("start_time_ms", 1e300)] {
        let mut line = whole.clone();
        line.insert(name.into(), value.into());
        assert!(spans(&line).is_empty(), "{name} {value}");
    }
    assert!(spans(&Line::new()).is_empty());
}
