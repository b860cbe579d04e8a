use super::*;
use model::*;
use serde_json::{Value, json};

pub(crate) fn object(api: &str, kind: &str, place: (&str, &str), mut body: Value) -> Object {
    let group = api.split_once('/').map_or("", |(group, _)| group);
    body["metadata"] = json!({"namespace": place.0, "name": place.1});
    let object = ObjectRef::new(group, kind, place.0, place.1);
    Object::new(object, api, body)
}

pub(crate) const API: &str = "gateway.networking.k8s.io/v1";

pub(crate) fn service(namespace: &str, name: &str) -> Object {
    object("v1", "Service", (namespace, name), json!({"spec": {"ports": [{"name": "http", "port": 80}]}}))
}

pub(crate) fn gateway(listeners: Value) -> Object {
    object(API, "Gateway", ("a", "gw"), json!({"spec": {"gatewayClassName": "organza", "listeners": listeners}}))
}

pub(crate) fn route(namespace: &str, spec: Value) -> Object {
    object(API, "HTTPRoute", (namespace, "r"), json!({"spec": spec}))
}

pub(crate) fn run(objects: &[Object]) -> Translation {
    translate(objects, &Options::default())
}

pub(crate) fn routes(t: &Translation) -> Vec<&Route> {
    t.resources.iter().filter_map(|r| if let Resource::Route(r) = r { Some(&**r) } else { None }).collect()
}

/// `Accepted ResolvedRefs` of the route's first parent, by reason.
pub(crate) fn verdict(t: &Translation) -> String {
    let status = t.statuses.iter().find(|s| *s.object.kind == *"HTTPRoute").unwrap();
    status.parents[0].conditions.iter().map(|c| format!("{}={}", c.reason, c.status.as_str())).collect::<Vec<_>>().join(" ")
}

#[test]
fn parents_accept_or_say_why_not() {
    let http = json!([{"name": "web", "port": 80, "protocol": "HTTP", "hostname": "*.example.com"}]);
    let rules = json!([{"backendRefs": [{"name": "s", "port": 80}]}]);
    let cases = [
        ("a", json!({"parentRefs": [{"name": "gw"}], "hostnames": ["x.example.com"]}), "Accepted=True"),
        ("a", json!({"parentRefs": [{"name": "gw", "sectionName": "none"}]}), "NoMatchingParent=False"),
        ("a", json!({"parentRefs": [{"name": "gw", "port": 81}]}), "NoMatchingParent=False"),
        ("a", json!({"parentRefs": [{"name": "gw"}], "hostnames": ["example.com"]}), "NoMatchingListenerHostname=False"),
        ("b", json!({"parentRefs": [{"name": "gw", "namespace": "a"}]}), "NotAllowedByListeners=False"),
    ];
    for (namespace, mut spec, want) in cases {
        spec["rules"] = rules.clone();
        let t = run(&[gateway(http.clone()), service(namespace, "s"), route(namespace, spec)]);
        assert_eq!(verdict(&t), format!("{want} ResolvedRefs=True"));
        assert_eq!(routes(&t).len(), usize::from(want == "Accepted=True"));
    }
}

#[test]
fn references_across_namespaces_need_a_grant_and_broken_ones_keep_their_weight() {
    let spec = json!({"parentRefs": [{"name": "gw"}],
        "rules": [{"backendRefs": [{"name": "s", "port": 80, "weight": 3}, {"name": "t", "namespace": "b", "port": 80, "weight": 7}]}]});
    let gw = gateway(json!([{"name": "web", "port": 80, "protocol": "HTTP"}]));
    let mut objects = vec![gw, service("a", "s"), service("b", "t"), route("a", spec)];
    let t = run(&objects);
    assert_eq!(verdict(&t), "Accepted=True RefNotPermitted=False");
    let broken = &routes(&t)[0].rules[0].backends[1];
    assert!(broken.weight == 7 && matches!(broken.backend, Backend::Invalid { reason: InvalidBackend::RefNotPermitted, .. }));
    let from = json!([{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "a"}]);
    let grant = json!({"spec": {"from": from, "to": [{"group": "", "kind": "Service"}]}});
    objects.push(object(API, "ReferenceGrant", ("b", "g"), grant));
    assert_eq!(verdict(&run(&objects)), "Accepted=True ResolvedRefs=True");
}

#[test]
fn a_consumer_route_is_for_callers_of_its_namespace() {
    let spec = json!({"parentRefs": [{"group": "", "kind": "Service", "name": "s", "namespace": "b"}], "rules": [{}]});
    let t = run(&[service("b", "s"), route("a", spec)]);
    let Target::Service { callers, .. } = &routes(&t)[0].attachments[0].target else { panic!("a service is the target") };
    assert_eq!(callers.as_deref(), Some("a"));
}

#[test]
fn exact_paths_go_before_longer_prefixes_before_shorter_before_methods() {
    let rank = |value: Value| gateway_api::matches::http(&value).unwrap().1;
    let exact = rank(json!({"path": {"type": "Exact", "value": "/a"}}));
    let long = rank(json!({"path": {"type": "PathPrefix", "value": "/abc"}}));
    let method = rank(json!({"path": {"type": "PathPrefix", "value": "/ab"}, "method": "GET"}));
    let header = rank(json!({"path": {"type": "PathPrefix", "value": "/ab"}, "headers": [{"name": "x", "value": "1"}]}));
    assert!(exact < long && long < method && method < header);
}

#[test]
fn conflicting_and_unserved_listeners_are_broken_and_say_so() {
    let t = run(&[gateway(json!([
        {"name": "one", "port": 80, "protocol": "HTTP"}, {"name": "two", "port": 80, "protocol": "HTTP"},
        {"name": "odd", "port": 443, "protocol": "example.com/odd"}]))]);
    let broken = t.resources.iter().filter(|r| matches!(r, Resource::Listener(l) if l.broken.is_some())).count();
    assert_eq!(broken, 3);
    let of = |i: usize, j: usize| t.statuses[0].listeners[i].conditions[j].reason.to_string();
    assert_eq!((of(0, 3).as_str(), of(2, 0).as_str()), ("HostnameConflict", "UnsupportedProtocol"));
}

#[test]
fn what_nobody_heeds_is_said() {
    let ports = json!([{"name": "http", "port": 80}, {"name": "sctp", "port": 81, "protocol": "SCTP"}]);
    let odd = object("v1", "Service", ("a", "s"), json!({"spec": {"ports": ports, "sessionAffinity": "ClientIP"}}));
    let mesh = object("gateway.networking.x-k8s.io/v1alpha1", "XMesh", ("", "m"), json!({"spec": {"controllerName": "a.b/c"}}));
    let t = run(&[odd, mesh]);
    let told: Vec<_> = t.reports.iter().map(|r| (r.object.kind.to_string(), r.path_text(), r.severity)).collect();
    let want = [("Service", "spec.sessionAffinity"), ("Service", "spec.ports[1].protocol"), ("XMesh", "")];
    assert_eq!(told, want.map(|(kind, path)| (kind.to_owned(), path.to_owned(), Severity::Warning)));
    assert!(t.resources.iter().any(|r| matches!(r, Resource::Service(s) if s.ports.len() == 1)));
}

#[test]
fn odd_shapes_do_not_panic() {
    for body in [json!({"spec": 1}), json!({"spec": {"listeners": [1], "rules": "x", "parentRefs": [{}], "ports": [null]}})] {
        for kind in ["Gateway", "HTTPRoute", "GRPCRoute", "ReferenceGrant"] {
            assert!(run(&[object(API, kind, ("a", "x"), body.clone())]).statuses.is_empty());
        }
        run(&[object("v1", "Service", ("a", "x"), body)]);
    }
}
