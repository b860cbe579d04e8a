//! Organza's own kinds (`organza.dev/v1alpha1`), and Gateway API's experimental policy of the same meaning. Settings are read first, for gateways take
//! theirs from them. Policies attach to what other front ends made: they run last, read the inventory and change nothing but the Services that they
//! target (GEP-713: direct policy attachment).

pub mod access;
pub mod settings;
pub mod traffic;

pub const GROUP: &str = "organza.dev";

use crate::gateway_api::{condition, external, route::seconds};
use crate::kubernetes::{Inventory, text};
use crate::wrong::{Within, Wrong};
use crate::{Object, Translation};
use model::{AttachedPolicy, Key, ObjectRef, ParentStatus, Status};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A Service, and the port where a policy is for one alone.
type Target = (Key, Option<u16>);

/// Policies of traffic, oldest first: of two that target the same the older holds, and the other says which that is.
pub fn translate(objects: &[Object], inventory: &mut Inventory, out: &mut Translation) {
    let ours = |o: &&Object| o.is(GROUP, "BackendTrafficPolicy") || o.is(external::GROUP, "XBackendTrafficPolicy");
    let mut policies: Vec<&Object> = objects.iter().filter(ours).collect();
    let created = |o: &Object| o.at("/metadata/creationTimestamp").as_str().and_then(seconds).unwrap_or(0);
    policies.sort_by_key(|o| (created(o), o.object.namespace.clone(), o.object.name.clone(), o.object.kind.clone()));
    let mut taken = BTreeMap::new();
    for policy in policies {
        attach(policy, inventory, &mut taken, out);
    }
}

fn attach(object: &Object, inventory: &mut Inventory, taken: &mut BTreeMap<Target, ObjectRef>, out: &mut Translation) {
    // What the schema would have refused can come here where nobody checked it.
    let targets = object.list("/spec/targetRefs");
    if targets.is_empty() {
        return;
    }
    let read = traffic::read(object).at("spec");
    out.reports.extend(read.as_ref().err().map(|wrong| wrong.report(&object.object)));
    let mut ancestors = Vec::new();
    for (i, target) in targets.iter().enumerate() {
        let placed = |wrong: Wrong| wrong.item(i).at("targetRefs").at("spec");
        let found = find(target, object, inventory).and_then(|found| free(found, object, taken)).map_err(placed);
        out.reports.extend(found.as_ref().err().map(|wrong| wrong.report(&object.object)));
        let accepted = match (&read, found) {
            (_, Err(wrong)) => condition("Accepted", false, wrong.reason, &wrong.message),
            (Err(wrong), _) => condition("Accepted", false, "Invalid", &wrong.message),
            (Ok(read), Ok((key, port))) => {
                if let Some(service) = inventory.services.get_mut(&(key.namespace.clone(), key.name.clone())) {
                    service.policies.push(AttachedPolicy { port, policy: Arc::new(read.policy.clone()) });
                    service.nearest = read.nearest.or(service.nearest);
                    service.balancer = read.balancer.clone().unwrap_or_else(|| service.balancer.clone());
                }
                condition("Accepted", true, "Accepted", "The policy is in force.")
            }
        };
        let name = text(target, "name").unwrap_or("");
        let parent =
            ObjectRef::new(text(target, "group").unwrap_or(""), text(target, "kind").unwrap_or(""), &object.object.namespace, name);
        let section = text(target, "sectionName").map(Arc::from);
        ancestors.push(ParentStatus { parent, section, port: None, conditions: vec![accepted] });
    }
    out.statuses.push(Status { object: object.object.clone(), conditions: Vec::new(), parents: ancestors, listeners: Vec::new() });
}

/// The Service that is meant, which is of the policy's own namespace.
fn find(target: &Value, object: &Object, inventory: &Inventory) -> Result<Target, Wrong> {
    let namespace = &object.object.namespace;
    let (kind, name) = (text(target, "kind").unwrap_or(""), text(target, "name").unwrap_or(""));
    if kind != "Service" || !text(target, "group").unwrap_or("").is_empty() {
        let wrong = Wrong::new("Invalid", format!("Policies of traffic do not attach to a {kind} yet."));
        return Err(wrong.fix("Target a Service.").at("kind"));
    }
    let missing = |message: String| Wrong::new("TargetNotFound", message);
    let service = inventory.service(namespace, name);
    let service = service.ok_or_else(|| missing(format!("Service {namespace}/{name} does not exist.")).at("name"))?;
    let Some(section) = text(target, "sectionName") else { return Ok((service.key.clone(), None)) };
    let port = service.ports.iter().find(|port| port.name.as_deref() == Some(section));
    let port = port.ok_or_else(|| {
        let names: Vec<&str> = service.ports.iter().filter_map(|port| port.name.as_deref()).collect();
        let wrong = missing(format!("Service {namespace}/{name} has no port named {section}.")).at("sectionName");
        if names.is_empty() { wrong } else { wrong.fix(format!("Its ports are {}.", names.join(", "))) }
    })?;
    Ok((service.key.clone(), Some(port.number)))
}

fn free(target: Target, object: &Object, taken: &mut BTreeMap<Target, ObjectRef>) -> Result<Target, Wrong> {
    match taken.get(&target) {
        Some(winner) => Err(Wrong::new("Conflicted", format!("{winner} is older and holds for the same target."))
            .fix("Merge the two, or target one port by sectionName.")
            .at("name")),
        None => {
            taken.insert(target.clone(), object.object.clone());
            Ok(target)
        }
    }
}

#[cfg(test)]
mod tests;
