//! What the proxies of one Gateway should hold is the same for all of them: it is worked out once for each world, by the first that asks, with how it differs
//! from the one before; and where nothing of it changed it stays the same value.

use crate::limits;
use crate::registry::Entry;
use crate::stand_in::{Withheld, without};
use crate::view::{set, view};
use crate::world::World;
use model::{Key, Kind};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use wire::delta::{ServerSession, Set, View};

/// By Gateway: for each release of its proxies one, that which was asked for last first.
#[derive(Default)]
pub struct Views(Mutex<HashMap<Key, Vec<Made>>>);

#[derive(Clone)]
struct Made {
    /// What the release does not know.
    lacks: Vec<Kind>,
    /// Of the world that it was last made of.
    generation: u64,
    items: Arc<Set>,
    withheld: Withheld,
}

impl Views {
    /// The view of a proxy that has this session, as [`crate::view::view`] but for what its release does not know and must not miss; and what that is.
    pub fn of(&self, world: &World, last: Option<&World>, entry: &Entry, session: &ServerSession) -> (View, Withheld) {
        let asked = session.subscriptions();
        if let Some(gateway) = entry.gateway().filter(|_| asked.len() == 1 && asked.contains(wire::SELF)) {
            let Made { items, withheld, .. } = self.gateway(gateway, world, entry, session.lacks());
            return (View { generation: world.generation, items, answers: Default::default() }, withheld);
        }
        let whole = view(world, last, entry, asked.iter().map(|name| &**name));
        match without(&whole.items, world, session.lacks()) {
            Some((items, withheld)) => (View { items: Arc::new(items), ..whole }, withheld),
            None => (whole, Withheld::new()),
        }
    }

    fn gateway(&self, gateway: Key, world: &World, entry: &Entry, lacks: &[Kind]) -> Made {
        // What a panic leaves behind is a whole value.
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let releases = all.entry(gateway).or_default();
        let before = releases.iter().position(|made| made.lacks == lacks).map(|at| releases.remove(at));
        let made = match before {
            // Who is late with its world gets the newer one at once.
            Some(found) if found.generation >= world.generation => {
                releases.insert(0, found.clone());
                return found;
            }
            before => made(world, entry, lacks, before.map(|before| before.items)),
        };
        releases.insert(0, made.clone());
        releases.truncate(limits::RELEASES);
        // Gateways that are gone would be kept for ever.
        all.retain(|_, releases| {
            releases.retain(|made| world.generation.saturating_sub(made.generation) < KEPT);
            !releases.is_empty()
        });
        made
    }
}

fn made(world: &World, entry: &Entry, lacks: &[Kind], before: Option<Arc<Set>>) -> Made {
    let (whole, _) = set(world, None, entry, [wire::SELF]);
    let (items, withheld) = without(&whole, world, lacks).unwrap_or_else(|| (whole, Withheld::new()));
    let items = match before {
        Some(before) => items.succeeding(&before),
        None => Arc::new(items),
    };
    Made { lacks: lacks.to_vec(), generation: world.generation, items, withheld }
}

/// Worlds after which what nobody asked for is let go.
const KEPT: u64 = 64;

#[cfg(test)]
mod tests;
