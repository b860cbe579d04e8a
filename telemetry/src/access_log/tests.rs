use super::*;
use crate::trace::carrier::Told;
use crate::{Outcome, Peer, Reporter, Trace, TraceContext};
use model::Fault;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

#[test]
fn a_line_is_one_line_whatever_a_stranger_sent() {
    let peer = Arc::new(Peer::unknown());
    let mut record = Record::begin(UNIX_EPOCH, Reporter::Source, peer.clone(), peer);
    record.path = "/a\"\n\u{7}".repeat(1000);
    record.outcome = Outcome::Failed(Fault::NoRoute);
    record.reason = Some("no rule of HTTPRoute shop/catalog matches".into());
    let mut out = String::new();
    write_line(Format::Json, &record, &mut out);
    assert_eq!(out.matches('\n').count(), 1);
    let value: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((value["response_flags"].as_str(), value["fault"].as_str()), (Some("NR"), Some("no_route")));
    assert!(value["path"].as_str().unwrap().len() <= limits::LOG_PATH_BYTES);
}

#[test]
fn nothing_in_a_line_steers_a_terminal() {
    let peer = Arc::new(Peer::claimed("w\nsource none GET /forged 200", "n", "a", "v", "c", None));
    let mut record = Record::begin(UNIX_EPOCH, Reporter::Destination, peer.clone(), peer);
    // CSI as one character of Unicode, as an escape and a bracket, and DEL.
    record.path = "/\u{9b}31m/\u{1b}[31m/\u{7f}".into();
    for format in [Format::Json, Format::Text] {
        let mut out = "the line before\n".to_owned();
        write_line(format, &record, &mut out);
        let line = out.strip_prefix("the line before\n").and_then(|rest| rest.strip_suffix('\n')).unwrap();
        assert!(!line.chars().any(char::is_control), "{line:?}");
        assert!(line.contains("\\u009b31m/\\u001b[31m/\\u007f"), "{line}");
        if format == Format::Json {
            let value: Value = serde_json::from_str(line).unwrap();
            assert_eq!(value["path"].as_str(), Some(&*record.path));
        }
    }
}

/// A record of a gateway that routed it.
fn routed() -> Record {
    use model::route::HeaderEdits;
    use model::{
        Applied, Backend, Filter, HostPattern, Key, Kind, Listener, ListenerProtocol, Normalisation, ObjectRef, Origin, Route,
        RouteProtocol, Rule, ServiceRef, Source, Timeouts, WeightedBackend,
    };
    let key = |kind, name| Key::new(Source::files(), kind, "shop", name);
    let to = |name, weight| WeightedBackend {
        weight,
        backend: Backend::Service(ServiceRef { service: key(Kind::Service, name), port: 80, subset: None }),
        filters: vec![Filter::ResponseHeaders(HeaderEdits::default())],
    };
    let rule = |name: &str| Rule {
        name: name.into(),
        matches: Vec::new(),
        filters: vec![Filter::RequestHeaders(HeaderEdits::default())],
        backends: vec![to("catalog-v1", 90), to("catalog-v2", 10)],
        timeouts: Timeouts::default(),
        retry: None,
        session: None,
    };
    let route = Route {
        key: key(Kind::Route, "httproute.catalog"),
        origin: Origin::new(ObjectRef::new("gateway.networking.k8s.io", "HTTPRoute", "shop", "catalog"), ""),
        protocol: RouteProtocol::Http,
        attachments: Vec::new(),
        rules: vec![rule("first"), rule("split")],
    };
    let listener = Listener {
        key: key(Kind::Listener, "edge.web"),
        origin: Origin::new(ObjectRef::new("gateway.networking.k8s.io", "Gateway", "shop", "edge"), ""),
        gateway: key(Kind::Gateway, "edge"),
        section: "web".into(),
        addresses: Vec::new(),
        port: 80,
        protocol: ListenerProtocol::Http,
        hostname: HostPattern::Any,
        tls: None,
        normalisation: Normalisation::Base,
        front: model::Front::default(),
        shown: model::GatewayCertificate::default(),
        asks: Vec::new(),
        broken: None,
    };
    let mut applied = Applied::default();
    applied.rule(0);
    applied.backend(0);
    let peer = Arc::new(Peer::unknown());
    let mut record = Record::begin(UNIX_EPOCH, Reporter::Gateway, peer.clone(), peer);
    record.listener = Some(Arc::new(listener));
    record.way = crate::Way::Routed(Decided { route: Arc::new(route), rule: 1, matched: 2, backend: Some(1), applied });
    record
}

#[test]
fn a_decision_is_told_whole() {
    let record = routed();
    let mut out = String::new();
    write_line(Format::Json, &record, &mut out);
    let told: Value = serde_json::from_str(&out).unwrap();
    let want = json!({
        "listener": "shop/edge/web", "route": "HTTPRoute shop/catalog", "rule": "split", "rule_index": 1, "match_index": 2,
        "filters": ["RequestHeaderModifier", "backend ResponseHeaderModifier"],
        "split": [{"backend": "shop/catalog-v1:80", "weight": 90}, {"backend": "shop/catalog-v2:80", "weight": 10}],
        "backend": "shop/catalog-v2:80", "generation": 0,
    });
    for (name, value) in want.as_object().unwrap() {
        assert_eq!(&told[name], value, "{name}");
    }
    out.clear();
    write_line(Format::Text, &record, &mut out);
    for part in [
        " listener=shop/edge/web route=\"HTTPRoute shop/catalog\" rule=split rule_index=1 match_index=2 ",
        " filters=[\"RequestHeaderModifier\",\"backend ResponseHeaderModifier\"] ",
        " backend=shop/catalog-v2:80 ",
    ] {
        assert!(out.contains(part), "{part}: {out}");
    }
}

/// The names in the first column of the tables, and the one that is not there yet.
fn documented() -> BTreeSet<String> {
    let fields = |line: &&str| line.starts_with("| `") || line.starts_with("`injected_by` is");
    let names = |line: &'static str| line.trim_start_matches("| ").split(" |").next()?.split(" is ").next().map(|names| names.split(", "));
    let lines = include_str!("../../../docs/access-log.md").lines().filter(fields);
    lines.filter_map(names).flatten().map(|name| name.trim_matches('`').to_owned()).collect()
}

#[test]
fn both_forms_have_every_field_and_every_field_is_documented() {
    let mut record = routed();
    let some = |text: &str| Some(Arc::from(text));
    let (source, destination) = (Peer::claimed("web-1", "n", "a", "v", "c", None), Peer::claimed("catalog-1", "n", "a", "v", "c", None));
    (record.source, record.destination) = (Arc::new(source), Arc::new(destination));
    record.started = UNIX_EPOCH + Duration::from_micros(1_790_000_000_123_456);
    (record.duration, record.upstream_duration) = (Duration::from_micros(5_250), Some(Duration::from_micros(4_125)));
    (record.authority, record.path, record.status, record.grpc_status) = ("catalog.shop".into(), "/items".into(), 503, Some(14));
    (record.outcome, record.reason) = (Outcome::Failed(Fault::NoEndpoint), some("nobody answers"));
    (record.verdict_by, record.verdict_rule, record.dry_run) = (some("AccessPolicy shop/a b"), some("r"), some("denied by c"));
    (record.sni, record.client) = (some("catalog.example"), Some([10, 0, 0, 1].into()));
    (record.source_address, record.endpoint) = (Some(([10, 0, 0, 2], 999).into()), Some(([10, 0, 0, 3], 80).into()));
    (record.injected_by, record.consumer, record.api) = (some("f"), some("c"), some("shop/catalog"));
    (record.token_issuer, record.token_subject) = (some("https://issuer.example"), some("ann"));
    let service = crate::Destination { host: "catalog.shop.svc".into(), name: "catalog".into(), namespace: "shop".into() };
    record.dialled_service = Some(Arc::new(service));
    let (told, context) =
        (Told { ids: Some(([3; 16], [4; 8])), ..Told::default() }, TraceContext { trace_id: [3; 16], span_id: [5; 8], sampled: true });
    record.trace = Some(Trace { context, told, server: Some([6; 8]), dialled: Some(Duration::from_micros(250)) });
    record.request_id = "id-1".into();
    record.headers.request = vec![("x-a".into(), "b \" c=d".into())];
    record.headers.response = vec![("x-b".into(), "e".into())];
    let [json, text] = [Format::Json, Format::Text].map(|format| {
        let mut out = String::new();
        write_line(format, &record, &mut out);
        out
    });
    let told: Map<String, Value> = serde_json::from_str(&json).unwrap();
    assert_eq!(told.keys().cloned().collect::<BTreeSet<_>>(), documented(), "what is recorded, and what docs/access-log.md says");
    let words = "source none GET catalog.shop/items 503 5.25ms web-1→catalog.shop.svc UH start_time_ms=";
    assert!(text.starts_with(words), "{text}");
    let mut in_words = Vec::new();
    for (name, value) in &told {
        let plain = value.as_str().filter(|text| is_plain(text)).map_or_else(|| value.to_string(), str::to_owned);
        if !text.trim_end().contains(&format!(" {name}={plain}")) {
            in_words.push(name.as_str());
        }
    }
    let of_people = ["duration_ms", "reporter", "security", "method", "authority", "path", "response_code", "response_flags"];
    assert_eq!(in_words, [&of_people[..], &["source_workload", "destination_service"]].concat());
    assert!(text.ends_with(" request_headers={\"x-a\":\"b \\\" c=d\"} response_headers={\"x-b\":\"e\"}\n"), "{text}");
}

#[test]
fn what_peers_and_callers_say_is_cut_in_labels_and_lines() {
    let long = "\u{fc}".repeat(4 * limits::LABEL_BYTES);
    let peer = Arc::new(Peer::claimed(&long, &long, &long, &long, &long, None));
    for label in [&peer.workload, &peer.namespace, &peer.app, &peer.version, &peer.cluster] {
        assert_eq!(label.len(), limits::LABEL_BYTES);
    }
    let mut record = Record::begin(UNIX_EPOCH, Reporter::Source, peer.clone(), peer);
    record.outcome = Outcome::Failed(Fault::NoRoute);
    record.authority = long.clone();
    record.sni = Some(long.clone().into());
    record.reason = Some(long.into());
    let mut line = String::new();
    write_line(Format::Json, &record, &mut line);
    let value: Value = serde_json::from_str(&line).unwrap();
    let len = |field: &str| value[field].as_str().unwrap().len();
    assert_eq!([len("authority"), len("sni"), len("reason")], [limits::LABEL_BYTES, limits::LABEL_BYTES, limits::DETAIL_BYTES]);
}
