//! A process (or pod) that sends or answers calls.

use crate::{AppProtocol, Key, SpiffeId, Tunnel};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// Labels in a stable order, so that two equal sets are equal bytes on the wire.
pub type Labels = BTreeMap<Arc<str>, Arc<str>>;

/// Where a workload runs, from wide to narrow; empty where unknown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Locality {
    pub region: Arc<str>,
    pub zone: Arc<str>,
    pub node: Arc<str>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkloadPort {
    pub number: u16,
    pub name: Option<Arc<str>>,
    pub protocol: AppProtocol,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    pub key: Key,
    pub identity: SpiffeId,
    /// The controller's name as shown to people and in metrics (`catalog-v1`).
    pub canonical_name: Arc<str>,
    /// From label `version`; `latest` where there is none, as Istio has it.
    pub revision: Arc<str>,
    pub cluster: Arc<str>,
    /// The network it is reachable on directly; empty for the default one.
    pub network: Arc<str>,
    pub locality: Locality,
    pub labels: Labels,
    /// IPv4 and IPv6, first preferred.
    pub addresses: Vec<IpAddr>,
    pub ports: Vec<WorkloadPort>,
    pub tunnel: Tunnel,
    /// The services that it backs: the ones whose key is believed when a peer says that it dialled it.
    pub services: Vec<Key>,
    pub weight: u32,
    /// Seconds since the Unix epoch.
    pub started: u64,
}
