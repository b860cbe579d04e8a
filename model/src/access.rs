//! Who may call whom: what `AccessPolicy` and `ClusterAccessPolicy` say, wide enough to hold what other meshes say too. Boolean logic has names here:
//! a rule is all of its clauses, a clause any of its groups, a group all of its terms, a term any (or none) of its matches. Here are values only;
//! the crate `policy` decides by them.

use crate::{Cidr, HostPattern, Key, Labels, Method, Origin, Regex, SpiffeId, TrustDomain};
use std::fmt;
use std::sync::Arc;

mod template;

pub use template::{PathTemplate, TemplateError};

/// Where a policy stands among others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tier {
    /// First: what it decides nobody below can change.
    Admin,
    /// What owners of namespaces say.
    Namespace,
    /// Only where nobody above decided.
    Baseline,
}

impl Tier {
    pub const ALL: [Self; 3] = [Self::Admin, Self::Namespace, Self::Baseline];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "Admin",
            Self::Namespace => "Namespace",
            Self::Baseline => "Baseline",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    Allow,
    Deny,
}

impl Action {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "Allow",
            Self::Deny => "Deny",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Enforcement {
    #[default]
    Enforce,
    /// Says what it would decide, and decides nothing.
    DryRun,
}

/// What a policy protects. Each has one place where it is enforced: the proxy beside the workload, or the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AccessTarget {
    /// Every workload.
    Mesh,
    /// Every workload of a namespace.
    Namespace(Arc<str>),
    /// The workloads of a namespace that have these labels.
    Workloads {
        namespace: Arc<str>,
        labels: Labels,
    },
    /// The workloads that back a service, on the port that this port of it leads to; by whatever name they are called.
    Service {
        service: Key,
        port: Option<u16>,
    },
    /// Every listener of a gateway.
    Gateway(Key),
    Listener(Key),
    /// What a gateway sends by this route.
    Route(Key),
}

/// Allow or deny, for some targets.
#[derive(Debug, Clone, PartialEq)]
pub struct AccessPolicy {
    /// Kind `Access`; the name carries the dialect kind in lower case (`accesspolicy.orders`).
    pub key: Key,
    pub origin: Origin,
    pub tier: Tier,
    pub action: Action,
    pub enforcement: Enforcement,
    /// Any of them; none: nothing is protected.
    pub targets: Vec<AccessTarget>,
    /// Any of them. None: an allow that allows nothing, a deny that denies nothing.
    pub rules: Vec<AccessRule>,
}

/// Holds where all of its clauses do.
#[derive(Debug, Clone, PartialEq)]
pub struct AccessRule {
    /// As the user named it, else `rule-N`.
    pub name: Arc<str>,
    pub clauses: Vec<Clause>,
}

/// Holds where any of its groups does; an empty one never does.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Clause(pub Vec<Group>);

/// Holds where all of its terms do; an empty one always does.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Group(pub Vec<Term>);

/// Holds where any of its matches does or, negated, where none does.
#[derive(Debug, Clone, PartialEq)]
pub struct Term {
    pub negated: bool,
    pub any: Vec<AccessMatch>,
}

impl Term {
    pub fn is(any: Vec<AccessMatch>) -> Self {
        Self { negated: false, any }
    }

    pub fn is_not(any: Vec<AccessMatch>) -> Self {
        Self { negated: true, any }
    }
}

/// One thing that may be true of a call.
#[derive(Debug, Clone, PartialEq)]
pub enum AccessMatch {
    // What the connection says.
    Identity(IdentityMatch),
    ServiceAccount {
        namespace: Arc<str>,
        name: Arc<str>,
    },
    /// The namespace of the caller's identity.
    Namespace(TextMatch),
    TrustDomain(TrustDomain),
    /// The address that the connection comes from.
    PeerAddress(Cidr),
    /// The port of the service that was dialled; of a workload that no service leads to, its own.
    Port(u16),
    /// The name that a gateway's caller asked for in its handshake (SNI); of who asked for none it does not hold.
    ServerName(TextMatch),
    // What the request says.
    /// The address of the caller that trusted proxies forwarded for, else the peer's.
    ClientAddress(Cidr),
    Host(HostPattern),
    Method(Method),
    Path(AccessPath),
    Header {
        /// Lower case.
        name: Arc<str>,
        value: TextMatch,
    },
    // What a token says that was verified.
    Issuer(TextMatch),
    Subject(TextMatch),
    Audience(TextMatch),
    Claim {
        /// From the outside in: `realm_access`, `roles`.
        path: Vec<Arc<str>>,
        value: TextMatch,
    },
    /// Whoever brought its key, as `namespace/name`.
    Consumer(TextMatch),
    /// A consumer of this group, as `namespace/group`.
    ConsumerGroup(TextMatch),
    /// What was written cannot be read, or is of a later release: it may hold or not. What denies by it denies, what allows by it does not.
    Unknown,
}

impl AccessMatch {
    /// Whether a request is needed to tell; a connection alone leaves it open.
    pub fn needs_request(&self) -> bool {
        match self {
            Self::Identity(_)
            | Self::ServiceAccount { .. }
            | Self::Namespace(_)
            | Self::TrustDomain(_)
            | Self::PeerAddress(_)
            | Self::Port(_)
            | Self::ServerName(_)
            | Self::Unknown => false,
            Self::ClientAddress(_)
            | Self::Host(_)
            | Self::Method(_)
            | Self::Path(_)
            | Self::Header { .. }
            | Self::Issuer(_)
            | Self::Subject(_)
            | Self::Audience(_)
            | Self::Claim { .. }
            | Self::Consumer(_)
            | Self::ConsumerGroup(_) => true,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum IdentityMatch {
    /// Anyone who proved an identity.
    Any,
    Exact(SpiffeId),
    /// Of the text of the identity (`spiffe://organza.local/ns/shop/`).
    Prefix(Arc<str>),
    Suffix(Arc<str>),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TextMatch {
    /// Whatever it says, so long as it is there.
    Present,
    Exact(Arc<str>),
    Prefix(Arc<str>),
    Suffix(Arc<str>),
    Contains(Arc<str>),
    /// The whole text.
    Regex(Regex),
}

impl TextMatch {
    pub fn is_match(&self, value: &[u8]) -> bool {
        match self {
            Self::Present => true,
            Self::Exact(want) => value == want.as_bytes(),
            Self::Prefix(want) => value.starts_with(want.as_bytes()),
            Self::Suffix(want) => value.ends_with(want.as_bytes()),
            Self::Contains(want) => want.is_empty() || value.windows(want.len()).any(|part| part == want.as_bytes()),
            Self::Regex(regex) => regex.is_match(value),
        }
    }

    /// Whether it may span several items of a list.
    pub fn has_comma(&self) -> bool {
        match self {
            Self::Present => false,
            Self::Exact(text) | Self::Prefix(text) | Self::Suffix(text) | Self::Contains(text) => text.contains(','),
            // What it spans cannot be told from looking at it.
            Self::Regex(_) => true,
        }
    }
}

/// A path as policies match it: made regular, without query.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum AccessPath {
    Exact(Arc<str>),
    /// By whole segments: `/a` is `/a` and `/a/b`, never `/ab`. Held without a trailing slash, but for `/` itself.
    Segments(Arc<str>),
    /// By letters: `/a` is `/ab` too (Istio's `/a*`).
    Letters(Arc<str>),
    Suffix(Arc<str>),
    Template(PathTemplate),
    /// The whole path.
    Regex(Regex),
}

impl AccessPath {
    /// A prefix by whole segments in the one form that is compared.
    pub fn segments(text: &str) -> Self {
        let trimmed = text.trim_end_matches('/');
        Self::Segments(if trimmed.is_empty() { "/" } else { trimmed }.into())
    }

    pub fn is_match(&self, path: &str) -> bool {
        match self {
            Self::Exact(want) => **want == *path,
            Self::Segments(prefix) => {
                **prefix == *"/" || path.strip_prefix(&**prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
            Self::Letters(prefix) => path.starts_with(&**prefix),
            Self::Suffix(suffix) => path.ends_with(&**suffix),
            Self::Template(template) => template.is_match(path),
            Self::Regex(regex) => regex.is_match(path.as_bytes()),
        }
    }
}

/// What holds where no policy decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum DefaultAccess {
    Allow,
    /// Whoever proved an identity of the mesh; strangers only where a gateway listens.
    #[default]
    AllowMeshed,
    Deny,
}

impl DefaultAccess {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "Allow",
            Self::AllowMeshed => "AllowMeshed",
            Self::Deny => "Deny",
        }
    }
}

/// Where workloads may call to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Egress {
    #[default]
    Any,
    /// Services of the mesh, and hosts outside that an object names.
    Registered,
}

/// Who is told why a call was refused. Operators always are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ExplainDenials {
    Never,
    /// Callers of the mesh.
    #[default]
    Meshed,
}

/// What the proxy beside a workload takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Mtls {
    /// Mutual TLS of the mesh, and nothing else.
    #[default]
    Strict,
    /// Plaintext beside it, of which nobody knows who sends it.
    Permissive,
}

/// What holds for one service of a namespace, or for one port of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MtlsOf {
    pub service: Key,
    pub port: Option<u16>,
    pub mtls: Mtls,
}

/// What `MeshConfig` says of access, with what a wider one says put in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessSettings {
    /// Kind `AccessSettings`. The namespace is the one that they are for; empty for the mesh.
    pub key: Key,
    /// The object that says what is nearest.
    pub origin: Origin,
    pub default_access: DefaultAccess,
    pub egress: Egress,
    pub explain_denials: ExplainDenials,
    pub mtls: Mtls,
    /// What of it is otherwise; a port goes before its service, and of two for the same the stricter.
    pub mtls_of: Vec<MtlsOf>,
}

impl AccessSettings {
    /// What holds for a service's port.
    pub fn mtls_at(&self, service: &Key, port: u16) -> Mtls {
        let of = |at: Option<u16>| {
            let mut all = self.mtls_of.iter().filter(|one| one.service == *service && one.port == at).map(|one| one.mtls);
            let first = all.next()?;
            Some(if all.any(|mtls| mtls == Mtls::Strict) { Mtls::Strict } else { first })
        };
        of(Some(port)).or_else(|| of(None)).unwrap_or(self.mtls)
    }

    /// Whether anything at all may come in plaintext.
    pub fn is_ever_permissive(&self) -> bool {
        self.mtls == Mtls::Permissive || self.mtls_of.iter().any(|one| one.mtls == Mtls::Permissive)
    }
}

/// `Identity prefix spiffe://organza.local/ns/shop/`, `Path template /users/{id}`: for those who ask why a rule did not hold.
impl fmt::Display for AccessMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Identity(IdentityMatch::Any) => f.write_str("any identity"),
            Self::Identity(IdentityMatch::Exact(id)) => write!(f, "identity {id}"),
            Self::Identity(IdentityMatch::Prefix(text)) => write!(f, "identity {text}*"),
            Self::Identity(IdentityMatch::Suffix(text)) => write!(f, "identity *{text}"),
            Self::ServiceAccount { namespace, name } => write!(f, "service account {namespace}/{name}"),
            Self::Namespace(text) => write!(f, "namespace {text}"),
            Self::TrustDomain(domain) => write!(f, "trust domain {domain}"),
            Self::PeerAddress(block) => write!(f, "peer address {block}"),
            Self::Port(port) => write!(f, "port {port}"),
            Self::ServerName(text) => write!(f, "server name {text}"),
            Self::ClientAddress(block) => write!(f, "client address {block}"),
            Self::Host(host) => write!(f, "host {host}"),
            Self::Method(method) => write!(f, "method {}", method.as_str()),
            Self::Path(path) => write!(f, "path {path}"),
            Self::Header { name, value } => write!(f, "header {name}: {value}"),
            Self::Issuer(text) => write!(f, "issuer {text}"),
            Self::Subject(text) => write!(f, "subject {text}"),
            Self::Audience(text) => write!(f, "audience {text}"),
            Self::Claim { path, value } => write!(f, "claim {}: {value}", path.join(".")),
            Self::Consumer(text) => write!(f, "consumer {text}"),
            Self::ConsumerGroup(text) => write!(f, "consumers of {text}"),
            Self::Unknown => f.write_str("what cannot be read"),
        }
    }
}

impl fmt::Display for TextMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Present => f.write_str("*"),
            Self::Exact(text) => f.write_str(text),
            Self::Prefix(text) => write!(f, "{text}*"),
            Self::Suffix(text) => write!(f, "*{text}"),
            Self::Contains(text) => write!(f, "*{text}*"),
            Self::Regex(regex) => write!(f, "{regex:?}"),
        }
    }
}

impl fmt::Display for AccessPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(text) => f.write_str(text),
            Self::Segments(text) => write!(f, "{}/**", text.trim_end_matches('/')),
            Self::Letters(text) => write!(f, "{text}*"),
            Self::Suffix(text) => write!(f, "*{text}"),
            Self::Template(template) => write!(f, "{template}"),
            Self::Regex(regex) => write!(f, "{regex:?}"),
        }
    }
}

#[cfg(test)]
mod tests;
