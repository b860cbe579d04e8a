//! Policies of rates: `RateLimitPolicy`. They run last, for they name what other passes made. A policy of which a part cannot be read is in force as far
//! as its other limits can be read, and says so; a target that does not exist yet is limited once it does.

use super::access::find;
use super::{GROUP, condition};
use crate::gateway_api::duration;
use crate::kubernetes::{Inventory, text};
use crate::wrong::{Within, Wrong};
use crate::{Object, Translation, limits};
use model::access::AccessTarget;
use model::rate::{CountBy, RateLimit, RatePolicy};
use model::{AppProtocol, Key, Kind, ObjectRef, ParentStatus, Report, Resource, Severity, Source, Status};
use serde_json::Value;
use std::sync::Arc;

const KIND: &str = "RateLimitPolicy";

pub fn translate(objects: &[Object], inventory: &Inventory, out: &mut Translation) {
    for object in objects.iter().filter(|object| object.is(GROUP, KIND)) {
        let policy = one(object, objects, inventory, out);
        if !policy.targets.is_empty() && !policy.limits.is_empty() {
            out.resources.push(Resource::RateLimit(Arc::new(policy)));
        }
    }
}

fn one(object: &Object, objects: &[Object], inventory: &Inventory, out: &mut Translation) -> RatePolicy {
    let mut limits = Vec::new();
    let mut broken: Option<Wrong> = None;
    for (i, value) in object.list("/spec/limits").iter().enumerate() {
        match limit(value).item(i).at("limits").at("spec") {
            Ok(limit) => limits.push(limit),
            Err(wrong) => {
                out.reports.push(wrong.report(&object.object));
                broken.get_or_insert(wrong);
            }
        }
    }
    let by_route = limits.iter().any(|limit| limit.by.contains(&CountBy::Route));
    let (mut targets, mut ancestors) = (Vec::new(), Vec::new());
    for (i, reference) in object.list("/spec/targetRefs").iter().enumerate() {
        let found = find(reference, object, objects, inventory, out).and_then(|target| knows_routes(target, by_route));
        let found = found.map_err(|wrong| wrong.item(i).at("targetRefs").at("spec"));
        let accepted = match (&found, &broken) {
            (Err(wrong), _) => {
                let severity = if wrong.reason == "TargetNotFound" { Severity::Warning } else { Severity::Error };
                out.reports.push(Report { severity, ..wrong.report(&object.object) });
                condition("Accepted", false, wrong.reason, &wrong.message)
            }
            (Ok(_), Some(wrong)) => condition("Accepted", false, "Invalid", &wrong.message),
            (Ok(_), None) => condition("Accepted", true, "Accepted", "The policy is in force."),
        };
        if let Some(note) = found.as_ref().ok().and_then(|target| carries_bytes(target, inventory)) {
            let note = note.item(i).at("targetRefs").at("spec").report(&object.object);
            out.reports.push(Report { severity: Severity::Warning, ..note });
        }
        targets.extend(found.ok());
        let word = |field: &str| text(reference, field).unwrap_or("");
        let parent = ObjectRef::new(
            word("group"),
            word("kind"),
            if word("kind") == "Namespace" { "" } else { &object.object.namespace },
            word("name"),
        );
        let section = text(reference, "sectionName").map(Arc::from);
        ancestors.push(ParentStatus { parent, section, port: None, conditions: vec![accepted] });
    }
    out.statuses.push(Status { object: object.object.clone(), conditions: Vec::new(), parents: ancestors, listeners: Vec::new() });
    let name = format!("{}.{}", KIND.to_lowercase(), object.object.name);
    RatePolicy {
        key: Key::new(Source::files(), Kind::RateLimit, &object.object.namespace, &name),
        origin: object.origin(),
        targets,
        limits,
    }
}

/// Beside a workload nobody knows by what route a request came: there all would be counted as one.
fn knows_routes(target: AccessTarget, by_route: bool) -> Result<AccessTarget, Wrong> {
    match target {
        AccessTarget::Gateway(_) | AccessTarget::Listener(_) | AccessTarget::Route(_) => Ok(target),
        _ if !by_route => Ok(target),
        _ => Err(Wrong::new("Invalid", "A limit by Route is for gateways, and this target is judged beside the workload.")
            .fix("Target the Gateway, or remove Route from by.")
            .at("kind")),
    }
}

fn limit(value: &Value) -> Result<RateLimit, Wrong> {
    let count = |field: &str| match value.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(found) => {
            let count = found.as_u64().filter(|count| (1..=limits::RATE).contains(count)).map(|count| count as u32);
            let wrong = || Wrong::new("Invalid", format!("{found} is no number from 1 to {}.", limits::RATE)).at(field);
            count.ok_or_else(wrong).map(Some)
        }
    };
    let missing = |field: &str| Wrong::new("Invalid", format!("{field} is missing.")).at(field);
    let name = text(value, "name").ok_or_else(|| missing("name"))?;
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
        return Err(Wrong::new("Invalid", format!("{name:?} is no name of a limit.")).at("name"));
    }
    let window = duration::read(text(value, "window").unwrap_or("1s")).at("window")?;
    if !limits::RATE_WINDOW.contains(&window) {
        return Err(Wrong::new("Invalid", format!("A window of {window:?} is not from 1s to 24h.")).at("window"));
    }
    let requests = count("requests")?.ok_or_else(|| missing("requests"))?;
    let by = match value.get("by") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(all)) => all.iter().enumerate().map(|(i, one)| by(one).item(i).at("by")).collect::<Result<_, _>>()?,
        Some(odd) => return Err(Wrong::new("Invalid", format!("{odd} is no list.")).at("by")),
    };
    Ok(RateLimit { name: name.into(), requests, window, burst: count("burst")?.unwrap_or(requests), by })
}

fn by(value: &Value) -> Result<CountBy, Wrong> {
    match text(value, "type").unwrap_or("") {
        "Identity" => Ok(CountBy::Identity),
        "ClientAddress" => Ok(CountBy::ClientAddress),
        "Route" => Ok(CountBy::Route),
        "Consumer" => Ok(CountBy::Consumer),
        "Header" => {
            let name = value.get("header").and_then(|header| text(header, "name")).unwrap_or("").to_ascii_lowercase();
            match !name.is_empty() && name.bytes().all(model::http::is_token_byte) {
                true => Ok(CountBy::Header(name.into())),
                false => Err(Wrong::new("Invalid", format!("{name:?} is no name of a header.")).at("name").at("header")),
            }
        }
        "Claim" => {
            let name = value.get("claim").and_then(|claim| text(claim, "name")).unwrap_or("");
            match !name.is_empty() && name.split('.').all(|step| !step.is_empty()) {
                true => Ok(CountBy::Claim(name.split('.').map(Arc::from).collect())),
                false => Err(Wrong::new("Invalid", format!("{name:?} is no name of a claim.")).at("name").at("claim")),
            }
        }
        other => Err(Wrong::new("Invalid", format!("{other:?} is nothing that requests are told apart by.")).at("type")),
    }
}

/// A limit counts requests, and a port of bytes has none.
fn carries_bytes(target: &AccessTarget, inventory: &Inventory) -> Option<Wrong> {
    let AccessTarget::Service { service, port } = target else { return None };
    let service = inventory.service(&service.namespace, &service.name)?;
    let bytes = |p: &model::ServicePort| matches!(p.protocol, AppProtocol::Tcp | AppProtocol::Tls | AppProtocol::Udp);
    let mut ports = service.ports.iter().filter(|p| port.is_none_or(|only| only == p.number));
    let name = &service.key.name;
    let message = format!("What is called of Service {}/{name} carries bytes: there are no requests to count.", service.key.namespace);
    ports.all(bytes).then(|| Wrong::new("NeedsHttp", message))
}

#[cfg(test)]
mod tests;
