//! What is called by name, and who answers.

use crate::{
    AttachedPolicy, AttachedTls, BackendTls, Hostname, Key, Labels, Locality, Nearest, Normalisation, Origin, SpiffeId, TrafficPolicy,
};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// The protocol an application speaks on a port, as declared (`appProtocol`, then the port's name), or `Detect` where nobody said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum AppProtocol {
    /// Whoever speaks first decides.
    #[default]
    Detect,
    /// HTTP/1.x (upgrades such as WebSocket included).
    Http,
    /// HTTP/2 with prior knowledge (`kubernetes.io/h2c`, `http2`).
    Http2,
    Grpc,
    Tcp,
    /// TLS of the application's own, carried unread.
    Tls,
    Udp,
}

impl AppProtocol {
    pub const ALL: [Self; 7] = [Self::Detect, Self::Http, Self::Http2, Self::Grpc, Self::Tcp, Self::Tls, Self::Udp];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Detect => "detect",
            Self::Http => "http",
            Self::Http2 => "http2",
            Self::Grpc => "grpc",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Udp => "udp",
        }
    }

    /// Reads `appProtocol` values (Kubernetes' `kubernetes.io/h2c`, `kubernetes.io/ws`, IANA names) and Istio-style port-name prefixes
    /// (`http-web`, `grpc`). `None` for what is not known: then nobody has declared anything.
    pub fn declared(text: &str) -> Option<Self> {
        let lower = text.to_ascii_lowercase();
        let word = lower.strip_prefix("kubernetes.io/").unwrap_or(&lower);
        Some(match word.split('-').next().unwrap_or(word) {
            "http" | "http1" | "ws" => Self::Http,
            "http2" | "h2c" => Self::Http2,
            "grpc" => Self::Grpc,
            "tcp" | "mysql" | "mongo" | "redis" | "postgres" | "postgresql" => Self::Tcp,
            "https" | "tls" | "wss" => Self::Tls,
            "udp" => Self::Udp,
            _ => return None,
        })
    }

    /// Whether requests can be read (layer 7) on a port that declares this.
    pub fn is_http(self) -> bool {
        matches!(self, Self::Http | Self::Http2 | Self::Grpc)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServicePort {
    /// The port that callers dial.
    pub number: u16,
    pub name: Option<Arc<str>>,
    pub protocol: AppProtocol,
}

/// How one endpoint among many is chosen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Balancer {
    /// Power of two choices over peak EWMA of latency.
    #[default]
    PeakEwma,
    RoundRobin,
    LeastRequest,
    RingHash(HashOn),
    Maglev(HashOn),
}

/// What a request is hashed by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HashOn {
    SourceAddress,
    Header(Arc<str>),
    Cookie(Arc<str>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    pub key: Key,
    pub origin: Origin,
    /// Every name it is called by, most written-out last (`catalog`, `catalog.shop`, `catalog.shop.svc`, `catalog.shop.svc.cluster.local`).
    /// Short names hold only for callers of the same namespace; [`Service::is_called`] knows.
    pub hostnames: Vec<Hostname>,
    pub addresses: Vec<IpAddr>,
    pub ports: Vec<ServicePort>,
    /// The identities registered to answer for it. A client accepts no other. Empty: no endpoint is in the mesh.
    pub identities: Vec<SpiffeId>,
    pub balancer: Balancer,
    /// Endpoints so near to the caller are preferred; `None`: all are alike.
    pub nearest: Option<Nearest>,
    /// One for the whole service at most, and one for each port; none where the defaults hold.
    pub policies: Vec<AttachedPolicy>,
    /// How far paths of requests to it are made regular: by its callers and by the proxies of its workloads alike.
    pub normalisation: Normalisation,
    /// One for the whole service at most, and one for each port; none where endpoints outside the mesh are called without TLS.
    pub tls: Vec<AttachedTls>,
}

impl Service {
    /// The port that is dialled by this number. Where datagrams have the same number, it is the one for connections.
    pub fn port(&self, number: u16) -> Option<&ServicePort> {
        let all = || self.ports.iter().filter(|port| port.number == number);
        all().find(|port| port.protocol != AppProtocol::Udp).or_else(|| all().next())
    }

    /// The port for datagrams.
    pub fn datagram_port(&self, number: u16) -> Option<&ServicePort> {
        self.ports.iter().find(|port| port.number == number && port.protocol == AppProtocol::Udp)
    }

    /// The policy of a port: its own, else the service's; `None` where the defaults hold.
    pub fn policy(&self, port: u16) -> Option<&Arc<TrafficPolicy>> {
        let own = self.policies.iter().find(|at| at.port == Some(port));
        own.or_else(|| self.policies.iter().find(|at| at.port.is_none())).map(|at| &at.policy)
    }

    /// The TLS of a port: its own, else the service's.
    pub fn tls(&self, port: u16) -> Option<&BackendTls> {
        let own = self.tls.iter().find(|at| at.port == Some(port));
        own.or_else(|| self.tls.iter().find(|at| at.port.is_none())).map(|at| &at.tls)
    }

    /// Whether a caller in `namespace` that says `host` (lower case) means this service.
    pub fn is_called(&self, host: &str, namespace: &str) -> bool {
        let short = !host.contains('.');
        (!short || *self.key.namespace == *namespace) && self.hostnames.iter().any(|name| name.as_str() == host)
    }
}

/// How bytes reach an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Tunnel {
    /// Not in the mesh: dialled as it is, shown as plain or TLS, never as mTLS.
    #[default]
    None,
    /// HTTP CONNECT over HTTP/2 over mTLS, as ztunnel speaks it, at this address.
    Hbone(SocketAddr),
    /// ALPN `organza/1` between Organza peers (which speak HBONE at the same address too).
    Organza(SocketAddr),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Health {
    #[default]
    Healthy,
    Unhealthy,
    /// Takes no new work, finishes what it has.
    Draining,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Unique within its service and stable over its life: the workload's name, or the address.
    pub id: Arc<str>,
    pub workload: Option<Key>,
    pub address: IpAddr,
    /// Service port to the port the application listens on there, for connections.
    pub ports: Vec<(u16, u16)>,
    /// The same for datagrams: a Service may have one number for both.
    pub datagrams: Vec<(u16, u16)>,
    pub tunnel: Tunnel,
    /// Who must answer the handshake; `None` where the endpoint is not in the mesh.
    pub identity: Option<SpiffeId>,
    pub health: Health,
    pub weight: u32,
    /// 0 is used first; the next only where too few of the ones before are healthy.
    pub priority: u8,
    pub locality: Locality,
    pub labels: Labels,
    /// TLS towards an endpoint outside the mesh (BackendTLSPolicy, `XBackend` with TLS).
    pub tls: Option<Arc<crate::UpstreamTls>>,
}

impl Endpoint {
    /// The label of a workload or an EndpointSlice that says its priority.
    pub const PRIORITY_LABEL: &str = "organza.dev/priority";

    /// What the label says, 0 where there is none; `None` where it is no number from 0 to 255.
    pub fn priority_of(label: Option<&str>) -> Option<u8> {
        label.map_or(Some(0), |text| text.parse().ok())
    }

    pub fn target_port(&self, service_port: u16) -> Option<u16> {
        self.ports.iter().find(|(from, _)| *from == service_port).map(|(_, to)| *to)
    }

    pub fn datagram_port(&self, service_port: u16) -> Option<u16> {
        self.datagrams.iter().find(|(from, _)| *from == service_port).map(|(_, to)| *to)
    }
}

/// All that can answer for one service. The key is the service's, with kind `Endpoints`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoints {
    pub key: Key,
    pub endpoints: Vec<Endpoint>,
}
