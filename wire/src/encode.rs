//! The model as bytes. Deterministic: equal resources have equal bytes, for the version is their hash. Never fails, never reads a clock.

mod access;
mod authorizer;
mod consumer;
mod rates;
mod route;
mod telemetry;
mod tls;
mod token;
mod traffic;

use crate::enums::Word;
use crate::v1;
use bytes::Bytes;
use model::service::HashOn;
use model::{Balancer, Endpoint, Labels, Normalisation, Origin, Resource, Tunnel};
use prost::Message;
use std::collections::BTreeMap;
use std::fmt::Display;

/// Why a listener serves nobody, for releases that do not know of whom it asks before routes: they skip that field, and would serve everybody. Who knows the
/// field reads past these words.
pub(crate) const ASKS_FIRST: &str = "it asks about each request before it is routed, which takes a later release";

/// A resource as it travels and as its version is computed from.
pub fn encode(resource: &Resource) -> Bytes {
    use v1::resource::Resource as R;
    let resource = match resource {
        Resource::Service(r) => R::Service(service(r)),
        Resource::Endpoints(r) => R::Endpoints(v1::Endpoints { key: text(&r.key), endpoints: r.endpoints.iter().map(endpoint).collect() }),
        Resource::Workload(r) => R::Workload(workload(r)),
        Resource::Listener(r) => R::Listener(listener(r)),
        Resource::Route(r) => R::Route(route::route(r)),
        Resource::TrustBundle(r) => R::TrustBundle(v1::TrustBundle {
            key: text(&r.key),
            trust_domain: text(&r.trust_domain),
            roots: r.roots.iter().map(|root| Bytes::copy_from_slice(root)).collect(),
            revoked: r.revoked.iter().map(|hash| Bytes::copy_from_slice(hash)).collect(),
        }),
        Resource::Certificate(r) => R::Certificate(v1::Certificate {
            key: text(&r.key),
            chain: Bytes::copy_from_slice(&r.chain),
            private_key: Bytes::copy_from_slice(&r.private_key),
        }),
        Resource::Access(r) => R::Access(access::policy(r)),
        Resource::AccessSettings(r) => R::AccessSettings(access::settings(r)),
        Resource::RateLimit(r) => R::RateLimit(rates::policy(r)),
        Resource::Consumer(r) => R::Consumer(consumer::consumer(r)),
        Resource::TokenIssuer(r) => R::TokenIssuer(token::issuer(r)),
        Resource::Telemetry(r) => R::Telemetry(telemetry::policy(r)),
        Resource::ExternalAuthorizer(r) => R::ExternalAuthorizer(authorizer::authorizer(r)),
    };
    v1::Resource { resource: Some(resource) }.encode_to_vec().into()
}

fn service(r: &model::Service) -> v1::Service {
    v1::Service {
        key: text(&r.key),
        origin: Some(origin(&r.origin)),
        hostnames: texts(&r.hostnames),
        addresses: texts(&r.addresses),
        ports: r.ports.iter().map(|p| port(p.number, p.name.as_deref(), p.protocol)).collect(),
        identities: texts(&r.identities),
        balancer: Some(balancer(&r.balancer)),
        nearest: r.nearest.map(Word::number),
        policies: r.policies.iter().map(traffic::attached).collect(),
        // What holds where nobody said anything is not written: bytes are those of releases that did not know it.
        normalisation: if r.normalisation == Normalisation::default() { 0 } else { r.normalisation.number() },
        tls: r.tls.iter().map(tls::attached).collect(),
    }
}

fn endpoint(r: &Endpoint) -> v1::Endpoint {
    v1::Endpoint {
        id: text(&r.id),
        workload: r.workload.as_ref().map(text),
        address: text(&r.address),
        ports: pairs(&r.ports),
        datagrams: pairs(&r.datagrams),
        tunnel: Some(tunnel(&r.tunnel)),
        identity: r.identity.as_ref().map(text),
        health: r.health.number(),
        weight: r.weight,
        priority: u32::from(r.priority),
        locality: Some(locality(&r.locality)),
        labels: labels(&r.labels),
        tls: r.tls.as_deref().map(tls::upstream),
    }
}

fn pairs(ports: &[(u16, u16)]) -> Vec<v1::PortPair> {
    ports.iter().map(|(from, to)| v1::PortPair { service: u32::from(*from), target: u32::from(*to) }).collect()
}

fn workload(r: &model::Workload) -> v1::Workload {
    v1::Workload {
        key: text(&r.key),
        identity: text(&r.identity),
        canonical_name: text(&r.canonical_name),
        revision: text(&r.revision),
        cluster: text(&r.cluster),
        network: text(&r.network),
        locality: Some(locality(&r.locality)),
        labels: labels(&r.labels),
        addresses: texts(&r.addresses),
        ports: r.ports.iter().map(|p| port(p.number, p.name.as_deref(), p.protocol)).collect(),
        tunnel: Some(tunnel(&r.tunnel)),
        services: texts(&r.services),
        weight: r.weight,
        started: r.started,
    }
}

fn listener(r: &model::Listener) -> v1::Listener {
    v1::Listener {
        key: text(&r.key),
        origin: Some(origin(&r.origin)),
        gateway: text(&r.gateway),
        section: text(&r.section),
        addresses: texts(&r.addresses),
        port: u32::from(r.port),
        protocol: r.protocol.number(),
        hostname: text(&r.hostname),
        tls: r.tls.as_ref().map(tls::listener),
        normalisation: r.normalisation.number(),
        broken: r.broken.as_ref().map(text).or_else(|| (!r.asks.is_empty()).then(|| ASKS_FIRST.to_owned())),
        proxy_protocol: match &r.front.proxy_protocol {
            model::ProxyProtocol::Off => None,
            model::ProxyProtocol::Require(trusted) => Some(v1::ProxyProtocol { trusted: texts(trusted) }),
        },
        trusted: trusted(&r.front.trusted),
        connections: r.front.limits.connections,
        limits: front_limits(r.front.limits),
        shown: tls::shown(&r.shown),
        asks: r.asks.iter().map(|asking| authorizer::asking(asking)).collect(),
    }
}

fn trusted(trusted: &model::TrustedProxies) -> Option<v1::TrustedProxies> {
    let (sources, hops) = match &trusted.who {
        model::Trusted::Nobody => return None,
        model::Trusted::Sources(blocks) => (texts(blocks), 0),
        model::Trusted::Hops(hops) => (Vec::new(), u32::from(*hops)),
    };
    Some(v1::TrustedProxies { sources, hops, forwarded: trusted.field == model::OriginField::Forwarded })
}

/// Absent where nothing is said, so that listeners without limits are as they always were.
fn front_limits(limits: model::FrontLimits) -> Option<v1::FrontLimits> {
    let said = v1::FrontLimits {
        handshakes: limits.handshakes,
        handshake_nanos: limits.handshake_time.map(route::nanos),
        head_bytes: limits.head_bytes,
        head_nanos: limits.head_time.map(route::nanos),
        idle_nanos: limits.idle.map(route::nanos),
        body_idle_nanos: limits.body_idle.map(route::nanos),
        requests: limits.requests,
        streams: limits.streams,
        sessions: limits.sessions,
        session_idle_nanos: limits.session_idle.map(route::nanos),
        datagram_bytes: limits.datagram_bytes,
    };
    (said != v1::FrontLimits::default()).then_some(said)
}

fn balancer(balancer: &Balancer) -> v1::Balancer {
    use v1::BalancerKind as K;
    let (kind, hash) = match balancer {
        Balancer::PeakEwma => (K::PeakEwma, None),
        Balancer::RoundRobin => (K::RoundRobin, None),
        Balancer::LeastRequest => (K::LeastRequest, None),
        Balancer::RingHash(on) => (K::RingHash, Some(on)),
        Balancer::Maglev(on) => (K::Maglev, Some(on)),
    };
    let on = |on: &HashOn| match on {
        HashOn::SourceAddress => v1::hash_on::On::SourceAddress(v1::hash_on::SourceAddress {}),
        HashOn::Header(name) => v1::hash_on::On::Header(text(name)),
        HashOn::Cookie(name) => v1::hash_on::On::Cookie(text(name)),
    };
    v1::Balancer { kind: kind as i32, hash_on: hash.map(|hash| v1::HashOn { on: Some(on(hash)) }) }
}

fn tunnel(tunnel: &Tunnel) -> v1::Tunnel {
    use v1::tunnel::Tunnel as T;
    let tunnel = match tunnel {
        Tunnel::None => T::None(v1::tunnel::None {}),
        Tunnel::Hbone(address) => T::Hbone(text(address)),
        Tunnel::Organza(address) => T::Organza(text(address)),
    };
    v1::Tunnel { tunnel: Some(tunnel) }
}

fn port(number: u16, name: Option<&str>, protocol: model::AppProtocol) -> v1::Port {
    v1::Port { number: u32::from(number), name: name.map(str::to_owned), protocol: protocol.number() }
}

fn origin(origin: &Origin) -> v1::Origin {
    let object = &origin.object;
    v1::Origin {
        group: text(&object.group),
        kind: text(&object.kind),
        namespace: text(&object.namespace),
        name: text(&object.name),
        place: text(&origin.place),
    }
}

fn locality(locality: &model::Locality) -> v1::Locality {
    v1::Locality { region: text(&locality.region), zone: text(&locality.zone), node: text(&locality.node) }
}

fn labels(labels: &Labels) -> BTreeMap<String, String> {
    labels.iter().map(|(name, value)| (text(name), text(value))).collect()
}

fn text(value: &(impl Display + ?Sized)) -> String {
    value.to_string()
}

fn texts(values: &[impl Display]) -> Vec<String> {
    values.iter().map(text).collect()
}
