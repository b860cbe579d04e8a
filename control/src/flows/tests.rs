use super::*;
use std::sync::Arc;

fn flow(status: u16, taps: &[u64]) -> v1::Flow {
    v1::Flow { line: format!("{{\"response_code\":{status}}}"), taps: taps.to_vec() }
}

#[test]
fn failures_are_kept_with_who_told_them_the_latest_first() {
    let mut flows = Flows::default();
    flows.report("web-1", vec![flow(503, &[FAILURES]), flow(200, &[9]), flow(403, &[FAILURES])], 0);
    flows.missed(2, None);
    let (failed, dropped) = flows.failed();
    let told: Vec<_> = failed.iter().map(|line| (line["response_code"].as_u64().unwrap(), line["proxy"].as_str().unwrap())).collect();
    assert_eq!((told, dropped), (vec![(403, "web-1"), (503, "web-1")], 2));
    (0..limits::FLOWS + 7).for_each(|_| flows.report("web-1", vec![flow(500, &[FAILURES])], 0));
    assert_eq!(flows.failed().0.len(), limits::FLOWS);
}

#[test]
fn nonsense_is_counted_and_kept_by_nobody() {
    let mut flows = Flows::default();
    let long = format!("{{\"path\":\"{}\"}}", "x".repeat(limits::FLOW_BYTES));
    for line in ["", "[]", "{", "\u{0}", &long] {
        flows.report("web-1", vec![v1::Flow { line: line.into(), taps: vec![FAILURES] }], 0);
    }
    assert_eq!(flows.failed(), (Vec::new(), 5));
}

#[test]
fn whatever_a_caller_writes_into_its_request_its_flow_fits() {
    let peer = telemetry::Peer { principal: "p".repeat(256).into(), ..telemetry::Peer::unknown() };
    let peer = std::sync::Arc::new(peer);
    let mut record = telemetry::Record::begin(std::time::UNIX_EPOCH, telemetry::Reporter::Gateway, peer.clone(), peer);
    // What takes twice the room in JSON.
    let quotes = "\"".repeat(64 * 1024);
    (record.path, record.authority, record.reason) = (quotes.clone(), quotes.clone(), Some(quotes.as_str().into()));
    let names: Vec<Arc<str>> = (0..16).map(|i| format!("x-{i:040}").into()).collect();
    let mut headers = model::HeaderBlock::default();
    names.iter().for_each(|name| headers.push(name, &quotes.as_bytes()[..4096]));
    let found = |head| telemetry::headers::found(&names.clone().into(), &headers, (head, &[]), |_| false);
    record.headers.request = found(telemetry::headers::Head::Request);
    record.headers.response = found(telemetry::headers::Head::Response);
    let mut line = String::new();
    telemetry::access_log::write_line(telemetry::access_log::Format::Json, &record, &mut line);
    let mut flows = Flows::default();
    flows.report("web-1", vec![v1::Flow { line, taps: vec![FAILURES] }], 0);
    assert_eq!((flows.failed().0.len(), flows.failed().1), (1, 0));
}

#[test]
fn a_tap_hears_what_is_its_own_loses_what_it_does_not_read_and_ends_when_dropped() {
    let mut flows = Flows::default();
    let query = TapQuery { status: Some("5xx".parse().unwrap()), to: Some("catalog".into()), ..TapQuery::default() };
    let mut heard = flows.tap(&query).unwrap();
    let wanted = flows.wanted();
    assert_eq!((wanted.len(), wanted[0].status_from, wanted[0].status_to, &*wanted[0].destination), (1, 500, 599, "catalog"));
    flows.report("web-1", vec![flow(503, &[wanted[0].id, FAILURES]), flow(502, &[wanted[0].id + 1])], 0);
    assert_eq!(heard.lines.try_recv().unwrap()["response_code"], 503);
    assert!(heard.lines.try_recv().is_err());
    (0..limits::TAP_LINES + 3).for_each(|_| flows.report("web-1", vec![flow(503, &[wanted[0].id])], 0));
    flows.missed(4, None);
    let whose = |tap: u64| Some(v1::report_request::TapsDropped { taps: vec![tap], flows: vec![5] });
    flows.missed(9, whose(wanted[0].id));
    flows.missed(9, whose(wanted[0].id + 1));
    assert_eq!(*heard.dropped.borrow(), 3 + 4 + 5, "what others lack is not this one's");
    drop(heard);
    assert!(flows.wanted().is_empty());
}

#[test]
fn there_are_only_so_many_taps_and_those_that_ended_make_room() {
    let mut flows = Flows::default();
    let mut open: Vec<_> = (0..limits::TAPS).map(|_| flows.tap(&TapQuery::default()).unwrap()).collect();
    assert!(flows.tap(&TapQuery::default()).is_none());
    open.pop();
    assert!(flows.tap(&TapQuery::default()).is_some());
}

#[test]
fn one_request_is_found_by_its_identifier_or_its_traces_at_every_proxy_once() {
    let mut flows = Flows::default();
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let line = |span: &str, start: f64, id: &str| {
        let more = format!("\"trace_id\":\"{trace}\",\"span_id\":\"{span}\",\"start_time_ms\":{start},\"duration_ms\":1.0");
        format!("{{\"request_id\":\"{id}\",\"response_code\":503,{more}}}")
    };
    let told = |line: String, taps: &[u64]| v1::Flow { line, taps: taps.to_vec() };
    flows.report("catalog-1", vec![told(line("00f067aa0ba902b8", 2.0, "r-1"), &[FAILURES, SPANS])], 0);
    flows.report(
        "web-1",
        vec![told(line("00f067aa0ba902b7", 1.0, "r-1"), &[SPANS]), told(line("00f067aa0ba902b9", 3.0, "r-2"), &[FAILURES])],
        0,
    );
    let told = |id: &str| flows.of_request(id).iter().map(|line| line["proxy"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(told("r-1"), ["web-1", "catalog-1"]);
    assert_eq!(told(trace), ["web-1", "catalog-1", "web-1"]);
    assert!(told("r-3").is_empty() && told("").is_empty());
}

#[test]
fn so_much_is_read_of_one_report_and_taps_are_told_their_rate() {
    let mut flows = Flows::default();
    let nonsense = v1::Flow { line: String::new(), taps: Vec::new() };
    flows.report("web-1", vec![nonsense; limits::FLOWS_OF_ONE + 7], 0);
    assert_eq!(flows.failed(), (Vec::new(), limits::FLOWS_OF_ONE as u64 + 7), "of no use, or not even looked at: counted");
    let watched = flows.tap(&TapQuery::default()).unwrap();
    let good = v1::Flow { line: r#"{"response_code":503}"#.into(), taps: vec![FAILURES] };
    flows.report("web-1", vec![good; limits::FLOWS_OF_ONE + 3], 0);
    assert_eq!((flows.failed().0.len(), flows.failed().1), (limits::FLOWS, limits::FLOWS_OF_ONE as u64 + 10));
    assert_eq!(*watched.dropped.borrow(), 3, "whoever watches is told");
    drop(watched);
    let _tap = flows.tap(&TapQuery::default()).unwrap();
    assert_eq!(flows.wanted()[0].per_second, limits::TAP_RATE);
}
