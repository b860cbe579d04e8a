use super::*;
use serde_json::{Value, json};

const API: &str = "gateway.networking.k8s.io/v1";

fn object(group: &str, api_version: &str, kind: &str, name: &str, spec: Value) -> Object {
    let value = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": "shop"}, "spec": spec});
    Object::new(ObjectRef::new(group, kind, "shop", name), api_version, value)
}

fn gateway(name: &str, class: &str) -> Object {
    let listeners = json!([{"name": "http", "port": 80, "protocol": "HTTP"}]);
    object(gateway_api::GROUP, API, "Gateway", name, json!({"gatewayClassName": class, "listeners": listeners}))
}

fn class(name: &str, controller: &str) -> Object {
    let value = json!({"apiVersion": API, "kind": "GatewayClass", "metadata": {"name": name}, "spec": {"controllerName": controller}});
    Object::new(ObjectRef::new(gateway_api::GROUP, "GatewayClass", "", name), API, value)
}

fn there() -> Vec<Object> {
    let ports = json!({"ports": [{"port": 80}]});
    let service = object("", "v1", "Service", "web", ports);
    vec![
        class("ours", gateway_api::CONTROLLER),
        class("theirs", "example.com/other"),
        gateway("edge", "ours"),
        gateway("else", "theirs"),
        service,
    ]
}

fn route(parent: &str, regex: &str, backend: &str) -> Object {
    let matches = json!([{"path": {"type": "RegularExpression", "value": regex}}]);
    let rules = json!([{"matches": matches, "backendRefs": [{"name": backend, "port": 80}]}]);
    object(gateway_api::GROUP, API, "HTTPRoute", "one", json!({"parentRefs": [{"name": parent}], "rules": rules}))
}

/// Reasons that it is refused for, and those that are only said.
fn told(new: &Object) -> (Vec<String>, Vec<String>) {
    told_among(new, &there()).unwrap_or_default()
}

/// `None`: it is not ours.
fn told_among(new: &Object, there: &[Object]) -> Option<(Vec<String>, Vec<String>)> {
    let (refused, said): (Vec<_>, Vec<_>) = of_one(new, there, &Options::default())?.into_iter().partition(is_of_itself);
    let reasons = |all: Vec<Report>| all.into_iter().map(|report| report.reason.to_string()).collect();
    Some((reasons(refused), reasons(said)))
}

#[test]
fn what_is_wrong_in_itself_is_told_from_what_may_be_early() {
    let none = Vec::<String>::new;
    assert_eq!(told(&route("edge", "/a+", "web")), (none(), none()));
    assert_eq!(told(&route("edge", "/(", "web")), (vec!["UnsupportedValue".to_owned()], none()));
    assert_eq!(told(&route("edge", "/a", "later")), (none(), vec!["BackendNotFound".to_owned()]));
}

#[test]
fn what_is_nobodys_or_anothers_is_not_judged() {
    assert_eq!(told_among(&route("else", "/(", "web"), &there()), None);
    assert_eq!(told_among(&route("none", "/(", "web"), &there()), None);
}

/// A policy is translated whoever leads to its target.
#[test]
fn a_policy_is_ours_where_a_gateway_of_ours_leads_to_it() {
    let policy = |target: Value, options: Value| {
        let validation = json!({"hostname": "web.example", "wellKnownCACertificates": "System"});
        let spec = json!({"targetRefs": [target], "validation": validation, "options": options});
        object(gateway_api::GROUP, API, "BackendTLSPolicy", "one", spec)
    };
    let with = |parent: &str| {
        let mut there = there();
        there.push(route(parent, "/a", "web"));
        there
    };
    let foreign = policy(json!({"group": "example.com", "kind": "Backend", "name": "web"}), json!({}));
    assert_eq!(told_among(&foreign, &with("edge")), None);
    let strict = policy(json!({"group": "", "kind": "Service", "name": "web"}), json!({"example.com/ciphers": "all"}));
    assert_eq!(told_among(&strict, &with("else")), None);
    assert_eq!(told_among(&strict, &there()), None, "nobody leads there yet");
    assert_eq!(told_among(&strict, &with("edge")), Some((vec!["Invalid".to_owned()], Vec::new())));
}

#[test]
fn our_own_kinds_are_ours_wherever_they_hang() {
    let path = |path: &str| {
        let destinations = json!([{"paths": [{"type": "Template", "value": path}]}]);
        let spec = json!({"action": "Deny", "targetRefs": [{"kind": "Service", "name": "web"}], "rules": [{"name": "a", "destinations": destinations}]});
        object(organza::GROUP, "organza.dev/v1alpha1", "AccessPolicy", "one", spec)
    };
    assert_eq!(told(&path("/a/{**}")).0, Vec::<String>::new());
    assert_eq!(told(&path("/a/{**}/{**}")).0, ["Invalid"]);
}
