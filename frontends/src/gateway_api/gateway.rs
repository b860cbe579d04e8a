//! The second pass: Gateways that are ours, and what each listener takes. Only HTTP listeners are served so far; others are
//! refused as `UnsupportedProtocol`, never served in the clear.

use super::{CONTROLLER, GROUP, condition};
use crate::kubernetes::{Inventory, labels_at, port, text};
use crate::{Object, Translation};
use model::*;
use serde_json::Value;
use std::sync::Arc;

/// A listener while routes are attached to it.
pub struct Door {
    pub gateway: ObjectRef,
    pub listener: Listener,
    pub attached: u32,
    from: Value,
    kinds: Vec<&'static str>,
    unknown_kind: bool,
    refused: Option<&'static str>,
    conflict: Option<&'static str>,
}

impl Door {
    pub fn admits(&self, kind: &str, namespace: &str, inventory: &Inventory) -> bool {
        let namespaces = match text(&self.from, "from").unwrap_or("Same") {
            "All" => true,
            "Same" => *self.gateway.namespace == *namespace,
            "Selector" => selects(self.from.get("selector").unwrap_or(&Value::Null), inventory.namespaces.get(namespace)),
            _ => false,
        };
        namespaces && self.kinds.contains(&kind)
    }
}

/// A label selector of Kubernetes; an operator nobody knows selects nothing.
fn selects(selector: &Value, labels: Option<&Labels>) -> bool {
    let Some(labels) = labels else { return false };
    let equal = labels_at(selector.get("matchLabels").unwrap_or(&Value::Null)).iter().all(|(k, v)| labels.get(k) == Some(v));
    let expressions = selector.get("matchExpressions").and_then(Value::as_array).into_iter().flatten();
    equal
        && expressions.into_iter().all(|expression| {
            let value = labels.get(text(expression, "key").unwrap_or(""));
            let listed = || {
                let values = expression.get("values").and_then(Value::as_array);
                values.into_iter().flatten().any(|v| v.as_str() == value.map(|v| &**v))
            };
            match text(expression, "operator") {
                Some("In") => value.is_some() && listed(),
                Some("NotIn") => value.is_none() || !listed(),
                Some("Exists") => value.is_some(),
                Some("DoesNotExist") => value.is_none(),
                _ => false,
            }
        })
}

/// Off Kubernetes the class `organza` needs no object; a GatewayClass object decides by its controller.
fn is_ours(gateway: &Object, objects: &[Object]) -> bool {
    let class = gateway.at("/spec/gatewayClassName").as_str().unwrap_or("");
    match objects.iter().find(|o| o.is(GROUP, "GatewayClass") && *o.object.name == *class) {
        Some(object) => object.at("/spec/controllerName").as_str() == Some(CONTROLLER),
        None => class == "organza",
    }
}

pub fn read(objects: &[Object]) -> Vec<Door> {
    let ours = objects.iter().filter(|o| o.is(GROUP, "Gateway") && is_ours(o, objects));
    ours.flat_map(|gateway| {
        let mut doors: Vec<Door> = gateway.list("/spec/listeners").iter().filter_map(|v| read_listener(gateway, v)).collect();
        mark_conflicts(&mut doors);
        doors
    })
    .collect()
}

fn read_listener(gateway: &Object, value: &Value) -> Option<Door> {
    let section = text(value, "name")?;
    let name = format!("{}.{section}", gateway.object.name);
    let protocol = match text(value, "protocol") {
        Some("HTTP") => Ok(ListenerProtocol::Http),
        Some("HTTPS") => Err(ListenerProtocol::Https),
        Some("TLS") => Err(ListenerProtocol::TlsPassthrough),
        Some("UDP") => Err(ListenerProtocol::Udp),
        _ => Err(ListenerProtocol::Tcp),
    };
    let hostname = text(value, "hostname").filter(|host| !host.is_empty()).map(HostPattern::parse);
    let refused = match (&protocol, &hostname) {
        (Err(_), _) => Some("UnsupportedProtocol"),
        (_, Some(Err(_))) => Some("Invalid"),
        _ => None,
    };
    let (kinds, unknown_kind) = read_kinds(value.pointer("/allowedRoutes/kinds"), protocol.is_ok());
    let key = |kind, name: &str| Key::new(Source::files(), kind, &gateway.object.namespace, name);
    Some(Door {
        gateway: gateway.object.clone(),
        listener: Listener {
            key: key(Kind::Listener, &name),
            origin: gateway.origin(),
            gateway: key(Kind::Gateway, &gateway.object.name),
            section: section.into(),
            addresses: gateway.list("/spec/addresses").iter().filter_map(|a| text(a, "value")?.parse().ok()).collect(),
            port: port(value, "port")?,
            protocol: protocol.unwrap_or_else(|other| other),
            hostname: hostname.and_then(Result::ok).unwrap_or(HostPattern::Any),
            tls: None,
            normalisation: Normalisation::default(),
            broken: None,
        },
        attached: 0,
        from: value.pointer("/allowedRoutes/namespaces").cloned().unwrap_or_default(),
        kinds,
        unknown_kind,
        refused,
        conflict: None,
    })
}

/// The kinds taken, and whether one was asked for that cannot be.
fn read_kinds(value: Option<&Value>, http: bool) -> (Vec<&'static str>, bool) {
    let can: &[&'static str] = if http { &["HTTPRoute", "GRPCRoute"] } else { &[] };
    let asked = value.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if asked.is_empty() {
        return (can.to_vec(), false);
    }
    let find = |v: &Value| {
        let group = text(v, "group").unwrap_or(GROUP) == GROUP;
        can.iter().copied().find(|kind| group && text(v, "kind") == Some(*kind))
    };
    (asked.iter().filter_map(find).collect(), asked.iter().any(|v| find(v).is_none()))
}

fn mark_conflicts(doors: &mut [Door]) {
    let seen: Vec<_> = doors.iter().map(|d| (d.listener.port, d.listener.protocol, d.listener.hostname.clone())).collect();
    for (i, door) in doors.iter_mut().enumerate() {
        let same = seen.iter().enumerate().filter(|(j, other)| *j != i && other.0 == door.listener.port);
        for (_, (_, protocol, hostname)) in same {
            if *protocol != door.listener.protocol {
                door.conflict = Some("ProtocolConflict");
            } else if *hostname == door.listener.hostname {
                door.conflict = door.conflict.or(Some("HostnameConflict"));
            }
        }
    }
    for door in doors {
        let reason = door.conflict.or(door.refused).or((door.unknown_kind && door.kinds.is_empty()).then_some("InvalidRouteKinds"));
        door.listener.broken = reason.map(Arc::from);
    }
}

fn listener_status(door: &Door) -> ListenerStatus {
    let refs = if door.unknown_kind { "InvalidRouteKinds" } else { "ResolvedRefs" };
    let serves = door.listener.broken.is_none() && !door.unknown_kind;
    ListenerStatus {
        name: door.listener.section.clone(),
        supported_kinds: door.kinds.iter().map(|kind| (Arc::from(GROUP), Arc::from(*kind))).collect(),
        attached_routes: door.attached,
        conditions: vec![
            condition("Accepted", door.refused.is_none(), door.refused.unwrap_or("Accepted"), ""),
            condition("ResolvedRefs", !door.unknown_kind, refs, ""),
            condition("Programmed", serves, if serves { "Programmed" } else { "Invalid" }, ""),
            condition("Conflicted", door.conflict.is_some(), door.conflict.unwrap_or("NoConflicts"), ""),
        ],
    }
}

/// Statuses of gateways and their listeners, once all routes are attached.
pub fn finish(doors: Vec<Door>, out: &mut Translation) {
    for group in doors.chunk_by(|a, b| a.gateway == b.gateway) {
        let served = group.iter().filter(|d| d.listener.broken.is_none()).count();
        let reason = if served == group.len() { "Accepted" } else { "ListenersNotValid" };
        // Until proxies acknowledge it, a gateway that could serve is pending; `control` overwrites this.
        let programmed = if served > 0 { "Pending" } else { "Invalid" };
        out.statuses.push(Status {
            object: group[0].gateway.clone(),
            conditions: vec![condition("Accepted", served > 0, reason, ""), condition("Programmed", false, programmed, "")],
            parents: Vec::new(),
            listeners: group.iter().map(listener_status).collect(),
        });
    }
    out.resources.extend(doors.into_iter().map(|door| Resource::Listener(Arc::new(door.listener))));
}
