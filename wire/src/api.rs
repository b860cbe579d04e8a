//! The JSON API of `control.sock`: what a control plane tells its users, and what `organza run` asks of it. Field names are part of the
//! interface of scripts (`-o json`): they are added to, never renamed. Reads no clock; times are seconds since the Unix epoch.

mod call;
mod consumer;
mod flow;
mod get;
mod graph;
mod join;
mod state;
mod trace;
mod verdict;
mod watch;

pub use call::{Call, CallList};
pub use consumer::{ConsumedApi, ConsumedDay, Consumer, ConsumerList, Used};
pub use flow::{FlowList, StatusMatch, TapQuery};
pub use get::{Certificate, CertificateList, Resource, Role, Root, RootRotation, RootState, Roots, Security};
pub use get::{
    Check, Condition, Crowded, Edge, EdgeList, Ejected, Endpoint, Listener, Object, ObjectList, OpenBreaker, Parent, Process, Proxy,
    ProxyList, ProxyResources, Route, RouteList, RouteRule, Service, ServiceList, ServicePort, Status, WeightedBackend,
};
pub use graph::{
    DashboardLink, DashboardQuery, DashboardRole, EdgeVersion, Figures, Graph, GraphEdge, History, LinkTemplate, Log, LogList, LongHistory,
    LongPoint, Node, NodeKind, NodeVersion, PageFacts, PastEvent, PastEvents, Point, ProblemList, Workload, WorkloadList,
};
pub use join::{Registration, RegistrationRequest, SignRequest, SignResponse, Token, TokenList, TokenRequest, TokenResponse, WorkloadPort};
pub use state::EndpointState;
pub use trace::{Span, SpanKind, Trace, TraceList, TraceQuery, TraceSummary};
pub use verdict::{PolicyVerdicts, RuleVerdicts, VerdictList, VerdictPoint, Verdicts};
pub use watch::{Change, ChangeKind, Diff, DiffRequest, Event, Located, Severity};

use serde::{Deserialize, Serialize};

/// Paths below the control socket. GET unless said otherwise.
pub mod path {
    pub const STATUS: &str = "/v1/status";
    /// With `?manifests=true` each object comes with what its file says.
    pub const OBJECTS: &str = "/v1/objects";
    pub const PROXIES: &str = "/v1/proxies";
    pub const SERVICES: &str = "/v1/services";
    pub const ROUTES: &str = "/v1/routes";
    pub const EDGES: &str = "/v1/edges";
    /// Calls seen in the last seven days, by caller, port, method and path ([`super::CallList`]).
    pub const CALLS: &str = "/v1/calls";
    /// Consumers of APIs and what they used in the last month, with `?days=true` day by day ([`super::ConsumerList`]).
    pub const CONSUMERS: &str = "/v1/consumers";
    /// What policies decided; with `?policy=KIND NAMESPACE/NAME` of one alone, and its last hour ([`super::VerdictList`]).
    pub const VERDICTS: &str = "/v1/verdicts";
    /// The service graph; `?seconds=N` chooses the window, 10 where it is left out, at most an hour; `?at=TIME` its end.
    pub const GRAPH: &str = "/v1/graph";
    /// The last hour of `?node=ID` or `?edge=ID`.
    pub const HISTORY: &str = "/v1/history";
    /// The last `?hours=N` of `?node=ID`, from the Prometheus that the mesh was given ([`super::LongHistory`]).
    pub const LONG_HISTORY: &str = "/v1/history/long";
    /// What the dashboard may show: the reader's role, links out, whether there is a Prometheus ([`super::PageFacts`]).
    pub const PAGE: &str = "/v1/page";
    pub const WORKLOADS: &str = "/v1/workloads";
    pub const PROBLEMS: &str = "/v1/problems";
    /// What events told, the last 512.
    pub const PAST_EVENTS: &str = "/v1/events/past";
    pub const CERTIFICATES: &str = "/v1/certificates";
    /// The mesh's roots and how far a rotation is ([`super::Roots`]).
    pub const ROOTS: &str = "/v1/roots";
    /// POST begins a rotation of the root, answers [`super::Roots`].
    pub const ROTATE: &str = "/v1/roots/rotate";
    /// A stream of [`super::Event`]s, one JSON object a line, that ends with the control plane.
    pub const EVENTS: &str = "/v1/events";
    /// POST [`super::RegistrationRequest`], answers [`super::Registration`]. DELETE `/v1/registrations/PROXY` takes it back.
    pub const REGISTRATIONS: &str = "/v1/registrations";
    /// POST [`super::SignRequest`], answers [`super::SignResponse`].
    pub const SIGN: &str = "/v1/sign";
    /// POST [`super::DiffRequest`], answers [`super::Diff`]. Nothing is changed.
    pub const DIFF: &str = "/v1/diff";
    /// Requests that failed or were denied, the last ([`super::FlowList`]).
    pub const FLOWS: &str = "/v1/flows";
    /// What each proxy said of one request, `?id=` its identifier or its trace's ([`super::FlowList`]).
    pub const REQUESTS: &str = "/v1/requests";
    /// The last traces ([`super::TraceList`]); `?service=&failed=&slower=` ([`super::TraceQuery`]).
    pub const TRACES: &str = "/v1/traces";
    /// The last lines of a process of this machine and its proxy, `?of=NAME` ([`super::LogList`]).
    pub const LOGS: &str = "/v1/logs";
    /// A stream of requests as they end, one JSON object a line; `?from=&to=&route=&status=` ([`super::TapQuery`]).
    pub const TAP: &str = "/v1/tap";
    /// POST answers a [`super::DashboardLink`]; `?role=` ([`super::DashboardQuery`]).
    pub const DASHBOARD: &str = "/v1/dashboard";
    /// GET lists, POST [`super::TokenRequest`] creates. DELETE `/v1/tokens/ID` withdraws.
    pub const TOKENS: &str = "/v1/tokens";

    /// One trace ([`super::Trace`]).
    pub fn trace(id: &str) -> String {
        format!("{TRACES}/{id}")
    }

    /// One request ([`super::FlowList`]).
    pub fn request(id: &str) -> String {
        format!("{REQUESTS}?id={id}")
    }

    /// What one proxy has acknowledged ([`super::ProxyResources`]).
    pub fn resources(proxy: &str) -> String {
        format!("{PROXIES}/{proxy}/resources")
    }

    /// The same, with what it would be told at its first call of a host; `host` as it stands in a query.
    pub fn resources_with(proxy: &str, host: &str) -> String {
        format!("{PROXIES}/{proxy}/resources?host={host}")
    }
}

/// Every answer whose HTTP status is not 2xx.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    pub error: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

#[cfg(test)]
mod tests;
