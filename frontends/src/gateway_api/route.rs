//! The third pass: HTTPRoute and GRPCRoute. Each parent that is ours gets a status; each rule keeps its broken backends as values.

use super::gateway::Door;
use super::{GROUP, condition, filter, matches};
use crate::kubernetes::{Inventory, port, text};
use crate::{Object, Translation};
use model::report::Step;
use model::route::RankedMatch;
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
    let object = source.object;
    let (rules, faults) = read_rules(source, inventory, out);
    let hosts = read_hosts(object);
    let mut attachments = Vec::new();
    let mut parents = Vec::new();
    for parent in object.list("/spec/parentRefs") {
        let Some((target, found)) = attach(parent, object, &hosts, inventory, doors) else { continue };
        let found = match &faults.unsupported {
            Some(_) => Err("UnsupportedValue"),
            None => found,
        };
        let reason = *found.as_ref().err().unwrap_or(&"Accepted");
        let resolved = faults.unresolved.unwrap_or("ResolvedRefs");
        parents.push(ParentStatus {
            parent: target,
            section: text(parent, "sectionName").map(Arc::from),
            port: port(parent, "port"),
            conditions: vec![
                condition("Accepted", found.is_ok(), reason, faults.unsupported.as_deref().unwrap_or("")),
                condition("ResolvedRefs", faults.unresolved.is_none(), resolved, ""),
            ],
        });
        for (attachment, door) in found.into_iter().flatten() {
            if let Some(door) = door {
                doors[door].attached += 1;
            }
            attachments.push(attachment);
        }
    }
    if !parents.is_empty() {
        out.statuses.push(Status { object: object.object.clone(), conditions: Vec::new(), parents, listeners: Vec::new() });
    }
    if !attachments.is_empty() && !rules.is_empty() {
        let name = format!("{}.{}", object.object.kind.to_ascii_lowercase(), object.object.name);
        out.resources.push(Resource::Route(Arc::new(Route {
            key: Key::new(Source::files(), Kind::Route, &object.object.namespace, &name),
            origin: object.origin(),
            protocol: source.protocol,
            attachments,
            rules,
        })));
    }
}

fn read_hosts(object: &Object) -> Vec<HostPattern> {
    let listed = object.list("/spec/hostnames");
    match listed.is_empty() {
        true => vec![HostPattern::Any],
        false => listed.iter().filter_map(|h| HostPattern::parse(h.as_str()?).ok()).collect(),
    }
}

type Attached = Vec<(Attachment, Option<usize>)>;

/// `None`: the parent is not ours, and none of our business.
fn attach(
    parent: &Value,
    object: &Object,
    hosts: &[HostPattern],
    inventory: &Inventory,
    doors: &[Door],
) -> Option<(ObjectRef, Result<Attached, &'static str>)> {
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
) -> Result<Attached, &'static str> {
    let meant: Vec<usize> = (0..doors.len())
        .filter(|i| doors[*i].gateway == *target)
        .filter(|i| text(parent, "sectionName").is_none_or(|section| *section == *doors[*i].listener.section))
        .filter(|i| port(parent, "port").is_none_or(|port| port == doors[*i].listener.port))
        .collect();
    if meant.is_empty() {
        return Err("NoMatchingParent");
    }
    let admitted: Vec<usize> =
        meant.into_iter().filter(|i| doors[*i].admits(&object.object.kind, &object.object.namespace, inventory)).collect();
    if admitted.is_empty() {
        return Err("NotAllowedByListeners");
    }
    let attached: Attached = admitted
        .into_iter()
        .filter_map(|i| {
            let both: Vec<_> = hosts.iter().filter_map(|host| doors[i].listener.hostname.intersect(host)).collect();
            let target = Target::Listener(doors[i].listener.key.clone());
            (!both.is_empty()).then_some((Attachment { target, hosts: both }, Some(i)))
        })
        .collect();
    if attached.is_empty() { Err("NoMatchingListenerHostname") } else { Ok(attached) }
}

/// GAMMA: in the service's namespace a producer route, for all callers; elsewhere a consumer route, for callers of the
/// route's namespace. Hosts of the route mean nothing here.
fn attach_service(parent: &Value, target: &ObjectRef, object: &Object, inventory: &Inventory) -> Result<Attached, &'static str> {
    let service = inventory.service(&target.namespace, &target.name).ok_or("NoMatchingParent")?;
    let port = port(parent, "port");
    if port.is_some_and(|number| service.port(number).is_none()) {
        return Err("NoMatchingParent");
    }
    let callers = (target.namespace != object.object.namespace).then(|| object.object.namespace.clone());
    let target = Target::Service { service: service.key.clone(), port, callers };
    Ok(vec![(Attachment { target, hosts: vec![HostPattern::Any] }, None)])
}

/// What is wrong with the rules, as conditions name it.
#[derive(Default)]
struct Faults {
    unsupported: Option<String>,
    unresolved: Option<&'static str>,
}

fn read_rules(source: RouteObject<'_>, inventory: &Inventory, out: &mut Translation) -> (Vec<Rule>, Faults) {
    let object = source.object;
    let created = object.at("/metadata/creationTimestamp").as_str().and_then(seconds).unwrap_or(0);
    let name: Arc<str> = format!("{}/{}", object.object.namespace, object.object.name).into();
    let mut faults = Faults::default();
    let mut rules = Vec::new();
    for (i, value) in object.list("/spec/rules").iter().enumerate() {
        let mut report = |field: &str, reason: &str, message: String| {
            let path = ["spec", "rules"].map(|s| Step::Field(s.into())).into_iter();
            let path = path.chain([Step::Index(i), Step::Field(field.into())]).collect();
            let severity = Severity::Error;
            out.reports.push(Report { severity, object: object.object.clone(), path, reason: reason.into(), message, fix: None });
        };
        for field in ["timeouts", "retry", "sessionPersistence"].into_iter().filter(|f| value.get(*f).is_some()) {
            report(field, "UnsupportedValue", format!("{field} is not implemented yet"));
            faults.unsupported = Some(format!("{field} is not implemented yet"));
        }
        let rank = |order, position| Rank { order, created, name: name.clone(), rule: i as u32, position };
        let listed = value.get("matches").and_then(Value::as_array).filter(|m| !m.is_empty()).cloned();
        let mut all = Vec::new();
        for (position, value) in listed.unwrap_or_else(|| vec![Value::Null]).iter().enumerate() {
            let read = if source.protocol == RouteProtocol::Grpc { matches::grpc(value) } else { matches::http(value) };
            match read {
                Ok((matches, order)) => all.push(RankedMatch { rank: rank(order, position as u32), matches }),
                Err(message) => {
                    report("matches", "UnsupportedValue", message.clone());
                    faults.unsupported = Some(message);
                }
            }
        }
        let filters = read_filters(value);
        let mut backends = Vec::new();
        for value in value.get("backendRefs").and_then(Value::as_array).into_iter().flatten() {
            let backend = resolve(value, object, inventory);
            if let Backend::Invalid { reason, message } = &backend {
                report("backendRefs", reason.as_str(), message.to_string());
                faults.unresolved = faults.unresolved.or(Some(reason.as_str()));
            }
            let weight = value.get("weight").map_or(Some(1), Value::as_u64).unwrap_or(0).min(limits::WEIGHT.into()) as u32;
            backends.push(WeightedBackend { weight, backend, filters: read_filters(value) });
        }
        for filter in filters.iter().chain(backends.iter().flat_map(|b| &b.filters)) {
            if let Filter::Invalid { message } = filter {
                report("filters", "UnsupportedValue", message.to_string());
                faults.unsupported = Some(message.to_string());
            }
        }
        if !all.is_empty() {
            let name = text(value, "name").map_or_else(|| format!("rule-{i}"), str::to_owned).into();
            rules.push(Rule { name, matches: all, filters, backends, timeouts: Timeouts::default(), retry: None });
        }
    }
    (rules, faults)
}

fn read_filters(value: &Value) -> Vec<Filter> {
    value.get("filters").and_then(Value::as_array).into_iter().flatten().map(filter::read).collect()
}

fn resolve(value: &Value, object: &Object, inventory: &Inventory) -> Backend {
    let invalid = |reason, message: String| Backend::Invalid { reason, message: message.into() };
    let (group, kind) = (text(value, "group").unwrap_or(""), text(value, "kind").unwrap_or("Service"));
    let namespace = text(value, "namespace").unwrap_or(&object.object.namespace);
    let target = ObjectRef::new(group, kind, namespace, text(value, "name").unwrap_or(""));
    if (group, kind) != ("", "Service") {
        return invalid(InvalidBackend::InvalidKind, format!("{kind} is no kind of backend that is supported"));
    }
    if !inventory.permits(&object.object, &target) {
        return invalid(
            InvalidBackend::RefNotPermitted,
            format!("no ReferenceGrant in {namespace} lets {} refer to {target}", object.object),
        );
    }
    let found = inventory.service(namespace, &target.name);
    match (found, port(value, "port")) {
        (None, _) => invalid(InvalidBackend::BackendNotFound, format!("{target} does not exist")),
        (Some(service), Some(port)) if service.port(port).is_some() => {
            Backend::Service(ServiceRef { service: service.key.clone(), port, subset: None })
        }
        (Some(_), port) => invalid(InvalidBackend::BackendNotFound, format!("{target} has no port {}", port.unwrap_or(0))),
    }
}

/// Seconds since the epoch of `2026-01-31T10:20:30Z`, the form that Kubernetes writes.
fn seconds(text: &str) -> Option<u64> {
    let part = |range: std::ops::Range<usize>| text.get(range)?.parse::<u64>().ok();
    let (y, m, d) = (part(0..4)?, part(5..7)?, part(8..10)?);
    let (y, m) = if m > 2 { (y, m - 3) } else { (y.checked_sub(1)?, m + 9) };
    let days = (365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + d).checked_sub(719_469)?;
    Some(days * 86_400 + part(11..13)? * 3_600 + part(14..16)? * 60 + part(17..19)?)
}
