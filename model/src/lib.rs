//! The one language all rooms share: what a mesh is made of, as values that cannot be wrong.
//!
//! Everything here is plain data with smart constructors and pure functions. This crate never knows Kubernetes, protobuf,
//! serde, tokio, a socket or a clock: front ends translate *into* it, `wire` carries it, `routing` compiles it.
//!
//! Read it from [`Resource`] downward.

pub mod access;
pub mod applied;
pub mod authorizer;
pub mod backend;
pub mod consumer;
pub mod fault;
pub mod health;
pub mod host;
pub mod http;
pub mod identity;
pub mod key;
pub mod lately;
pub mod limits;
pub mod listener;
pub mod matches;
pub mod rate;
pub mod report;
pub mod route;
pub mod service;
pub mod session;
pub mod telemetry;
pub mod token;
pub mod told;
pub mod traffic;
pub mod trusted;
pub mod url;
pub mod workload;

pub use access::{AccessPolicy, AccessSettings};
pub use applied::{Applied, FilterPlace};
pub use authorizer::ExternalAuthorizer;
pub use backend::{AttachedTls, Backend, BackendTls, ExternalHost, InvalidBackend, ServiceRef, UpstreamTls, WeightedBackend};
pub use consumer::Consumer;
pub use fault::{Blame, Fault};
pub use health::{HealthCheck, InitialHealth, Probe};
pub use host::{HostPattern, Hostname};
pub use http::{HeaderBlock, Method, RequestHead, ResponseHead, Scheme, Version};
pub use identity::{SpiffeId, TrustBundle, TrustDomain};
pub use key::{Key, Kind, ObjectRef, Origin, Source};
pub use listener::{
    Certificate, ClientCertificates, Front, FrontLimits, GatewayCertificate, Listener, ListenerProtocol, ListenerTls, Normalisation,
    ProxyProtocol,
};
pub use matches::{Cidr, HeaderMatch, PathMatch, QueryMatch, Regex, RegexError, RouteMatch, ValueMatch};
pub use rate::RatePolicy;
pub use report::{Condition, ConditionStatus, ListenerStatus, ParentStatus, Report, Severity, Status};
pub use route::{Attachment, Filter, Rank, Retry, Route, RouteProtocol, Rule, Target, Timeouts};
pub use service::{AppProtocol, Balancer, Endpoint, Endpoints, Health, Service, ServicePort, Tunnel};
pub use telemetry::{TelemetryPolicy, TelemetrySettings, TelemetryTarget};
pub use token::TokenIssuer;
pub use told::{Asleep, Told};
pub use traffic::{AttachedPolicy, TrafficPolicy};
pub use trusted::{OriginField, Trusted, TrustedProxies};
pub use url::BaseUrl;
pub use workload::{Labels, Locality, Nearest, Workload};

use std::sync::Arc;

/// Anything the control plane tells a proxy. Services and endpoints are apart, so that churn of endpoints rebuilds no table.
#[derive(Debug, Clone, PartialEq)]
pub enum Resource {
    Service(Arc<Service>),
    Endpoints(Arc<Endpoints>),
    Workload(Arc<Workload>),
    Listener(Arc<Listener>),
    Route(Arc<Route>),
    TrustBundle(Arc<TrustBundle>),
    Certificate(Arc<Certificate>),
    Access(Arc<AccessPolicy>),
    AccessSettings(Arc<AccessSettings>),
    RateLimit(Arc<RatePolicy>),
    TokenIssuer(Arc<TokenIssuer>),
    Telemetry(Arc<TelemetryPolicy>),
    ExternalAuthorizer(Arc<ExternalAuthorizer>),
    Consumer(Arc<Consumer>),
}

impl Resource {
    /// The key under which the resource is subscribed to, stored and replaced.
    pub fn key(&self) -> &Key {
        match self {
            Self::Service(r) => &r.key,
            Self::Endpoints(r) => &r.key,
            Self::Workload(r) => &r.key,
            Self::Listener(r) => &r.key,
            Self::Route(r) => &r.key,
            Self::TrustBundle(r) => &r.key,
            Self::Certificate(r) => &r.key,
            Self::Access(r) => &r.key,
            Self::AccessSettings(r) => &r.key,
            Self::RateLimit(r) => &r.key,
            Self::TokenIssuer(r) => &r.key,
            Self::Telemetry(r) => &r.key,
            Self::ExternalAuthorizer(r) => &r.key,
            Self::Consumer(r) => &r.key,
        }
    }
}

/// One step from a generation to the next: a resource put in place, or taken away.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    Put(Resource),
    /// Put in place, and read when somebody asks for it.
    Told(Asleep),
    Remove(Key),
}

impl Change {
    pub fn key(&self) -> &Key {
        match self {
            Self::Put(resource) => resource.key(),
            Self::Told(asleep) => asleep.key(),
            Self::Remove(key) => key,
        }
    }
}
