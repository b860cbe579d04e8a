use super::*;
use proptest::prelude::*;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

fn head(fields: &[(&str, &str)]) -> HeaderBlock {
    let mut headers = HeaderBlock::default();
    fields.iter().for_each(|(name, value)| headers.push(name, value.as_bytes()));
    headers
}

fn told(fields: &[(&str, &str)]) -> (bool, Option<bool>, Form) {
    let told = read(&head(fields));
    (told.ids.is_some(), told.sampled, told.form)
}

#[test]
fn each_form_is_read() {
    let parent = format!("00-{TRACE}-{SPAN}-01");
    assert_eq!(told(&[("traceparent", &parent)]), (true, Some(true), Form::W3c));
    assert_eq!(told(&[("b3", &format!("{TRACE}-{SPAN}"))]), (true, None, Form::B3Single));
    assert_eq!(told(&[("b3", &format!("{TRACE}-{SPAN}-d"))]), (true, Some(true), Form::B3Single));
    assert_eq!(told(&[("b3", &format!("{}-{SPAN}-0-{SPAN}", &TRACE[16..]))]), (true, Some(false), Form::B3Single));
    assert_eq!(told(&[("b3", "0")]), (false, Some(false), Form::B3Single));
    let several = [("X-B3-TraceId", TRACE), ("X-B3-SpanId", SPAN), ("X-B3-Sampled", "1")];
    assert_eq!(told(&several), (true, Some(true), Form::B3Multi));
    assert_eq!(told(&[("x-b3-traceid", TRACE), ("x-b3-spanid", SPAN), ("x-b3-flags", "1")]), (true, Some(true), Form::B3Multi));
    assert_eq!(told(&[("x-b3-sampled", "0")]), (false, Some(false), Form::B3Multi));
    // Who speaks both is asked in W3C.
    assert_eq!(told(&[("b3", "0"), ("traceparent", &parent)]), (true, Some(true), Form::W3c));
}

#[test]
fn what_is_malformed_is_as_if_it_had_not_come() {
    let zero = "0".repeat(32);
    for bad in ["", "x", "-", "2", &format!("{TRACE}-{SPAN}-2"), &format!("{TRACE}-{SPAN}-1-{SPAN}-1"), &format!("{zero}-{SPAN}-1"), TRACE]
    {
        assert_eq!(told(&[("b3", bad)]), (false, None, Form::W3c), "{bad:?}");
    }
    assert_eq!(told(&[("x-b3-traceid", TRACE), ("x-b3-spanid", "1")]), (false, None, Form::B3Multi));
    assert_eq!(told(&[]), (false, None, Form::W3c));
}

#[test]
fn a_trace_goes_on_in_the_form_in_which_it_came_and_as_w3c() {
    let sent = |fields: &[(&str, &str)]| {
        let mut headers = head(fields);
        let told = read(&headers);
        let (trace, _) = told.ids.unwrap_or(([7; 16], [0; 8]));
        write(&mut headers, &TraceContext { trace_id: trace, span_id: [1; 8], sampled: true }, &told);
        headers
    };
    let single = sent(&[("b3", &format!("{}-{SPAN}-1", &TRACE[16..])), ("tracestate", "a=1")]);
    assert_eq!(single.text("b3"), Some(&*format!("{}-0101010101010101-1", &TRACE[16..])));
    assert_eq!(single.text("traceparent"), Some(&*format!("00-0000000000000000{}-0101010101010101-01", &TRACE[16..])));
    assert!(!single.contains("tracestate"), "it came without a traceparent");
    let several = sent(&[("X-B3-TraceId", TRACE), ("X-B3-SpanId", SPAN), ("X-B3-Sampled", "0")]);
    let word = |name: &str| several.text(name).unwrap_or_default().to_owned();
    assert_eq!((word("x-b3-traceid"), word("x-b3-spanid")), (TRACE.to_owned(), "01".repeat(8)));
    assert_eq!((word("x-b3-parentspanid"), word("x-b3-sampled")), (SPAN.to_owned(), "1".to_owned()));
    let w3c = sent(&[("traceparent", &format!("00-{TRACE}-{SPAN}-01")), ("tracestate", "a=1")]);
    assert_eq!((w3c.text("tracestate"), w3c.contains("b3")), (Some("a=1"), false));
    let long = sent(&[("traceparent", &format!("00-{TRACE}-{SPAN}-01")), ("tracestate", &"a".repeat(limits::TRACESTATE_BYTES + 1))]);
    assert!(!long.contains("tracestate"));
}

proptest! {
    #[test]
    fn strangers_bytes_never_panic(value in "[ -~]{0,80}|[0-9a-f]{16,32}-[0-9a-f]{16}(-[01d])?(-[0-9a-f]{16})?") {
        for name in ["b3", "x-b3-traceid", "x-b3-spanid", "x-b3-sampled"] {
            let mut headers = HeaderBlock::default();
            headers.push(name, value.as_bytes());
            let _ = read(&headers);
        }
    }
}
