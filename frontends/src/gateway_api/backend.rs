//! References to backends: what they name, whether they may, and whether it can carry the route. A broken one is a value that
//! keeps its weight and answers 500.

use super::external::{self, Externals, Found};
use super::mesh;
use crate::kubernetes::{Inventory, port, text};
use crate::wrong::Wrong;
use model::*;
use serde_json::Value;

/// All that can be referred to.
#[derive(Clone, Copy)]
pub struct World<'a> {
    pub inventory: &'a Inventory,
    pub externals: &'a Externals,
    pub claims: &'a mesh::Claims,
    /// Whether the route hangs on Services alone, and so may refer to Services of any namespace.
    pub meshed: bool,
}

pub fn resolve(value: &Value, from: &ObjectRef, protocol: RouteProtocol, world: &World<'_>) -> Result<Backend, Wrong> {
    let World { inventory, externals, .. } = world;
    let (group, kind) = (text(value, "group").unwrap_or(""), text(value, "kind").unwrap_or("Service"));
    let namespace = text(value, "namespace").unwrap_or(&from.namespace);
    let target = ObjectRef::new(group, kind, namespace, text(value, "name").unwrap_or(""));
    if !matches!((group, kind), ("", "Service") | (external::GROUP, "XBackend")) {
        let wrong = Wrong::new(InvalidBackend::InvalidKind.as_str(), format!("A backend cannot be a {kind} of group {group:?}."));
        return Err(wrong.fix("Refer to a Service or an XBackend.").at(if group.is_empty() { "kind" } else { "group" }));
    }
    let free = world.meshed && kind == "Service";
    if !free && !inventory.permits(from, &target) {
        let wrong = Wrong::new(
            InvalidBackend::RefNotPermitted.as_str(),
            format!("No ReferenceGrant in namespace {namespace} lets {from} refer to {target}."),
        );
        let fix = format!("Add a ReferenceGrant to namespace {namespace}, from {} of namespace {} to {kind}.", from.kind, from.namespace);
        return Err(wrong.fix(fix).at("namespace"));
    }
    let name = (target.namespace.clone(), target.name.clone());
    let number = port(value, "port");
    if kind == "XBackend" {
        let found = externals.get(&name).ok_or_else(|| missing(format!("{target} does not exist.")).at("name"))?;
        let found = found.as_ref().map_err(|wrong| {
            Wrong::new(InvalidBackend::UnsupportedValue.as_str(), format!("{target} cannot be used: {}", wrong.message)).at("name")
        })?;
        let (speaks, only, is_secured) = match found {
            Found::Host(host) => (host.protocol, host.port, false),
            Found::Selected(selected) => (selected.protocol, selected.port, selected.tls.is_some()),
        };
        // Since v1.7 there is no other place for it.
        if number.is_some_and(|number| number != only) {
            return Err(missing(format!("{target} has no port but {only}.")).at("port"));
        }
        fits(speaks, protocol, is_secured, &target, only, from)?;
        return Ok(match found {
            Found::Host(host) => Backend::External(host.clone()),
            Found::Selected(to) => Backend::Service(ServiceRef { service: to.service.clone(), port: to.port, subset: None }),
        });
    }
    let service = inventory
        .services
        .get(&name)
        .ok_or_else(|| missing(format!("{target} does not exist.")).fix("Create the Service, or correct the name.").at("name"))?;
    if inventory.external_names.contains(&name) {
        let wrong =
            Wrong::new(InvalidBackend::UnsupportedValue.as_str(), format!("{target} is of type ExternalName, which is not followed."));
        return Err(wrong.fix("Use an XBackend of type ExternalHostname.").at("name"));
    }
    let number = number.ok_or_else(|| missing(format!("The reference to {target} names no port.")).at("port"))?;
    // A Service may have one number for connections and for datagrams.
    let fitting = service.datagram_port(number).filter(|_| protocol == RouteProtocol::Udp);
    let Some(found) = fitting.or_else(|| service.port(number)) else {
        let known: Vec<String> = service.ports.iter().map(|p| p.number.to_string()).collect();
        return Err(missing(format!("{target} has no port {number}.")).fix(format!("Its ports are: {}.", known.join(", "))).at("port"));
    };
    fits(found.protocol, protocol, service.tls(number).is_some(), &target, number, from)?;
    Ok(Backend::Service(ServiceRef { service: service.key.clone(), port: number, subset: None }))
}

fn missing(message: String) -> Wrong {
    Wrong::new(InvalidBackend::BackendNotFound.as_str(), message)
}

/// `secured`: a policy says how TLS is spoken to it.
fn fits(port: AppProtocol, route: RouteProtocol, secured: bool, target: &ObjectRef, number: u16, from: &ObjectRef) -> Result<(), Wrong> {
    if carries(port, route, secured) {
        return Ok(());
    }
    let message = format!("Port {number} of {target} speaks {}, which cannot carry what {from} takes.", port.as_str());
    let wrong = Wrong::new(InvalidBackend::UnsupportedProtocol.as_str(), message);
    let fix = match port {
        AppProtocol::Tls => "Say by a BackendTLSPolicy how TLS is spoken to it, or use a TLSRoute.",
        _ => "Correct the port's protocol, or use a route of another kind.",
    };
    Err(wrong.fix(fix).at("port"))
}

/// A port of the application's own TLS takes requests only from one who speaks TLS to it.
fn carries(port: AppProtocol, route: RouteProtocol, secured: bool) -> bool {
    match route {
        RouteProtocol::Http | RouteProtocol::Grpc => port == AppProtocol::Detect || port.is_http() || secured && port == AppProtocol::Tls,
        RouteProtocol::Tcp | RouteProtocol::Tls => port != AppProtocol::Udp,
        RouteProtocol::Udp => matches!(port, AppProtocol::Udp),
    }
}

/// The broken reference as the value that carries its weight.
pub fn invalid(wrong: &Wrong) -> Backend {
    let reason = InvalidBackend::ALL.into_iter().find(|known| known.as_str() == wrong.reason);
    Backend::Invalid { reason: reason.unwrap_or(InvalidBackend::UnsupportedValue), message: wrong.message.as_str().into() }
}
