use super::*;
use crate::{Outcome, Peer, Reporter};
use model::Fault;
use std::sync::Arc;

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

#[test]
fn a_decision_is_told_whole() {
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
    let want = "listener=shop/edge/web route=\"HTTPRoute shop/catalog\" rule=\"split\" match=2 \
        filters=\"RequestHeaderModifier, backend ResponseHeaderModifier\" backend=\"shop/catalog-v2:80\"\n";
    assert!(out.ends_with(want), "{out}");
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
