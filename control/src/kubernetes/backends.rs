//! Services for XBackends that select who answers (GEP-4894): a cluster finds pods for Services alone. One is made where something that is served leads there;
//! it goes with its XBackend, and its name is nobody's to rely on.

use super::cache::Cache;
use crate::world::World;
use frontends::Object;
use frontends::gateway_api::selected::{self, LABEL, Made};
use frontends::kubernetes::label;
use model::telemetry::SpansTo;
use model::{Backend, Key, Resource};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Longest name of a Service.
const NAME: usize = 63;

pub fn wanted(world: &World, cache: &Cache) -> Vec<Value> {
    let all: Vec<&Object> = world.objects.iter().filter(|object| selected::is(object)).collect();
    if all.is_empty() {
        return Vec::new();
    }
    let (made, led) = (Made::among(&world.objects), led(world));
    let service = |object: &Object| {
        let kept = cache.get(&object.object).filter(|kept| !kept.ending)?;
        let key = made.service_of(object);
        let spec = selected::spec(object).filter(|_| led.contains(&key))?;
        let is_made = world
            .objects
            .iter()
            .any(|other| other.is("", "Service") && *other.object.name == *key.name && other.object.namespace == key.namespace);
        let name = if is_made { key.name.to_string() } else { name(&object.object.name, &kept.uid) };
        Some(json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {
                "name": name, "namespace": &*object.object.namespace,
                "labels": {LABEL: label(&object.object.name), "app.kubernetes.io/managed-by": "organza"},
                "ownerReferences": [{
                    "apiVersion": object.api_version, "kind": "XBackend", "name": &*object.object.name, "uid": kept.uid,
                    "controller": true, "blockOwnerDeletion": true,
                }],
            },
            "spec": spec,
        }))
    };
    all.into_iter().filter_map(service).collect()
}

/// Nobody knows it before it is there, and it is the same when it is made twice.
fn name(backend: &str, uid: &str) -> String {
    let plain: String = backend.chars().map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' }).collect();
    let short: String = plain.chars().take(NAME - "xbackend--12345678".len()).collect();
    let mark: String = uid.chars().filter(char::is_ascii_alphanumeric).take(8).collect();
    format!("xbackend-{}-{}", short.trim_matches('-'), mark.to_ascii_lowercase())
}

/// Where anything leads that is served.
fn led(world: &World) -> BTreeSet<&Key> {
    let mut led = BTreeSet::new();
    for resource in world.resources() {
        let backends: Vec<&Backend> = match resource {
            Resource::Route(route) => route.backends().collect(),
            Resource::Listener(listener) => listener.asks.iter().map(|asking| &asking.backend).collect(),
            Resource::ExternalAuthorizer(one) => vec![&one.asked.backend],
            Resource::Telemetry(policy) => match &policy.says.spans {
                Some(SpansTo::Exporter(to)) => vec![&to.backend],
                _ => continue,
            },
            _ => continue,
        };
        led.extend(backends.into_iter().filter_map(|backend| if let Backend::Service(to) = backend { Some(&to.service) } else { None }));
    }
    led
}

#[cfg(test)]
mod tests;
