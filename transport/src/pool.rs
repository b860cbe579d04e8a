//! Unused upstream connections of one worker, by everything that makes them interchangeable. Whoever builds the key sees to it that two callers
//! with different identities, or with different expectations of the peer, never share a connection: that would be an escalation.

use crate::{h1, limits};
use hashbrown::HashMap;
use std::hash::Hash;
use std::time::Instant;

/// A connection with the age that it has over all its uses. It lives in one box from its opening to its end: each request hands it on a dozen times.
#[derive(Debug)]
pub struct Pooled<K, W> {
    /// Where it leads: it goes back there by itself.
    pub key: K,
    pub connection: h1::Connection,
    pub opened: Instant,
    /// Whether it carried a request before: only then can it have died unnoticed.
    pub reused: bool,
    /// Dropped when the connection is closed, and after it.
    pub with: W,
    /// When it was last done with.
    since: Instant,
}

impl<K, W> Pooled<K, W> {
    /// One that was just opened.
    pub fn new(key: K, connection: h1::Connection, opened: Instant, with: W) -> Box<Self> {
        Box::new(Self { key, connection, opened, reused: false, with, since: opened })
    }
}

/// `W` is what goes with each connection until it is closed.
#[derive(Debug)]
pub struct Pool<K, W> {
    #[allow(clippy::vec_box, reason = "what is taken out and put back is the box")]
    kept: HashMap<K, Vec<Box<Pooled<K, W>>>, foldhash::fast::RandomState>,
    /// What was opened until then is not kept any more.
    doubted: Option<Instant>,
}

impl<K, W> Default for Pool<K, W> {
    fn default() -> Self {
        Self { kept: HashMap::default(), doubted: None }
    }
}

impl<K: Hash + Eq + Clone, W> Pool<K, W> {
    /// The connection that was used last and is still good.
    pub fn take(&mut self, key: &K, now: Instant) -> Option<Box<Pooled<K, W>>> {
        let kept = self.kept.get_mut(key)?;
        while let Some(mut one) = kept.pop() {
            let fresh = now.duration_since(one.since) < limits::POOL_IDLE && now.duration_since(one.opened) < limits::POOL_LIFE;
            if fresh && !one.connection.is_stale() {
                one.reused = true;
                return Some(one);
            }
        }
        None
    }

    pub fn put(&mut self, mut pooled: Box<Pooled<K, W>>, now: Instant) {
        if self.is_doubted(pooled.opened) {
            return;
        }
        pooled.connection.rest();
        pooled.since = now;
        match self.kept.get_mut(&pooled.key) {
            Some(kept) if kept.len() < limits::POOL_KEPT => kept.push(pooled),
            Some(_) => {}
            None => _ = self.kept.insert(pooled.key.clone(), vec![pooled]),
        }
    }

    /// Whether what was opened then is not to be used again.
    pub fn is_doubted(&self, opened: Instant) -> bool {
        self.doubted.is_some_and(|until| opened <= until)
    }

    /// Of those whose key says so, the connection that lay idle longest.
    pub fn take_oldest(&mut self, of: impl Fn(&K) -> bool) -> Option<Box<Pooled<K, W>>> {
        let first = |kept: &Vec<Box<Pooled<K, W>>>| kept.first().map(|one| one.since);
        let kept = self.kept.iter_mut().filter(|(key, kept)| !kept.is_empty() && of(key)).min_by_key(|(_, kept)| first(kept))?.1;
        let mut one = kept.remove(0);
        one.reused = true;
        Some(one)
    }

    /// Closes what is too old. Called now and then, since what is never asked for would stay.
    pub fn sweep(&mut self, now: Instant) {
        self.kept.retain(|_, kept| {
            kept.retain(|one| now.duration_since(one.since) < limits::POOL_IDLE);
            !kept.is_empty()
        });
    }

    /// Closes everything whose key says so: an endpoint that left, an identity that changed.
    pub fn drop_where(&mut self, mut gone: impl FnMut(&K) -> bool) {
        self.kept.retain(|key, _| !gone(key));
    }

    /// Closes everything that is open now: what is unused at once, what is in use once it is done with.
    pub fn doubt(&mut self, now: Instant) {
        self.kept.clear();
        self.doubted = Some(now);
    }

    pub fn len(&self) -> usize {
        self.kept.values().map(Vec::len).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests;
