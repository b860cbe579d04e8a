use super::*;
use model::route::{Attachment, RankedMatch};
use model::{
    Backend, Change, HeaderMatch, HostPattern, Hostname, Key, Kind, ObjectRef, Origin, Rank, Resource, Route, RouteProtocol, Rule, Service,
    ServicePort, ServiceRef, Source, Target, Timeouts, WeightedBackend,
};
use model::{RouteMatch, ValueMatch};
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
    tell(&table(), &Question::new("GET", url, &headers, from).expect("a question"))
}

#[test]
fn the_whole_split_is_told_with_rule_and_place() {
    let story = ask("http://catalog/items?page=2", &[]);
    let text = story.text();
    assert!(text.contains("HTTPRoute default/catalog (routes.yaml:3)"), "{text}");
    assert!(text.contains("90.0 % default/catalog-v1:80") && text.contains("10.0 % default/catalog-v2:80"), "{text}");
    assert!(text.contains("rule canary: wants header x-canary = 1, got none"), "{text}");
    assert!(!story.goes_to(&["catalog-v2".into()]), "ten in a hundred are not all");
    assert!(story.goes_to(&["catalog-v1".into(), "default/catalog-v2:80".into()]));
}

#[test]
fn a_header_decides_and_expect_sees_it() {
    let story = ask("http://catalog/items", &["X-Canary: 1"]);
    let forward = &story.to_json()["outcome"]["forward"];
    assert_eq!((forward["rule"].as_str(), forward["split"][0]["percent"].as_f64()), (Some("canary"), Some(100.0)));
    assert!(story.goes_to(&["catalog-v2".into()]) && !story.goes_to(&["catalog-v1".into()]));
}

#[test]
fn a_service_without_routes_is_its_own_backend_and_strangers_are_named() {
    assert!(ask("http://web/", &[]).goes_to(&["web".into()]));
    let refused = &ask("http://nobody/", &[]).to_json()["outcome"]["refused"];
    assert_eq!((refused["status"].as_u64(), refused["fault"].as_str()), (Some(502), Some("no_such_service")));
    let refused = &ask("http://catalog:81/", &[]).to_json()["outcome"]["refused"];
    assert_eq!(refused["fault"], "no_such_service");
    assert_eq!(refused["object"], "Service default/catalog (services.yaml:1)");
}
