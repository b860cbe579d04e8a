//! Bytes as the model: total, through the model's own constructors. What is wrong is refused with the field's name; what this release does not
//! know (a word, a kind) is refused too, never widened. Fields that it does not know are skipped, as protobuf has it. But what guards (access, tokens, rates)
//! would guard nothing if it were refused: there what is not known is read as the strictest that it can be, and noted (`decisions/0037`).

mod access;
mod authorizer;
mod consumer;
mod rates;
mod read;
mod route;
mod telemetry;
mod tls;
mod token;
mod traffic;

use crate::encode::ASKS_FIRST;
use crate::{limits, v1};
use model::key::KnownKeys;
use model::service::HashOn;
use model::{
    Asleep, Balancer, Change, Endpoint, Hostname, Key, Kind, Labels, Locality, Normalisation, ObjectRef, Origin, Resource, Told, Tunnel,
};
use prost::Message;
use read::{Later, Read, Result, blob, list, port, some, text, word};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

/// Why bytes are no resource.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("resource is larger than {} bytes", limits::RESOURCE_BYTES)]
    TooLarge,
    #[error("not protobuf: {0}")]
    Protobuf(String),
    #[error("a kind of resource that this release does not know")]
    UnknownKind,
    /// `rules[0].backends[1].weight: is over 1000000`.
    #[error("{field}: {why}")]
    Field { field: String, why: String },
}

/// Reads what [`crate::encode`] wrote, or says what is wrong.
pub fn decode(bytes: &[u8]) -> std::result::Result<Resource, DecodeError> {
    decode_noting(bytes).map(|(resource, _)| resource)
}

/// The same, and in words what of it is of a later release and was read as the strictest that it can be.
pub fn decode_noting(bytes: &[u8]) -> std::result::Result<(Resource, Option<String>), DecodeError> {
    use v1::resource::Resource as R;
    if bytes.len() > limits::RESOURCE_BYTES {
        return Err(DecodeError::TooLarge);
    }
    let message = v1::Resource::decode(bytes).map_err(|error| DecodeError::Protobuf(error.to_string()))?;
    let guards = matches!(
        &message.resource,
        Some(R::Access(_) | R::AccessSettings(_) | R::RateLimit(_) | R::TokenIssuer(_) | R::ExternalAuthorizer(_) | R::Consumer(_))
    );
    // What was skipped is missing when it is written again.
    let later = &mut Later::new(guards && message.encoded_len() < bytes.len());
    let read = match message.resource.ok_or(DecodeError::UnknownKind)? {
        R::Service(m) => service(m).map(|r| Resource::Service(Arc::new(r))),
        R::Endpoints(m) => endpoints(m).map(|r| Resource::Endpoints(Arc::new(r))),
        R::Workload(m) => workload(m).map(|r| Resource::Workload(Arc::new(r))),
        R::Listener(m) => listener(m, later).map(|r| Resource::Listener(Arc::new(r))),
        R::Route(m) => route::route(m).map(|r| Resource::Route(Arc::new(r))),
        R::TrustBundle(m) => trust_bundle(m).map(|r| Resource::TrustBundle(Arc::new(r))),
        R::Certificate(m) => certificate(m).map(|r| Resource::Certificate(Arc::new(r))),
        R::Access(m) => access::policy(m, bytes, later).map(|r| Resource::Access(Arc::new(r))),
        R::AccessSettings(m) => access::settings(m, later).map(|r| Resource::AccessSettings(Arc::new(r))),
        R::RateLimit(m) => rates::policy(m, later).map(|r| Resource::RateLimit(Arc::new(r))),
        R::Consumer(m) => consumer::consumer(m, later).map(|r| Resource::Consumer(Arc::new(r))),
        R::TokenIssuer(m) => token::issuer(m, later).map(|r| Resource::TokenIssuer(Arc::new(r))),
        R::ExternalAuthorizer(m) => authorizer::authorizer(m, later).map(|r| Resource::ExternalAuthorizer(Arc::new(r))),
        R::Telemetry(m) => telemetry::policy(m).map(|r| Resource::Telemetry(Arc::new(r))),
    };
    let resource = read.map_err(|wrong| DecodeError::Field { field: wrong.field, why: wrong.why })?;
    Ok((resource, std::mem::take(later).told()))
}

/// What was `read` from `bytes`, to be put in place. What there is as much of as there are services sleeps until somebody asks for it, and is read again then; but for
/// what is large, or takes long to make ready.
pub fn change(read: Resource, bytes: &Arc<[u8]>) -> Change {
    let small = bytes.len() <= model::limits::ASLEEP_BYTES;
    match &read {
        Resource::Endpoints(endpoints) if small => {
            let reader = |bytes: &[u8]| match decode(bytes) {
                Ok(Resource::Endpoints(endpoints)) => Some(endpoints),
                _ => None,
            };
            Change::Told(Asleep::Endpoints(Arc::new(Told::asleep(endpoints.key.clone(), bytes.clone(), reader))))
        }
        Resource::Route(route) if small && !route.has_regex() => {
            let reader = |bytes: &[u8]| match decode(bytes) {
                Ok(Resource::Route(route)) => Some(route),
                _ => None,
            };
            Change::Told(Asleep::Route(Arc::new(Told::asleep(route.key.clone(), bytes.clone(), reader))))
        }
        _ => Change::Put(read),
    }
}

fn service(m: v1::Service) -> Result<model::Service> {
    Ok(model::Service {
        key: key_of(&m.key, Kind::Service)?,
        origin: origin(m.origin)?,
        hostnames: list(m.hostnames, "hostnames", |name| hostname(&name))?,
        addresses: list(m.addresses, "addresses", |a| address(&a))?,
        ports: list(m.ports, "ports", |p| {
            Ok(model::ServicePort {
                number: port(p.number).at("number")?,
                name: optional(p.name).at("name")?,
                protocol: word(p.protocol).at("protocol")?,
            })
        })?,
        identities: list(m.identities, "identities", |id| identity(&id))?,
        balancer: balancer(some(m.balancer).at("balancer")?).at("balancer")?,
        nearest: m.nearest.map(word).transpose().at("nearest")?,
        policies: list(m.policies, "policies", traffic::attached)?,
        normalisation: if m.normalisation == 0 { Normalisation::default() } else { word(m.normalisation).at("normalisation")? },
        tls: list(m.tls, "tls", tls::attached)?,
    })
}

fn endpoints(m: v1::Endpoints) -> Result<model::Endpoints> {
    Ok(model::Endpoints { key: key_of(&m.key, Kind::Endpoints)?, endpoints: list(m.endpoints, "endpoints", endpoint)? })
}

fn endpoint(m: v1::Endpoint) -> Result<Endpoint> {
    Ok(Endpoint {
        id: text(m.id).at("id")?,
        workload: m.workload.map(|k| key(&k)).transpose().at("workload")?,
        address: address(&m.address).at("address")?,
        ports: list(m.ports, "ports", pair)?,
        datagrams: list(m.datagrams, "datagrams", pair)?,
        tunnel: tunnel(m.tunnel).at("tunnel")?,
        identity: m.identity.map(|id| identity(&id)).transpose().at("identity")?,
        health: word(m.health).at("health")?,
        weight: weight(m.weight).at("weight")?,
        priority: u8::try_from(m.priority).map_err(|_| read::wrong("is over 255")).at("priority")?,
        locality: locality(m.locality)?,
        labels: labels(m.labels).at("labels")?,
        tls: m.tls.map(tls::upstream).transpose().at("tls")?.map(Arc::new),
    })
}

fn pair(m: v1::PortPair) -> Result<(u16, u16)> {
    Ok((port(m.service).at("service")?, port(m.target).at("target")?))
}

fn workload(m: v1::Workload) -> Result<model::Workload> {
    Ok(model::Workload {
        key: key_of(&m.key, Kind::Workload)?,
        identity: identity(&m.identity).at("identity")?,
        canonical_name: text(m.canonical_name).at("canonical_name")?,
        revision: text(m.revision).at("revision")?,
        cluster: text(m.cluster).at("cluster")?,
        network: text(m.network).at("network")?,
        locality: locality(m.locality)?,
        labels: labels(m.labels).at("labels")?,
        addresses: list(m.addresses, "addresses", |a| address(&a))?,
        ports: list(m.ports, "ports", |p| {
            let (number, protocol) = (port(p.number).at("number")?, word(p.protocol).at("protocol")?);
            Ok(model::workload::WorkloadPort { number, name: optional(p.name).at("name")?, protocol })
        })?,
        tunnel: tunnel(m.tunnel).at("tunnel")?,
        services: list(m.services, "services", |k| key(&k))?,
        weight: weight(m.weight).at("weight")?,
        started: m.started,
    })
}

fn trusted(m: v1::TrustedProxies) -> Result<model::TrustedProxies> {
    let who = match (m.sources.is_empty(), m.hops) {
        (true, hops @ 1..=255) => model::Trusted::Hops(hops as u8),
        (false, 0) => model::Trusted::Sources(list(m.sources, "sources", block)?),
        (_, hops) => return Err(read::wrong(format!("either sources or hops are trusted, not {hops} of them"))),
    };
    let field = if m.forwarded { model::OriginField::Forwarded } else { model::OriginField::XForwardedFor };
    Ok(model::TrustedProxies { who, field })
}

fn block(text: String) -> Result<model::Cidr> {
    model::Cidr::parse(&text).ok_or_else(|| read::wrong(format!("{text:?} is no block of addresses")))
}

fn front(
    proxy_protocol: Option<v1::ProxyProtocol>,
    brought: Option<v1::TrustedProxies>,
    connections: Option<u32>,
    m: v1::FrontLimits,
) -> Result<model::Front> {
    let brought = brought.map(trusted).transpose().at("trusted")?.unwrap_or_default();
    let trusted = proxy_protocol.map(|m| list(m.trusted, "trusted", block)).transpose().at("proxy_protocol")?;
    let limits = model::FrontLimits {
        connections,
        handshakes: m.handshakes,
        handshake_time: m.handshake_nanos.map(Duration::from_nanos),
        head_bytes: m.head_bytes,
        head_time: m.head_nanos.map(Duration::from_nanos),
        idle: m.idle_nanos.map(Duration::from_nanos),
        body_idle: m.body_idle_nanos.map(Duration::from_nanos),
        requests: m.requests,
        streams: m.streams,
        sessions: m.sessions,
        session_idle: m.session_idle_nanos.map(Duration::from_nanos),
        datagram_bytes: m.datagram_bytes,
    };
    let proxy_protocol = trusted.map_or(model::ProxyProtocol::Off, model::ProxyProtocol::Require);
    Ok(model::Front { proxy_protocol, trusted: brought, limits })
}

fn listener(m: v1::Listener, later: &mut Later) -> Result<model::Listener> {
    // Words for those alone who do not see whom it asks.
    let is_meant_for_others = !m.asks.is_empty() && m.broken.as_deref() == Some(ASKS_FIRST);
    let broken = if is_meant_for_others { None } else { m.broken };
    Ok(model::Listener {
        key: key_of(&m.key, Kind::Listener)?,
        origin: origin(m.origin)?,
        gateway: key(&m.gateway).at("gateway")?,
        section: text(m.section).at("section")?,
        addresses: list(m.addresses, "addresses", |a| address(&a))?,
        port: port(m.port).at("port")?,
        protocol: word(m.protocol).at("protocol")?,
        hostname: pattern(&m.hostname).at("hostname")?,
        tls: m.tls.map(tls::listener).transpose().at("tls")?,
        normalisation: word(m.normalisation).at("normalisation")?,
        front: front(m.proxy_protocol, m.trusted, m.connections, m.limits.unwrap_or_default())?,
        shown: tls::shown(m.shown)?,
        asks: list(m.asks, "asks", |m| authorizer::of_listener(m, later).map(Arc::new))?,
        broken: optional(broken).at("broken")?,
    })
}

fn trust_bundle(m: v1::TrustBundle) -> Result<model::TrustBundle> {
    Ok(model::TrustBundle {
        key: key_of(&m.key, Kind::TrustBundle)?,
        trust_domain: model::TrustDomain::parse(&m.trust_domain).map_err(read::wrong).at("trust_domain")?,
        roots: list(m.roots, "roots", blob)?,
        revoked: list(m.revoked, "revoked", |hash| hash[..].try_into().map_err(read::wrong))?,
    })
}

fn certificate(m: v1::Certificate) -> Result<model::Certificate> {
    Ok(model::Certificate {
        key: key_of(&m.key, Kind::Certificate)?,
        chain: blob(m.chain).at("chain")?,
        private_key: blob(m.private_key).at("private_key")?,
    })
}

fn balancer(m: v1::Balancer) -> Result<Balancer> {
    use v1::BalancerKind as K;
    let kind = K::try_from(m.kind).map_err(|_| read::unknown(m.kind)).at("kind")?;
    let hash = m.hash_on.map(hash_on).transpose().at("hash_on")?;
    match (kind, hash) {
        (K::PeakEwma, None) => Ok(Balancer::PeakEwma),
        (K::RoundRobin, None) => Ok(Balancer::RoundRobin),
        (K::LeastRequest, None) => Ok(Balancer::LeastRequest),
        (K::RingHash, Some(on)) => Ok(Balancer::RingHash(on)),
        (K::Maglev, Some(on)) => Ok(Balancer::Maglev(on)),
        (K::RingHash | K::Maglev, None) => Err(read::wrong("is missing")).at("hash_on"),
        (K::Unspecified, _) => Err(read::unknown(0)).at("kind"),
        (_, Some(_)) => Err(read::wrong("means nothing for this balancer")).at("hash_on"),
    }
}

fn hash_on(m: v1::HashOn) -> Result<HashOn> {
    use v1::hash_on::On;
    Ok(match some(m.on)? {
        On::SourceAddress(_) => HashOn::SourceAddress,
        On::Header(name) => HashOn::Header(header_name(name).at("header")?),
        On::Cookie(name) => HashOn::Cookie(text(name).at("cookie")?),
    })
}

fn tunnel(m: Option<v1::Tunnel>) -> Result<Tunnel> {
    use v1::tunnel::Tunnel as T;
    let socket = |text: &str| text.parse::<SocketAddr>().map_err(|_| read::wrong("is no address and port"));
    Ok(match some(some(m)?.tunnel)? {
        T::None(_) => Tunnel::None,
        T::Hbone(address) => Tunnel::Hbone(socket(&address).at("hbone")?),
        T::Organza(address) => Tunnel::Organza(socket(&address).at("organza")?),
    })
}

fn origin(m: Option<v1::Origin>) -> Result<Origin> {
    let m = some(m).at("origin")?;
    for (value, field) in [(&m.group, "group"), (&m.kind, "kind"), (&m.namespace, "namespace"), (&m.name, "name"), (&m.place, "place")] {
        read::short(value).at(field).at("origin")?;
    }
    Ok(Origin::new(ObjectRef::new(&m.group, &m.kind, &m.namespace, &m.name), &m.place))
}

fn locality(m: Option<v1::Locality>) -> Result<Locality> {
    let m = some(m).at("locality")?;
    let read = Ok(Locality { region: text(m.region).at("region")?, zone: text(m.zone).at("zone")?, node: text(m.node).at("node")? });
    read.at("locality")
}

fn labels(m: BTreeMap<String, String>) -> Result<Labels> {
    list(m.into_iter().collect(), "", |(name, value)| Ok((text(name)?, text(value)?))).map(|pairs: Vec<_>| pairs.into_iter().collect())
}

/// A service is named by its endpoints, its routes, their backends: the request path looks it up by any of these. Of all threads, since what sleeps is read by
/// whichever asks for it first.
static KNOWN: LazyLock<Mutex<KnownKeys>> = LazyLock::new(Mutex::default);

fn key(text: &str) -> Result<Key> {
    read::short(text)?;
    let key = Key::parse(text).ok_or_else(|| read::wrong("is no key (`source/kind/namespace/name`)"))?;
    // What a panic elsewhere left there is whole.
    Ok(KNOWN.lock().unwrap_or_else(PoisonError::into_inner).share(key))
}

fn key_of(text: &str, kind: Kind) -> Result<Key> {
    let read = key(text).at("key")?;
    if read.kind == kind {
        Ok(read)
    } else {
        Err(read::wrong(format!("names a {}, not a {}", read.kind.as_str(), kind.as_str()))).at("key")
    }
}

fn identity(text: &str) -> Result<model::SpiffeId> {
    model::SpiffeId::parse(text).map_err(read::wrong)
}

fn hostname(text: &str) -> Result<Hostname> {
    Hostname::parse(text).map_err(read::wrong)
}

fn pattern(text: &str) -> Result<model::HostPattern> {
    model::HostPattern::parse(text).map_err(read::wrong)
}

fn address(text: &str) -> Result<IpAddr> {
    text.parse().map_err(|_| read::wrong("is no IP address"))
}

fn optional(value: Option<String>) -> Result<Option<Arc<str>>> {
    value.map(text).transpose()
}

fn header_name(name: String) -> Result<Arc<str>> {
    let token = !name.is_empty() && name.bytes().all(model::http::is_token_byte);
    if token { text(name) } else { Err(read::wrong("is no header name")) }
}

fn weight(weight: u32) -> Result<u32> {
    let limit = model::limits::WEIGHT;
    if weight > limit { Err(read::wrong(format!("is over {limit}"))) } else { Ok(weight) }
}

#[cfg(test)]
mod tests;
