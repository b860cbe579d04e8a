//! The resources of the test's shop.

use super::{id, key};
use model::route::RankedMatch;
use model::*;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

pub const HTTP: u16 = 80;
pub const GRPC: u16 = 90;
pub const TCP: u16 = 70;
pub const DETECT: u16 = 60;

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

pub fn origin(kind: &str, name: &str) -> Origin {
    Origin::new(ObjectRef::new("", kind, "shop", name), "")
}

/// One endpoint of a service.
#[derive(Clone)]
pub struct Place {
    pub workload: &'static str,
    pub tunnel: Tunnel,
    pub identity: Option<SpiffeId>,
    /// Port of its application.
    pub port: u16,
}

impl Place {
    pub fn organza(workload: &'static str, tunnel: SocketAddr, port: u16) -> Self {
        Self { workload, tunnel: Tunnel::Organza(tunnel), identity: Some(id("catalog")), port }
    }
    pub fn hbone(workload: &'static str, tunnel: SocketAddr, port: u16) -> Self {
        Self { tunnel: Tunnel::Hbone(tunnel), ..Self::organza(workload, tunnel, port) }
    }
    pub fn plain(workload: &'static str, port: u16) -> Self {
        Self { workload, tunnel: Tunnel::None, identity: None, port }
    }
}

pub fn catalog(places: &[Place]) -> Vec<Resource> {
    service("catalog", places)
}

pub fn service(name: &'static str, places: &[Place]) -> Vec<Resource> {
    let ports = [(HTTP, AppProtocol::Http), (GRPC, AppProtocol::Grpc), (TCP, AppProtocol::Tcp), (DETECT, AppProtocol::Detect)];
    let service = Service {
        key: key(Kind::Service, name),
        origin: origin("Service", name),
        hostnames: [name.to_owned(), format!("{name}.shop")].iter().map(|h| Hostname::parse(h).unwrap()).collect(),
        addresses: Vec::new(),
        ports: ports.map(|(number, protocol)| ServicePort { number, name: None, protocol }).to_vec(),
        identities: vec![id("catalog")],
        balancer: Balancer::RoundRobin,
        nearest: None,
        policies: Vec::new(),
        normalisation: Normalisation::default(),
        tls: Vec::new(),
    };
    let endpoint = |place: &Place| Endpoint {
        id: place.workload.into(),
        workload: Some(key(Kind::Workload, place.workload)),
        address: LOCAL,
        ports: ports.map(|(number, _)| (number, place.port)).to_vec(),
        datagrams: Vec::new(),
        tunnel: place.tunnel.clone(),
        identity: place.identity.clone(),
        health: Health::Healthy,
        weight: 1,
        priority: 0,
        locality: Locality::default(),
        labels: Labels::default(),
        tls: None,
    };
    let workload = |place: &Place| Workload {
        key: key(Kind::Workload, place.workload),
        identity: id("catalog"),
        canonical_name: place.workload.into(),
        revision: "v1".into(),
        cluster: "test".into(),
        network: "".into(),
        locality: Locality::default(),
        labels: Labels::default(),
        addresses: vec![LOCAL],
        ports: Vec::new(),
        tunnel: place.tunnel.clone(),
        services: vec![key(Kind::Service, name)],
        weight: 1,
        started: 0,
    };
    let endpoints = Endpoints { key: key(Kind::Endpoints, name), endpoints: places.iter().map(endpoint).collect() };
    let mut all = vec![Resource::Service(Arc::new(service)), Resource::Endpoints(Arc::new(endpoints))];
    all.extend(places.iter().map(|place| Resource::Workload(Arc::new(workload(place)))));
    all
}

pub fn backend(service: &str, port: u16, weight: u32) -> WeightedBackend {
    let to = ServiceRef { service: key(Kind::Service, service), port, subset: None };
    WeightedBackend { weight, backend: Backend::Service(to), filters: Vec::new() }
}

pub fn rule(backends: Vec<WeightedBackend>) -> Rule {
    let rank = Rank::default();
    Rule {
        name: "rule-0".into(),
        matches: vec![RankedMatch { rank, matches: RouteMatch::default() }],
        filters: Vec::new(),
        backends,
        timeouts: Timeouts::default(),
        retry: None,
        session: None,
    }
}

/// A route for all calls to a service.
pub fn on_service(service: &str, rule: Rule) -> Resource {
    route(Target::Service { service: key(Kind::Service, service), port: None, callers: None }, rule)
}

pub fn route(target: Target, rule: Rule) -> Resource {
    Resource::Route(Arc::new(Route {
        key: key(Kind::Route, "httproute.test"),
        origin: origin("HTTPRoute", "test"),
        protocol: RouteProtocol::Http,
        attachments: vec![Attachment { target, hosts: vec![HostPattern::Any] }],
        rules: vec![rule],
    }))
}

pub fn listener(port: u16, certificate: Option<Key>) -> Resource {
    Resource::Listener(Arc::new(Listener {
        key: key(Kind::Listener, "edge.web"),
        origin: origin("Gateway", "edge"),
        gateway: key(Kind::Gateway, "edge"),
        section: "web".into(),
        addresses: Vec::new(),
        port,
        protocol: if certificate.is_some() { ListenerProtocol::Https } else { ListenerProtocol::Http },
        hostname: HostPattern::Any,
        tls: certificate.map(|key| ListenerTls { certificates: vec![key], ..ListenerTls::default() }),
        normalisation: Normalisation::Base,
        front: Front::default(),
        shown: GatewayCertificate::default(),
        asks: Vec::new(),
        broken: None,
    }))
}
