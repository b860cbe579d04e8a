//! Where a rule sends a request.

use crate::{AppProtocol, Filter, Hostname, Key, Labels};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// TLS towards what is outside the mesh.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UpstreamTls {
    /// Sent as SNI and, without `subject_alt_names`, looked for in the certificate.
    pub server_name: Hostname,
    /// DNS names (or SPIFFE URIs) of which the certificate must have one.
    pub subject_alt_names: Vec<Arc<str>>,
    pub roots: UpstreamRoots,
    pub shown: Shown,
}

/// What is shown to a server outside the mesh that asks who calls.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Shown {
    #[default]
    Nothing,
    /// What the Gateway shows that calls, where one does.
    Gateways,
    /// A [`crate::Certificate`] of one's own.
    Own(Key),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum UpstreamRoots {
    System,
    /// PEM.
    Given(Arc<[u8]>),
}

/// TLS towards those endpoints of a service that are not in the mesh (BackendTLSPolicy).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackendTls {
    Verified(Arc<UpstreamTls>),
    /// The policy cannot be used, and says why. Nobody is called then: neither without TLS nor without verifying.
    Broken(Arc<str>),
}

/// For one port of a service, or for all that have none of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachedTls {
    pub port: Option<u16>,
    pub tls: BackendTls,
}

/// A service's port, whole or the part of it with these labels.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ServiceRef {
    pub service: Key,
    pub port: u16,
    pub subset: Option<Labels>,
}

/// A host that never joins the mesh (`XBackend`, `organza up --to`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ExternalHost {
    pub key: Key,
    pub host: ExternalName,
    pub port: u16,
    pub protocol: AppProtocol,
    pub tls: Option<Arc<UpstreamTls>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ExternalName {
    Dns(Hostname),
    Address(IpAddr),
}

/// Why a reference leads nowhere, by the reason that Gateway API's `ResolvedRefs` condition gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InvalidBackend {
    BackendNotFound,
    RefNotPermitted,
    InvalidKind,
    UnsupportedProtocol,
    UnsupportedValue,
}

impl InvalidBackend {
    pub const ALL: [Self; 5] =
        [Self::BackendNotFound, Self::RefNotPermitted, Self::InvalidKind, Self::UnsupportedProtocol, Self::UnsupportedValue];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::BackendNotFound => "BackendNotFound",
            Self::RefNotPermitted => "RefNotPermitted",
            Self::InvalidKind => "InvalidKind",
            Self::UnsupportedProtocol => "UnsupportedProtocol",
            Self::UnsupportedValue => "UnsupportedValue",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Backend {
    Service(ServiceRef),
    External(Arc<ExternalHost>),
    /// Keeps its weight and answers 500, as the specification says: broken configuration is a value with a reason.
    Invalid {
        reason: InvalidBackend,
        message: Arc<str>,
    },
}

/// `shop/catalog:80`, `shop/catalog:80{version=v2}`, `external shop/api api.example.com:443`, `invalid BackendNotFound`.
impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(to) => {
                write!(f, "{}/{}:{}", to.service.namespace, to.service.name, to.port)?;
                let Some(labels) = &to.subset else { return Ok(()) };
                let pairs: Vec<_> = labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
                write!(f, "{{{}}}", pairs.join(","))
            }
            Self::External(to) => {
                write!(f, "external {}/{} ", to.key.namespace, to.key.name)?;
                match &to.host {
                    ExternalName::Dns(name) => write!(f, "{name}:{}", to.port),
                    ExternalName::Address(address) => write!(f, "{address}:{}", to.port),
                }
            }
            Self::Invalid { reason, .. } => write!(f, "invalid {}", reason.as_str()),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct WeightedBackend {
    pub weight: u32,
    pub backend: Backend,
    pub filters: Vec<Filter>,
}
