//! The filters of a rule or a backend, sorted once into the phases in which they run, whatever order they were written in:
//! invalid → cross-origin → redirect → request headers → rewrite → mirrors → (forward) → response headers.
//! Within a phase the written order holds. It never knows which request they will meet.

use model::Filter;
use model::route::{Cors, HeaderEdits, Mirror, Redirect, Rewrite};
use std::sync::Arc;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Phases {
    /// Why every request is answered 500.
    pub invalid: Option<Arc<str>>,
    pub cors: Option<Cors>,
    pub redirect: Option<Redirect>,
    pub request_headers: Vec<HeaderEdits>,
    pub rewrites: Vec<Rewrite>,
    pub mirrors: Vec<Mirror>,
    pub response_headers: Vec<HeaderEdits>,
}

impl Phases {
    pub fn compile(filters: &[Filter]) -> Self {
        let mut phases = Self::default();
        for filter in filters {
            match filter.clone() {
                Filter::RequestHeaders(edits) => phases.request_headers.push(edits),
                Filter::ResponseHeaders(edits) => phases.response_headers.push(edits),
                Filter::Redirect(redirect) => phases.redirect = phases.redirect.or(Some(redirect)),
                Filter::Rewrite(rewrite) => phases.rewrites.push(rewrite),
                Filter::Mirror(mirror) => phases.mirrors.push(mirror),
                Filter::Cors(cors) => phases.cors = phases.cors.or(Some(cors)),
                Filter::Invalid { message } => phases.invalid = phases.invalid.or(Some(message)),
            }
        }
        phases
    }
}
