use super::*;
use crate::store::Memory;
use model::session::Carrier;
use model::*;

fn persistence() -> Option<Persistence> {
    Some(Persistence { name: "cart".into(), carrier: Carrier::Cookie, absolute: None, idle: None, path: None, within: false, key: None })
}

fn rule(name: &str, session: Option<Persistence>) -> Rule {
    let (filters, backends) = (Vec::new(), Vec::new());
    Rule {
        name: name.into(),
        matches: Vec::new(),
        filters,
        backends,
        timeouts: Timeouts::default(),
        retry: None,
        session: session.map(Box::new),
    }
}

fn route(rules: Vec<Rule>) -> Resource {
    let key = Key::new(Source::files(), Kind::Route, "shop", "httproute.cart");
    let origin = Origin::new(ObjectRef::new("", "HTTPRoute", "shop", "cart"), "");
    Resource::Route(Arc::new(Route { key, origin, protocol: RouteProtocol::Http, attachments: Vec::new(), rules }))
}

fn keys(resource: &Resource) -> Vec<Option<SessionKey>> {
    let Resource::Route(route) = resource else { panic!("{resource:?}") };
    route.rules.iter().filter_map(|rule| rule.session.as_ref()).map(|session| session.key).collect()
}

#[test]
fn a_mesh_has_one_secret_for_as_long_as_its_store() {
    let store = Memory::default();
    let made = secret(&store);
    assert!(made.is_some_and(|made| made != [0; 32]));
    assert_eq!(secret(&store), made);
    assert_ne!(secret(&Memory::default()), made);
}

#[test]
fn each_rule_has_a_key_of_its_own_that_nobody_is_shown() {
    let keyed = keyed(route(vec![rule("a", persistence()), rule("b", persistence()), rule("c", None)]), Some(&[7; 32]));
    let given = keys(&keyed);
    assert_eq!(given.len(), 2);
    assert!(given.iter().all(Option::is_some) && given[0] != given[1]);
    let again = super::keyed(route(vec![rule("b", persistence())]), Some(&[7; 32]));
    assert_eq!(keys(&again), given[1..], "the same whenever and wherever it is made");
    assert_eq!(keys(&shown(&keyed).unwrap()), [None, None]);
    assert!(format!("{keyed:?}").contains("SessionKey(…)"), "not even here: {keyed:?}");
    assert_eq!(shown(&route(vec![rule("c", None)])), None, "shown as it is");
}

#[test]
fn what_goes_along_with_spans_is_not_shown_and_that_it_does_is() {
    use model::telemetry::{CollectorProtocol, SpanWords};
    let policy = |headers| {
        let service = Key::new(Source::files(), Kind::Service, "shop", "collector");
        let backend = Backend::Service(ServiceRef { service, port: 4317, subset: None });
        let to = Exporter { backend, protocol: CollectorProtocol::Grpc, headers, words: SpanWords::default() };
        Resource::Telemetry(Arc::new(TelemetryPolicy {
            key: Key::new(Source::files(), Kind::Telemetry, "shop", "x:edge.0"),
            origin: Origin::new(ObjectRef::new("", "XTelemetryPolicy", "shop", "edge"), ""),
            target: TelemetryTarget::Mesh,
            says: TelemetrySettings { spans: Some(SpansTo::Exporter(Arc::new(to))), ..TelemetrySettings::default() },
        }))
    };
    let secret = policy(vec![("authorization".into(), Hidden("Bearer s3cret".into()))]);
    let has = |resource: &Resource, text: &str| wire::encode(resource).windows(text.len()).any(|part| part == text.as_bytes());
    assert!(has(&secret, "s3cret"), "proxies are told");
    let shown = shown(&secret).unwrap();
    assert!(!has(&shown, "s3cret") && has(&shown, "authorization"), "{shown:?}");
    assert_eq!(wire::decode(&wire::encode(&shown)).unwrap(), shown);
    assert_eq!(super::shown(&policy(Vec::new())), None, "shown as it is");
}
