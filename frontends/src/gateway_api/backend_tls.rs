//! `BackendTLSPolicy` (GEP-1897): TLS towards those who answer for a Service and are not in the mesh. Read before routes, which may lead to a port of
//! the application's own TLS only where a policy says how; its status is written after them, for its ancestors are the Gateways that lead there.
//! A policy that cannot be used keeps its target: nobody is called there with less protection than was asked for.

use super::listener::Door;
use super::roots::{Bundle, Reasons};
use super::target::{self, Taken};
use super::{GROUP, condition};
use crate::kubernetes::{Inventory, text};
use crate::wrong::{Within, Wrong};
use crate::{Object, Translation, limits};
use model::backend::{Shown, UpstreamRoots};
use model::*;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub const REASONS: Reasons = Reasons { kind: "InvalidKind", reference: "InvalidCACertificateRef" };

/// One policy, and what became of it.
pub struct Policy {
    object: ObjectRef,
    aims: Vec<Aim>,
    /// Why it is not accepted, whatever it targets.
    refused: Option<Wrong>,
    /// References that lead nowhere.
    unresolved: Vec<Wrong>,
}

/// One of its targets.
struct Aim {
    written: ObjectRef,
    section: Option<Arc<str>>,
    /// The Service and port, as far as they are known.
    target: Option<target::Target>,
    wrong: Option<Wrong>,
}

/// The first half: what is asked for, put on the Services that it is for.
pub fn attach(objects: &[Object], inventory: &mut Inventory) -> Vec<Policy> {
    let mut taken = Taken::new();
    let policies = target::by_age(objects, |o| o.is(GROUP, "BackendTLSPolicy"));
    policies.into_iter().map(|object| one(object, inventory, &mut taken)).collect()
}

fn one(object: &Object, inventory: &mut Inventory, taken: &mut Taken) -> Policy {
    let (tls, refused, unresolved) = read(object, inventory);
    let targets = object.list("/spec/targetRefs").iter().enumerate();
    let aims = targets.map(|(i, value)| {
        let mut aim = aim(value, object, inventory, taken);
        aim.wrong = aim.wrong.map(|wrong| wrong.item(i).at("targetRefs").at("spec"));
        if let (Some((service, port)), None) = (&aim.target, &aim.wrong)
            && let Some(service) = inventory.services.get_mut(&(service.namespace.clone(), service.name.clone()))
        {
            service.tls.push(AttachedTls { port: *port, tls: tls.clone() });
        }
        aim
    });
    Policy { object: object.object.clone(), aims: aims.collect(), refused, unresolved }
}

fn aim(value: &Value, object: &Object, inventory: &Inventory, taken: &mut Taken) -> Aim {
    let word = |field: &str| text(value, field).unwrap_or("");
    let written = ObjectRef::new(word("group"), word("kind"), &object.object.namespace, word("name"));
    let section = text(value, "sectionName").map(Arc::from);
    match target::find(value, object, inventory) {
        Ok(target) => Aim { written, section, wrong: target::take(&target, object, taken).err(), target: Some(target) },
        // A port that is not there: whoever leads to the Service hears of it.
        Err(wrong) => {
            let service = inventory.service(&object.object.namespace, word("name")).filter(|_| section.is_some());
            Aim { written, section, target: service.map(|service| (service.key.clone(), None)), wrong: Some(wrong) }
        }
    }
}

/// What holds, why the policy is not accepted, and which references lead nowhere.
fn read(object: &Object, inventory: &Inventory) -> (BackendTls, Option<Wrong>, Vec<Wrong>) {
    let validation = object.at("/spec/validation");
    let bundle = Bundle::read(validation, &object.object, inventory, REASONS);
    let made = names(validation).and_then(|(server_name, subject_alt_names)| {
        let roots = roots(validation, &bundle)?;
        Ok(UpstreamTls { server_name, subject_alt_names, roots, shown: Shown::Gateways })
    });
    let invalid = |mut wrong: Wrong| {
        wrong.reason = if wrong.reason == NO_AUTHORITY { NO_AUTHORITY } else { "Invalid" };
        wrong
    };
    let made = made.at("validation").and_then(|tls| options(object).map(|()| tls)).map_err(invalid).at("spec");
    let unresolved = bundle.wrong.into_iter().map(|wrong| wrong.at("validation").at("spec")).collect();
    match made {
        Ok(tls) => (BackendTls::Verified(Arc::new(tls)), None, unresolved),
        Err(wrong) => (BackendTls::Broken(format!("{} cannot be used: {}", object.object, wrong.message).into()), Some(wrong), unresolved),
    }
}

const NO_AUTHORITY: &str = "NoValidCACertificate";

/// The name that is asked for, and those of which the certificate must bear one.
pub fn names(validation: &Value) -> Result<(Hostname, Vec<Arc<str>>), Wrong> {
    let name = text(validation, "hostname").unwrap_or("");
    let server_name = Hostname::parse(name)
        .map_err(|e| Wrong::value(format!("The host name {name:?} {e}.")).fix("Give the name that the certificate must have."))
        .at("hostname")?;
    let mut subject_alt_names = Vec::new();
    for (i, value) in validation.get("subjectAltNames").and_then(Value::as_array).into_iter().flatten().enumerate() {
        let name = match text(value, "type") {
            Some("URI") => text(value, "uri"),
            Some("Hostname") => text(value, "hostname"),
            _ => None,
        };
        let wrong = || Wrong::value("The name is neither a host name nor a URI.").item(i).at("subjectAltNames");
        subject_alt_names.push(name.filter(|name| !name.is_empty()).ok_or_else(wrong)?.into());
    }
    Ok((server_name, subject_alt_names))
}

fn roots(validation: &Value, bundle: &Bundle) -> Result<UpstreamRoots, Wrong> {
    match (bundle.roots(), bundle.wrong.first(), text(validation, "wellKnownCACertificates")) {
        (Some(roots), ..) => Ok(UpstreamRoots::Given(roots)),
        (None, Some(wrong), _) => {
            Err(Wrong::new(NO_AUTHORITY, format!("No authority can be read: {}", wrong.message)).at("caCertificateRefs"))
        }
        (None, None, Some("System")) => Ok(UpstreamRoots::System),
        (None, None, _) => {
            let wrong = Wrong::value("No certificates are named to believe the backend by.");
            Err(wrong.fix("Set wellKnownCACertificates: System, or caCertificateRefs."))
        }
    }
}

/// Options may ask for stricter TLS: to leave one out would be weaker than what was written.
fn options(object: &Object) -> Result<(), Wrong> {
    match object.at("/spec/options").as_object().and_then(|options| options.keys().next()) {
        Some(name) => Err(Wrong::value(format!("The TLS option {name} is not known.")).fix("Remove it.").at("options")),
        None => Ok(()),
    }
}

/// The second half: statuses, for each Gateway that leads to a target; for the target itself where none does.
pub fn finish(policies: Vec<Policy>, doors: &[Door], out: &mut Translation) {
    let led = led(doors, &out.resources);
    for policy in policies {
        let wrong = policy.aims.iter().filter_map(|aim| aim.wrong.as_ref()).chain(&policy.refused).chain(&policy.unresolved);
        out.reports.extend(wrong.map(|wrong| wrong.report(&policy.object)));
        let mut ancestors: BTreeMap<(ObjectRef, Option<Arc<str>>), Vec<&Aim>> = BTreeMap::new();
        for aim in &policy.aims {
            let gateways = aim.target.as_ref().map(|target| leading(target, &led)).unwrap_or_default();
            if gateways.is_empty() {
                ancestors.entry((aim.written.clone(), aim.section.clone())).or_default().push(aim);
            }
            gateways.into_iter().for_each(|gateway| ancestors.entry((gateway, None)).or_default().push(aim));
        }
        let told = |((parent, section), aims): (_, Vec<&Aim>)| ParentStatus { parent, section, port: None, conditions: policy.told(&aims) };
        let parents = ancestors.into_iter().take(limits::ANCESTORS).map(told).collect();
        out.statuses.push(Status { object: policy.object.clone(), conditions: Vec::new(), parents, listeners: Vec::new() });
    }
}

impl Policy {
    fn told(&self, aims: &[&Aim]) -> Vec<Condition> {
        let accepted = match aims.iter().find_map(|aim| aim.wrong.as_ref()).or(self.refused.as_ref()) {
            Some(wrong) => condition("Accepted", false, wrong.reason, &wrong.message),
            None => condition("Accepted", true, "Accepted", "The policy is in force."),
        };
        let resolved = match self.unresolved.first() {
            Some(wrong) => condition("ResolvedRefs", false, wrong.reason, &wrong.message),
            None => condition("ResolvedRefs", true, "ResolvedRefs", "All references lead somewhere."),
        };
        vec![accepted, resolved]
    }
}

/// Which Gateways lead to which ports of Services.
fn led(doors: &[Door], resources: &[Resource]) -> BTreeMap<(Key, u16), BTreeSet<ObjectRef>> {
    let gateways: BTreeMap<&Key, &ObjectRef> = doors.iter().map(|door| (&door.listener.key, &door.gateway)).collect();
    let mut led: BTreeMap<(Key, u16), BTreeSet<ObjectRef>> = BTreeMap::new();
    for resource in resources {
        let Resource::Route(route) = resource else { continue };
        let from: BTreeSet<&ObjectRef> = route
            .attachments
            .iter()
            .filter_map(|at| if let model::Target::Listener(key) = &at.target { gateways.get(key).copied() } else { None })
            .collect();
        for to in route.backends().filter_map(|backend| if let Backend::Service(to) = backend { Some(to) } else { None }) {
            led.entry((to.service.clone(), to.port)).or_default().extend(from.iter().copied().cloned());
        }
    }
    led
}

fn leading((service, port): &target::Target, led: &BTreeMap<(Key, u16), BTreeSet<ObjectRef>>) -> BTreeSet<ObjectRef> {
    let here = led.iter().filter(|((key, number), _)| key == service && port.is_none_or(|port| port == *number));
    here.flat_map(|(_, gateways)| gateways.iter().cloned()).collect()
}
