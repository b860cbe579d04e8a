//! What many routes have alike (edits of headers, tests of them, services they lead to) is kept once, so that requests which spread over ten thousand
//! routes find it in the processor's caches. Nothing depends on it but speed. It never knows which routes those are.

use crate::compiled::Common;
use crate::cow::CowMap;
use crate::limits;
use crate::phases::Phases;
use foldhash::fast::FixedState;
use model::{Backend, Filter, RouteMatch};
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

#[derive(Clone, Default)]
pub(crate) struct Shared {
    none: Arc<Phases>,
    /// By hash: two that share one are kept apart, the later for the next.
    phases: CowMap<u64, Arc<Phases>>,
    tests: CowMap<Arc<RouteMatch>, Arc<RouteMatch>>,
    backends: CowMap<Arc<Backend>, Arc<Backend>>,
    /// By hash, as `phases`.
    commons: CowMap<u64, Arc<Common>>,
}

impl Shared {
    pub fn phases(&mut self, filters: &[Filter]) -> Arc<Phases> {
        if filters.is_empty() {
            return self.none.clone();
        }
        let phases = Phases::compile(filters);
        let Some(hash) = edits_hash(filters) else { return Arc::new(phases) };
        if let Some(known) = self.phases.get(&hash).filter(|known| ***known == phases) {
            return known.clone();
        }
        if self.phases.len() >= limits::SHARED {
            self.phases = CowMap::default();
        }
        let phases = Arc::new(phases);
        self.phases.insert(hash, phases.clone());
        phases
    }

    /// All of a match but its path; `None` where there is nothing else.
    pub fn tests(&mut self, condition: &RouteMatch) -> Option<Arc<RouteMatch>> {
        let tests = RouteMatch { path: None, ..condition.clone() };
        if tests == RouteMatch::default() {
            return None;
        }
        if let Some(known) = self.tests.get(&tests) {
            return Some(known.clone());
        }
        if self.tests.len() >= limits::SHARED {
            self.tests = CowMap::default();
        }
        let tests = Arc::new(tests);
        self.tests.insert(tests.clone(), tests.clone());
        Some(tests)
    }

    pub fn common(&mut self, made: Common) -> Arc<Common> {
        let hash = common_hash(&made);
        if let Some(known) = self.commons.get(&hash).filter(|known| known.is(&made)) {
            return known.clone();
        }
        if self.commons.len() >= limits::SHARED_COMMONS {
            self.commons = CowMap::default();
        }
        let made = Arc::new(made);
        self.commons.insert(hash, made.clone());
        made
    }

    pub fn backend(&mut self, backend: &Backend) -> Arc<Backend> {
        if let Some(known) = self.backends.get(backend) {
            return known.clone();
        }
        if self.backends.len() >= limits::SHARED_BACKENDS {
            self.backends = CowMap::default();
        }
        let backend = Arc::new(backend.clone());
        self.backends.insert(backend.clone(), backend.clone());
        backend
    }
}

/// Of the memory that its parts are in: those with the same parts have the same.
fn common_hash(made: &Common) -> u64 {
    let mut hasher = FixedState::default().build_hasher();
    made.tests.as_ref().map(Arc::as_ptr).hash(&mut hasher);
    Arc::as_ptr(&made.phases).hash(&mut hasher);
    for to in &made.split {
        (to.weight, Arc::as_ptr(&to.backend), Arc::as_ptr(&to.phases)).hash(&mut hasher);
    }
    (made.protocol, made.retries, made.sessions, made.timeouts.request, made.timeouts.backend_request).hash(&mut hasher);
    hasher.finish()
}

/// Of filters that only edit headers; others are seldom alike.
fn edits_hash(filters: &[Filter]) -> Option<u64> {
    let mut hasher = FixedState::default().build_hasher();
    for filter in filters {
        match filter {
            Filter::RequestHeaders(edits) => (0u8, edits).hash(&mut hasher),
            Filter::ResponseHeaders(edits) => (1u8, edits).hash(&mut hasher),
            _ => return None,
        }
    }
    Some(hasher.finish())
}

#[cfg(test)]
mod tests;
