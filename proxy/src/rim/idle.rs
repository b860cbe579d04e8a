//! Which names asked for on first use are used no longer: they are forgotten, so that a proxy that lives long holds what it needs and not all that it
//! ever met. Pure: what was asked and used, and `now`. It never knows a stream or a snapshot.

use crate::limits;
use model::Key;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

/// Namespace and name of a service that was called.
pub(super) type Used = BTreeSet<(Arc<str>, Arc<str>)>;

#[derive(Debug, Default)]
pub(super) struct Idle {
    /// By subscription, when it was asked for or last used.
    last: HashMap<Arc<str>, Instant>,
}

impl Idle {
    /// The subscriptions of `names` that may go. A name of a service lasts as long as that is called now and then; a name of nothing, which no call can
    /// show to be used, is asked for again now and then.
    pub fn expired(
        &mut self,
        names: &BTreeSet<Arc<str>>,
        answers: &BTreeMap<Arc<str>, Option<Key>>,
        used: &Used,
        now: Instant,
    ) -> Vec<Arc<str>> {
        self.last.retain(|name, _| names.contains(name));
        // Over the budget of edges nobody knows which services are called: none is forgotten.
        let folded = used.iter().any(|(_, name)| &**name == "other");
        let is_used = |key: &Key| folded || used.contains(&(key.namespace.clone(), key.name.clone()));
        let mut gone = Vec::new();
        for name in names.iter().filter(|name| wire::parse_host_subscription(name).is_some()) {
            let last = self.last.entry(name.clone()).or_insert(now);
            let patience = match answers.get(name) {
                Some(Some(key)) => {
                    if is_used(key) {
                        *last = now;
                    }
                    limits::NAME_IDLE
                }
                Some(None) => limits::NAME_OF_NOTHING,
                // Its answer is still to come.
                None => continue,
            };
            if now.saturating_duration_since(*last) >= patience {
                gone.push(name.clone());
            }
        }
        gone
    }
}

#[cfg(test)]
mod tests;
