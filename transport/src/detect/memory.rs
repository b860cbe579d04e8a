//! On which ports the server speaks first: who calls there again is not made to wait. Knowledge grows old, for a port may be given to another
//! program, and there is never more of it than its limit.

use crate::limits;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::hash::Hash;
use std::time::Instant;

/// Since when it is known, by destination port as the caller sees it.
#[derive(Debug)]
pub struct ServerFirst<K>(HashMap<K, Instant, RandomState>);

impl<K> Default for ServerFirst<K> {
    fn default() -> Self {
        Self(HashMap::default())
    }
}

impl<K: Hash + Eq + Clone> ServerFirst<K> {
    pub fn knows(&self, port: &K, now: Instant) -> bool {
        self.0.get(port).is_some_and(|since| is_fresh(*since, now))
    }

    /// What is known already does not become younger: whoever relies on it saw nothing new.
    pub fn learn(&mut self, port: K, now: Instant) {
        if self.knows(&port, now) {
            return;
        }
        if self.0.len() >= limits::SERVER_FIRST_PORTS {
            self.0.retain(|_, since| is_fresh(*since, now));
        }
        if self.0.len() >= limits::SERVER_FIRST_PORTS
            && let Some(oldest) = self.0.iter().min_by_key(|(_, since)| **since).map(|(port, _)| port.clone())
        {
            self.0.remove(&oldest);
        }
        self.0.insert(port, now);
    }
}

fn is_fresh(since: Instant, now: Instant) -> bool {
    now.saturating_duration_since(since) < limits::SERVER_FIRST_TIME
}

#[cfg(test)]
mod tests;
