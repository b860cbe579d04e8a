//! What a world of a large cluster costs: `cargo run --release -p control --example world [SERVICES ENDPOINTS ROUTES]` makes one of so many (1,000 Services,
//! 10,000 endpoints and 5,000 HTTPRoutes of one Gateway), and then the next after a change of one endpoint and of one route. Times are of this thread's
//! processor, for the machine may be busy; memory is what the process holds.

#![expect(clippy::print_stdout, reason = "a program that says what it measured")]

use control::registry::Registry;
use control::world::{Ingredients, World};
use frontends::Object;
use model::{ObjectRef, TrustDomain};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

const CHANGES: usize = 10;

#[path = "../../bench/meter.rs"]
mod meter;
#[path = "../../bench/objects.rs"]
mod objects;

use meter::{resident, timed};

fn main() {
    let asked: Vec<usize> = std::env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    let [services, endpoints, routes] = asked[..] else { return run(1000, 10_000, 5000) };
    run(services, endpoints, routes);
}

fn run(services: usize, endpoints: usize, routes: usize) {
    let each = endpoints / services;
    let mut objects = vec![object(objects::gateway())];
    for at in 0..services {
        objects.extend([object(objects::service(at)), object(objects::slice(at, each, 0))]);
    }
    let first_route = objects.len();
    objects.extend((0..routes).map(|at| object(objects::route(at, services, 0))));
    println!("{services} Services, {endpoints} endpoints, {routes} HTTPRoutes: {} MB as objects", memory());
    let (mut world, took) = timed(|| next(&World::default(), &objects));
    println!("the first world: {took:?}, {} resources, {} MB", world.items.len(), memory());
    for (what, place) in [("one endpoint", 2), ("one route", first_route + 17)] {
        let mut spent = Duration::ZERO;
        for change in 1..=CHANGES {
            objects[place] = object(if place == 2 { objects::slice(0, each, change) } else { objects::route(17, services, change) });
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

fn object(value: Value) -> Object {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let version = text(&value["apiVersion"]);
    let group = version.split_once('/').map_or("", |(group, _)| group);
    Object::new(ObjectRef::new(group, &text(&value["kind"]), objects::NAMESPACE, &text(&value["metadata"]["name"])), &version, value)
}

fn memory() -> u64 {
    resident() >> 20
}
