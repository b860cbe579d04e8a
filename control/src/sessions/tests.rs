use super::*;
use crate::store::Memory;
use model::session::Carrier;
use model::*;

fn persistence() -> Option<Persistence> {
    Some(Persistence { name: "cart".into(), carrier: Carrier::Cookie, absolute: None, idle: None, path: None, within: false, key: None })
}

fn rule(name: &str, session: Option<Persistence>) -> Rule {
    let (filters, backends) = (Vec::new(), Vec::new());
    Rule { name: name.into(), matches: Vec::new(), filters, backends, timeouts: Timeouts::default(), retry: None, session }
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
