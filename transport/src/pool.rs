//! Unused upstream connections of one worker, by everything that makes them interchangeable. Whoever builds the key sees to it that two callers
//! with different identities, or with different expectations of the peer, never share a connection: that would be an escalation.

use crate::{h1, limits};
use hashbrown::HashMap;
use std::hash::Hash;
use std::time::Instant;

#[derive(Debug)]
struct Kept<W> {
    connection: h1::Connection,
    opened: Instant,
    since: Instant,
    with: W,
}

/// A connection with the age that it has over all its uses.
#[derive(Debug)]
pub struct Pooled<W> {
    pub connection: h1::Connection,
    pub opened: Instant,
    /// Whether it carried a request before: only then can it have died unnoticed.
    pub reused: bool,
    /// Dropped when the connection is closed, and after it.
    pub with: W,
}

/// `W` is what goes with each connection until it is closed.
#[derive(Debug)]
pub struct Pool<K, W> {
    kept: HashMap<K, Vec<Kept<W>>, foldhash::fast::RandomState>,
}

impl<K, W> Default for Pool<K, W> {
    fn default() -> Self {
        Self { kept: HashMap::default() }
    }
}

impl<K: Hash + Eq, W> Pool<K, W> {
    /// The connection that was used last and is still good.
    pub fn take(&mut self, key: &K, now: Instant) -> Option<Pooled<W>> {
        let kept = self.kept.get_mut(key)?;
        while let Some(mut one) = kept.pop() {
            let fresh = now.duration_since(one.since) < limits::POOL_IDLE && now.duration_since(one.opened) < limits::POOL_LIFE;
            if fresh && !one.connection.is_stale() {
                return Some(Pooled { connection: one.connection, opened: one.opened, reused: true, with: one.with });
            }
        }
        None
    }

    pub fn put(&mut self, key: K, mut pooled: Pooled<W>, now: Instant) {
        pooled.connection.rest();
        let kept = self.kept.entry(key).or_default();
        if kept.len() < limits::POOL_KEPT {
            kept.push(Kept { connection: pooled.connection, opened: pooled.opened, since: now, with: pooled.with });
        }
    }

    /// Of those whose key says so, the connection that lay idle longest.
    pub fn take_oldest(&mut self, of: impl Fn(&K) -> bool) -> Option<Pooled<W>> {
        let first = |kept: &Vec<Kept<W>>| kept.first().map(|one| one.since);
        let kept = self.kept.iter_mut().filter(|(key, kept)| !kept.is_empty() && of(key)).min_by_key(|(_, kept)| first(kept))?.1;
        let one = kept.remove(0);
        Some(Pooled { connection: one.connection, opened: one.opened, reused: true, with: one.with })
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

    pub fn len(&self) -> usize {
        self.kept.values().map(Vec::len).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests;
