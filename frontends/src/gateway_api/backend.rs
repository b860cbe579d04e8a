//! References to backends: what they name, whether they may, and whether it can carry the route. A broken one is a value that
//! keeps its weight and answers 500.

use super::wrong::Wrong;
use crate::kubernetes::{Inventory, port, text};
use model::*;
use serde_json::Value;

pub fn resolve(value: &Value, from: &ObjectRef, protocol: RouteProtocol, inventory: &Inventory) -> Result<Backend, Wrong> {
    let (group, kind) = (text(value, "group").unwrap_or(""), text(value, "kind").unwrap_or("Service"));
    let namespace = text(value, "namespace").unwrap_or(&from.namespace);
    let target = ObjectRef::new(group, kind, namespace, text(value, "name").unwrap_or(""));
    if (group, kind) != ("", "Service") {
        let wrong = Wrong::new(InvalidBackend::InvalidKind.as_str(), format!("A backend cannot be a {kind} of group {group:?}."));
        return Err(wrong.fix("Refer to a Service.").at(if group.is_empty() { "kind" } else { "group" }));
    }
    if !inventory.permits(from, &target) {
        let wrong = Wrong::new(
            InvalidBackend::RefNotPermitted.as_str(),
            format!("No ReferenceGrant in namespace {namespace} lets {from} refer to {target}."),
        );
        let fix = format!("Add a ReferenceGrant to namespace {namespace}, from {} of namespace {} to Service.", from.kind, from.namespace);
        return Err(wrong.fix(fix).at("namespace"));
    }
    let missing = |message: String| Wrong::new(InvalidBackend::BackendNotFound.as_str(), message);
    let service = inventory
        .service(namespace, &target.name)
        .ok_or_else(|| missing(format!("{target} does not exist.")).fix("Create the Service, or correct the name.").at("name"))?;
    let number = port(value, "port").ok_or_else(|| missing(format!("The reference to {target} names no port.")).at("port"))?;
    let Some(found) = service.port(number) else {
        let known: Vec<String> = service.ports.iter().map(|p| p.number.to_string()).collect();
        let wrong = missing(format!("{target} has no port {number}."));
        return Err(wrong.fix(format!("Its ports are: {}.", known.join(", "))).at("port"));
    };
    if !carries(found.protocol, protocol) {
        let wrong = Wrong::new(
            InvalidBackend::UnsupportedProtocol.as_str(),
            format!("Port {number} of {target} speaks {}, which cannot carry the requests of {from}.", found.protocol.as_str()),
        );
        return Err(wrong.fix("Correct the port's appProtocol, or use a route of another kind.").at("port"));
    }
    Ok(Backend::Service(ServiceRef { service: service.key.clone(), port: number, subset: None }))
}

/// A port of the application's own TLS takes requests only from one who speaks TLS to it, which nothing here asks for yet.
fn carries(port: AppProtocol, route: RouteProtocol) -> bool {
    match route {
        RouteProtocol::Http | RouteProtocol::Grpc => port == AppProtocol::Detect || port.is_http(),
        RouteProtocol::Tcp | RouteProtocol::Tls => port != AppProtocol::Udp,
        RouteProtocol::Udp => matches!(port, AppProtocol::Udp),
    }
}

/// The broken reference as the value that carries its weight.
pub fn invalid(wrong: &Wrong) -> Backend {
    let reason = InvalidBackend::ALL.into_iter().find(|known| known.as_str() == wrong.reason);
    Backend::Invalid { reason: reason.unwrap_or(InvalidBackend::UnsupportedValue), message: wrong.message.as_str().into() }
}
