//! What a world of a large cluster costs: `cargo run --release -p control --example world [SERVICES ENDPOINTS ROUTES]` makes one of so many (1,000 Services,
//! 10,000 endpoints and 5,000 HTTPRoutes of one Gateway), and then the next after a change of one endpoint and of one route. Times are of this thread's
//! processor, for the machine may be busy; memory is what the process holds.

#![expect(clippy::print_stdout, reason = "a program that says what it measured")]

use control::registry::Registry;
use control::world::{Ingredients, World};
use frontends::Object;
use model::{ObjectRef, TrustDomain};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const CHANGES: usize = 10;

#[path = "../../bench/meter.rs"]
mod meter;

use meter::{resident, timed};

fn main() {
    let asked: Vec<usize> = std::env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    let [services, endpoints, routes] = asked[..] else { return run(1000, 10_000, 5000) };
    run(services, endpoints, routes);
}

fn run(services: usize, endpoints: usize, routes: usize) {
    let each = endpoints / services;
    let mut objects = vec![gateway()];
    for at in 0..services {
        objects.extend([service(at), slice(at, each, 0)]);
    }
    let first_route = objects.len();
    objects.extend((0..routes).map(|at| route(at, services, 0)));
    println!("{services} Services, {endpoints} endpoints, {routes} HTTPRoutes: {} MB as objects", memory());
    let (mut world, took) = timed(|| next(&World::default(), &objects));
    println!("the first world: {took:?}, {} resources, {} MB", world.items.len(), memory());
    for (what, place) in [("one endpoint", 2), ("one route", first_route + 17)] {
        let mut spent = Duration::ZERO;
        for change in 1..=CHANGES {
            objects[place] = if place == 2 { slice(0, each, change) } else { route(17, services, change) };
            let (after, took) = timed(|| next(&world, &objects));
            let changed = after.items.values().filter(|item| item.modified == after.generation).count();
            assert_eq!(changed, 1, "{what}");
            (world, spent) = (after, spent + took);
        }
        println!("{what} changed: {:?}", spent / CHANGES as u32);
    }
    println!("at the end: {} MB", memory());
}

fn next(world: &World, objects: &[Object]) -> World {
    let domain = TrustDomain::parse("organza.local").unwrap_or_else(|e| unreachable!("{e}"));
    let registry = Registry::default();
    let from = Ingredients {
        objects: Arc::new(objects.to_vec()),
        registry: &registry,
        trust_domain: &domain,
        roots: Vec::new(),
        secret: None,
        in_cluster: true,
    };
    world.next(from).unwrap_or_else(|| unreachable!("nothing changed"))
}

fn object(group: &str, kind: &str, name: &str, value: Value) -> Object {
    let version = if group.is_empty() { "v1".to_owned() } else { format!("{group}/v1") };
    Object::new(ObjectRef::new(group, kind, "shop", name), &version, value)
}

fn gateway() -> Object {
    let spec = json!({"gatewayClassName": "organza", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]});
    object("gateway.networking.k8s.io", "Gateway", "edge", json!({"metadata": {"name": "edge", "namespace": "shop"}, "spec": spec}))
}

fn service(at: usize) -> Object {
    let name = format!("s{at}");
    let spec = json!({"clusterIP": format!("10.{}.{}.1", at / 256, at % 256), "ports": [{"name": "http", "port": 80, "targetPort": 8080}]});
    object("", "Service", &name, json!({"metadata": {"name": name, "namespace": "shop"}, "spec": spec}))
}

fn slice(at: usize, each: usize, change: usize) -> Object {
    let name = format!("s{at}-abcde");
    let endpoint = |i: usize| {
        json!({"addresses": [format!("10.{}.{}.{}", 16 + at / 256, at % 256, i + 1)], "conditions": {"ready": i != 0 || change.is_multiple_of(2)},
            "nodeName": format!("node-{}", i % 7)})
    };
    let value = json!({
        "metadata": {"name": name, "namespace": "shop", "labels": {"kubernetes.io/service-name": format!("s{at}")}},
        "addressType": "IPv4", "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": (0..each).map(endpoint).collect::<Vec<_>>(),
    });
    object("discovery.k8s.io", "EndpointSlice", &name, value)
}

fn route(at: usize, services: usize, change: usize) -> Object {
    let name = format!("r{at}");
    let spec = json!({
        "parentRefs": [{"name": "edge"}], "hostnames": [format!("h{}.example.com", at / 10)],
        "rules": [{
            "matches": [{"path": {"type": "PathPrefix", "value": format!("/p{}", at % 10)}}],
            "filters": [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x-edge", "value": change.to_string()}]}}],
            "backendRefs": [{"name": format!("s{}", at % services), "port": 80}],
        }],
    });
    object("gateway.networking.k8s.io", "HTTPRoute", &name, json!({"metadata": {"name": name, "namespace": "shop"}, "spec": spec}))
}

fn memory() -> u64 {
    resident() >> 20
}
