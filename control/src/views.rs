//! What the proxies of one Gateway should hold is the same for all of them: it is worked out once for each world, by the first that asks, with how it differs
//! from the one before; and where nothing of it changed it stays the same value.

use crate::registry::Entry;
use crate::stand_in::{Withheld, without};
use crate::view::{set, view};
use crate::world::World;
use model::{Key, Kind};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use wire::delta::{ServerSession, Set, View};

/// By Gateway, and what its proxies' release does not know.
#[derive(Default)]
pub struct Views(Mutex<HashMap<(Key, Vec<Kind>), Made>>);

#[derive(Clone)]
struct Made {
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
        let place = (gateway, lacks.to_vec());
        // Who is late with its world gets the newer one at once.
        if let Some(found) = all.get(&place).filter(|made| made.generation >= world.generation) {
            return found.clone();
        }
        let (whole, _) = set(world, None, entry, [wire::SELF]);
        let (items, withheld) = match without(&whole, world, lacks) {
            Some(made) => made,
            None => (whole, Withheld::new()),
        };
        let items = match all.get(&place) {
            Some(before) => items.succeeding(&before.items),
            None => Arc::new(items),
        };
        let made = Made { generation: world.generation, items, withheld };
        // Gateways that are gone would be kept for ever.
        all.retain(|_, made| world.generation.saturating_sub(made.generation) < KEPT);
        all.insert(place, made.clone());
        made
    }
}

/// Worlds after which what nobody asked for is let go.
const KEPT: u64 = 64;

#[cfg(test)]
mod tests;
