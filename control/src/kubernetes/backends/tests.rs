use super::*;
use crate::kubernetes::cache::{Kept, KindName, News};
use crate::registry::Registry;
use crate::world::Ingredients;
use model::{ObjectRef, TrustDomain};
use std::sync::Arc;

fn object(api_version: &str, kind: &str, name: &str, rest: Value) -> Object {
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    let reference = ObjectRef::new(group, kind, if kind == "GatewayClass" { "" } else { "shop" }, name);
    Object::new(reference, api_version, rest)
}

fn selecting(port: u16) -> Object {
    let spec = json!({
        "type": "EndpointSelector", "port": {"number": port}, "protocol": "H2C",
        "endpointSelector": {"matchLabels": {"app": "cart"}},
    });
    object("gateway.networking.x-k8s.io/v1alpha1", "XBackend", "cart.v2", json!({ "spec": spec }))
}

fn world(objects: Vec<Object>) -> World {
    let (registry, trust_domain) = (Registry::default(), TrustDomain::parse("organza.local").unwrap());
    let objects = Arc::new(objects);
    let from = Ingredients { objects, registry: &registry, trust_domain: &trust_domain, roots: Vec::new(), secret: None, in_cluster: true };
    World::default().next(from).unwrap()
}

/// A route on a Service, which is there.
fn route() -> Vec<Object> {
    let to = json!({"group": "gateway.networking.x-k8s.io", "kind": "XBackend", "name": "cart.v2"});
    let spec = json!({"parentRefs": [{"group": "", "kind": "Service", "name": "shop"}], "rules": [{"backendRefs": [to]}]});
    let service = object("v1", "Service", "shop", json!({"spec": {"ports": [{"port": 80}]}}));
    vec![object("gateway.networking.k8s.io/v1", "HTTPRoute", "cart", json!({ "spec": spec })), service]
}

fn cache(objects: &[Object]) -> Cache {
    let mut cache = Cache::default();
    for object in objects {
        let kind = KindName { group: object.object.group.to_string(), kind: object.object.kind.to_string() };
        cache.serve(std::slice::from_ref(&kind));
        let kept = Kept {
            object: object.clone(),
            status: Box::default(),
            uid: "0AB1-c2d3e4f5".into(),
            version: "1".into(),
            ending: false,
            held: false,
        };
        cache.hear(&kind, News::Is(Box::new(kept)));
    }
    cache
}

#[test]
fn one_that_something_leads_to_gets_a_service_of_its_own_and_keeps_it() {
    let backend = selecting(8080);
    let alone = world(vec![backend.clone()]);
    assert!(wanted(&alone, &cache(std::slice::from_ref(&backend))).is_empty(), "others' XBackends are others' to serve");
    let led = world([vec![backend.clone()], route()].concat());
    let made = wanted(&led, &cache(std::slice::from_ref(&backend)));
    assert_eq!(made.len(), 1);
    assert_eq!(made[0]["metadata"]["name"], "xbackend-cart-v2-0ab1c2d3");
    assert_eq!(made[0]["metadata"]["ownerReferences"][0]["name"], "cart.v2");
    let spec = json!({
        "clusterIP": "None", "selector": {"app": "cart"},
        "ports": [{"name": "backend", "port": 8080, "targetPort": 8080, "protocol": "TCP", "appProtocol": "kubernetes.io/h2c"}],
    });
    assert_eq!(made[0]["spec"], spec);
    // When it is there it is the same one, whatever the XBackend says by then.
    let there = object("v1", "Service", "xbackend-cart-v2-0ab1c2d3", made[0].clone());
    let backend = selecting(9090);
    let led = world([vec![backend.clone(), there], route()].concat());
    let again = wanted(&led, &cache(&[backend]));
    assert_eq!((&again[0]["metadata"]["name"], &again[0]["spec"]["ports"][0]["port"]), (&made[0]["metadata"]["name"], &json!(9090)));
}

#[test]
fn one_that_spans_are_sent_to_gets_a_service_too() {
    let group = "gateway.networking.k8s.io";
    let web = json!([{"name": "web", "port": 80, "protocol": "HTTP"}]);
    let edge = json!({"spec": {"gatewayClassName": "organza", "listeners": web}});
    let edge = object("gateway.networking.k8s.io/v1", "Gateway", "edge", edge);
    let to = json!({"group": "gateway.networking.x-k8s.io", "kind": "XBackend", "name": "cart.v2"});
    let tracing = json!({"mode": "Enabled", "provider": {"backendRef": to}});
    let spec = json!({"targetRefs": [{"group": group, "kind": "Gateway", "name": "edge"}], "tracing": tracing});
    let policy = object("gateway.networking.x-k8s.io/v1alpha1", "XTelemetryPolicy", "edge", json!({ "spec": spec }));
    let backend = selecting(4317);
    let led = world(vec![backend.clone(), edge, policy]);
    let made = wanted(&led, &cache(&[backend]));
    assert_eq!((made.len(), &made[0]["spec"]["ports"][0]["port"]), (1, &json!(4317)));
}
