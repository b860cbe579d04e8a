//! Policies of access: `AccessPolicy` for one's own namespace, `ClusterAccessPolicy` for the mesh. They run last, for they name what other passes made.
//!
//! What is broken never lets more in: a broken Allow lets nobody in, a Deny with a part that cannot be read denies by what can be, and both are told. A
//! policy that the schema refuses is held closed in the same way ([`held_closed`]).

mod read;
mod warn;

pub use warn::{notes_of_bytes, notes_of_proofs};

use super::{GROUP, authorizer, consumer, issuer, telemetry};
use crate::gateway_api::condition;
use crate::kubernetes::{Inventory, text};
use crate::wrong::Wrong;
use crate::{Object, Translation};
use model::access::{AccessPolicy, AccessTarget, Action, Enforcement, Tier};
use model::{Key, Kind, Labels, ListenerProtocol, ObjectRef, ParentStatus, Report, Resource, Severity, Source, Status, Target, Workload};
use serde_json::Value;
use std::sync::Arc;

const NAMESPACED: &str = "AccessPolicy";
const CLUSTER: &str = "ClusterAccessPolicy";
const GATEWAY_API: &str = "gateway.networking.k8s.io";
/// On objects that the schema refused: told already, and held closed. It says why.
const REFUSED: &str = "organza.dev/refused";

pub fn is_policy(object: &Object) -> bool {
    object.is(GROUP, NAMESPACED) || object.is(GROUP, CLUSTER)
}

/// A policy (or an issuer of tokens, a consumer, an authorizer) that the schema refused, as it is in force where no earlier state of it was good: without it
/// more would be let in than was written, or, of a TelemetryPolicy, more told. `None` for other kinds, without which less is.
pub fn held_closed(object: &Object, why: &Report) -> Option<Object> {
    let guards = [issuer::KIND, authorizer::KIND, consumer::KIND, telemetry::KIND].iter().any(|kind| object.is(GROUP, kind));
    if !is_policy(object) && !guards {
        return None;
    }
    let mut value = Value::clone(&object.value);
    if !value.get("spec").is_some_and(Value::is_object) {
        value["spec"] = serde_json::json!({});
    }
    let metadata = value.get_mut("metadata").and_then(Value::as_object_mut)?;
    metadata.insert("annotations".into(), serde_json::json!({ REFUSED: placed(why) }));
    if value["spec"]["action"] == "Allow" {
        value["spec"]["rules"] = serde_json::json!([]);
    }
    Some(Object { value: Arc::new(value), written: 0, ..object.clone() })
}

/// Whether it is one that is held closed.
pub(super) fn is_refused(object: &Object) -> bool {
    !object.value["metadata"]["annotations"][REFUSED].is_null()
}

/// What cannot be read of an object, with its field: why the schema refused it, or what was found since.
pub(super) fn unread(object: &Object, found: Option<&Report>) -> String {
    let refused = object.value["metadata"]["annotations"][REFUSED].as_str().map(str::to_owned);
    refused.or_else(|| found.map(placed)).unwrap_or_default()
}

fn placed(report: &Report) -> String {
    format!("{}: {}", report.path_text(), report.message.trim_end_matches('.'))
}

pub fn translate(objects: &[Object], inventory: &Inventory, workloads: &[Workload], out: &mut Translation) {
    let mut policies = Vec::new();
    for object in objects.iter().filter(|object| is_policy(object)) {
        let policy = one(object, objects, inventory, out);
        policies.extend((!policy.targets.is_empty()).then(|| Arc::new(policy)));
    }
    warn::about(&policies, workloads, out);
    out.resources.extend(policies.into_iter().map(Resource::Access));
}

fn one(object: &Object, objects: &[Object], inventory: &Inventory, out: &mut Translation) -> AccessPolicy {
    let is_refused = is_refused(object);
    let mut told: Vec<Report> = Vec::new();
    let mut rules = read::rules(object, &mut told);
    // An action that is no word of ours may have been meant to deny.
    let action = if object.at("/spec/action").as_str().is_none_or(|word| word == "Allow") { Action::Allow } else { Action::Deny };
    let wrong = told.iter().find(|report| report.severity == Severity::Error);
    if action == Action::Allow && wrong.is_some() {
        rules.clear();
    }
    let means = if action == Action::Allow { "it lets nobody in" } else { "it denies by the rest" };
    let broken =
        (is_refused || wrong.is_some()).then(|| format!("A part of the policy cannot be read: {means}. {}.", unread(object, wrong)));
    let mut ancestors = Vec::new();
    let targets = targets(object, objects, inventory, out, &mut told, &mut ancestors, broken.as_deref());
    let tier = match (&*object.object.kind, object.at("/spec/tier").as_str()) {
        (NAMESPACED, _) => Tier::Namespace,
        (_, Some("Baseline")) => Tier::Baseline,
        _ => Tier::Admin,
    };
    if !is_refused {
        out.reports.extend(told);
    }
    let own = ancestors.is_empty().then(|| accepted(broken.as_deref()));
    let conditions = own.into_iter().collect();
    out.statuses.push(Status { object: object.object.clone(), conditions, parents: ancestors, listeners: Vec::new() });
    let name = format!("{}.{}", object.object.kind.to_lowercase(), object.object.name);
    AccessPolicy {
        key: Key::new(Source::files(), Kind::Access, &object.object.namespace, &name),
        origin: object.origin(),
        tier,
        action,
        enforcement: if object.at("/spec/enforcement") == "DryRun" { Enforcement::DryRun } else { Enforcement::Enforce },
        targets,
        rules,
    }
}

fn accepted(broken: Option<&str>) -> model::Condition {
    match broken {
        Some(message) => condition("Accepted", false, "Invalid", message),
        None => condition("Accepted", true, "Accepted", "The policy is in force."),
    }
}

/// What is protected, with what each target says of it.
fn targets(
    object: &Object,
    objects: &[Object],
    inventory: &Inventory,
    out: &Translation,
    told: &mut Vec<Report>,
    ancestors: &mut Vec<ParentStatus>,
    broken: Option<&str>,
) -> Vec<AccessTarget> {
    let namespace = &object.object.namespace;
    let selector = object.at("/spec/workloadSelector/matchLabels");
    if let Some(labels) = selector.as_object() {
        let text = |value: &Value| value.as_str().unwrap_or("").into();
        let labels: Labels = labels.iter().map(|(name, value)| (name.as_str().into(), text(value))).collect();
        return vec![AccessTarget::Workloads { namespace: namespace.clone(), labels }];
    }
    let refs = object.at("/spec/targetRefs");
    if refs.is_null() {
        // A policy of a namespace that names nothing is refused by the schema: held closed, it is for all of the namespace.
        return vec![if object.is(GROUP, CLUSTER) { AccessTarget::Mesh } else { AccessTarget::Namespace(namespace.clone()) }];
    }
    let mut targets = Vec::new();
    for (i, target) in object.list("/spec/targetRefs").iter().enumerate() {
        let found = find(target, object, objects, inventory, out).map_err(|wrong| wrong.item(i).at("targetRefs").at("spec"));
        let accepted = match &found {
            Err(wrong) => {
                let severity = if wrong.reason == "TargetNotFound" { Severity::Warning } else { Severity::Error };
                told.push(Report { severity, ..wrong.report(&object.object) });
                condition("Accepted", false, wrong.reason, &wrong.message)
            }
            Ok(_) => accepted(broken),
        };
        targets.extend(found.ok());
        let (group, kind, name) =
            (text(target, "group").unwrap_or(""), text(target, "kind").unwrap_or(""), text(target, "name").unwrap_or(""));
        let whose = match kind {
            "Namespace" => "",
            _ => text(target, "namespace").unwrap_or(namespace),
        };
        let section = text(target, "sectionName").map(Arc::from);
        ancestors.push(ParentStatus { parent: ObjectRef::new(group, kind, whose, name), section, port: None, conditions: vec![accepted] });
    }
    targets
}

pub(super) fn find(
    target: &Value,
    object: &Object,
    objects: &[Object],
    inventory: &Inventory,
    out: &Translation,
) -> Result<AccessTarget, Wrong> {
    let is_cluster = object.is(GROUP, CLUSTER);
    let namespace = if is_cluster { text(target, "namespace").unwrap_or("") } else { &object.object.namespace };
    let (kind, name) = (text(target, "kind").unwrap_or(""), text(target, "name").unwrap_or(""));
    let section = text(target, "sectionName");
    let missing = || Wrong::new("TargetNotFound", format!("{kind} {namespace}/{name} does not exist yet.")).at("name");
    match kind {
        "Namespace" if is_cluster => Ok(AccessTarget::Namespace(name.into())),
        "Namespace" if name == namespace => Ok(AccessTarget::Namespace(name.into())),
        "Namespace" => {
            let wrong = Wrong::new("Invalid", format!("A policy of namespace {namespace} cannot be for namespace {name}."));
            Err(wrong.fix(format!("Put it into namespace {name}, or write a {CLUSTER}.")).at("name"))
        }
        "Service" => service(inventory, namespace, name, section).ok_or_else(missing)?,
        "Gateway" => {
            let exists =
                objects.iter().any(|o| o.is(GATEWAY_API, "Gateway") && *o.object.namespace == *namespace && *o.object.name == *name);
            let key = Key::new(Source::files(), Kind::Gateway, namespace, name);
            match section {
                _ if !exists => Err(missing()),
                None => Ok(AccessTarget::Gateway(key)),
                Some(section) => listener(out, &key, section),
            }
        }
        _ => route(out, kind, namespace, name, missing),
    }
}

fn service(inventory: &Inventory, namespace: &str, name: &str, section: Option<&str>) -> Option<Result<AccessTarget, Wrong>> {
    let service = inventory.service(namespace, name)?;
    let Some(section) = section else { return Some(Ok(AccessTarget::Service { service: service.key.clone(), port: None })) };
    let port = service.ports.iter().find(|port| port.name.as_deref() == Some(section));
    Some(match port {
        Some(port) => Ok(AccessTarget::Service { service: service.key.clone(), port: Some(port.number) }),
        None => {
            let names: Vec<&str> = service.ports.iter().filter_map(|port| port.name.as_deref()).collect();
            let wrong = Wrong::new("TargetNotFound", format!("Service {namespace}/{name} has no port named {section}.")).at("sectionName");
            Err(if names.is_empty() { wrong } else { wrong.fix(format!("Its ports are {}.", names.join(", "))) })
        }
    })
}

fn listener(out: &Translation, gateway: &Key, section: &str) -> Result<AccessTarget, Wrong> {
    let of = |resource: &Resource| match resource {
        Resource::Listener(l) if l.gateway == *gateway && *l.section == *section && l.protocol != ListenerProtocol::Udp => {
            Some(l.key.clone())
        }
        _ => None,
    };
    let found = out.resources.iter().find_map(of).map(AccessTarget::Listener);
    found.ok_or_else(|| Wrong::new("TargetNotFound", format!("The Gateway has no listener named {section}.")).at("sectionName"))
}

/// A route is asked for at gateways; calls by a route of a Service are judged beside the workload, which knows no route.
fn route(out: &Translation, kind: &str, namespace: &str, name: &str, missing: impl Fn() -> Wrong) -> Result<AccessTarget, Wrong> {
    let full = format!("{}.{name}", kind.to_lowercase());
    let of = |resource: &Resource| match resource {
        Resource::Route(r) if *r.key.namespace == *namespace && *r.key.name == *full => Some(r.clone()),
        _ => None,
    };
    let route = out.resources.iter().find_map(of).ok_or_else(missing)?;
    if route.attachments.iter().any(|at| matches!(at.target, Target::Listener(_))) {
        return Ok(AccessTarget::Route(route.key.clone()));
    }
    // A Gateway that it names may come yet.
    let wrong =
        Wrong::new("NoGateway", format!("{kind} {namespace}/{name} hangs on no Gateway: calls by it are judged beside the workload."));
    Err(wrong.fix("Target the Service.").at("name"))
}

#[cfg(test)]
mod tests;
