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

/// The narrowest place whose endpoints are preferred; wider ones follow when those are too few.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Nearest {
    Node,
    Zone,
    Region,
}

impl Locality {
    pub const REGION_LABEL: &str = "topology.kubernetes.io/region";
    pub const ZONE_LABEL: &str = "topology.kubernetes.io/zone";

    /// Reads `region/zone`, or a region alone; `None` where it is neither.
    pub fn parse(text: &str) -> Option<Self> {
        let (region, zone) = text.split_once('/').unwrap_or((text, ""));
        let good = |part: &str| part.len() <= 63 && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        let whole = !region.is_empty() && good(region) && good(zone) && !text.ends_with('/');
        whole.then(|| Self { region: region.into(), zone: zone.into(), node: "".into() })
    }

    /// What a workload's labels say of it.
    pub fn of_labels(labels: &Labels) -> Self {
        let label = |name: &str| labels.get(name).cloned().unwrap_or_default();
        Self { region: label(Self::REGION_LABEL), zone: label(Self::ZONE_LABEL), node: Arc::default() }
    }

    /// How far `to` is: 0 in the narrowest place that is preferred, one more for each wider one. What is not known of a place is near to nothing; a
    /// zone whose region is not known is taken for the zone of that name.
    pub fn distance(&self, to: &Self, nearest: Nearest) -> u8 {
        let same = |a: &Arc<str>, b: &Arc<str>| !a.is_empty() && a == b;
        let region = same(&self.region, &to.region);
        let zone = same(&self.zone, &to.zone) && (region || self.region.is_empty() || to.region.is_empty());
        let places = [(Nearest::Node, same(&self.node, &to.node)), (Nearest::Zone, zone), (Nearest::Region, region)];
        let wider = places.iter().filter(|(place, _)| *place >= nearest);
        wider.take_while(|(_, here)| !here).count() as u8
    }
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

#[cfg(test)]
mod tests;
