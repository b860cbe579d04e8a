//! What happened to one request or one connection. Every field that any audience sees is declared here, once.
//!
//! Never in a record: query strings, bodies, and of heads only the fields that a policy names. `Authorization`, cookies and keys, which no policy can name,
//! cannot leak from what does not hold them.

use crate::headers::{Recorded, Wanted};
use crate::{Peer, Trace, limits};
use model::telemetry::{LineFile, LineFormat, Lines, Parents, Redaction};
use model::{Applied, Blame, Fault, Listener, Method, Route, Rule, WeightedBackend};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Which side of the call speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reporter {
    Source,
    Destination,
    Gateway,
}

impl Reporter {
    /// Istio knows `source`, `destination` and `waypoint`; its gateways report as `source`, and so do ours.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Source | Self::Gateway => "source",
            Self::Destination => "destination",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    Http,
    Grpc,
    Tcp,
    /// Datagrams of one client at a gateway, for as long as they come.
    Udp,
}

impl Protocol {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Grpc => "grpc",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }

    /// Whether it is carried unread: what is known of it is how long and how much.
    pub fn is_opaque(self) -> bool {
        matches!(self, Self::Tcp | Self::Udp)
    }
}

/// How the hop was protected, as seen in the handshake, not as configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Security {
    Plain,
    Tls,
    MutualTls,
}

impl Security {
    /// `connection_security_policy`. Istio has `none`, `mutual_tls` and `unknown`; TLS without a client certificate is `tls` here.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "none",
            Self::Tls => "tls",
            Self::MutualTls => "mutual_tls",
        }
    }
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Plain, Self::Tls, Self::MutualTls].into_iter().find(|s| s.as_str() == text)
    }
}

/// The service that was called.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Destination {
    /// Full host name (`catalog.shop.svc.cluster.local`), or the outside host.
    pub host: Arc<str>,
    pub name: Arc<str>,
    pub namespace: Arc<str>,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// An answer with this status came through; for TCP, the connection ended in order (status 0).
    Answered(u16),
    /// Organza answered or ended it itself.
    Failed(Fault),
}

/// Where configuration sent it.
#[derive(Debug, Clone, Default)]
pub enum Way {
    /// Nowhere: refused before a route was found, or nothing came that could be routed.
    #[default]
    Undecided,
    /// By a route.
    Routed(Decided),
    /// To the application behind this proxy.
    Application,
    /// To a host that the mesh does not know, as it is.
    Outside,
}

/// What a route decided, as places in the route that all its requests share: writing it down costs one count of references, and it
/// becomes words only where a line is written.
#[derive(Debug, Clone)]
pub struct Decided {
    pub route: Arc<Route>,
    /// The rule, and the match of it that held.
    pub rule: u32,
    pub matched: u32,
    /// The backend that the split drew.
    pub backend: Option<u32>,
    /// The filters that ran, in that order.
    pub applied: Applied,
}

impl Decided {
    pub fn rule(&self) -> Option<&Rule> {
        self.route.rules.get(self.rule as usize)
    }

    pub fn backend(&self) -> Option<&WeightedBackend> {
        self.rule()?.backends.get(self.backend? as usize)
    }
}

/// What is told of a request, as policies have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tell {
    /// Whether there are spans of it at all.
    pub traced: bool,
    /// What is made of a decision that came with it; nothing said: it holds.
    pub parents: Option<Parents>,
    /// An answer that took so long to begin makes a span in any case.
    pub slow: Duration,
    pub lines: Lines,
    /// Fields of heads that are recorded.
    pub headers: Wanted,
    /// What is made unreadable before anybody is told.
    pub redactions: Option<Arc<[Redaction]>>,
    /// How the proxy itself writes lines, and into which file.
    pub format: Option<LineFormat>,
    pub file: Option<Arc<LineFile>>,
}

impl Default for Tell {
    fn default() -> Self {
        Self {
            traced: true,
            parents: None,
            slow: limits::SLOW,
            lines: Lines::All,
            headers: Wanted::default(),
            redactions: None,
            format: None,
            file: None,
        }
    }
}

impl Tell {
    /// It is a span of a trace that is recorded, or is recorded for what became of it.
    pub fn is_span(&self, record: &Record) -> bool {
        self.traced && record.trace.is_some_and(|trace| trace.context.sampled || !record.is_success() || record.is_slower(self.slow))
    }

    /// It has a line in the access log.
    pub fn has_line(&self, record: &Record) -> bool {
        let is_error = || record.fault().is_some() || record.status >= 400 || !record.is_success();
        match self.lines {
            Lines::All => true,
            Lines::Errors => is_error(),
            Lines::ErrorsAndSlower(slower) => is_error() || record.is_slower(slower),
            Lines::Nothing => false,
        }
    }
}

#[derive(Debug, Clone)]
pub struct Record {
    pub started: SystemTime,
    pub duration: Duration,
    /// Until the first byte of the answer came from upstream.
    pub upstream_duration: Option<Duration>,
    pub reporter: Reporter,
    pub protocol: Protocol,
    pub security: Security,
    pub method: Method,
    /// `host[:port]` as called.
    pub authority: String,
    /// Without query.
    pub path: String,
    pub outcome: Outcome,
    /// Status that the caller saw; 0 for TCP or if none was sent.
    pub status: u16,
    pub grpc_status: Option<u8>,
    pub request_bytes: u64,
    pub response_bytes: u64,
    pub source: Arc<Peer>,
    pub source_address: Option<SocketAddr>,
    /// For whom it calls, where trusted proxies in front of a gateway say so.
    pub client: Option<IpAddr>,
    pub destination: Arc<Peer>,
    pub dialled_service: Option<Arc<Destination>>,
    /// The port of it that was dialled, where the called side speaks; 0 where that is not known.
    pub service_port: u16,
    /// The server name that the caller of TLS asked for, where it is carried unread or ended here for bytes.
    pub sni: Option<Arc<str>>,
    /// The listener of a gateway whose request it is.
    pub listener: Option<Arc<Listener>>,
    /// What configuration made of it.
    pub way: Way,
    /// The endpoint that was dialled.
    pub endpoint: Option<SocketAddr>,
    /// Why, where Organza decided: named in full for operators.
    pub reason: Option<Arc<str>>,
    /// The object whose rule gave the verdict.
    pub verdict_by: Option<Arc<str>>,
    /// That rule, where it has a name.
    pub verdict_rule: Option<Arc<str>>,
    /// What policies that are only tried out would have decided, where that differs.
    pub dry_run: Option<Arc<str>>,
    /// Which try this was answered on, or would be ([`Record::tried`]); 1 is the first.
    pub attempt: u32,
    /// The fault policy that disturbed it, if any.
    pub injected_by: Option<Arc<str>>,
    /// Who consumed which API, where a gateway knows.
    pub consumer: Option<Arc<str>>,
    pub api: Option<Arc<str>>,
    /// Who issued the token that the request brought and that was believed, and whose it is. Nothing else that it says is held.
    pub token_issuer: Option<Arc<str>>,
    pub token_subject: Option<Arc<str>>,
    /// Generation of the configuration that decided.
    pub generation: u64,
    pub trace: Option<Trace>,
    /// Empty where there is none.
    pub request_id: String,
    /// Fields of both heads that a policy names.
    pub headers: Recorded,
    /// What is told of it; where nothing was decided, what holds at this proxy for all.
    pub tell: Option<Tell>,
}

impl Record {
    /// For a request of which nothing is known yet.
    pub fn begin(started: SystemTime, reporter: Reporter, source: Arc<Peer>, destination: Arc<Peer>) -> Self {
        Self {
            started,
            duration: Duration::ZERO,
            upstream_duration: None,
            reporter,
            protocol: Protocol::Http,
            security: Security::Plain,
            method: Method::Get,
            authority: String::new(),
            path: String::new(),
            outcome: Outcome::Answered(0),
            status: 0,
            grpc_status: None,
            request_bytes: 0,
            response_bytes: 0,
            source,
            source_address: None,
            client: None,
            destination,
            dialled_service: None,
            service_port: 0,
            sni: None,
            listener: None,
            way: Way::Undecided,
            endpoint: None,
            reason: None,
            verdict_by: None,
            verdict_rule: None,
            dry_run: None,
            attempt: 1,
            injected_by: None,
            consumer: None,
            api: None,
            token_issuer: None,
            token_subject: None,
            generation: 0,
            trace: None,
            request_id: String::new(),
            headers: Recorded::default(),
            tell: None,
        }
    }

    pub fn decided(&self) -> Option<&Decided> {
        match &self.way {
            Way::Routed(decided) => Some(decided),
            Way::Undecided | Way::Application | Way::Outside => None,
        }
    }

    /// For the request path, which knows the decision in pieces.
    pub fn decided_mut(&mut self) -> Option<&mut Decided> {
        match &mut self.way {
            Way::Routed(decided) => Some(decided),
            Way::Undecided | Way::Application | Way::Outside => None,
        }
    }

    /// The try that was answered; 0 where nothing was tried, for nobody was found or asked who could be.
    pub fn tried(&self) -> u32 {
        if self.endpoint.is_none() && self.attempt == 1 { 0 } else { self.attempt }
    }

    /// The backend in words: `shop/catalog:80`, `application`, `outside`.
    pub fn backend(&self) -> Option<String> {
        match &self.way {
            Way::Undecided => None,
            Way::Routed(decided) => decided.backend().map(|to| to.backend.to_string()),
            Way::Application => Some("application".to_owned()),
            Way::Outside => Some("outside".to_owned()),
        }
    }

    /// Whether it came as far as to leave this proxy, for whoever is called. Of what does not, nothing says how it would have been protected.
    pub fn is_sent(&self) -> bool {
        self.reporter == Reporter::Destination || self.endpoint.is_some()
    }

    pub fn fault(&self) -> Option<Fault> {
        match self.outcome {
            Outcome::Failed(fault) => Some(fault),
            Outcome::Answered(_) => None,
        }
    }

    /// Its answer took so long to begin. What is carried on and on is slow only where it began slowly.
    pub fn is_slower(&self, than: Duration) -> bool {
        self.upstream_duration.unwrap_or(self.duration) >= than
    }

    /// Policy decided against it.
    pub fn is_denied(&self) -> bool {
        self.fault().is_some_and(|fault| fault.blame() == Blame::Policy)
    }

    /// Organza answered or ended it itself: not since policy decided so, and not since the caller sent nonsense or left.
    pub fn is_faulted(&self) -> bool {
        self.fault().is_some_and(|fault| !matches!(fault.blame(), Blame::Policy | Blame::Downstream))
    }

    /// Envoy's response flags; `-` where nothing went wrong on our side.
    pub fn response_flags(&self) -> &'static str {
        self.fault().map_or("-", Fault::response_flag)
    }

    /// What success rates count: no fault, no 5xx, and for gRPC no status that means failure of the server.
    pub fn is_success(&self) -> bool {
        let grpc = !matches!(self.grpc_status, Some(2 | 4 | 12 | 13 | 14 | 15));
        self.fault().is_none() && self.status < 500 && grpc
    }
}
