use super::*;
use model::route::{Attachment, RankedMatch};
use model::{
    Backend, Change, HeaderMatch, HostPattern, Hostname, Key, Kind, ObjectRef, Origin, Rank, Resource, Route, RouteProtocol, Rule, Service,
    ServicePort, ServiceRef, Source, Target, Timeouts, WeightedBackend,
};
use model::{RouteMatch, ValueMatch};
use routing::Table;
use std::sync::Arc;

fn key(kind: Kind, name: &str) -> Key {
    Key::new(Source::files(), kind, "default", name)
}

fn service(name: &str) -> Change {
    Change::Put(Resource::Service(Arc::new(Service {
        key: key(Kind::Service, name),
        origin: Origin::new(ObjectRef::new("", "Service", "default", name), "services.yaml:1"),
        hostnames: vec![Hostname::parse(name).expect("a host")],
        addresses: Vec::new(),
        ports: vec![ServicePort { number: 80, name: None, protocol: model::AppProtocol::Http }],
        identities: Vec::new(),
        balancer: model::Balancer::default(),
        nearest: None,
        policies: Vec::new(),
        normalisation: model::Normalisation::default(),
        tls: Vec::new(),
    })))
}

fn rule(name: &str, matches: RouteMatch, order: u32, backends: &[(&str, u32)]) -> Rule {
    let backend = |(name, weight): &(&str, u32)| WeightedBackend {
        weight: *weight,
        backend: Backend::Service(ServiceRef { service: key(Kind::Service, name), port: 80, subset: None }),
        filters: Vec::new(),
    };
    Rule {
        name: name.into(),
        matches: vec![RankedMatch { rank: Rank { position: order, ..Rank::default() }, matches }],
        filters: Vec::new(),
        backends: backends.iter().map(backend).collect(),
        timeouts: Timeouts::default(),
        retry: None,
        session: None,
    }
}

/// The route of the shop.
fn table() -> Table {
    let canary = RouteMatch {
        headers: vec![HeaderMatch { name: "x-canary".into(), value: ValueMatch::Exact("1".into()) }],
        ..RouteMatch::default()
    };
    let route = Route {
        key: key(Kind::Route, "httproute.catalog"),
        origin: Origin::new(ObjectRef::new("gateway.networking.k8s.io", "HTTPRoute", "default", "catalog"), "routes.yaml:3"),
        protocol: RouteProtocol::Http,
        attachments: vec![Attachment {
            target: Target::Service { service: key(Kind::Service, "catalog"), port: Some(80), callers: None },
            hosts: vec![HostPattern::Any],
        }],
        rules: vec![
            rule("canary", canary, 0, &[("catalog-v2", 1)]),
            rule("split", RouteMatch::default(), 1, &[("catalog-v1", 90), ("catalog-v2", 10)]),
        ],
    };
    let mut changes: Vec<Change> = ["web", "catalog", "catalog-v1", "catalog-v2"].into_iter().map(service).collect();
    changes.push(Change::Put(Resource::Route(Arc::new(route))));
    Table::default().apply(&changes)
}

fn ask(url: &str, headers: &[&str]) -> Story {
    let headers: Vec<String> = headers.iter().map(|h| (*h).to_owned()).collect();
    let from = From::parse("web", "default").expect("a workload");
    let snapshot = proxy::Snapshot { table: std::sync::Arc::new(table()), ..Default::default() };
    tell(
        &Known::Files(snapshot),
        &Question::new("GET", url, &headers, None, from).expect("a question"),
        std::net::Ipv4Addr::LOCALHOST.into(),
    )
}

#[test]
fn the_whole_split_is_told_with_rule_and_place() {
    let story = ask("http://catalog/items?page=2", &[]);
    let want = "\
GET http://catalog/items?page=2 from default/web
  calls      Service default/catalog port 80 (services.yaml:1)
  route      HTTPRoute default/catalog (routes.yaml:3)
  rule       split: takes every request
  goes to      90 % default/catalog-v1:80
               10 % default/catalog-v2:80
  not taken  rule canary: wants header x-canary = 1, got none
";
    assert_eq!(story.text(false), want);
    assert!(!story.goes_to(&["catalog-v2".into()]), "ten in a hundred are not all");
    assert!(story.goes_to(&["catalog-v1".into(), "default/catalog-v2:80".into()]));
    assert_eq!(story.ends(), "default/catalog-v1:80 and default/catalog-v2:80");
    // Where somebody denies it, it goes nowhere.
    let denied = want.replace("goes to      90", "would go to  90");
    assert_eq!(story.text(true), denied);
    assert_eq!(story.to_json(true)["outcome"], "denied");
}

#[test]
fn a_header_decides_and_expect_sees_it() {
    let story = ask("http://catalog/items", &["X-Canary: 1"]);
    let told = story.to_json(false);
    let decided = json!({
        "request": "GET http://catalog/items", "from": "default/web", "entry": "Service default/catalog port 80 (services.yaml:1)",
        "route": "HTTPRoute default/catalog", "place": "routes.yaml:3", "rule": "canary", "rule_index": 0, "match_index": 0, "host": "*",
        "matched": "takes header x-canary = 1", "filters": [], "outcome": "forward", "not_taken": [],
        "split": [{"backend": "default/catalog-v2:80", "weight": 1, "percent": 100.0, "filters": [], "sent": null, "refused": null}],
    });
    assert_eq!(told, decided);
    assert!(story.goes_to(&["catalog-v2".into()]) && !story.goes_to(&["catalog-v1".into()]));
}

#[test]
fn a_service_without_routes_is_its_own_backend_and_strangers_are_named() {
    assert!(ask("http://web/", &[]).goes_to(&["web".into()]));
    let story = ask("http://catalogue/", &[]);
    assert!(story.to_json(false)["outcome"] == "outside" && !story.goes_to(&["catalog".into()]));
    assert_eq!(story.to_json(false)["alike"], json!(["catalog"]));
    let text = story.text(false);
    assert!(text.contains("did you mean catalog?") && text.contains("leaves the mesh as it is, for catalogue:80"), "{text}");
}

#[test]
fn a_refusal_is_told_in_the_words_of_the_access_log() {
    let story = ask("http://catalog:81/", &[]);
    let told = story.to_json(false);
    assert_eq!(
        (&told["outcome"], &told["response_code"], &told["fault"], &told["verdict_by"]),
        (&json!("refused"), &json!(502), &json!("no_such_service"), &json!("Service default/catalog"))
    );
    assert!(story.text(false).contains("502 no_such_service: service default/catalog has no port 81, only 80"), "{}", story.text(false));
    assert!(story.goes_to(&["502".into()]) && !story.goes_to(&["404".into()]));
    assert_eq!(story.ends(), "502 no_such_service");
}

#[test]
fn questions_that_make_no_sense_are_refused() {
    let asked = |from: &str, url: &str, header: &str, sni| {
        Question::new("GET", url, &[header.to_owned()], sni, From::parse(from, "default").expect("someone"))
    };
    assert!(asked("web", "http://catalog/", "Host: other", None).is_err(), "the URL says what a program calls");
    assert!(asked("gateway/shop", "http://a/", "Host: other", Some("b")).is_err(), "no TLS, no server name");
    let question = asked("gateway/shop", "https://A.example:8443/", "Host: other", None).expect("a question");
    assert_eq!((question.sni, question.port, question.head.host()), (Some(Some("a.example".into())), 8443, "other"));
    let question = asked("gateway/shop", "https://127.0.0.1/", "Host: other", None).expect("a question");
    assert_eq!(question.sni, Some(None), "TLS names no addresses");
}
