//! The service graph as the dashboard, `organza graph` and `organza top` show it: workloads drawn together into the services that they stand for,
//! both ends' words on a call made one, over a window that the reader chooses.

use super::Security;
use serde::{Deserialize, Serialize};

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeKind {
    /// Where strangers come in.
    Gateway,
    Service,
    /// A member of the mesh that is called by nobody.
    Client,
    /// Callers and destinations outside the mesh.
    Outside,
}

/// Counts over the graph's window, and what follows from them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Requests that ended, or opaque connections.
    pub requests: u64,
    /// No success: a fault of whoever it was, a 5xx, or for gRPC a status that means failure of the server.
    pub failures: u64,
    /// Of all requests: answered with a 4xx.
    pub client_errors: u64,
    /// Refused by policy, as the one who refused counted it.
    pub denied: u64,
    /// Of the failures: answered or ended by Organza itself, and neither policy nor the caller wanted that.
    #[serde(default)]
    pub faults: u64,
    /// Tries beyond the first, at both ends of the call.
    pub retries: u64,
    /// Requests and retries together: each request once, sent or not (one that is denied is not), and each try beyond it. 0 where who answers does not tell it.
    #[serde(default)]
    pub attempts: u64,
    pub requests_per_second: f64,
    /// 0 to 1; 1 where nothing was asked.
    pub success_rate: f64,
    /// Of all attempts, retries counted, those that succeeded: what the rate would be if nothing were tried again.
    #[serde(default)]
    pub actual_success_rate: f64,
    /// Milliseconds, of all requests; `null` where there were none.
    pub p50_millis: Option<f64>,
    pub p95_millis: Option<f64>,
    pub p99_millis: Option<f64>,
    /// Of bodies, or of opaque connections that ended.
    pub bytes_received: u64,
    pub bytes_sent: u64,
}

/// One version of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeVersion {
    /// Label `version`; `latest` where there is none.
    pub version: String,
    pub endpoints: u32,
    /// Endpoints that no proxy leaves out.
    pub healthy: u32,
    /// The share that a route gives it, in percent, where one splits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_percent: Option<f64>,
    pub figures: Figures,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// `service/shop/catalog`: kind, namespace, name.
    pub id: String,
    pub kind: NodeKind,
    pub namespace: String,
    pub name: String,
    /// Of the calls that it was asked; of a gateway or client, that it sent.
    pub figures: Figures,
    pub versions: Vec<NodeVersion>,
    /// What a reader should know: `breaker`, `crowded`, `ejected`, `unhealthy`, `no endpoint`, `denied`, `fault`, `split`,
    /// `mirror`, `problem`.
    pub marks: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GraphEdge {
    /// `SOURCE→DESTINATION/PROTOCOL`, by the ids of nodes.
    pub id: String,
    pub source: String,
    pub destination: String,
    /// `http`, `grpc` or `tcp`.
    pub protocol: String,
    /// The worst of its calls, as handshakes showed it; `null` towards a gateway, whose callers' hop is counted nowhere.
    pub security: Option<Security>,
    /// Whether its calls differ in that.
    pub mixed: bool,
    pub figures: Figures,
    /// Opaque connections that were opened in the window, and that are open.
    pub opened: u64,
    pub open: u64,
    /// Since the control plane started.
    pub total_requests: u64,
    pub total_failures: u64,
    /// When something was reported last, in seconds since the Unix epoch.
    pub seen: u64,
    /// By version of who is called.
    pub versions: Vec<EdgeVersion>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EdgeVersion {
    pub version: String,
    pub figures: Figures,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Graph {
    pub generation: u64,
    /// Of the answer, in seconds since the Unix epoch.
    pub time: u64,
    /// Over which figures are told.
    pub window_seconds: u64,
    pub nodes: Vec<Node>,
    pub edges: Vec<GraphEdge>,
    /// Reports that there was no room for, since the control plane started.
    pub left_out: u64,
}

/// Ten seconds of a node or an edge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// When they began, in seconds since the Unix epoch.
    pub time: u64,
    pub figures: Figures,
}

/// The last hour of a node or an edge. Slots without a call are not there.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    pub time: u64,
    pub slot_seconds: u64,
    pub points: Vec<Point>,
}

/// A moment of a node, as a Prometheus tells it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LongPoint {
    /// In seconds since the Unix epoch.
    pub time: u64,
    pub requests_per_second: f64,
    pub failures_per_second: f64,
    /// Milliseconds; `null` where nothing was asked.
    pub p50_millis: Option<f64>,
    pub p95_millis: Option<f64>,
    pub p99_millis: Option<f64>,
}

/// Hours or days of a node, oldest first. What was not scraped is not there.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LongHistory {
    pub time: u64,
    /// Between two points.
    pub slot_seconds: u64,
    pub points: Vec<LongPoint>,
}

/// What one process wrote last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Log {
    /// `catalog-v1`; of its proxy `proxy-catalog-v1`.
    pub name: String,
    /// The latest last.
    pub lines: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogList {
    pub items: Vec<Log>,
}

/// Where a page of somebody else's shows more of a service or a trace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkTemplate {
    pub name: String,
    /// An http or https URL with `{service}` (and perhaps `{namespace}`), or with `{trace}`.
    pub url: String,
}

/// What the dashboard may show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageFacts {
    /// Of who asks.
    pub role: DashboardRole,
    /// Whether there is a longer history than the last hour.
    pub long_history: bool,
    pub links: Vec<LinkTemplate>,
}

/// A process of the mesh.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Workload {
    pub namespace: String,
    pub name: String,
    /// Several processes may be one workload to their callers.
    pub canonical_name: String,
    pub version: String,
    pub identity: String,
    pub labels: std::collections::BTreeMap<String, String>,
    pub addresses: Vec<String>,
    pub ports: Vec<u16>,
    /// `none`, `hbone` or `organza`.
    pub tunnel: String,
    /// `REGION/ZONE`; empty where it is not known.
    pub locality: String,
    /// Keys of the services that it backs.
    pub services: Vec<String>,
    /// The node of the graph that it is drawn as.
    pub node: String,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct WorkloadList {
    pub generation: u64,
    pub items: Vec<Workload>,
}

/// All that is wrong, the worst first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ProblemList {
    pub generation: u64,
    pub items: Vec<super::Located>,
}

/// What happened before, oldest first, with when it did.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PastEvents {
    pub items: Vec<PastEvent>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PastEvent {
    /// Seconds since the Unix epoch.
    pub time: u64,
    pub what: super::Event,
}

/// What a browser that was let in may do; each what those before it may.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DashboardRole {
    /// Look.
    #[default]
    Viewer,
    /// Be shown requests as they end.
    Tapper,
    /// Ask what a change would do, and read what processes wrote and what their proxies were told.
    Operator,
    /// Let others in: browsers and machines; rotate the root.
    Admin,
}

impl DashboardRole {
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Tapper, Self::Operator, Self::Admin];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Tapper => "tapper",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

/// What stands behind the `?` of a question for a link.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DashboardQuery {
    #[serde(default)]
    pub role: DashboardRole,
}

/// Lets one browser in, once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DashboardLink {
    pub url: String,
    /// Seconds since the Unix epoch.
    pub expires: u64,
}
