//! What routing says: where a request goes and every word of why, or a refusal with its reason. Both borrow from the table, so that
//! deciding allocates nothing. Neither knows whether anyone will act on it.

use crate::compiled::{CompiledMatch, SplitBackend};
use crate::phases::Phases;
use model::session::Persistence;
use model::{
    Backend, Fault, HostPattern, InvalidBackend, Key, Listener, Origin, PathMatch, Rank, Retry, Route, RouteMatch, RouteProtocol, Service,
    Timeouts,
};
use std::fmt;
use std::sync::Arc;

/// Where a request came in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Entry {
    /// A gateway's listener.
    Listener(Key),
    /// A call to a service's port, from a workload of the mesh.
    Service { service: Key, port: u16 },
}

/// What is spoken on a gateway's port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spoken<'t> {
    /// No listener has the port.
    Nothing,
    Http,
    /// TLS, and inside it HTTP and nothing else.
    Https,
    /// TLS of several listeners that do different things with it: the server name says whose a connection is.
    Tls,
    /// Bytes.
    Tcp(&'t Arc<Listener>),
}

/// Who sends. Strangers at a gateway have no namespace.
#[derive(Debug, Clone, Copy, Default)]
pub struct Caller<'a> {
    pub namespace: Option<&'a str>,
}

impl<'a> Caller<'a> {
    pub fn in_namespace(namespace: &'a str) -> Self {
        Self { namespace: Some(namespace) }
    }
}

/// The route that a request takes, the rule in it, the match that won.
#[derive(Clone, Copy)]
pub struct Decision<'t> {
    pub(crate) found: &'t CompiledMatch,
    pub(crate) host: &'t HostPattern,
}

impl<'t> Decision<'t> {
    /// The route as it was put: rules, matches and backends of this decision are places in it.
    pub fn route(&self) -> &'t Arc<Route> {
        &self.found.route
    }
    pub fn route_key(&self) -> &'t Key {
        &self.found.route.key
    }
    pub fn protocol(&self) -> RouteProtocol {
        self.found.common.protocol
    }
    pub fn origin(&self) -> &'t Origin {
        &self.found.route.origin
    }
    /// As the user named it, else `rule-N`; `default` for a service without routes.
    pub fn rule_name(&self) -> &'t Arc<str> {
        &self.source().name
    }
    pub fn rule_index(&self) -> u32 {
        self.found.rule
    }
    pub fn match_index(&self) -> u32 {
        self.found.position
    }
    pub fn matched(&self) -> &'t RouteMatch {
        self.found.condition()
    }
    pub fn rank(&self) -> &'t Rank {
        self.found.rank()
    }
    /// The host pattern under which the match was found.
    pub fn host_pattern(&self) -> &'t HostPattern {
        self.host
    }
    /// Bytes of the path that a prefix match took; 0 for `/`. `None` where the match was of another kind.
    pub fn matched_prefix(&self) -> Option<usize> {
        match self.matched().path.as_ref()? {
            PathMatch::Prefix(prefix) if **prefix == *"/" => Some(0),
            PathMatch::Prefix(prefix) => Some(prefix.len()),
            PathMatch::Exact(_) | PathMatch::Regex(_) => None,
        }
    }
    pub fn phases(&self) -> &'t Phases {
        &self.found.common.phases
    }
    /// The whole split, in the order written.
    pub fn split(&self) -> &'t [SplitBackend] {
        &self.found.common.split
    }
    pub fn total_weight(&self) -> u64 {
        self.found.common.total_weight
    }
    pub fn timeouts(&self) -> Timeouts {
        self.found.common.timeouts
    }
    pub fn retry(&self) -> Option<&'t Retry> {
        if self.found.common.retries { self.source().retry.as_deref() } else { None }
    }
    pub fn session(&self) -> Option<&'t Persistence> {
        if self.found.common.sessions { self.source().session.as_deref() } else { None }
    }
    /// Whether this is what a service without routes does: pass on to itself.
    pub fn is_default(&self) -> bool {
        self.found.route.key.kind == model::Kind::Service
    }

    fn source(&self) -> &'t model::Rule {
        self.found.source()
    }

    /// [`Decision::draw`], and whether requests can go there.
    pub fn pick(&self, draw: u32) -> Result<&'t SplitBackend, Refusal<'t>> {
        let chosen = self.draw(draw)?;
        self.usable(chosen).map(|()| chosen)
    }

    /// Chooses a backend by weight. `draw` is uniform over all of `u32`. A weight of 0 is never chosen; an invalid backend keeps its share.
    /// Refused with 500 are a rule without backends and one whose weights are all 0 (Gateway API).
    pub fn draw(&self, draw: u32) -> Result<&'t SplitBackend, Refusal<'t>> {
        let total = self.found.common.total_weight;
        let mut point = (u64::from(draw) * total) >> 32;
        for chosen in &self.found.common.split {
            match point.checked_sub(u64::from(chosen.weight)) {
                Some(rest) => point = rest,
                None => return Ok(chosen),
            }
        }
        let reason = if self.found.common.split.is_empty() { Reason::NoBackends } else { Reason::AllWeightsZero };
        Err(self.refuse(Fault::NoBackend, reason))
    }

    /// Refuses with 500 what was chosen but leads nowhere, or has a filter that cannot be run.
    pub fn usable(&self, chosen: &'t SplitBackend) -> Result<(), Refusal<'t>> {
        if let Backend::Invalid { reason, message } = &*chosen.backend {
            return Err(self.refuse(Fault::InvalidBackend, Reason::InvalidBackend { reason: *reason, message }));
        }
        match &chosen.phases.invalid {
            Some(message) => Err(self.refuse(Fault::InvalidFilter, Reason::InvalidFilter(message))),
            None => Ok(()),
        }
    }

    pub(crate) fn refuse(&self, fault: Fault, reason: Reason<'t>) -> Refusal<'t> {
        Refusal { fault, reason, origin: Some(self.origin()) }
    }
}

impl fmt::Debug for Decision<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decision")
            .field("route", self.route_key())
            .field("rule", self.rule_name())
            .field("match", &self.match_index())
            .finish()
    }
}

/// Why a request goes nowhere.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Refusal<'t> {
    pub fault: Fault,
    pub reason: Reason<'t>,
    /// The object that caused it, where one did.
    pub origin: Option<&'t Origin>,
}

#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum Reason<'t> {
    #[error("no listener of this gateway on this port takes this host")]
    NoListener,
    #[error("the connection was opened for another listener than {0:?}, which takes this host")]
    Misdirected(&'t str),
    #[error("the listener cannot serve: {0}")]
    ListenerBroken(&'t str),
    #[error("the entry is not in the table")]
    UnknownEntry,
    #[error("service {}/{} has no port {port}{}", service.key.namespace, service.key.name, ports(service))]
    NoSuchPort { service: &'t Service, port: u16 },
    #[error("no route has this host")]
    NoHost,
    #[error("routes have this host, but none of their rules match")]
    NoMatch,
    #[error("the rule has no backends")]
    NoBackends,
    #[error("all backends of the rule have weight 0")]
    AllWeightsZero,
    #[error("backend is invalid ({}): {message}", reason.as_str())]
    InvalidBackend { reason: InvalidBackend, message: &'t str },
    #[error("filter is invalid: {0}")]
    InvalidFilter(&'t str),
}

/// What could have been dialled instead.
fn ports(service: &Service) -> String {
    let numbers: Vec<String> = service.ports.iter().map(|port| port.number.to_string()).collect();
    if numbers.is_empty() { String::new() } else { format!(", only {}", numbers.join(", ")) }
}
