//! Names of things: where an object came from, what kind it is, what it is called.

use crate::lately;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Weak};

/// The cluster or registry that an object lives in (`files`, `organza`, later a cluster's name).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Source(Arc<str>);

impl Source {
    pub fn new(name: &str) -> Self {
        Self(lately::shared(name))
    }
    /// Objects read from files off Kubernetes.
    pub fn files() -> Self {
        Self::new("files")
    }
    /// What Organza itself decides: registrations, weights of a release, stopped faults.
    pub fn organza() -> Self {
        Self::new("organza")
    }
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Service,
    Endpoints,
    Workload,
    Gateway,
    Listener,
    Route,
    TrustBundle,
    Certificate,
    /// A host outside the mesh that has an object of its own (`XBackend`).
    External,
    /// Who may call whom.
    Access,
    /// What holds of access where no policy decides.
    AccessSettings,
    /// How much may be asked of whom.
    RateLimit,
    /// Whose tokens are believed.
    TokenIssuer,
    /// What is told of requests.
    Telemetry,
    ExternalAuthorizer,
    /// Who consumes an API.
    Consumer,
}

impl Kind {
    pub const ALL: [Self; 16] = [
        Self::Service,
        Self::Endpoints,
        Self::Workload,
        Self::Gateway,
        Self::Listener,
        Self::Route,
        Self::TrustBundle,
        Self::Certificate,
        Self::External,
        Self::Access,
        Self::AccessSettings,
        Self::RateLimit,
        Self::TokenIssuer,
        Self::Telemetry,
        Self::ExternalAuthorizer,
        Self::Consumer,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Endpoints => "endpoints",
            Self::Workload => "workload",
            Self::Gateway => "gateway",
            Self::Listener => "listener",
            Self::Route => "route",
            Self::TrustBundle => "trustbundle",
            Self::Certificate => "certificate",
            Self::External => "external",
            Self::Access => "access",
            Self::AccessSettings => "accesssettings",
            Self::RateLimit => "ratelimit",
            Self::TokenIssuer => "tokenissuer",
            Self::Telemetry => "telemetry",
            Self::ExternalAuthorizer => "externalauthorizer",
            Self::Consumer => "consumer",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// `source/kind/namespace/name`: unique in the whole mesh. A listener's name is `gateway.section`; a route's name carries its
/// dialect kind in lower case (`httproute.catalog`), since an HTTPRoute and a GRPCRoute may share a name.
///
/// It is asked for several times in each request: its words are shared and their hash is kept, so that a copy is one count, a look-up hashes a number,
/// and equality of copies is that of a pointer.
#[derive(Clone)]
pub struct Key {
    pub kind: Kind,
    words: Arc<Words>,
}

/// What a [`Key`] says besides its kind.
#[derive(Debug)]
pub struct Words {
    pub source: Source,
    pub namespace: Arc<str>,
    pub name: Arc<str>,
    /// Of the three.
    hash: u64,
}

impl Words {
    fn same(&self, other: &Self) -> bool {
        self.hash == other.hash && self.name == other.name && self.namespace == other.namespace && self.source == other.source
    }
}

impl std::ops::Deref for Key {
    type Target = Words;

    fn deref(&self) -> &Words {
        &self.words
    }
}

impl Key {
    pub fn new(source: Source, kind: Kind, namespace: &str, name: &str) -> Self {
        // Its keys are fixed: equal names hash alike wherever they were made.
        let mut hasher = std::hash::DefaultHasher::new();
        (source.as_str(), namespace, name).hash(&mut hasher);
        let words = Words { source, namespace: lately::shared(namespace), name: lately::shared(name), hash: hasher.finish() };
        Self { kind, words: Arc::new(words) }
    }

    /// The same name under another kind: the endpoints of a service, the service of endpoints.
    pub fn with_kind(&self, kind: Kind) -> Self {
        Self { kind, words: self.words.clone() }
    }

    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(4, '/');
        let (source, kind, namespace, name) = (parts.next()?, Kind::parse(parts.next()?)?, parts.next()?, parts.next()?);
        (!source.is_empty() && !name.is_empty()).then(|| Self::new(Source::new(source), kind, namespace, name))
    }

    fn parts(&self) -> (&Source, Kind, &str, &str) {
        (&self.source, self.kind, &self.namespace, &self.name)
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind && (Arc::ptr_eq(&self.words, &other.words) || self.words.same(&other.words))
    }
}

impl Eq for Key {}

impl Hash for Key {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.words.hash ^ self.kind as u64);
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        self.parts().cmp(&other.parts())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{}", self.source.as_str(), self.kind.as_str(), self.namespace, self.name)
    }
}

/// Keys that were read before, so that one that is read again shares the words of the first: equality is a pointer's then, and the words lie in memory
/// once. Holds nothing alive.
#[derive(Debug, Default)]
pub struct KnownKeys {
    /// By hash; of two names with one hash only the later is known.
    words: HashMap<u64, Weak<Words>>,
    /// How many there may be before those that nobody has any more are let go.
    most: usize,
}

impl KnownKeys {
    pub fn share(&mut self, key: Key) -> Key {
        let same = |known: &Arc<Words>| known.same(&key.words);
        if let Some(words) = self.words.get(&key.words.hash).and_then(Weak::upgrade).filter(same) {
            return Key { kind: key.kind, words };
        }
        if self.words.len() >= self.most {
            self.words.retain(|_, words| words.strong_count() > 0);
            self.most = (self.words.len() * 2).max(64);
        }
        self.words.insert(key.words.hash, Arc::downgrade(&key.words));
        key
    }

    /// How many are known, those included that nobody has any more.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }
}

/// A user's object by the names the user knows: `HTTPRoute shop/catalog`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectRef {
    pub group: Arc<str>,
    pub kind: Arc<str>,
    pub namespace: Arc<str>,
    pub name: Arc<str>,
}

impl ObjectRef {
    pub fn new(group: &str, kind: &str, namespace: &str, name: &str) -> Self {
        let [group, kind, namespace, name] = [group, kind, namespace, name].map(lately::shared);
        Self { group, kind, namespace, name }
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.namespace.is_empty() {
            true => write!(f, "{} {}", self.kind, self.name),
            false => write!(f, "{} {}/{}", self.kind, self.namespace, self.name),
        }
    }
}

/// Where a resource came from: the object as its user wrote it and, for files, the place. Every verdict can name it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    pub object: ObjectRef,
    /// `routes.yaml:12` for files; empty where the object has no file.
    pub place: Arc<str>,
}

impl Origin {
    pub fn new(object: ObjectRef, place: &str) -> Self {
        Self { object, place: place.into() }
    }
}

#[cfg(test)]
mod tests;
