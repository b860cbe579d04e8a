//! Organza's own kinds (`organza.dev/v1alpha1`), and Gateway API's experimental policy of the same meaning. Settings are read first, for gateways take
//! theirs from them. Policies attach to what other front ends made: they run last, read the inventory and change nothing but the Services that they
//! target (GEP-713: direct policy attachment).

pub mod access;
pub mod authorizer;
pub mod consumer;
pub mod issuer;
pub mod rates;
pub mod settings;
pub mod telemetry;
pub mod traffic;

pub const GROUP: &str = "organza.dev";

use crate::gateway_api::target::{self, Taken};
use crate::gateway_api::{condition, external};
use crate::kubernetes::{Inventory, text};
use crate::wrong::{Within, Wrong};
use crate::{Object, Translation};
use model::access::AccessTarget;
use model::{AttachedPolicy, ObjectRef, ParentStatus, Report, Severity, Status};
use std::sync::Arc;

/// Policies of traffic, oldest first: of two that target the same the older holds, and the other says which that is.
pub fn translate(objects: &[Object], inventory: &mut Inventory, out: &mut Translation) {
    let ours = |o: &Object| o.is(GROUP, "BackendTrafficPolicy") || o.is(external::GROUP, "XBackendTrafficPolicy");
    let mut taken = Taken::new();
    for policy in target::by_age(objects, ours) {
        attach(policy, inventory, &mut taken, out);
    }
}

fn attach(object: &Object, inventory: &mut Inventory, taken: &mut Taken, out: &mut Translation) {
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
        let found = target::find(target, object, inventory);
        let found = found.and_then(|found| target::take(&found, object, taken).map(|()| found)).map_err(placed);
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

/// What an object guards, and what it says of each target: why it is broken, or nothing and what it does.
fn guarded(
    object: &Object,
    objects: &[Object],
    inventory: &Inventory,
    (broken, message): (&'static str, &str),
    out: &mut Translation,
) -> (Vec<AccessTarget>, Vec<ParentStatus>) {
    let (mut targets, mut parents) = (Vec::new(), Vec::new());
    for (i, reference) in object.list("/spec/targetRefs").iter().enumerate() {
        let found = access::find(reference, object, objects, inventory, out).map_err(|wrong| wrong.item(i).at("targetRefs").at("spec"));
        let accepted = match &found {
            Err(wrong) => {
                let severity = if wrong.reason == "TargetNotFound" { Severity::Warning } else { Severity::Error };
                out.reports.push(Report { severity, ..wrong.report(&object.object) });
                condition("Accepted", false, wrong.reason, &wrong.message)
            }
            Ok(_) if !broken.is_empty() => condition("Accepted", false, broken, message),
            Ok(_) => condition("Accepted", true, "Accepted", message),
        };
        targets.extend(found.ok());
        let word = |field: &str| text(reference, field).unwrap_or("");
        let namespace = if word("kind") == "Namespace" { "" } else { &object.object.namespace };
        let parent = ObjectRef::new(word("group"), word("kind"), namespace, word("name"));
        let section = text(reference, "sectionName").map(Arc::from);
        parents.push(ParentStatus { parent, section, port: None, conditions: vec![accepted] });
    }
    (targets, parents)
}

#[cfg(test)]
mod tests;
