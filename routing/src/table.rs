//! The table: services, listeners and routes of one generation, ready for look-up. A change makes a new table that shares with the old one
//! all that the change did not touch: the unit that is rebuilt is one host pattern of one entry. Endpoints, workloads, certificates and trust
//! bundles are state beside the table, and a change of them leaves it as it is.

use crate::compiled::CompiledMatch;
use crate::cow::CowMap;
use crate::hosts::HostTrie;
use crate::shared::Shared;
use foldhash::fast::FixedState;
use hashbrown::{Equivalent, HashMap};
use model::{
    Asleep, Backend, Change, HostPattern, Hostname, Key, Kind, Listener, Rank, Resource, Route, RouteMatch, RouteProtocol, Rule, Service,
    ServiceRef, Target, Told, WeightedBackend,
};
use smallvec::SmallVec;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, OnceLock};

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
    made: OnceLock<Box<CompiledMatch>>,
}

impl Unrouted {
    pub fn of(&self, service: &Service) -> &CompiledMatch {
        self.made.get_or_init(|| Box::new(default_match(service, self.port)))
    }
}

/// A name, and the services that are called by it, in the order of their keys. Most names are of one service alone, which says it: four of them for each of ten thousand
/// services are to lie in memory once.
#[derive(Clone)]
enum Called {
    One { service: Arc<Service>, at: u32 },
    Several(Arc<(Hostname, Vec<Arc<Service>>)>),
}

impl Called {
    /// `None` where nobody is called so.
    fn new(name: &Hostname, mut services: Vec<Arc<Service>>) -> Option<Self> {
        services.sort_by(|a, b| a.key.cmp(&b.key));
        match &services[..] {
            [] => None,
            [one] => {
                let at = one.hostnames.iter().position(|own| own == name)? as u32;
                Some(Self::One { service: one.clone(), at })
            }
            _ => Some(Self::Several(Arc::new((name.clone(), services)))),
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::One { service, at } => service.hostnames[*at as usize].as_str(),
            Self::Several(several) => several.0.as_str(),
        }
    }

    fn services(&self) -> &[Arc<Service>] {
        match self {
            Self::One { service, .. } => std::slice::from_ref(service),
            Self::Several(several) => &several.1,
        }
    }
}

impl PartialEq for Called {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Called {}

impl Hash for Called {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

impl Equivalent<Called> for str {
    fn equivalent(&self, called: &Called) -> bool {
        self == called.name()
    }
}

#[derive(Clone, Default)]
pub struct Table {
    generation: u64,
    pub(crate) slots: CowMap<Key, Arc<Slot>>,
    routes: CowMap<Key, Arc<Told<Route>>>,
    gateways: CowMap<Key, Arc<Vec<Arc<Listener>>>>,
    hostnames: CowMap<Called, ()>,
    /// Of all tables that came of one.
    pub(crate) shared: Arc<Mutex<Shared>>,
    rebuilt: usize,
}

type Place = (Target, Layer, HostPattern);
type Edits = HashMap<Place, HashMap<Key, Option<Arc<Told<Route>>>, FixedState>, FixedState>;

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
                Change::Put(Resource::Route(route)) => {
                    next.set_route(&route.key, Some(&Arc::new(Told::awake(route.key.clone(), route.clone()))), &mut edits)
                }
                Change::Told(Asleep::Route(route)) => next.set_route(route.key(), Some(route), &mut edits),
                Change::Told(Asleep::Endpoints(_)) => false,
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
            Kind::Route => self.routes.get(key)?.read().map(Resource::Route),
            _ => None,
        }
    }

    pub fn services(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.slots.iter().filter_map(|(_, slot)| slot.service.as_ref())
    }

    pub fn listeners(&self) -> impl Iterator<Item = &Arc<Listener>> {
        self.slots.iter().filter_map(|(_, slot)| slot.listener.as_ref())
    }

    pub fn routes(&self) -> impl Iterator<Item = &Arc<Told<Route>>> {
        self.routes.iter().map(|(_, route)| route)
    }

    /// Whether requests to a port of a service are routed, by whatever rule and for whichever callers.
    pub fn has_requests_routed(&self, service: &Key, port: u16) -> bool {
        let here = |group: &Group| group.layer == Layer::Http && group.port.is_none_or(|only| only == port);
        self.slots.get(service).is_some_and(|slot| slot.groups.iter().any(here))
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
        let short = !host.contains('.');
        let services = self.hostnames.get_key(host)?.services();
        let own = services.iter().find(|service| *service.key.namespace == *namespace);
        // Short names hold only for callers of the same namespace.
        own.or_else(|| services.first().filter(|_| !short))
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
        let before = self.hostnames.get_key(name.as_str()).map_or(&[][..], Called::services);
        let others = before.iter().filter(|other| other.key != *key);
        match Called::new(name, others.chain(service).cloned().collect()) {
            Some(called) => self.hostnames.insert(called, ()),
            None => self.hostnames.remove(name.as_str()),
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

    fn set_route(&mut self, key: &Key, route: Option<&Arc<Told<Route>>>, edits: &mut Edits) -> bool {
        // Asleep or not, it is read for where it hangs, one after another: no more than one of them lies here both ways.
        if let Some(old) = self.routes.get(key).and_then(|old| old.read()) {
            for place in places(&old) {
                edits.entry(place).or_default().insert(key.clone(), None);
            }
        }
        match route.and_then(|told| Some((told, told.read()?))) {
            Some((told, route)) => {
                for place in places(&route) {
                    edits.entry(place).or_default().insert(key.clone(), Some(told.clone()));
                }
                self.routes.insert(key.clone(), told.clone());
            }
            None => self.routes.remove(key),
        }
        true
    }

    fn rebuild(&mut self, (target, layer, pattern): Place, edits: HashMap<Key, Option<Arc<Told<Route>>>, FixedState>) {
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
        let kept = hosts.host(&pattern).map_or(&[][..], |host| &host.routes);
        let mut routes: SmallVec<_> = kept.iter().filter(|route| !edits.contains_key(route.key())).cloned().collect();
        routes.extend(edits.into_values().flatten());
        hosts.set(&pattern, routes, &self.shared);
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
fn default_match(service: &Service, port: u16) -> CompiledMatch {
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
    let route = Route {
        key: service.key.clone(),
        origin: service.origin.clone(),
        protocol: RouteProtocol::Http,
        attachments: Vec::new(),
        rules: vec![rule],
    };
    CompiledMatch::new(&Arc::new(route), (0, 0), &mut Shared::default())
}

#[cfg(test)]
pub(crate) mod tests;
