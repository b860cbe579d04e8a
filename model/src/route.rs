//! What becomes of a request: matches, filters, weighted backends, patience.

use crate::authorizer::Asking;
use crate::session::Persistence;
use crate::{Backend, HostPattern, Key, Origin, RouteMatch, WeightedBackend};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RouteProtocol {
    Http,
    Grpc,
    Tcp,
    Tls,
    Udp,
}

/// What a route hangs on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// A gateway's listener, by its key.
    Listener(Key),
    /// Calls to a service (GAMMA): on one of its ports or all; for callers of one namespace (a consumer route) or all (a producer route).
    Service { service: Key, port: Option<u16>, callers: Option<Arc<str>> },
}

/// One parent that accepted the route, with the hosts that both allow (already intersected; never empty).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    pub target: Target,
    pub hosts: Vec<HostPattern>,
}

/// Who goes first among matches of one host: the front end has applied its dialect's precedence, routing only sorts (lowest first).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Rank {
    /// Lower is earlier. Gateway API: path kind, inverse path length, method, inverse number of headers, inverse number of parameters.
    pub order: [u32; 5],
    /// Creation time in seconds (older first), then `namespace/name`, then place in the object.
    pub created: u64,
    pub name: Arc<str>,
    pub rule: u32,
    pub position: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub struct RankedMatch {
    pub rank: Rank,
    pub matches: RouteMatch,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// As the user named it, else `rule-N` by its place: the name that verdicts give.
    pub name: Arc<str>,
    /// Any of them; never empty.
    pub matches: Vec<RankedMatch>,
    pub filters: Vec<Filter>,
    pub backends: Vec<WeightedBackend>,
    pub timeouts: Timeouts,
    pub retry: Option<Box<Retry>>,
    /// Holds for all backends of the rule, whatever their own policies say.
    pub session: Option<Box<Persistence>>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// Name with the dialect's kind before it: `httproute.catalog`.
    pub key: Key,
    pub origin: Origin,
    pub protocol: RouteProtocol,
    pub attachments: Vec<Attachment>,
    pub rules: Vec<Rule>,
}

impl Route {
    pub fn has_regex(&self) -> bool {
        self.rules.iter().flat_map(|rule| &rule.matches).any(|ranked| ranked.matches.has_regex())
    }

    /// Wherever its requests go, copies of them, and questions about them.
    pub fn backends(&self) -> impl Iterator<Item = &Backend> {
        self.rules.iter().flat_map(|rule| {
            let of_backends = rule.backends.iter().flat_map(|to| std::iter::once(&to.backend).chain(copies(&to.filters)));
            of_backends.chain(copies(&rule.filters))
        })
    }
}

/// `None`: without bound. The request timeout covers all attempts, the backend timeout each of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timeouts {
    pub request: Option<Duration>,
    pub backend_request: Option<Duration>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// Answers that are tried again, besides connections that failed before a byte was sent.
    pub codes: Vec<u16>,
    /// Tries after the first.
    pub attempts: u32,
    /// Shortest pause before a retry; doubled each time, with full jitter.
    pub backoff: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct HeaderEdits {
    pub set: Vec<(Arc<str>, Arc<str>)>,
    pub add: Vec<(Arc<str>, Arc<str>)>,
    pub remove: Vec<Arc<str>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathEdit {
    Full(Arc<str>),
    /// Replaces the prefix that the rule matched.
    Prefix(Arc<str>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    pub scheme: Option<crate::Scheme>,
    pub host: Option<Arc<str>>,
    pub path: Option<PathEdit>,
    pub port: Option<u16>,
    pub code: u16,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewrite {
    pub host: Option<Arc<str>>,
    pub path: Option<PathEdit>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Mirror {
    pub backend: Backend,
    /// Share of requests as numerator and denominator.
    pub fraction: (u32, u32),
}

/// Cross-origin rules (Fetch standard; Gateway API `HTTPCORSFilter`). Origins may be `*` or `https://*.example.com`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cors {
    pub allow_origins: Vec<Arc<str>>,
    pub allow_methods: Vec<Arc<str>>,
    pub allow_headers: Vec<Arc<str>>,
    pub expose_headers: Vec<Arc<str>>,
    pub allow_credentials: bool,
    pub max_age: Duration,
}

/// Run in named phases, and in the order written within one; an invalid one answers 500 with its reason.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    RequestHeaders(HeaderEdits),
    ResponseHeaders(HeaderEdits),
    Redirect(Redirect),
    Rewrite(Rewrite),
    Mirror(Mirror),
    Cors(Cors),
    /// Asked before anything else is done with the request, cross-origin questions alone excepted.
    ExternalAuth(Arc<Asking>),
    Invalid {
        message: Arc<str>,
    },
}

impl Filter {
    /// As Gateway API names its kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::RequestHeaders(_) => "RequestHeaderModifier",
            Self::ResponseHeaders(_) => "ResponseHeaderModifier",
            Self::Redirect(_) => "RequestRedirect",
            Self::Rewrite(_) => "URLRewrite",
            Self::Mirror(_) => "RequestMirror",
            Self::Cors(_) => "CORS",
            Self::ExternalAuth(_) => "ExternalAuth",
            Self::Invalid { .. } => "Invalid",
        }
    }
}

fn copies(filters: &[Filter]) -> impl Iterator<Item = &Backend> {
    filters.iter().filter_map(|filter| match filter {
        Filter::Mirror(mirror) => Some(&mirror.backend),
        Filter::ExternalAuth(asking) => Some(&asking.backend),
        _ => None,
    })
}

/// The kind, and for mirrors where the copy goes, for authorizers who is asked: a rule may have several.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mirror(mirror) => write!(f, "{} {}", self.kind(), mirror.backend),
            Self::ExternalAuth(asking) => write!(f, "{} {}", self.kind(), asking.backend),
            _ => f.write_str(self.kind()),
        }
    }
}
