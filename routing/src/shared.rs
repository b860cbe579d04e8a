//! What many routes have alike (edits of headers, tests of them, services they lead to) is kept once, so that requests which spread over ten thousand
//! routes find it in the processor's caches. Nothing depends on it but speed. It never knows which routes those are.

use crate::compiled::Common;
use crate::cow::CowMap;
use crate::limits;
use crate::phases::Phases;
use foldhash::fast::FixedState;
use model::{Backend, Filter, RouteMatch};
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// For as long as the matches of one route are made. A panic meanwhile leaves nothing half done: what is known is put there whole.
pub(crate) fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Default)]
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
        by_hash(&mut self.phases, limits::SHARED, hash, phases, Phases::eq)
    }

    /// All of a match but its path; `None` where there is nothing else.
    pub fn tests(&mut self, condition: &RouteMatch) -> Option<Arc<RouteMatch>> {
        let tests = RouteMatch { path: None, ..condition.clone() };
        if tests == RouteMatch::default() {
            return None;
        }
        Some(once(&mut self.tests, limits::SHARED, &tests))
    }

    /// All that a match says besides its path.
    pub fn common(&mut self, made: Common) -> Arc<Common> {
        let hash = common_hash(&made);
        by_hash(&mut self.commons, limits::SHARED_COMMONS, hash, made, Common::is)
    }

    pub fn backend(&mut self, backend: &Backend) -> Arc<Backend> {
        once(&mut self.backends, limits::SHARED_BACKENDS, backend)
    }
}

/// What is known as this, or this from now on; where there are `most` of them, the next begin anew.
fn once<T: Hash + Eq + Clone>(known: &mut CowMap<Arc<T>, Arc<T>>, most: usize, one: &T) -> Arc<T> {
    if let Some(found) = known.get(one) {
        return found.clone();
    }
    if known.len() >= most {
        *known = CowMap::default();
    }
    let one = Arc::new(one.clone());
    known.insert(one.clone(), one.clone());
    one
}

/// The same of what has no hash of its own.
fn by_hash<T>(known: &mut CowMap<u64, Arc<T>>, most: usize, hash: u64, one: T, same: fn(&T, &T) -> bool) -> Arc<T> {
    if let Some(found) = known.get(&hash).filter(|found| same(found, &one)) {
        return found.clone();
    }
    if known.len() >= most {
        *known = CowMap::default();
    }
    let one = Arc::new(one);
    known.insert(hash, one.clone());
    one
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
