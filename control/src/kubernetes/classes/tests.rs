use super::super::KindName;
use super::super::cache::{Kept, News};
use super::*;
use frontends::Object;
use model::ObjectRef;
use serde_json::Value;

const API: &str = "gateway.networking.k8s.io/v1";

fn kept(kind: &str, name: &str, spec: Value) -> Kept {
    let object = Object::new(ObjectRef::new(GROUP, kind, "", name), API, json!({"metadata": {"name": name}, "spec": spec}));
    Kept { object, status: Box::default(), uid: name.into(), version: "1".into(), ending: false, held: false }
}

fn class(name: &str) -> Kept {
    kept("GatewayClass", name, json!({"controllerName": CONTROLLER}))
}

fn gateway(class: &str) -> Kept {
    kept("Gateway", "web", json!({"gatewayClassName": class}))
}

fn kind(kind: &str) -> KindName {
    KindName { group: GROUP.into(), kind: kind.into() }
}

/// What an API server has that was listed whole.
fn cluster(classes: Vec<Kept>, gateways: Vec<Kept>) -> Cache {
    let mut cache = Cache::default();
    cache.serve(&[kind("GatewayClass"), kind("Gateway")]);
    for (kind, all) in [(kind("GatewayClass"), classes), (kind("Gateway"), gateways)] {
        cache.hear(&kind, News::Begin);
        for kept in all {
            cache.hear(&kind, News::Listed(Box::new(kept)));
        }
        cache.hear(&kind, News::Whole);
    }
    cache
}

/// What is due for one class with these Gateways.
fn due_for(class: Kept, gateways: Vec<Kept>) -> Option<bool> {
    let due = due(&cluster(vec![class], gateways), false);
    assert!(due.len() <= 1, "{due:?}");
    due.first().map(|due| due.hold)
}

#[test]
fn a_class_is_held_while_a_gateway_uses_it() {
    let held = || Kept { held: true, ..class("organza") };
    assert_eq!(due_for(class("organza"), vec![gateway("organza")]), Some(true));
    assert_eq!(due_for(held(), vec![gateway("organza")]), None);
    assert_eq!(due_for(held(), vec![gateway("other")]), Some(false));
    assert_eq!(due_for(held(), Vec::new()), Some(false));
    assert_eq!(due_for(class("organza"), Vec::new()), None);
    // Until a Gateway has gone it uses its class.
    assert_eq!(due_for(held(), vec![Kept { ending: true, ..gateway("organza") }]), None);
}

#[test]
fn what_is_being_deleted_is_let_go_and_not_held_any_more() {
    let ending = |held: bool| Kept { ending: true, held, ..class("organza") };
    assert_eq!(due_for(ending(false), vec![gateway("organza")]), None, "the API server would refuse it");
    assert_eq!(due_for(ending(true), vec![gateway("organza")]), None);
    assert_eq!(due_for(ending(true), Vec::new()), Some(false));
}

#[test]
fn a_class_of_another_controller_is_left_as_it_is() {
    let theirs = |held: bool| Kept { held, ..kept("GatewayClass", "theirs", json!({"controllerName": "example.com/other"})) };
    assert_eq!(due_for(theirs(false), vec![gateway("theirs")]), None);
    assert_eq!(due_for(theirs(true), Vec::new()), None);
}

/// Of an API server that has no Gateways yet, or not all of them: who is held stays so.
#[test]
fn nothing_is_let_go_before_all_gateways_are_known() {
    let mut cache = cluster(vec![Kept { held: true, ..class("organza") }], Vec::new());
    assert_eq!(due(&cache, false).len(), 1);
    cache.serve(&[kind("GatewayClass")]);
    assert_eq!(due(&cache, false), []);
    cache.serve(&[kind("GatewayClass"), kind("Gateway")]);
    cache.hear(&kind("Gateway"), News::Begin);
    assert_eq!(due(&cache, false), []);
    cache.hear(&kind("Gateway"), News::Whole);
    assert_eq!(due(&cache, false).len(), 1);
}

#[test]
fn a_class_is_let_go_where_nobody_can_write_a_gateway_any_more() {
    let mut cache = cluster(vec![Kept { held: true, ending: true, ..class("organza") }], Vec::new());
    cache.serve(&[kind("GatewayClass")]);
    assert_eq!(due(&cache, false), []);
    assert_eq!(due(&cache, true), [Due { name: "organza".into(), hold: false }]);
    let bundle = || Some(super::super::Bundle { version: "v1.6.0".into(), channel: "standard".into() });
    let gone = |bundle, missing: &str| are_gateways_gone(&Found { bundle, missing: vec![kind(missing)], ..Found::default() });
    assert!(gone(bundle(), "Gateway") && !gone(None, "Gateway") && !gone(bundle(), "TCPRoute"));
}
