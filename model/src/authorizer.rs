//! Who is asked, outside of the mesh's own rules, whether a request may be: what `ExternalAuthorizer` and Gateway API's filter `ExternalAuth` say. Values
//! only; the proxy asks by them.

use crate::access::{AccessRule, AccessTarget};
use crate::{Backend, Key, Origin};
use std::sync::Arc;
use std::time::Duration;

/// Asked about requests to some targets.
#[derive(Debug, Clone, PartialEq)]
pub struct ExternalAuthorizer {
    /// Kind `ExternalAuthorizer`; the name carries the dialect kind in lower case (`externalauthorizer.corp`).
    pub key: Key,
    pub origin: Origin,
    /// Any of them.
    pub targets: Vec<AccessTarget>,
    /// About those alone of which one of these rules may hold; `None`: about every one.
    pub only: Option<Vec<AccessRule>>,
    pub asked: Asking,
}

/// How an authorizer is asked, and what its answer may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asking {
    pub backend: Backend,
    pub protocol: AskedBy,
    /// Fields of the request that it is told.
    pub told: Fields,
    /// It is told the body of a request too, which must not be longer. 0: it is not.
    pub body: u32,
    /// For its answer to come.
    pub timeout: Duration,
    /// Whether a request may be where there is no answer.
    pub fail_open: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AskedBy {
    /// The request's own method and path; 200 allows it.
    Http {
        /// Before the path, without a trailing slash.
        prefix: Arc<str>,
        /// Fields of the answer that the request goes on with.
        taken: Fields,
    },
    /// Envoy's `envoy.service.auth.v3.Authorization/Check`.
    Grpc,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fields {
    All,
    /// In lower case.
    Only(Vec<Arc<str>>),
}

impl Fields {
    /// Case is ignored.
    pub fn has(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.iter().any(|known| known.eq_ignore_ascii_case(name)),
        }
    }
}
