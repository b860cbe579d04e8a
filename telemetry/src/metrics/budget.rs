//! How many different things are counted at once, over all workers: what several of them count is one. Asked only when a thing is first met on a worker.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// By hash: two things that meet in sixty-four bits count as one, and nothing else comes of it.
#[derive(Debug)]
pub(super) struct Budget<T> {
    known: Mutex<HashMap<u64, u32>>,
    hasher: foldhash::fast::RandomState,
    of: std::marker::PhantomData<fn(T)>,
}

impl<T> Default for Budget<T> {
    fn default() -> Self {
        Self { known: Mutex::default(), hasher: Default::default(), of: std::marker::PhantomData }
    }
}

impl<T: Hash> Budget<T> {
    /// Whether there is room for it; each yes is given back by [`Budget::release`].
    pub fn admit(&self, one: &T, most: usize) -> bool {
        let hash = self.hasher.hash_one(one);
        let mut known = self.lock();
        if known.len() >= most && !known.contains_key(&hash) {
            return false;
        }
        *known.entry(hash).or_default() += 1;
        true
    }

    /// One of those who count it does so no more.
    pub fn release(&self, one: &T) {
        let hash = self.hasher.hash_one(one);
        let mut known = self.lock();
        if let Some(users) = known.get_mut(&hash) {
            *users -= 1;
            if *users == 0 {
                known.remove(&hash);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, u32>> {
        // Each change is whole: a panic elsewhere leaves nothing half done.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
