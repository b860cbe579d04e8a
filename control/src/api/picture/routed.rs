//! Calls that a route decides about, as far as edges tell: those of its Gateways to its backends, and all to the Services that it hangs on. Edges have no
//! routes; where two routes of one Gateway lead to one Service, both are told both routes' calls.

use super::Place;
use crate::world::World;
use model::{Backend, Key, Resource, Route, Target};
use std::collections::HashSet;
use std::sync::Arc;
use telemetry::EdgeId;
use wire::api::NodeKind;

type Name = (Arc<str>, Arc<str>);

#[derive(Debug, Default)]
pub struct Routed {
    gateways: HashSet<Place>,
    backends: HashSet<Name>,
    services: HashSet<Name>,
}

impl Routed {
    /// Of `KIND/NAMESPACE/NAME`; `None` where there is no such route, or no parent took it.
    pub fn of(world: &World, route: &str) -> Option<Self> {
        let (kind, rest) = route.split_once('/')?;
        let (namespace, name) = rest.split_once('/')?;
        let is_it = |route: &Route| {
            let object = &route.origin.object;
            (&*object.kind, &*object.namespace, &*object.name) == (kind, namespace, name)
        };
        let routes = world.resources().filter_map(|resource| match resource {
            Resource::Route(route) if is_it(route) => Some(route),
            _ => None,
        });
        let mut found = None;
        for route in routes {
            found.get_or_insert_with(Self::default).add(world, route);
        }
        found
    }

    fn add(&mut self, world: &World, route: &Route) {
        let named = |key: &Key| (key.namespace.clone(), key.name.clone());
        for attachment in &route.attachments {
            match &attachment.target {
                Target::Listener(key) => {
                    let Some(Resource::Listener(listener)) = world.get(key).map(|item| &item.resource) else { continue };
                    self.gateways.insert(Place::new(NodeKind::Gateway, &listener.gateway.namespace, &listener.gateway.name));
                }
                Target::Service { service, .. } => _ = self.services.insert(named(service)),
            }
        }
        for backend in route.rules.iter().flat_map(|rule| &rule.backends) {
            if let Backend::Service(to) = &backend.backend {
                self.backends.insert(named(&to.service));
            }
        }
    }

    /// Whether a call, which `source` made, is one of them.
    pub fn has(&self, id: &EdgeId, source: &Place) -> bool {
        let called = (id.service_namespace.clone(), id.service.clone());
        self.services.contains(&called) || self.gateways.contains(source) && self.backends.contains(&called)
    }
}
