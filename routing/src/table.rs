//! The table: services, listeners and routes of one generation, ready for look-up. A change makes a new table that shares with the old one
//! all that the change did not touch: the unit that is rebuilt is one host pattern of one entry. Endpoints, workloads, certificates and trust
//! bundles are state beside the table, and a change of them leaves it as it is.

use crate::compiled::CompiledRoute;
use crate::cow::CowMap;
use crate::hosts::HostTrie;
use crate::shared::Shared;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use model::{
    Backend, Change, HostPattern, Hostname, Key, Kind, Listener, Rank, Resource, Route, RouteMatch, RouteProtocol, Rule, Service,
    ServiceRef, Target, WeightedBackend,
};
use smallvec::SmallVec;
use std::sync::{Arc, OnceLock};

/// Requests or connections: routes of the two never compete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Layer {
    Http,
    Stream,
}

impl Layer {
    fn of(protocol: RouteProtocol) -> Self {
        match protocol {
            RouteProtocol::Http | RouteProtocol::Grpc => Self::Http,
            RouteProtocol::Tcp | RouteProtocol::Tls | RouteProtocol::Udp => Self::Stream,
        }
    }
}

/// Routes that hang on one target.
#[derive(Clone)]
pub(crate) struct Group {
    pub port: Option<u16>,
    pub callers: Option<Arc<str>>,
    pub layer: Layer,
    pub hosts: HostTrie,
}

/// What stands at one listener or service: the resource itself, once it is known, and the routes that hang on it.
#[derive(Clone, Default)]
pub(crate) struct Slot {
    pub listener: Option<Arc<Listener>>,
    pub service: Option<Arc<Service>>,
    pub groups: Vec<Group>,
    /// By port, for a service without routes.
    pub defaults: Vec<Unrouted>,
}

/// What a port of a service does without routes: made when a call asks for it, since at a gateway none does.
#[derive(Clone)]
pub(crate) struct Unrouted {
    pub port: u16,
    made: OnceLock<Arc<CompiledRoute>>,
}

impl Unrouted {
    pub fn of(&self, service: &Service) -> &Arc<CompiledRoute> {
        self.made.get_or_init(|| {
            let route = Arc::new(default_route(service, self.port));
            Arc::new(CompiledRoute::new(route, &mut Shared::default()))
        })
    }
}

#[derive(Clone, Default)]
pub struct Table {
    generation: u64,
    pub(crate) slots: CowMap<Key, Arc<Slot>>,
    routes: CowMap<Key, Arc<CompiledRoute>>,
    gateways: CowMap<Key, Arc<Vec<Arc<Listener>>>>,
    /// Most names are of one service alone.
    hostnames: CowMap<Arc<str>, SmallVec<[Arc<Service>; 1]>>,
    pub(crate) shared: Shared,
    rebuilt: usize,
}

type Place = (Target, Layer, HostPattern);
type Edits = HashMap<Place, HashMap<Key, Option<Arc<CompiledRoute>>, FixedState>, FixedState>;

impl Table {
    /// The table after `changes`. Rebuilds only the host patterns that they touch; a batch rebuilds each of them once.
    pub fn apply(&self, changes: &[Change]) -> Table {
        let mut next = self.clone();
        let mut edits = Edits::default();
        let mut touched = false;
        for change in changes {
            touched |= match change {
                Change::Put(Resource::Service(service)) => next.set_service(&service.key, Some(service)),
                Change::Put(Resource::Listener(listener)) => next.set_listener(&listener.key, Some(listener)),
                Change::Put(Resource::Route(route)) => next.set_route(&route.key, Some(route), &mut edits),
                Change::Put(Resource::Endpoints(_) | Resource::Workload(_) | Resource::TrustBundle(_) | Resource::Certificate(_)) => false,
                Change::Put(Resource::Access(_) | Resource::AccessSettings(_) | Resource::RateLimit(_)) => false,
                Change::Put(
                    Resource::TokenIssuer(_) | Resource::Telemetry(_) | Resource::ExternalAuthorizer(_) | Resource::Consumer(_),
                ) => false,
                Change::Remove(key) => match key.kind {
                    Kind::Service => next.set_service(key, None),
                    Kind::Listener => next.set_listener(key, None),
                    Kind::Route => next.set_route(key, None, &mut edits),
                    _ => false,
                },
            };
        }
        next.rebuilt = edits.len();
        for (place, routes) in edits {
            next.rebuild(place, routes);
        }
        next.generation += u64::from(touched);
        next
    }

    /// Rises with every `apply` that changed something the table holds.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Host patterns that the last `apply` rebuilt.
    pub fn rebuilt(&self) -> usize {
        self.rebuilt
    }

    /// The resource as it was put, if the table holds its kind.
    pub fn get(&self, key: &Key) -> Option<Resource> {
        match key.kind {
            Kind::Service => self.slots.get(key)?.service.clone().map(Resource::Service),
            Kind::Listener => self.slots.get(key)?.listener.clone().map(Resource::Listener),
            Kind::Route => self.routes.get(key).map(|compiled| Resource::Route(compiled.route.clone())),
            _ => None,
        }
    }

    pub fn services(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.slots.iter().filter_map(|(_, slot)| slot.service.as_ref())
    }

    pub fn listeners(&self) -> impl Iterator<Item = &Arc<Listener>> {
        self.slots.iter().filter_map(|(_, slot)| slot.listener.as_ref())
    }

    pub fn routes(&self) -> impl Iterator<Item = &Arc<CompiledRoute>> {
        self.routes.iter().map(|(_, route)| route)
    }

    pub fn service(&self, key: &Key) -> Option<&Arc<Service>> {
        self.slots.get(key)?.service.as_ref()
    }

    /// The listeners of a gateway, in the order of their keys.
    pub fn listeners_of(&self, gateway: &Key) -> &[Arc<Listener>] {
        self.gateways.get(gateway).map_or(&[], |listeners| listeners)
    }

    /// The service that a caller in `namespace` means by `host` (any case, without port). One in the caller's own namespace goes first.
    pub fn service_by_host(&self, host: &str, namespace: &str) -> Option<&Arc<Service>> {
        let mut buffer = [0; model::limits::HOSTNAME_BYTES];
        let host = crate::hosts::canonical_host(host, &mut buffer)?;
        let called = || self.hostnames.get(host).into_iter().flat_map(|all| all.iter()).filter(|s| s.is_called(host, namespace));
        called().find(|service| *service.key.namespace == *namespace).or_else(|| called().next())
    }

    fn set_service(&mut self, key: &Key, service: Option<&Arc<Service>>) -> bool {
        let mut slot = self.slots.get(key).map(|slot| Slot::clone(slot)).unwrap_or_default();
        if let Some(old) = slot.service.take() {
            for name in &old.hostnames {
                self.edit_hostname(name, key, None);
            }
        }
        slot.defaults = Vec::with_capacity(service.map_or(0, |service| service.ports.len()));
        if let Some(service) = service {
            for name in &service.hostnames {
                self.edit_hostname(name, key, Some(service));
            }
            for port in &service.ports {
                // One number may be a port for connections and one for datagrams.
                if !slot.defaults.iter().any(|default| default.port == port.number) {
                    slot.defaults.push(Unrouted { port: port.number, made: OnceLock::new() });
                }
            }
        }
        slot.service = service.cloned();
        self.put_slot(key, slot);
        true
    }

    fn edit_hostname(&mut self, name: &Hostname, key: &Key, service: Option<&Arc<Service>>) {
        let mut called = self.hostnames.get(name.as_str()).cloned().unwrap_or_default();
        called.retain(|other| other.key != *key);
        called.extend(service.cloned());
        called.sort_by(|a, b| a.key.cmp(&b.key));
        match called.is_empty() {
            true => self.hostnames.remove(name.as_str()),
            false => self.hostnames.insert(name.shared().clone(), called),
        }
    }

    fn set_listener(&mut self, key: &Key, listener: Option<&Arc<Listener>>) -> bool {
        let mut slot = self.slots.get(key).map(|slot| Slot::clone(slot)).unwrap_or_default();
        if let Some(old) = slot.listener.take() {
            self.edit_gateway(&old.gateway, key, None);
        }
        if let Some(listener) = listener {
            self.edit_gateway(&listener.gateway, key, Some(listener));
        }
        slot.listener = listener.cloned();
        self.put_slot(key, slot);
        true
    }

    fn edit_gateway(&mut self, gateway: &Key, key: &Key, listener: Option<&Arc<Listener>>) {
        let mut listeners: Vec<_> = self.gateways.get(gateway).map(|all| all.to_vec()).unwrap_or_default();
        listeners.retain(|other| other.key != *key);
        listeners.extend(listener.cloned());
        listeners.sort_by(|a, b| a.key.cmp(&b.key));
        match listeners.is_empty() {
            true => self.gateways.remove(gateway),
            false => self.gateways.insert(gateway.clone(), Arc::new(listeners)),
        }
    }

    fn set_route(&mut self, key: &Key, route: Option<&Arc<Route>>, edits: &mut Edits) -> bool {
        let old = self.routes.get(key).cloned();
        if let Some(old) = &old {
            for place in places(&old.route) {
                edits.entry(place).or_default().insert(key.clone(), None);
            }
        }
        match route {
            Some(route) => {
                let compiled = Arc::new(CompiledRoute::new(route.clone(), &mut self.shared));
                for place in places(route) {
                    edits.entry(place).or_default().insert(key.clone(), Some(compiled.clone()));
                }
                self.routes.insert(key.clone(), compiled);
            }
            None => self.routes.remove(key),
        }
        true
    }

    fn rebuild(&mut self, (target, layer, pattern): Place, edits: HashMap<Key, Option<Arc<CompiledRoute>>, FixedState>) {
        let (key, port, callers) = match target {
            Target::Listener(key) => (key, None, None),
            Target::Service { service, port, callers } => (service, port, callers),
        };
        // Taken out so that the copy below is of this slot only where an older table still holds it.
        let mut slot = self.slots.get(&key).cloned().unwrap_or_default();
        self.slots.remove(&key);
        let own = Arc::make_mut(&mut slot);
        let found = own.groups.iter().position(|group| group.port == port && group.callers == callers && group.layer == layer);
        let at = found.unwrap_or_else(|| {
            own.groups.push(Group { port, callers, layer, hosts: HostTrie::default() });
            own.groups.len() - 1
        });
        let hosts = &mut own.groups[at].hosts;
        let kept = hosts.table(&pattern).map_or(&[][..], |table| &table.routes);
        let mut routes: Vec<_> = kept.iter().filter(|route| !edits.contains_key(&route.route.key)).cloned().collect();
        routes.extend(edits.into_values().flatten());
        hosts.set(&pattern, routes);
        if hosts.is_empty() {
            own.groups.remove(at);
        }
        self.put_slot(&key, Arc::unwrap_or_clone(slot));
    }

    fn put_slot(&mut self, key: &Key, slot: Slot) {
        match slot.listener.is_none() && slot.service.is_none() && slot.groups.is_empty() {
            true => self.slots.remove(key),
            false => self.slots.insert(key.clone(), Arc::new(slot)),
        }
    }
}

fn places(route: &Route) -> impl Iterator<Item = Place> {
    let layer = Layer::of(route.protocol);
    route.attachments.iter().flat_map(move |at| at.hosts.iter().map(move |host| (at.target.clone(), layer, host.clone())))
}

/// What a service without routes does with a call: pass it on to itself.
fn default_route(service: &Service, port: u16) -> Route {
    let to = Backend::Service(ServiceRef { service: service.key.clone(), port, subset: None });
    let rule = Rule {
        name: "default".into(),
        matches: vec![model::route::RankedMatch { rank: Rank::default(), matches: RouteMatch::default() }],
        filters: Vec::new(),
        backends: vec![WeightedBackend { weight: 1, backend: to, filters: Vec::new() }],
        timeouts: Default::default(),
        retry: None,
        session: None,
    };
    Route {
        key: service.key.clone(),
        origin: service.origin.clone(),
        protocol: RouteProtocol::Http,
        attachments: Vec::new(),
        rules: vec![rule],
    }
}
