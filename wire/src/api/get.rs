//! What `organza get` and `organza status` show.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub mesh: String,
    pub trust_domain: String,
    /// Of this organza.
    pub version: String,
    pub pid: u32,
    pub started: u64,
    /// Of the answer, in seconds since the Unix epoch.
    #[serde(default)]
    pub time: u64,
    pub generation: u64,
    pub proxies_connected: u32,
    pub proxies_current: u32,
    /// Where proxies connect (`127.0.0.1:15012`).
    pub xds_address: String,
    /// Reads of the configuration that are refused now; the generation above is still served.
    #[serde(default)]
    pub problems: Vec<super::Located>,
    /// What the control plane costs; `None` until it has looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<Process>,
}

/// A Kubernetes condition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    pub reason: String,
    pub message: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// Empty for the core group.
    #[serde(default)]
    pub group: String,
    pub kind: String,
    pub namespace: String,
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    pub conditions: Vec<Condition>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    pub name: String,
    /// Kinds of route that it takes, as `group/kind`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub supported_kinds: Vec<String>,
    pub attached_routes: u32,
    pub conditions: Vec<Condition>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    pub group: String,
    pub kind: String,
    pub namespace: String,
    pub name: String,
    /// `routes.yaml:12`; empty for what no file declares.
    pub place: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The object as it was written, with its schema's defaults and without secrets; only where `?manifests=true` asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<serde_json::Value>,
    pub conditions: Vec<Condition>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<Parent>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub listeners: Vec<Listener>,
    /// Proxies that serve this object as it is now, of those that it concerns.
    pub applied: u32,
    pub concerned: u32,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectList {
    pub generation: u64,
    pub items: Vec<Object>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Gateway,
    Workload,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Proxy {
    pub name: String,
    pub role: Role,
    pub namespace: String,
    /// The service it stands for, or the gateway; empty for a client.
    pub service: String,
    /// Label `version` of its workload.
    pub revision: String,
    /// Labels of its workload.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    pub identity: String,
    /// The release of organza it runs.
    pub version: String,
    /// Processes that had its doors before and finish what they began.
    #[serde(default, skip_serializing_if = "is_none")]
    pub leaving: u32,
    pub connected: bool,
    /// The last generation it acknowledged; `None` before the first.
    pub acknowledged: Option<u64>,
    /// Keys it refused, with the reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub refused: BTreeMap<String, String>,
    pub resources: u32,
    /// Whether its control connection proved an SVID.
    pub mtls: bool,
    /// When its connection began.
    pub since: u64,
    /// What it costs, where it said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<Process>,
    /// Its program calls others mostly without the trace that it was called with.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drops_trace_context: bool,
}

/// A process as the kernel sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// Of one core, over the last report.
    pub cpu_percent: f64,
    pub resident_bytes: u64,
    pub threads: u32,
    pub descriptors: u32,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ProxyList {
    pub generation: u64,
    pub items: Vec<Proxy>,
}

/// One resource as a proxy acknowledged it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    pub key: String,
    pub version: String,
    /// The encoded `organza.wire.v1.Resource` in base64; `None` for certificates, whose keys stay where they are needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoded: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxyResources {
    pub proxy: String,
    pub generation: u64,
    pub subscriptions: Vec<String>,
    pub items: Vec<Resource>,
    /// Issuers of tokens of which it has no keys, and why it cannot fetch them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub keyless: BTreeMap<String, String>,
    /// Some of these it will be told when it calls the host that was asked about, and not before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub first_call: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServicePort {
    pub number: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub protocol: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    pub id: String,
    pub address: String,
    pub workload: String,
    pub revision: String,
    pub healthy: bool,
    /// `none`, `hbone` or `organza`.
    pub tunnel: String,
    pub identity: Option<String>,
    /// Who leaves it out for a while, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ejected: Vec<Ejected>,
    /// How its last health checks ended, by the proxy that made them; those that passed too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Check>,
}

/// How the last health check of an endpoint ended that one proxy made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    pub proxy: String,
    pub passed: bool,
    /// What was asked and what came of it: `GET /healthz answered 200 in 1.2 ms`.
    pub said: String,
    /// When it ended.
    pub at: u64,
}

/// What one proxy says of an endpoint that it leaves out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ejected {
    pub proxy: String,
    /// `5 × 503`, or `GET /healthz answered 503 (3 in a row)`.
    pub cause: String,
    pub since_millis: u64,
    /// Until it is tried again; 0 while it is, and where it is unhealthy.
    pub left_millis: u64,
    /// It fails its health checks, whatever it answers to requests.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unhealthy: bool,
}

/// What one proxy says of a service that it does not call now, but for a few requests that try it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenBreaker {
    pub proxy: String,
    /// Of so many requests so many percent failed.
    pub percent: u32,
    pub requests: u32,
    pub since_millis: u64,
    pub half_open: bool,
}

/// One proxy's connections to a service of which there may be no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crowded {
    pub proxy: String,
    /// Open now, to all endpoints.
    pub open: u32,
    /// To the service; 0 where endpoints alone are limited.
    pub limit: u32,
    /// Calls that wait for one.
    pub waiting: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    pub namespace: String,
    pub name: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    pub hostnames: Vec<String>,
    pub ports: Vec<ServicePort>,
    pub endpoints: Vec<Endpoint>,
    pub identities: Vec<String>,
    /// Proxies whose circuit breaker is not closed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub breakers: Vec<OpenBreaker>,
    /// Proxies that have as many connections to it as they may.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub crowded: Vec<Crowded>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceList {
    pub generation: u64,
    pub items: Vec<Service>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeightedBackend {
    pub weight: u32,
    /// `shop/catalog-v1:8080`, a host outside, or the reason why it is invalid.
    pub backend: String,
    pub valid: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteRule {
    pub name: String,
    pub backends: Vec<WeightedBackend>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    pub kind: String,
    pub namespace: String,
    pub name: String,
    pub place: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    pub hosts: Vec<String>,
    /// Gateways and services it hangs on.
    pub parents: Vec<String>,
    pub rules: Vec<RouteRule>,
    pub conditions: Vec<Condition>,
    pub applied: u32,
    pub concerned: u32,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteList {
    pub generation: u64,
    pub items: Vec<Route>,
}

/// How a hop was secured, as the handshake showed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Security {
    Plain,
    Tls,
    Mtls,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Edge {
    pub source_namespace: String,
    pub source: String,
    pub source_version: String,
    pub service_namespace: String,
    /// The service that was dialled; empty where none is known.
    pub service: String,
    pub destination_namespace: String,
    pub destination: String,
    pub destination_version: String,
    pub protocol: String,
    pub security: Security,
    /// Since the control plane started.
    pub requests: u64,
    pub failures: u64,
    pub retries: u64,
    /// Over the last seconds.
    pub requests_per_second: f64,
    /// 0 to 1, over the last seconds where there was traffic, else over all time.
    pub success_rate: f64,
    /// Over the last seconds where there was traffic, else over the last ten in which there was.
    pub p50_millis: Option<f64>,
    pub p99_millis: Option<f64>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EdgeList {
    pub generation: u64,
    pub items: Vec<Edge>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// A SPIFFE ID, or what an authority is called.
    pub identity: String,
    /// `root`, `issuing` or `workload`.
    pub kind: String,
    /// The proxy that holds it; empty for authorities.
    pub proxy: String,
    pub issuer: String,
    pub not_before: u64,
    pub not_after: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateList {
    pub items: Vec<Certificate>,
}

/// Whom the members of the mesh believe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roots {
    /// The one that signs first.
    pub items: Vec<Root>,
    /// There while a rotation is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<RootRotation>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    /// SHA-256 of the certificate, lower-case hexadecimal.
    pub fingerprint: String,
    pub state: RootState,
    /// Seconds since the Unix epoch.
    pub not_after: u64,
    /// Until when a certificate under it is valid, in the same seconds; 0 where it has signed none.
    pub used_until: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RootState {
    Signing,
    /// Believed; signs when every proxy believes it.
    Next,
    /// Believed until nothing under it is valid.
    Retiring,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootRotation {
    /// Proxies that do not yet believe the next root.
    pub waiting_for: Vec<String>,
}

fn is_none(count: &u32) -> bool {
    *count == 0
}
