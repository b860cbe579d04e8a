//! The service graph as people see it: edges between workloads drawn together into services, gateways, clients and what is outside. Which workload
//! is drawn as which node is decided here, once, for the graph, its history and the list of workloads.

mod hour;
mod routed;

use crate::core::{Core, Inner, now, seconds};
use crate::graph::{Denied, Told};
use crate::world::World;
use crate::{limits, registry};
pub use hour::{Of, history};
use model::{Backend, Filter, Key, Kind, Resource, Route, Service, Target};
pub use routed::Routed;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use telemetry::{EdgeId, EdgeTotals, Reporter};
use wire::api::{self, Figures, NodeKind, Security};

/// Who nobody knows, as labels name it.
const UNKNOWN: &str = "unknown";

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    kind: NodeKind,
    namespace: Arc<str>,
    name: Arc<str>,
}

impl Place {
    fn new(kind: NodeKind, namespace: &str, name: &str) -> Self {
        Self { kind, namespace: namespace.into(), name: name.into() }
    }

    pub fn id(&self) -> String {
        let kind = match self.kind {
            NodeKind::Gateway => "gateway",
            NodeKind::Service => "service",
            NodeKind::Client => "client",
            NodeKind::Outside => "outside",
        };
        format!("{kind}/{}/{}", self.namespace, self.name)
    }
}

/// Who asks from outside the mesh.
fn strangers() -> Place {
    Place::new(NodeKind::Outside, "", "strangers")
}

/// Which workload is drawn as which node.
#[derive(Debug)]
pub struct Places {
    workloads: HashMap<(Arc<str>, Arc<str>), Place>,
    /// A service of one version is drawn as the service of all.
    services: HashMap<(Arc<str>, Arc<str>), Place>,
    /// Who alone answers at an address: by it callers in plaintext are known.
    addresses: HashMap<IpAddr, Place>,
}

impl Places {
    pub fn of(world: &World, registry: &registry::Registry) -> Self {
        let mut this = Self { workloads: HashMap::new(), services: HashMap::new(), addresses: HashMap::new() };
        // A gateway backs no service, and is no workload of the world.
        for (entry, gateway) in registry.entries().filter_map(|entry| Some((entry, entry.gateway()?))) {
            let place = Place::new(NodeKind::Gateway, &gateway.namespace, &gateway.name);
            // Where its pods have names of their own, they call themselves by what is the same for all of them.
            for name in [&entry.proxy, &entry.request.name, &entry.request.service_account] {
                this.workloads.insert((entry.request.namespace.as_str().into(), name.as_str().into()), place.clone());
            }
        }
        let mut backed: HashMap<&Key, Vec<&Arc<str>>> = HashMap::new();
        for resource in world.resources() {
            let Resource::Endpoints(endpoints) = resource else { continue };
            for workload in endpoints.endpoints.iter().filter_map(|e| e.workload.as_ref()) {
                backed.entry(workload).or_default().push(&endpoints.key.name);
            }
        }
        for resource in world.resources() {
            let Resource::Workload(workload) = resource else { continue };
            let named = |label: &str| workload.labels.get(label).cloned();
            let app = named("app").or_else(|| named("app.kubernetes.io/name")).unwrap_or_else(|| workload.canonical_name.clone());
            let services = backed.get(&workload.key).map_or(&[][..], Vec::as_slice);
            // The service that is called as the application is; else the one with the shortest name, for those of single versions are longer.
            let service = services.iter().find(|name| ***name == app).or_else(|| services.iter().min_by_key(|name| (name.len(), **name)));
            let namespace = &workload.key.namespace;
            let place = match service {
                Some(service) => Place::new(NodeKind::Service, namespace, service),
                None => Place::new(NodeKind::Client, namespace, &workload.canonical_name),
            };
            this.workloads.insert((namespace.clone(), workload.canonical_name.clone()), place);
        }
        this.draw_services(world);
        this.name_addresses(world);
        this
    }

    fn draw_services(&mut self, world: &World) {
        for resource in world.resources() {
            let Resource::Service(service) = resource else { continue };
            let (namespace, name) = (&service.key.namespace, &service.key.name);
            let own = Place::new(NodeKind::Service, namespace, name);
            let mut members = members(world, &service.key).filter_map(|(namespace, workload)| self.workload(&namespace, &workload));
            // All of one other node: a version of it.
            let first = members.next();
            let place = first.filter(|first| members.all(|other| other == *first)).cloned().unwrap_or(own);
            self.services.insert((namespace.clone(), name.clone()), place);
        }
    }

    fn name_addresses(&mut self, world: &World) {
        for (address, services) in super::beside::by_address(world) {
            let mut places = services.iter().filter_map(|key| self.services.get(&(key.namespace.clone(), key.name.clone())));
            if let Some(first) = places.next().filter(|first| places.all(|other| other == *first)) {
                self.addresses.insert(address, first.clone());
            }
        }
    }

    pub fn workload(&self, namespace: &str, name: &str) -> Option<&Place> {
        self.workloads.get(&(namespace.into(), name.into()))
    }

    fn source(&self, id: &EdgeId) -> Place {
        match self.workload(&id.source_namespace, &id.source_workload) {
            Some(place) => place.clone(),
            None if &*id.source_workload == UNKNOWN => strangers(),
            // It has left; its calls are still of the last hour. Or it called in plaintext, and is known by its address.
            None => self.plaintext(id).unwrap_or_else(|| Place::new(NodeKind::Client, &id.source_namespace, &id.source_workload)),
        }
    }

    fn plaintext(&self, id: &EdgeId) -> Option<Place> {
        let unproven = id.security == telemetry::Security::Plain && id.reporter == Reporter::Destination;
        self.addresses.get(&id.source_workload.parse().ok().filter(|_| unproven)?).cloned()
    }

    /// `None` where a call never got as far as to be meant for anyone.
    fn destination(&self, id: &EdgeId) -> Option<Place> {
        if let Some(place) = self.workload(&id.destination_namespace, &id.destination_workload) {
            return Some(place.clone());
        }
        if let Some(place) = self.services.get(&(id.service_namespace.clone(), id.service.clone())) {
            return Some(place.clone());
        }
        let known = |text: &Arc<str>| !text.is_empty() && &**text != UNKNOWN;
        let name = [&id.service, &id.destination_workload].into_iter().find(|name| known(name))?;
        let namespace = [&id.service_namespace, &id.destination_namespace].into_iter().find(|text| known(text)).map_or("", |text| text);
        Some(Place::new(NodeKind::Outside, namespace, name))
    }

    /// Both ends as drawn.
    fn ends(&self, id: &EdgeId) -> (Place, Option<Place>) {
        (self.source(id), self.destination(id))
    }
}

/// Namespace and canonical name of the workloads that back a service.
fn members<'w>(world: &'w World, service: &Key) -> impl Iterator<Item = (Arc<str>, Arc<str>)> + use<'w> {
    let endpoints = match world.get(&service.with_kind(Kind::Endpoints)).map(|item| &item.resource) {
        Some(Resource::Endpoints(endpoints)) => endpoints.endpoints.as_slice(),
        _ => &[],
    };
    endpoints.iter().filter_map(|e| match world.get(e.workload.as_ref()?).map(|item| &item.resource) {
        Some(Resource::Workload(workload)) => Some((workload.key.namespace.clone(), workload.canonical_name.clone())),
        _ => None,
    })
}

/// Counts under way to figures.
#[derive(Debug, Default)]
struct Sum {
    totals: EdgeTotals,
    seconds: f64,
}

impl Sum {
    fn add(&mut self, counts: &EdgeTotals, seconds: f64) {
        self.totals.add(counts);
        self.seconds = self.seconds.max(seconds);
    }

    fn figures(&self) -> Figures {
        figures(&self.totals, self.seconds)
    }
}

pub fn figures(totals: &EdgeTotals, seconds: f64) -> Figures {
    let quantile = |q| totals.latency.quantile(q).map(|d| d.as_secs_f64() * 1000.0);
    // Each retry is an attempt that failed before it.
    let attempts = totals.requests.saturating_add(totals.retries);
    let succeeded = totals.requests.saturating_sub(totals.failures);
    Figures {
        requests: totals.requests,
        failures: totals.failures,
        client_errors: totals.client_errors,
        denied: totals.denied,
        faults: totals.faults,
        retries: totals.retries,
        attempts,
        requests_per_second: totals.requests as f64 / seconds.max(1.0),
        success_rate: if totals.requests == 0 { 1.0 } else { 1.0 - totals.failures as f64 / totals.requests as f64 },
        actual_success_rate: if attempts == 0 { 1.0 } else { succeeded as f64 / attempts as f64 },
        p50_millis: quantile(0.5),
        p95_millis: quantile(0.95),
        p99_millis: quantile(0.99),
        bytes_received: totals.request_bytes,
        bytes_sent: totals.response_bytes,
    }
}

#[derive(Debug, Default)]
struct Node {
    asked: Sum,
    sent: Sum,
    versions: BTreeMap<Arc<str>, Sum>,
}

#[derive(Debug, Default)]
struct Edge {
    sum: Sum,
    security: Option<Security>,
    mixed: bool,
    open: u64,
    total: (u64, u64),
    seen: u64,
    versions: BTreeMap<Arc<str>, Sum>,
}

impl Edge {
    fn add(&mut self, told: &Told<'_>, counts: &EdgeTotals) {
        self.sum.add(counts, told.seconds);
        self.versions.entry(told.id.destination_version.clone()).or_default().add(counts, told.seconds);
        if told.id.protocol.is_opaque() {
            self.open += told.totals.opened.saturating_sub(told.totals.requests);
        }
        self.total.0 = self.total.0.saturating_add(told.totals.requests);
        self.total.1 = self.total.1.saturating_add(told.totals.failures);
        self.seen = self.seen.max(told.seen);
        // What was sent to nobody was not protected, nor was it in plain.
        if told.id.destination_workload.is_empty() {
            return;
        }
        let security = super::told::security(told.id.security);
        self.mixed |= self.security.is_some_and(|other| other != security);
        self.security = Some(self.security.map_or(security, |other| other.min(security)));
    }
}

type EdgeKey = (Place, Place, &'static str);

fn edge_id((source, destination, protocol): &EdgeKey) -> String {
    format!("{}→{}/{protocol}", source.id(), destination.id())
}

/// The graph over the `window` seconds before `at`, or before now; `of` one route where it is named. What was counted is of then; who is there, and what
/// configuration says, is of now.
pub fn graph(core: &Core, window: u64, at: Option<u64>, of: Option<&Routed>) -> api::Graph {
    let world = core.world();
    let inner = core.lock();
    let (time, hour) = (seconds(now()), limits::SLOT_SECONDS * limits::SLOTS as u64);
    let at = at.map(|at| at.clamp(time.saturating_sub(hour), time)).filter(|at| *at < time);
    // Of what is over, seconds are not told apart any more.
    let window = window.clamp(if at.is_some() { 2 * limits::SLOT_SECONDS } else { 1 }, hour);
    let time = at.unwrap_or(time);
    let places = Places::of(&world, &inner.registry);
    let all = places.workloads.values().chain(places.services.values()).filter(|_| of.is_none());
    let mut nodes: BTreeMap<Place, Node> = all.map(|p| (p.clone(), Node::default())).collect();
    let is_of = |told: &Told<'_>| of.is_none_or(|of| of.has(told.id, &places.source(told.id)));
    let of_ends = of_ends(&inner, &places, (time, window), is_of);
    let mut edges = drawn_together(&mut nodes, &places, inner.graph.calls(time, window).filter(is_of));
    add_ends(&mut nodes, &mut edges, of_ends);
    let drawn = Drawn::of(&world, &inner, &places, time);
    api::Graph {
        generation: world.generation,
        time,
        window_seconds: window,
        nodes: nodes.iter().map(|(place, node)| drawn.node(place, node)).collect(),
        edges: edges.iter().map(|(key, edge)| told_edge(key, edge)).collect(),
        left_out: inner.graph.left_out(),
    }
}

/// What one process told of its own calls in the last two minutes: itself as the node that it is drawn as, and who is at the other ends.
pub fn of_workload(core: &Core, proxy: &str) -> api::Graph {
    let world = core.world();
    let inner = core.lock();
    let time = seconds(now());
    let places = Places::of(&world, &inner.registry);
    let mut nodes = BTreeMap::new();
    let edges = drawn_together(&mut nodes, &places, inner.graph.of_workload(proxy, time));
    let drawn = Drawn::of(&world, &inner, &places, time);
    api::Graph {
        generation: world.generation,
        time,
        window_seconds: limits::WORKLOAD_SLOT_SECONDS * limits::WORKLOAD_SLOTS as u64,
        nodes: nodes.iter().map(|(place, node)| drawn.node(place, node)).collect(),
        edges: edges.iter().map(|(key, edge)| told_edge(key, edge)).collect(),
        left_out: inner.graph.left_out(),
    }
}

/// Adds calls up to nodes and edges.
fn drawn_together<'g>(
    nodes: &mut BTreeMap<Place, Node>,
    places: &Places,
    calls: impl IntoIterator<Item = Told<'g>>,
) -> BTreeMap<EdgeKey, Edge> {
    let mut edges: BTreeMap<EdgeKey, Edge> = BTreeMap::new();
    for told in calls {
        let (source, destination) = places.ends(told.id);
        let (protocol, counts) = (told.id.protocol.as_str(), &told.recent);
        nodes.entry(source.clone()).or_default().sent.add(counts, told.seconds);
        if source.kind == NodeKind::Gateway {
            // What a gateway sends on or refuses, strangers asked it.
            let key = (strangers(), source.clone(), protocol);
            let from_outside = edges.entry(key).or_default();
            from_outside.add(&told, counts);
            nodes.entry(strangers()).or_default().sent.add(counts, told.seconds);
        }
        let Some(destination) = destination else { continue };
        let node = nodes.entry(destination.clone()).or_default();
        node.asked.add(counts, told.seconds);
        node.versions.entry(told.id.destination_version.clone()).or_default().add(counts, told.seconds);
        edges.entry((source, destination, protocol)).or_default().add(&told, counts);
    }
    edges
}

/// Leaves in a graph one node, its edges, and who is at their other ends.
pub fn only_near(graph: &mut api::Graph, node: &str) {
    graph.edges.retain(|edge| edge.source == node || edge.destination == node);
    let ends: HashSet<&str> = graph.edges.iter().flat_map(|edge| [&*edge.source, &*edge.destination]).chain([node]).collect();
    graph.nodes.retain(|one| ends.contains(&*one.id));
}

/// What both ends of a call count beside each other.
#[derive(Debug, Default)]
struct Ends {
    denied: Denied,
    /// Those of the called side by its version, which its callers do not see.
    retries: BTreeMap<Arc<str>, u64>,
}

/// Adds what only both ends together know to what was drawn of one end's word.
fn add_ends(nodes: &mut BTreeMap<Place, Node>, edges: &mut BTreeMap<EdgeKey, Edge>, of_ends: HashMap<EdgeKey, Ends>) {
    let mut denied: BTreeMap<Place, u64> = BTreeMap::new();
    let mut lacking = Vec::new();
    for (key, ends) in of_ends {
        let node = nodes.entry(key.1.clone()).or_default();
        ends.retries.iter().for_each(|(version, more)| again(&mut node.asked, &mut node.versions, version, *more));
        let retries = ends.retries.values().copied().fold(0, u64::saturating_add);
        let mut lacks = EdgeTotals { retries, ..EdgeTotals::default() };
        if let Some(edge) = edges.get_mut(&key) {
            ends.retries.iter().for_each(|(version, more)| again(&mut edge.sum, &mut edge.versions, version, *more));
            lacks.denied = ends.denied.calls().saturating_sub(edge.sum.totals.denied);
            edge.sum.totals.denied = ends.denied.calls();
        }
        let of_callee = denied.entry(key.1.clone()).or_default();
        *of_callee = of_callee.saturating_add(ends.denied.calls());
        lacking.push((key, lacks));
    }
    for (place, denied) in denied {
        nodes.entry(place).or_default().asked.totals.denied = denied;
    }
    // Of whom it is told what it sent, that lacks the same; and so does what strangers asked a gateway.
    for ((source, _, protocol), lacks) in lacking {
        if matches!(source.kind, NodeKind::Gateway | NodeKind::Client) {
            nodes.entry(source.clone()).or_default().sent.totals.add(&lacks);
        }
        if source.kind == NodeKind::Gateway {
            nodes.entry(strangers()).or_default().sent.totals.add(&lacks);
            if let Some(from_outside) = edges.get_mut(&(strangers(), source, protocol)) {
                from_outside.sum.totals.add(&lacks);
            }
        }
    }
}

/// Counts what the called side tried again.
fn again(whole: &mut Sum, versions: &mut BTreeMap<Arc<str>, Sum>, version: &Arc<str>, retries: u64) {
    let counts = EdgeTotals { retries, ..EdgeTotals::default() };
    whole.totals.add(&counts);
    versions.entry(version.clone()).or_default().totals.add(&counts);
}

fn of_ends(inner: &Inner, places: &Places, (time, window): (u64, u64), is_of: impl Fn(&Told<'_>) -> bool) -> HashMap<EdgeKey, Ends> {
    let mut sums: HashMap<EdgeKey, Ends> = HashMap::new();
    for told in inner.graph.edges(time, window).filter(|told| (told.recent.denied > 0 || told.recent.retries > 0) && is_of(told)) {
        let (source, Some(destination)) = places.ends(told.id) else { continue };
        let ends = sums.entry((source, destination, told.id.protocol.as_str())).or_default();
        let is_callee = told.id.reporter == Reporter::Destination;
        ends.denied.add(told.id.reporter, told.recent.denied);
        // Tries of one end are not those of the other. Where it speaks for both, they are counted with the rest of what it tells.
        if is_callee && !inner.graph.speaks(told.id) {
            let of_version = ends.retries.entry(told.id.destination_version.clone()).or_default();
            *of_version = of_version.saturating_add(told.recent.retries);
        }
    }
    sums
}

fn told_edge(key: &EdgeKey, edge: &Edge) -> api::GraphEdge {
    let version = |(version, sum): (&Arc<str>, &Sum)| api::EdgeVersion { version: version.to_string(), figures: sum.figures() };
    api::GraphEdge {
        id: edge_id(key),
        source: key.0.id(),
        destination: key.1.id(),
        protocol: key.2.to_owned(),
        // How strangers came is known to the door alone; what was counted is the hop behind it.
        security: edge.security.filter(|_| key.1.kind != NodeKind::Gateway),
        mixed: edge.mixed && key.1.kind != NodeKind::Gateway,
        figures: edge.sum.figures(),
        opened: edge.sum.totals.opened,
        open: edge.open,
        total_requests: edge.total.0,
        total_failures: edge.total.1,
        seen: edge.seen,
        versions: if key.1.kind == NodeKind::Gateway { Vec::new() } else { edge.versions.iter().map(version).collect() },
    }
}

/// What nodes are drawn from, found once for all of them.
struct Drawn<'d> {
    world: &'d World,
    inner: &'d Inner,
    time: u64,
    services: HashMap<Place, &'d Arc<Service>>,
    routes: HashMap<Place, Vec<&'d Arc<Route>>>,
    troubled: HashSet<&'d model::ObjectRef>,
}

impl<'d> Drawn<'d> {
    fn of(world: &'d World, inner: &'d Inner, places: &Places, time: u64) -> Self {
        let mut this = Self {
            world,
            inner,
            time,
            services: HashMap::new(),
            routes: HashMap::new(),
            troubled: world.problems().map(|report| &report.object).collect(),
        };
        for resource in world.resources() {
            match resource {
                Resource::Service(service) => {
                    this.services.insert(Place::new(NodeKind::Service, &service.key.namespace, &service.key.name), service);
                }
                Resource::Route(route) => {
                    for attachment in &route.attachments {
                        let Target::Service { service, .. } = &attachment.target else { continue };
                        if let Some(place) = places.services.get(&(service.namespace.clone(), service.name.clone())) {
                            this.routes.entry(place.clone()).or_default().push(route);
                        }
                    }
                }
                _ => {}
            }
        }
        this
    }

    fn node(&self, place: &Place, node: &Node) -> api::Node {
        let own = match place.kind {
            NodeKind::Service | NodeKind::Outside if node.asked.totals.requests + node.asked.totals.opened > 0 => &node.asked,
            NodeKind::Service => &node.asked,
            NodeKind::Gateway | NodeKind::Client | NodeKind::Outside => &node.sent,
        };
        let service = self.services.get(place).copied();
        let versions = self.versions(place, node, service);
        api::Node {
            id: place.id(),
            kind: place.kind,
            namespace: place.namespace.to_string(),
            name: place.name.to_string(),
            figures: own.figures(),
            marks: self.marks(place, own, service, &versions),
            versions,
        }
    }

    fn versions(&self, place: &Place, node: &Node, service: Option<&Arc<Service>>) -> Vec<api::NodeVersion> {
        let mut endpoints: BTreeMap<String, (u32, u32)> = BTreeMap::new();
        for endpoint in service.into_iter().flat_map(|service| super::told::endpoints(self.world, self.inner, &service.key, self.time)) {
            let healthy = endpoint.state() == api::EndpointState::Healthy;
            let counted = endpoints.entry(endpoint.revision).or_default();
            counted.0 += 1;
            counted.1 += u32::from(healthy);
        }
        let weights = service.map(|_| self.weights(place)).unwrap_or_default();
        // A version that has left is told while it has figures; a name that nobody gave is none.
        let asked = node.versions.keys().map(ToString::to_string).filter(|version| version != UNKNOWN && !version.is_empty());
        let mut names: Vec<String> = endpoints.keys().cloned().chain(asked).collect();
        names.sort();
        names.dedup();
        let told = |version: String| api::NodeVersion {
            endpoints: endpoints.get(&version).map_or(0, |counted| counted.0),
            healthy: endpoints.get(&version).map_or(0, |counted| counted.1),
            weight_percent: weights.get(&version).copied(),
            figures: node.versions.get(&*version).map(Sum::figures).unwrap_or_default(),
            version,
        };
        names.into_iter().map(told).collect()
    }

    fn routes(&self, place: &Place) -> impl Iterator<Item = &'d Arc<Route>> + use<'_, 'd> {
        self.routes.get(place).into_iter().flatten().copied()
    }

    /// The share of each version in the rule that splits, where one does.
    fn weights(&self, place: &Place) -> BTreeMap<String, f64> {
        let rules = self.routes(place).flat_map(|route| &route.rules);
        let Some(rule) = rules.filter(|rule| rule.backends.len() > 1).max_by_key(|rule| rule.backends.len()) else {
            return BTreeMap::new();
        };
        let all: f64 = rule.backends.iter().map(|to| f64::from(to.weight)).sum();
        let mut shares = BTreeMap::new();
        for to in &rule.backends {
            let Backend::Service(service) = &to.backend else { continue };
            let mut versions: Vec<String> =
                super::told::endpoints(self.world, self.inner, &service.service, self.time).map(|e| e.revision).collect();
            versions.dedup();
            if let ([version], true) = (&versions[..], all > 0.0) {
                *shares.entry(version.clone()).or_default() += f64::from(to.weight) * 100.0 / all;
            }
        }
        shares
    }

    fn marks(&self, place: &Place, own: &Sum, service: Option<&Arc<Service>>, versions: &[api::NodeVersion]) -> Vec<String> {
        let mut marks = Vec::new();
        let mut mark = |is: bool, name: &str| {
            if is {
                marks.push(name.to_owned())
            }
        };
        if let Some(service) = service {
            let key = &service.key;
            mark(!self.inner.ejections.breakers(&key.namespace, &key.name, self.time).is_empty(), "breaker");
            mark(!self.inner.ejections.crowded(&key.namespace, &key.name, self.time).is_empty(), "crowded");
            let told: Vec<_> = super::told::endpoints(self.world, self.inner, key, self.time).collect();
            mark(told.iter().any(|e| e.ejected.iter().any(|one| !one.unhealthy)), "ejected");
            mark(told.iter().any(|e| !e.healthy || e.ejected.iter().any(|one| one.unhealthy)), "unhealthy");
            mark(told.is_empty(), "no endpoint");
        }
        mark(own.totals.denied > 0, "denied");
        mark(own.totals.faults > 0, "fault");
        mark(versions.iter().filter(|version| version.weight_percent.is_some()).count() > 1, "split");
        let mirrors = |filter: &Filter| matches!(filter, Filter::Mirror(_));
        mark(self.routes(place).any(|route| route.rules.iter().any(|rule| rule.filters.iter().any(mirrors))), "mirror");
        let kind = match place.kind {
            NodeKind::Gateway => "Gateway",
            _ => "Service",
        };
        // By what it is called: a mesh of ten thousand services, each in trouble, is drawn all the same.
        let group = if place.kind == NodeKind::Gateway { frontends::gateway_api::GROUP } else { "" };
        let named = model::ObjectRef::new(group, kind, &place.namespace, &place.name);
        let own = matches!(place.kind, NodeKind::Gateway | NodeKind::Service) && self.troubled.contains(&named);
        mark(own || self.routes(place).any(|route| self.troubled.contains(&route.origin.object)), "problem");
        marks
    }
}

#[cfg(test)]
mod tests;
