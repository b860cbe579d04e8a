//! What a policy attaches to directly (GEP-713): a Service of its own namespace, or one of its ports. Of two policies that target the same the older
//! holds, and the other says which that is.

use super::route::seconds;
use crate::Object;
use crate::kubernetes::{Inventory, text};
use crate::wrong::Wrong;
use model::{Key, ObjectRef};
use serde_json::Value;
use std::collections::BTreeMap;

/// A Service, and the port where a policy is for one alone.
pub type Target = (Key, Option<u16>);

/// Who holds for what.
pub type Taken = BTreeMap<Target, ObjectRef>;

/// Policies in the order in which they are heard.
pub fn by_age(objects: &[Object], ours: impl Fn(&Object) -> bool) -> Vec<&Object> {
    let mut policies: Vec<&Object> = objects.iter().filter(|o| ours(o)).collect();
    let created = |o: &Object| o.at("/metadata/creationTimestamp").as_str().and_then(seconds).unwrap_or(0);
    policies.sort_by_key(|o| (created(o), o.object.namespace.clone(), o.object.name.clone(), o.object.kind.clone()));
    policies
}

/// The Service that is meant, which is of the policy's own namespace.
pub fn find(target: &Value, object: &Object, inventory: &Inventory) -> Result<Target, Wrong> {
    let namespace = &object.object.namespace;
    let (kind, name) = (text(target, "kind").unwrap_or(""), text(target, "name").unwrap_or(""));
    if kind != "Service" || !text(target, "group").unwrap_or("").is_empty() {
        let wrong = Wrong::new("Invalid", format!("A {} does not attach to a {kind} yet.", object.object.kind));
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

/// Takes the target for the policy, unless another has it.
pub fn take(target: &Target, object: &Object, taken: &mut Taken) -> Result<(), Wrong> {
    match taken.get(target) {
        Some(winner) => Err(Wrong::new("Conflicted", format!("{winner} is older and holds for the same target."))
            .fix("Merge the two, or target one port by sectionName.")
            .at("name")),
        None => {
            taken.insert(target.clone(), object.object.clone());
            Ok(())
        }
    }
}
