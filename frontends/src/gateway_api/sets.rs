//! `ListenerSet`: listeners that others write for a Gateway which allows it. They are the Gateway's own in all but who writes them, whom routes name, and
//! that they come last: after the Gateway's and those of older sets, which they cannot take anything from.

use super::gateway::{Gateways, read_doors};
use super::listener::{Door, allows, mark_conflicts, mark_late};
use super::{GROUP, backend, condition, target};
use crate::kubernetes::text;
use crate::wrong::Wrong;
use crate::{Object, Translation};
use model::{ObjectRef, Report, Severity, Status};

pub struct Set {
    pub object: ObjectRef,
    /// Why none of its listeners counts.
    refused: Option<Wrong>,
}

/// The Gateway that a set asks for.
pub fn parent(set: &Object) -> ObjectRef {
    let parent = set.at("/spec/parentRef");
    let namespace = text(parent, "namespace").unwrap_or(&set.object.namespace);
    let (group, kind) = (text(parent, "group").unwrap_or(GROUP), text(parent, "kind").unwrap_or("Gateway"));
    ObjectRef::new(group, kind, namespace, text(parent, "name").unwrap_or(""))
}

fn all(objects: &[Object]) -> Vec<&Object> {
    target::by_age(objects, |o| o.is(GROUP, "ListenerSet"))
}

/// The sets of one Gateway with their listeners, oldest first; `own` are the Gateway's.
pub fn of(gateway: &Object, own: &[Door], objects: &[Object], world: &backend::World<'_>, out: &mut Translation) -> Vec<(Set, Vec<Door>)> {
    let mut found: Vec<(Set, Vec<Door>)> = Vec::new();
    for set in all(objects).into_iter().filter(|set| parent(set) == gateway.object) {
        let object = set.object.clone();
        let from = gateway.at("/spec/allowedListeners/namespaces");
        if !allows(from, "None", &gateway.object.namespace, &object.namespace, world.inventory) {
            let wrong = Wrong::new("NotAllowed", format!("{} takes no listeners of namespace {}.", gateway.object, object.namespace));
            let wrong = wrong.fix("Widen allowedListeners of the Gateway.").at("parentRef").at("spec");
            out.reports.push(wrong.report(&object));
            found.push((Set { object, refused: Some(wrong) }, Vec::new()));
            continue;
        }
        let mut doors = read_doors(set, gateway, world, out);
        mark_late(&mut doors, own);
        found.iter().for_each(|(_, before)| mark_late(&mut doors, before));
        mark_conflicts(&mut doors);
        found.push((Set { object, refused: None }, doors));
    }
    found
}

/// Sets that hang on no Gateway.
pub fn strays(objects: &[Object], gateways: &Gateways) -> Vec<Report> {
    let strays = all(objects).into_iter().filter(|set| !gateways.knows(&set.object) && !gateways.foreign.contains(&parent(set)));
    let told = strays.map(|set| {
        let wrong = Wrong::new("NoMatchingParent", format!("{} does not exist, so nobody serves these listeners.", parent(set)));
        let report = wrong.fix("Name a Gateway in parentRef.").at("name").at("parentRef").at("spec").report(&set.object);
        Report { severity: Severity::Warning, ..report }
    });
    told.collect()
}

impl Set {
    pub fn status(self, doors: &[Door]) -> Status {
        let own: Vec<&Door> = doors.iter().filter(|door| door.owner == self.object).collect();
        // A set is worth taking for what can be served of it: here, unlike at a Gateway, a listener without its certificate does not count.
        let some = own.iter().any(|door| door.listener.broken.is_none());
        let accepted = match &self.refused {
            Some(wrong) => condition("Accepted", false, wrong.reason, &wrong.message),
            None if some && own.iter().all(|door| door.listener.broken.is_none()) => {
                condition("Accepted", true, "Accepted", "All listeners are valid.")
            }
            None => condition("Accepted", some, "ListenersNotValid", "Some of its listeners are refused, or all."),
        };
        let programmed = match (&self.refused, some) {
            (Some(wrong), _) => condition("Programmed", false, wrong.reason, &wrong.message),
            (None, true) => condition("Programmed", false, "Pending", "No proxy has said yet that it serves the listeners."),
            (None, false) => condition("Programmed", false, "ListenersNotValid", "No listener can be served."),
        };
        let listeners = own.iter().map(|door| door.status()).collect();
        Status { object: self.object, conditions: vec![accepted, programmed], parents: Vec::new(), listeners }
    }
}
