//! The filters of a rule or a backend, sorted once into the phases in which they run, whatever order they were written in:
//! invalid → authorizers (but for cross-origin questions) → cross-origin → redirect → request headers → rewrite → mirrors → (forward) → response headers.
//! Within a phase the written order holds. It never knows which request they will meet.

use model::Filter;
use model::authorizer::Asking;
use model::route::{Cors, HeaderEdits, Mirror, Redirect, Rewrite};
use std::sync::Arc;

/// A filter, and its place in the list that its user wrote.
#[derive(Debug, Clone, PartialEq)]
pub struct Written<F> {
    pub at: usize,
    pub filter: F,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Phases {
    /// Why every request is answered 500.
    pub invalid: Option<Arc<str>>,
    pub authorizers: Vec<Written<Arc<Asking>>>,
    pub cors: Option<Written<Cors>>,
    pub redirect: Option<Written<Redirect>>,
    pub request_headers: Vec<Written<HeaderEdits>>,
    pub rewrites: Vec<Written<Rewrite>>,
    pub mirrors: Vec<Written<Mirror>>,
    pub response_headers: Vec<Written<HeaderEdits>>,
}

impl Phases {
    pub fn compile(filters: &[Filter]) -> Self {
        let mut phases = Self::default();
        for (at, filter) in filters.iter().enumerate() {
            match filter.clone() {
                Filter::RequestHeaders(filter) => phases.request_headers.push(Written { at, filter: permitted(filter) }),
                Filter::ResponseHeaders(filter) => phases.response_headers.push(Written { at, filter: permitted(filter) }),
                Filter::Redirect(filter) => phases.redirect = phases.redirect.or(Some(Written { at, filter })),
                Filter::Rewrite(filter) => phases.rewrites.push(Written { at, filter }),
                Filter::Mirror(filter) => phases.mirrors.push(Written { at, filter }),
                Filter::Cors(filter) => phases.cors = phases.cors.or(Some(Written { at, filter })),
                Filter::ExternalAuth(filter) => phases.authorizers.push(Written { at, filter }),
                Filter::Invalid { message } => phases.invalid = phases.invalid.or(Some(message)),
            }
        }
        phases
    }
}

/// The edits without those that are never made.
fn permitted(mut edits: HeaderEdits) -> HeaderEdits {
    edits.remove.retain(|name| !is_connection_field(name));
    edits.set.retain(|(name, _)| !is_connection_field(name));
    edits.add.retain(|(name, _)| !is_connection_field(name));
    edits
}

/// Fields that frame a message or belong to one connection (RFC 9110, section 7.6.1): the engine writes them.
pub fn is_connection_field(name: &str) -> bool {
    const NAMES: [&str; 10] = [
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "content-length",
        "proxy-authenticate",
        "proxy-authorization",
    ];
    NAMES.iter().any(|field| field.eq_ignore_ascii_case(name))
}
