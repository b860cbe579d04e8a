//! What is said of each target, and which targets concern a place: the same for access and for rates. It never knows what is said.

use crate::attributes::Place;
use crate::bucket::Map;
use crate::limits;
use model::access::AccessTarget;
use model::{Key, Labels};
use smallvec::SmallVec;
use std::sync::Arc;

#[derive(Debug)]
pub struct Targets<S> {
    /// Something is said of somebody: else nobody need be looked up.
    some: bool,
    mesh: S,
    namespaces: Map<Arc<str>, S>,
    workloads: Map<Arc<str>, Vec<(Labels, S)>>,
    services: Map<Key, Vec<(Option<u16>, S)>>,
    gateways: Map<Key, S>,
    listeners: Map<Key, S>,
    routes: Map<Key, S>,
}

pub type Sets<'e, S> = SmallVec<[&'e S; limits::SETS]>;

impl<S: Default> Default for Targets<S> {
    fn default() -> Self {
        Self {
            some: false,
            mesh: S::default(),
            namespaces: Map::default(),
            workloads: Map::default(),
            services: Map::default(),
            gateways: Map::default(),
            listeners: Map::default(),
            routes: Map::default(),
        }
    }
}

impl<S: Default> Targets<S> {
    pub fn set(&mut self, target: &AccessTarget) -> &mut S {
        self.some = true;
        match target {
            AccessTarget::Mesh => &mut self.mesh,
            AccessTarget::Namespace(name) => self.namespaces.entry(name.clone()).or_default(),
            AccessTarget::Workloads { namespace, labels } => entry(self.workloads.entry(namespace.clone()).or_default(), labels),
            AccessTarget::Service { service, port } => entry(self.services.entry(service.clone()).or_default(), port),
            AccessTarget::Gateway(key) => self.gateways.entry(key.clone()).or_default(),
            AccessTarget::Listener(key) => self.listeners.entry(key.clone()).or_default(),
            AccessTarget::Route(key) => self.routes.entry(key.clone()).or_default(),
        }
    }

    /// Whether nothing is said of anybody.
    pub fn is_empty(&self) -> bool {
        !self.some
    }

    pub fn sets(&self, place: &Place<'_>) -> Sets<'_, S> {
        let mut sets = Sets::new();
        if !self.some {
            return sets;
        }
        match place {
            Place::Workload { namespace, labels, services } => {
                sets.push(&self.mesh);
                sets.extend(self.namespaces.get(*namespace));
                let selected = |(wanted, _): &&(Labels, S)| wanted.iter().all(|(name, value)| labels.get(name) == Some(value));
                sets.extend(self.workloads.get(*namespace).into_iter().flatten().filter(selected).map(|(_, set)| set));
                if !self.services.is_empty() {
                    for (service, dialled) in *services {
                        let here = |(port, _): &&(Option<u16>, S)| port.is_none_or(|port| port == *dialled);
                        for (_, set) in self.services.get(service).into_iter().flatten().filter(here) {
                            // Two ports of a service may lead to one of the application.
                            if !sets.iter().any(|known| std::ptr::eq(*known, set)) {
                                sets.push(set);
                            }
                        }
                    }
                }
            }
            Place::Gateway { gateway, listener, route } => {
                sets.extend(self.gateways.get(*gateway));
                sets.extend(self.listeners.get(*listener));
                sets.extend(route.and_then(|route| self.routes.get(route)));
            }
        }
        sets
    }
}

fn entry<'s, K: Clone + PartialEq, S: Default>(sets: &'s mut Vec<(K, S)>, key: &K) -> &'s mut S {
    let at = sets.iter().position(|(known, _)| known == key).unwrap_or_else(|| {
        sets.push((key.clone(), S::default()));
        sets.len() - 1
    });
    &mut sets[at].1
}
