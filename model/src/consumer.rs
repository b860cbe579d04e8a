//! Who consumes an API, and by which keys: what `Consumer` says. A key itself stands nowhere, its hash does. Here are values only; the proxy looks keys up.

use crate::access::AccessTarget;
use crate::{Key, Origin};
use std::fmt;
use std::sync::Arc;

/// SHA-256 of a key.
pub type KeyHash = [u8; 32];

/// Somebody who brings a key, for some targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumer {
    /// Kind `Consumer`; the name carries the dialect kind in lower case (`consumer.acme`).
    pub key: Key,
    pub origin: Origin,
    /// Where its keys are read. Any of them.
    pub targets: Vec<AccessTarget>,
    /// Any of them; none: nobody is this consumer.
    pub keys: Vec<KeyHash>,
    /// `namespace/group`.
    pub groups: Vec<Arc<str>>,
    /// Where its key stands, any of them.
    pub from: Vec<KeyPlace>,
    /// Who brings no key is refused there.
    pub required: bool,
    /// The application gets the key too.
    pub passed_on: bool,
}

impl Consumer {
    /// `namespace/name`, as policies, records and metrics have it.
    pub fn name(&self) -> Arc<str> {
        format!("{}/{}", self.origin.object.namespace, self.origin.object.name).into()
    }
}

/// Where a key stands in a request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum KeyPlace {
    /// In lower case.
    Header(Arc<str>),
    /// A parameter of the query.
    Query(Arc<str>),
    Cookie(Arc<str>),
}

impl fmt::Display for KeyPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "header {name}"),
            Self::Query(name) => write!(f, "query {name}"),
            Self::Cookie(name) => write!(f, "cookie {name}"),
        }
    }
}
