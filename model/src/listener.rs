//! Where strangers may knock: a gateway's listeners and the certificates they show.

use crate::authorizer::Asking;
use crate::{Cidr, HostPattern, Key, Origin, TrustedProxies};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ListenerProtocol {
    Http,
    /// TLS terminated here, HTTP inside.
    Https,
    /// TLS terminated here, bytes inside.
    TlsTerminate,
    /// Routed by SNI, bytes carried unread.
    TlsPassthrough,
    Tcp,
    Udp,
}

impl ListenerProtocol {
    pub fn is_http(self) -> bool {
        matches!(self, Self::Http | Self::Https)
    }
}

/// How far a path is made regular before routing reads it (RFC 3986, section 6.2.2). Each level does what the ones before do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Normalisation {
    None,
    /// Unreserved characters decoded, dot segments removed, escapes in upper case.
    #[default]
    Base,
    MergeSlashes,
    /// `%2F`, `%5C` and `\` become `/`.
    DecodeSlashes,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListenerTls {
    /// Keys of [`Certificate`]s; the proxy chooses among them by SNI.
    pub certificates: Vec<Key>,
    pub clients: ClientCertificates,
}

/// What a listener that ends TLS wants to see of its clients (GEP-91). Roots are PEM.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ClientCertificates {
    #[default]
    Unasked,
    /// One that these roots vouch for; who has none is not let in.
    Required(Arc<[u8]>),
    /// They are asked for, and whoever comes is let in, whatever is shown.
    Insecure(Arc<[u8]>),
}

/// Whether the PROXY protocol's header comes before all else on a connection.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ProxyProtocol {
    #[default]
    Off,
    /// It comes first, from these senders; others, and those who send none, are refused.
    Require(Vec<Cidr>),
}

/// What holds for a connection before a byte of the caller's own is read, and who may bring it for others.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Front {
    pub proxy_protocol: ProxyProtocol,
    pub trusted: TrustedProxies,
    pub limits: FrontLimits,
}

/// What a listener's connections may hold, wait for and carry; `None`: as the proxy has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FrontLimits {
    /// At once on the port, over all workers of one proxy.
    pub connections: Option<u32>,
    /// TLS handshakes under way on the port, likewise.
    pub handshakes: Option<u32>,
    /// For one of them to end.
    pub handshake_time: Option<Duration>,
    /// Bytes of a request's head.
    pub head_bytes: Option<u32>,
    /// From its first byte to its last; of HTTP/1.
    pub head_time: Option<Duration>,
    /// Between two requests of a connection.
    pub idle: Option<Duration>,
    /// Between two pieces of a body, and for a caller to take something.
    pub body_idle: Option<Duration>,
    /// Of one connection, which is closed after the last of them.
    pub requests: Option<u32>,
    /// Requests under way on one connection of HTTP/2.
    pub streams: Option<u32>,
    /// Callers whose datagrams lead somewhere, at once on the port, over all workers of one proxy.
    pub sessions: Option<u32>,
    /// Such a session ends when nothing came either way for so long.
    pub session_idle: Option<Duration>,
    /// Of one datagram.
    pub datagram_bytes: Option<u32>,
}

impl FrontLimits {
    /// These, and what `wider` says where they say nothing.
    #[must_use]
    pub fn over(self, wider: Self) -> Self {
        Self {
            connections: self.connections.or(wider.connections),
            handshakes: self.handshakes.or(wider.handshakes),
            handshake_time: self.handshake_time.or(wider.handshake_time),
            head_bytes: self.head_bytes.or(wider.head_bytes),
            head_time: self.head_time.or(wider.head_time),
            idle: self.idle.or(wider.idle),
            body_idle: self.body_idle.or(wider.body_idle),
            requests: self.requests.or(wider.requests),
            streams: self.streams.or(wider.streams),
            sessions: self.sessions.or(wider.sessions),
            session_idle: self.session_idle.or(wider.session_idle),
            datagram_bytes: self.datagram_bytes.or(wider.datagram_bytes),
        }
    }
}

/// What a gateway shows to servers outside the mesh that ask who calls (`spec.tls.backend`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum GatewayCertificate {
    #[default]
    Nothing,
    /// The key of a [`Certificate`].
    Shown(Key),
    /// What was to be shown cannot be, and why: such servers are not called without it.
    Broken(Arc<str>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Name `gateway.section`.
    pub key: Key,
    pub origin: Origin,
    pub gateway: Key,
    pub section: Arc<str>,
    /// Addresses to bind; empty for all of the machine.
    pub addresses: Vec<IpAddr>,
    pub port: u16,
    pub protocol: ListenerProtocol,
    pub hostname: HostPattern,
    pub tls: Option<ListenerTls>,
    pub normalisation: Normalisation,
    /// The same for all listeners of one gateway.
    pub front: Front,
    /// The same for all listeners of one gateway.
    pub shown: GatewayCertificate,
    /// Asked about each request before it is routed, in this order: routes match what they make of it.
    pub asks: Vec<Arc<Asking>>,
    /// Why it cannot serve (a reference that dangles): it then answers nobody, and says so in status.
    pub broken: Option<Arc<str>>,
}

impl Listener {
    /// The roots (PEM) of which one must vouch for each of its clients, where it serves nobody else.
    pub fn roots_of_clients(&self) -> Option<&Arc<[u8]>> {
        match &self.tls.as_ref()?.clients {
            ClientCertificates::Required(roots) => Some(roots),
            ClientCertificates::Unasked | ClientCertificates::Insecure(_) => None,
        }
    }

    /// `shop/edge/web`: the gateway, and the listener's name in it.
    pub fn full_name(&self) -> String {
        format!("{}/{}/{}", self.gateway.namespace, self.gateway.name, self.section)
    }
}

/// A certificate chain and its private key, for a gateway that references them. The key never appears in `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    pub key: Key,
    /// PEM, leaf first.
    pub chain: Arc<[u8]>,
    /// PEM.
    pub private_key: Arc<[u8]>,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("key", &self.key).finish_non_exhaustive()
    }
}
