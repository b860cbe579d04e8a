//! Routes on Services (GAMMA, GEP-1294): in the Service's namespace a producer route, for all callers; elsewhere a consumer route, for
//! callers of the route's namespace. Of routes of different kinds on one port only one kind is applied.

use super::route::RouteObject;
use crate::Object;
use crate::kubernetes::{Inventory, port, text};
use crate::wrong::Wrong;
use model::*;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A port of a Service, for all callers or those of one namespace.
type Frontend = (Key, u16, Option<Arc<str>>);

/// The kind of route that each port is left to.
#[derive(Default)]
pub struct Claims(BTreeMap<Frontend, u8>);

/// Which kind goes first on one port.
fn specificity(protocol: RouteProtocol) -> u8 {
    match protocol {
        RouteProtocol::Udp => 0,
        RouteProtocol::Grpc => 1,
        RouteProtocol::Http => 2,
        RouteProtocol::Tls => 3,
        RouteProtocol::Tcp => 4,
    }
}

impl Claims {
    pub fn read(routes: &[RouteObject<'_>], inventory: &Inventory) -> Self {
        let mut claims = Self::default();
        for route in routes {
            // Nothing that hangs on a Service is carried by datagrams; see [`attach`].
            if route.protocol == RouteProtocol::Udp {
                continue;
            }
            let parents = route.object.list("/spec/parentRefs").iter().filter(|parent| is_service(parent));
            for (service, port) in parents.filter_map(|parent| find(parent, route.object, inventory).ok()) {
                for frontend in frontends(service, port, route.object) {
                    let rank = specificity(route.protocol);
                    claims.0.entry(frontend).and_modify(|best| *best = rank.min(*best)).or_insert(rank);
                }
            }
        }
        claims
    }
}

pub fn is_service(parent: &Value) -> bool {
    text(parent, "group") == Some("") && text(parent, "kind") == Some("Service")
}

pub fn attach(parent: &Value, source: RouteObject<'_>, inventory: &Inventory, claims: &Claims) -> Result<Vec<Attachment>, Wrong> {
    let (service, port) = find(parent, source.object, inventory)?;
    if source.protocol == RouteProtocol::Udp {
        let wrong =
            Wrong::new("UnsupportedValue", "Datagrams between workloads are not led by routes: a UDPRoute on a Service has no effect.");
        return Err(wrong.fix("Name a Gateway with a UDP listener.").at("kind"));
    }
    let all: Vec<Frontend> = frontends(service, port, source.object).collect();
    let won = |frontend: &&Frontend| claims.0.get(*frontend) == Some(&specificity(source.protocol));
    let left: Vec<&Frontend> = all.iter().filter(won).collect();
    let attachment = |port| {
        let target = Target::Service { service: service.key.clone(), port, callers: callers(service, source.object) };
        Attachment { target, hosts: vec![HostPattern::Any] }
    };
    match left.len() {
        whole if whole == all.len() => Ok(vec![attachment(port)]),
        0 => {
            let message = format!("A route of a more specific kind already has Service {}/{}.", service.key.namespace, service.key.name);
            Err(Wrong::new("Conflicted", message).fix("Use one kind of route on one port of a Service.").at("name"))
        }
        // What the other kind left of the Service's ports.
        _ => Ok(left.into_iter().map(|(_, port, _)| attachment(Some(*port))).collect()),
    }
}

fn callers(service: &Service, object: &Object) -> Option<Arc<str>> {
    (service.key.namespace != object.object.namespace).then(|| object.object.namespace.clone())
}

fn frontends<'a>(service: &'a Service, port: Option<u16>, object: &'a Object) -> impl Iterator<Item = Frontend> + 'a {
    let ports = service.ports.iter().map(|p| p.number).filter(move |number| port.is_none_or(|port| port == *number));
    ports.map(|number| (service.key.clone(), number, callers(service, object)))
}

fn find<'a>(parent: &Value, object: &Object, inventory: &'a Inventory) -> Result<(&'a Service, Option<u16>), Wrong> {
    let missing = |message: String| Wrong::new("NoMatchingParent", message);
    let namespace: Arc<str> = text(parent, "namespace").map_or_else(|| object.object.namespace.clone(), Arc::from);
    let name: Arc<str> = text(parent, "name").unwrap_or("").into();
    let target = format!("Service {namespace}/{name}");
    let name = (namespace, name);
    let service = inventory.services.get(&name).ok_or_else(|| missing(format!("{target} does not exist.")).at("name"))?;
    if inventory.external_names.contains(&name) {
        return Err(missing(format!("{target} is of type ExternalName, which takes no routes.")).at("name"));
    }
    match port(parent, "port") {
        Some(number) if service.port(number).is_none() => Err(missing(format!("{target} has no port {number}.")).at("port")),
        port => Ok((service, port)),
    }
}
