//! The third pass: routes of all kinds. Each parent that is ours gets a status; each rule keeps its broken backends as values.

use super::backend::World;
use super::gateway::Gateways;
use super::listener::Door;
use super::rule::{self, Rules};
use super::{GROUP, condition, mesh};
use crate::kubernetes::{Inventory, port, text};
use crate::wrong::Wrong;
use crate::{Object, Translation};
use model::*;
use serde_json::{Value, json};
use std::sync::Arc;

/// A route of a kind that is translated.
#[derive(Clone, Copy)]
pub struct RouteObject<'a> {
    pub object: &'a Object,
    pub protocol: RouteProtocol,
    /// Seconds since the epoch.
    pub created: u64,
}

impl<'a> RouteObject<'a> {
    pub fn of(object: &'a Object) -> Option<Self> {
        let protocol = match (&*object.object.group, &*object.object.kind) {
            (GROUP, "HTTPRoute") => RouteProtocol::Http,
            (GROUP, "GRPCRoute") => RouteProtocol::Grpc,
            (GROUP, "TLSRoute") => RouteProtocol::Tls,
            (GROUP, "TCPRoute") => RouteProtocol::Tcp,
            (GROUP, "UDPRoute") => RouteProtocol::Udp,
            _ => return None,
        };
        let created = object.at("/metadata/creationTimestamp").as_str().and_then(seconds).unwrap_or(0);
        Some(Self { object, protocol, created })
    }

    /// Older routes first, then by `namespace/name`; the kind decides nothing but makes it one order.
    pub fn age(&self) -> (u64, &str, &str, &str) {
        let ObjectRef { namespace, name, kind, .. } = &self.object.object;
        (self.created, namespace, name, kind)
    }
}

pub fn translate(source: RouteObject<'_>, world: &World<'_>, gateways: &mut Gateways, out: &mut Translation) {
    let RouteObject { object, protocol, created } = source;
    let wanted = wanted_parents(object, gateways);
    // A route on Services alone widens nothing: its callers may call the backends without it (GEP-1294, "Namespace boundaries").
    let meshed = !wanted.is_empty() && wanted.iter().all(|(_, parent)| mesh::is_service(parent));
    let world = &World { meshed, ..*world };
    let mut reader = rule::Reader { object, protocol, world, created, reports: Vec::new() };
    let rules = reader.read();
    let mut reports = reader.reports;
    let hosts = read_hosts(object, &mut reports);
    let refused = refusal(&rules);
    if wanted.is_empty() {
        let wrong = Wrong::new("NoMatchingParent", "The route hangs on nothing, so nobody uses it.")
            .fix("Name a Gateway or a Service in parentRefs.");
        out.reports.push(Report { severity: Severity::Warning, ..wrong.at("spec").report(&object.object) });
    }
    let mut attachments: Vec<Attachment> = Vec::new();
    let mut parents = Vec::new();
    for (index, parent) in &wanted {
        let placed = |wrong: Wrong| match index {
            Some(i) => wrong.item(*i).at("parentRefs").at("spec").report(&object.object),
            None => wrong.at("useDefaultGateways").at("spec").report(&object.object),
        };
        let Some((target, found)) = attach(parent, source, &hosts, world, gateways) else {
            let found = stray(parent, object, gateways);
            out.reports.extend(found.map(|(severity, wrong)| Report { severity, ..placed(wrong) }));
            continue;
        };
        reports.extend(found.as_ref().err().cloned().map(placed));
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
                let door = &mut gateways.doors[door];
                door.attached += 1;
                door.claim(protocol, &attachment.hosts);
            }
            attachments.push(attachment);
        }
    }
    // A route that only others serve is theirs to judge; one that nobody serves is judged, so that all its mistakes are told at once.
    let theirs = !wanted.is_empty() && wanted.iter().all(|(_, parent)| gateways.foreign.contains(&parent_of(parent, object)));
    if !theirs {
        out.reports.append(&mut reports);
    }
    if parents.is_empty() {
        return;
    }
    out.statuses.push(Status { object: object.object.clone(), conditions: Vec::new(), parents, listeners: Vec::new() });
    if !attachments.is_empty() && !rules.rules.is_empty() {
        let name = format!("{}.{}", object.object.kind.to_ascii_lowercase(), object.object.name);
        let key = Key::new(Source::files(), Kind::Route, &object.object.namespace, &name);
        let rules = rules.rules;
        out.resources.push(Resource::Route(Arc::new(Route { key, origin: object.origin(), protocol, attachments, rules })));
    }
}

fn parent_of(parent: &Value, object: &Object) -> ObjectRef {
    let (group, kind) = (text(parent, "group").unwrap_or(GROUP), text(parent, "kind").unwrap_or("Gateway"));
    let namespace = text(parent, "namespace").unwrap_or(&object.object.namespace);
    ObjectRef::new(group, kind, namespace, text(parent, "name").unwrap_or(""))
}

/// The parents that the route names, by their place, and the Gateways that take every route that asks for a default one (GEP-3793).
fn wanted_parents(object: &Object, gateways: &Gateways) -> Vec<(Option<usize>, Value)> {
    let named = object.list("/spec/parentRefs");
    let mut wanted: Vec<_> = named.iter().cloned().enumerate().map(|(i, parent)| (Some(i), parent)).collect();
    if object.at("/spec/useDefaultGateways").as_str() != Some("All") {
        return wanted;
    }
    for default in &gateways.defaults {
        // A route that names the Gateway says more of what it wants there.
        if !named.iter().any(|parent| parent_of(parent, object) == *default) {
            wanted.push((None, json!({"namespace": &*default.namespace, "name": &*default.name})));
        }
    }
    wanted
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
    source: RouteObject<'_>,
    hosts: &[HostPattern],
    world: &World<'_>,
    gateways: &Gateways,
) -> Option<(ObjectRef, Result<Attached, Wrong>)> {
    let object = source.object;
    let target = parent_of(parent, object);
    let found = match (&*target.group, &*target.kind) {
        (GROUP, "Gateway" | "ListenerSet") if gateways.knows(&target) => {
            attach_gateway(parent, &target, source, hosts, world.inventory, &gateways.doors)
        }
        ("", "Service") => {
            mesh::attach(parent, source, world.inventory, world.claims).map(|all| all.into_iter().map(|one| (one, None)).collect())
        }
        _ => return None,
    };
    Some((target, found))
}

/// A parent that nobody serves. There is no status to say so in, for a Gateway that does not exist has no controller.
fn stray(parent: &Value, object: &Object, gateways: &Gateways) -> Option<(Severity, Wrong)> {
    let target = parent_of(parent, object);
    let ObjectRef { group, kind, namespace, .. } = &target;
    match (&**group, &**kind) {
        (GROUP, "Gateway") if gateways.foreign.contains(&target) => None,
        (GROUP, "Gateway") => {
            let near = gateways.names_in(namespace);
            let fix = match near.is_empty() {
                true => format!("Create the Gateway; namespace {namespace} has none."),
                false => format!("Gateways of namespace {namespace}: {}.", near.join(", ")),
            };
            Some((Severity::Error, Wrong::new("NoMatchingParent", format!("{target} does not exist.")).fix(fix).at("name")))
        }
        _ => {
            let wrong = Wrong::new("InvalidKind", format!("A route cannot hang on a {kind} of group {group:?}."));
            let field = if **group == *GROUP || group.is_empty() { "kind" } else { "group" };
            Some((Severity::Warning, wrong.fix("Refer to a Gateway or a Service.").at(field)))
        }
    }
}

/// Narrows the Gateway's listeners step by step; the step that leaves none is the reason.
fn attach_gateway(
    parent: &Value,
    target: &ObjectRef,
    source: RouteObject<'_>,
    hosts: &[HostPattern],
    inventory: &Inventory,
    doors: &[Door],
) -> Result<Attached, Wrong> {
    let ObjectRef { kind, namespace, .. } = &source.object.object;
    let (section, number) = (text(parent, "sectionName"), port(parent, "port"));
    if !doors.iter().any(|door| door.owner == *target) {
        return Err(no_parent(format!("{target} has no listener that counts.")).fix("Mend it, or refer to another."));
    }
    let mut meant: Vec<usize> = (0..doors.len())
        .filter(|i| doors[*i].owner == *target)
        .filter(|i| section.is_none_or(|section| *section == *doors[*i].listener.section))
        .filter(|i| number.is_none_or(|port| port == doors[*i].listener.port))
        .collect();
    if meant.is_empty() {
        let wrong = no_parent(format!("{target} has no such listener."));
        let names: Vec<&str> = doors.iter().filter(|d| d.owner == *target).map(|d| &*d.listener.section).collect();
        let wrong = wrong.fix(format!("Its listeners are: {}.", names.join(", ")));
        return Err(if section.is_some() { wrong.at("sectionName") } else { wrong.at("port") });
    }
    meant.retain(|i| doors[*i].admits(kind, namespace, inventory));
    if meant.is_empty() {
        let wrong = Wrong::new("NotAllowedByListeners", format!("No listener of {target} allows {kind}s of namespace {namespace}."));
        return Err(wrong.fix("Widen allowedRoutes of the listener."));
    }
    meant.retain(|i| doors[*i].accepted());
    if meant.is_empty() {
        return Err(no_parent(format!("No listener of {target} that allows the route is accepted.")).fix("Mend the listener."));
    }
    let mut attached: Attached = Vec::new();
    let mut contested = false;
    for i in meant {
        let both: Vec<_> = hosts.iter().filter_map(|host| doors[i].listener.hostname.intersect(host)).collect();
        if doors[i].contested(source.protocol, &both) {
            contested = true;
        } else if !both.is_empty() {
            attached.push((Attachment { target: Target::Listener(doors[i].listener.key.clone()), hosts: both }, Some(i)));
        }
    }
    match (attached.is_empty(), contested) {
        (false, _) => Ok(attached),
        (true, true) => {
            let other = if source.protocol == RouteProtocol::Http { "GRPCRoute" } else { "HTTPRoute" };
            let wrong = Wrong::new("HostnameConflict", format!("An older {other} already has a host name of this route on {target}."));
            Err(wrong.fix("Give the two routes host names, or listeners, of their own."))
        }
        (true, false) => {
            let wrong = Wrong::new("NoMatchingListenerHostname", format!("No host name of the route is one of {target}."));
            Err(wrong.fix("Give the route a host name that the listener has, or widen the listener's."))
        }
    }
}

fn no_parent(message: String) -> Wrong {
    Wrong::new("NoMatchingParent", message)
}

/// Seconds since the epoch of `2026-01-31T10:20:30Z`, the form that Kubernetes writes.
pub fn seconds(text: &str) -> Option<u64> {
    let part = |range: std::ops::Range<usize>| text.get(range)?.parse::<u64>().ok();
    let (y, m, d) = (part(0..4)?, part(5..7)?, part(8..10)?);
    let (y, m) = if m > 2 { (y, m - 3) } else { (y.checked_sub(1)?, m + 9) };
    let days = (365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + d).checked_sub(719_469)?;
    Some(days * 86_400 + part(11..13)? * 3_600 + part(14..16)? * 60 + part(17..19)?)
}
