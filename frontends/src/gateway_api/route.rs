//! The third pass: HTTPRoute and GRPCRoute. Each parent that is ours gets a status; each rule keeps its broken backends as values.

use super::gateway::Door;
use super::rule::{self, Rules};
use super::wrong::Wrong;
use super::{GROUP, condition};
use crate::kubernetes::{Inventory, port, text};
use crate::{Object, Translation};
use model::*;
use serde_json::Value;
use std::sync::Arc;

/// A route of a kind that is translated.
#[derive(Clone, Copy)]
pub struct RouteObject<'a> {
    pub object: &'a Object,
    pub protocol: RouteProtocol,
}

pub fn kind_of(object: &Object) -> Option<RouteObject<'_>> {
    let protocol = match (&*object.object.group, &*object.object.kind) {
        (GROUP, "HTTPRoute") => RouteProtocol::Http,
        (GROUP, "GRPCRoute") => RouteProtocol::Grpc,
        _ => return None,
    };
    Some(RouteObject { object, protocol })
}

pub fn translate(source: RouteObject<'_>, inventory: &Inventory, doors: &mut [Door], out: &mut Translation) {
    let RouteObject { object, protocol } = source;
    let created = object.at("/metadata/creationTimestamp").as_str().and_then(seconds).unwrap_or(0);
    let mut reader = rule::Reader { object, protocol, inventory, created, reports: Vec::new() };
    let rules = reader.read();
    let mut reports = reader.reports;
    let hosts = read_hosts(object, &mut reports);
    let refused = refusal(&rules);
    let mut attachments: Vec<Attachment> = Vec::new();
    let mut parents = Vec::new();
    for (i, parent) in object.list("/spec/parentRefs").iter().enumerate() {
        let Some((target, found)) = attach(parent, object, &hosts, inventory, doors) else { continue };
        reports.extend(found.as_ref().err().map(|wrong| wrong.clone().item(i).at("parentRefs").at("spec").report(&object.object)));
        let verdict = found.as_ref().err().or(refused.as_ref());
        parents.push(ParentStatus {
            parent: target,
            section: text(parent, "sectionName").map(Arc::from),
            port: port(parent, "port"),
            conditions: conditions(verdict, &rules),
        });
        for (attachment, door) in found.into_iter().flatten() {
            // Two references to one listener attach the route once.
            if attachments.iter().any(|known| known.target == attachment.target) {
                continue;
            }
            if let Some(door) = door
                && refused.is_none()
            {
                doors[door].attached += 1;
            }
            attachments.push(attachment);
        }
    }
    // A route that has no parent of ours is nobody's business here, its mistakes included.
    if parents.is_empty() {
        return;
    }
    out.reports.append(&mut reports);
    out.statuses.push(Status { object: object.object.clone(), conditions: Vec::new(), parents, listeners: Vec::new() });
    if !attachments.is_empty() && !rules.rules.is_empty() {
        let name = format!("{}.{}", object.object.kind.to_ascii_lowercase(), object.object.name);
        let key = Key::new(Source::files(), Kind::Route, &object.object.namespace, &name);
        let rules = rules.rules;
        out.resources.push(Resource::Route(Arc::new(Route { key, origin: object.origin(), protocol, attachments, rules })));
    }
}

/// A route of which every rule is broken is not accepted. Its rules still answer 500 where they match.
fn refusal(rules: &Rules) -> Option<Wrong> {
    let (_, first) = rules.broken.first()?;
    (rules.broken.len() == rules.count).then(|| first.clone())
}

fn conditions(verdict: Option<&Wrong>, rules: &Rules) -> Vec<Condition> {
    let accepted = match verdict {
        Some(wrong) => condition("Accepted", false, wrong.reason, &wrong.message),
        None => condition("Accepted", true, "Accepted", "The parent takes the route."),
    };
    let resolved = match &rules.unresolved[..] {
        [] => condition("ResolvedRefs", true, "ResolvedRefs", "All references lead somewhere."),
        [first, ..] => {
            let all: Vec<&str> = rules.unresolved.iter().map(|wrong| wrong.message.as_str()).collect();
            condition("ResolvedRefs", false, first.reason, &all.join(" "))
        }
    };
    let mut conditions = vec![accepted, resolved];
    if let (None, [first, ..]) = (verdict, &rules.broken[..]) {
        let each = rules.broken.iter().map(|(name, wrong)| format!("Dropped Rule {name}, which answers 500: {}", wrong.message));
        conditions.push(condition("PartiallyInvalid", true, first.1.reason, &each.collect::<Vec<_>>().join(" ")));
    }
    conditions
}

fn read_hosts(object: &Object, reports: &mut Vec<Report>) -> Vec<HostPattern> {
    let listed = object.list("/spec/hostnames");
    if listed.is_empty() {
        return vec![HostPattern::Any];
    }
    let mut hosts = Vec::new();
    for (i, host) in listed.iter().enumerate() {
        let name = host.as_str().unwrap_or("");
        match HostPattern::parse(name) {
            Ok(host) if hosts.contains(&host) => {}
            Ok(host) => hosts.push(host),
            Err(e) => {
                let wrong = Wrong::new("InvalidValue", format!("The host name {name:?} {e}.")).item(i).at("hostnames").at("spec");
                reports.push(wrong.report(&object.object));
            }
        }
    }
    hosts
}

type Attached = Vec<(Attachment, Option<usize>)>;

/// `None`: the parent is not ours, and none of our business.
fn attach(
    parent: &Value,
    object: &Object,
    hosts: &[HostPattern],
    inventory: &Inventory,
    doors: &[Door],
) -> Option<(ObjectRef, Result<Attached, Wrong>)> {
    let namespace = text(parent, "namespace").unwrap_or(&object.object.namespace);
    let (group, kind) = (text(parent, "group").unwrap_or(GROUP), text(parent, "kind").unwrap_or("Gateway"));
    let target = ObjectRef::new(group, kind, namespace, text(parent, "name")?);
    let found = match (group, kind) {
        (GROUP, "Gateway") => {
            doors.iter().any(|d| d.gateway == target).then(|| attach_gateway(parent, &target, object, hosts, inventory, doors))?
        }
        ("", "Service") => attach_service(parent, &target, object, inventory),
        _ => return None,
    };
    Some((target, found))
}

fn attach_gateway(
    parent: &Value,
    target: &ObjectRef,
    object: &Object,
    hosts: &[HostPattern],
    inventory: &Inventory,
    doors: &[Door],
) -> Result<Attached, Wrong> {
    let meant: Vec<usize> = (0..doors.len())
        .filter(|i| doors[*i].gateway == *target)
        .filter(|i| text(parent, "sectionName").is_none_or(|section| *section == *doors[*i].listener.section))
        .filter(|i| port(parent, "port").is_none_or(|port| port == doors[*i].listener.port))
        .collect();
    if meant.is_empty() {
        return Err(no_parent(format!("{target} has no such listener.")));
    }
    let admitted: Vec<usize> =
        meant.into_iter().filter(|i| doors[*i].admits(&object.object.kind, &object.object.namespace, inventory)).collect();
    if admitted.is_empty() {
        let wanted = format!("No listener of {target} allows {}s of namespace {}.", object.object.kind, object.object.namespace);
        return Err(Wrong::new("NotAllowedByListeners", wanted).fix("Widen allowedRoutes of the listener."));
    }
    let attached: Attached = admitted
        .into_iter()
        .filter_map(|i| {
            let both: Vec<_> = hosts.iter().filter_map(|host| doors[i].listener.hostname.intersect(host)).collect();
            let target = Target::Listener(doors[i].listener.key.clone());
            (!both.is_empty()).then_some((Attachment { target, hosts: both }, Some(i)))
        })
        .collect();
    match attached.is_empty() {
        true => Err(Wrong::new("NoMatchingListenerHostname", format!("No host name of the route is one of {target}."))),
        false => Ok(attached),
    }
}

fn no_parent(message: String) -> Wrong {
    Wrong::new("NoMatchingParent", message)
}

/// GAMMA: in the service's namespace a producer route, for all callers; elsewhere a consumer route, for callers of the
/// route's namespace. Hosts of the route mean nothing here.
fn attach_service(parent: &Value, target: &ObjectRef, object: &Object, inventory: &Inventory) -> Result<Attached, Wrong> {
    let service = inventory.service(&target.namespace, &target.name).ok_or_else(|| no_parent(format!("{target} does not exist.")))?;
    let port = port(parent, "port");
    if let Some(number) = port.filter(|number| service.port(*number).is_none()) {
        return Err(no_parent(format!("{target} has no port {number}.")));
    }
    let callers = (target.namespace != object.object.namespace).then(|| object.object.namespace.clone());
    let target = Target::Service { service: service.key.clone(), port, callers };
    Ok(vec![(Attachment { target, hosts: vec![HostPattern::Any] }, None)])
}

/// Seconds since the epoch of `2026-01-31T10:20:30Z`, the form that Kubernetes writes.
pub fn seconds(text: &str) -> Option<u64> {
    let part = |range: std::ops::Range<usize>| text.get(range)?.parse::<u64>().ok();
    let (y, m, d) = (part(0..4)?, part(5..7)?, part(8..10)?);
    let (y, m) = if m > 2 { (y, m - 3) } else { (y.checked_sub(1)?, m + 9) };
    let days = (365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + d).checked_sub(719_469)?;
    Some(days * 86_400 + part(11..13)? * 3_600 + part(14..16)? * 60 + part(17..19)?)
}
