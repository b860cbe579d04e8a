//! What the proxies of one Gateway should hold is the same for all of them: it is worked out once for each world, by the first that asks, with how it differs
//! from the one before; and where nothing of it changed it stays the same value.

use crate::registry::Entry;
use crate::stand_in::{Withheld, without};
use crate::view::{set, view};
use crate::world::World;
use model::Key;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use wire::delta::{ServerSession, Set, View};

/// By Gateway, with the generation of the world that it was last made of.
#[derive(Default)]
pub struct Views(Mutex<HashMap<Key, (u64, Arc<Set>)>>);

impl Views {
    /// The view of a proxy that has this session, as [`view`] but for what its release does not know and must not miss; and what that is.
    pub fn of(&self, world: &World, last: Option<&World>, entry: &Entry, session: &ServerSession) -> (View, Withheld) {
        let whole = self.whole(world, last, entry, session);
        let (items, withheld) = without(&whole.items, world, session.lacks());
        (View { items, ..whole }, withheld)
    }

    fn whole(&self, world: &World, last: Option<&World>, entry: &Entry, session: &ServerSession) -> View {
        let asked = session.subscriptions();
        match entry.gateway().filter(|_| asked.len() == 1 && asked.contains(wire::SELF)) {
            Some(gateway) => View { generation: world.generation, items: self.gateway(gateway, world, entry), answers: Default::default() },
            None => view(world, last, entry, asked.iter().map(|name| &**name)),
        }
    }

    fn gateway(&self, gateway: Key, world: &World, entry: &Entry) -> Arc<Set> {
        // What a panic leaves behind is a whole value.
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Who is late with its world gets the newer one at once.
        if let Some((_, found)) = made.get(&gateway).filter(|(generation, _)| *generation >= world.generation) {
            return found.clone();
        }
        let (new, _) = set(world, None, entry, [wire::SELF]);
        let new = match made.get(&gateway) {
            Some((_, before)) => new.succeeding(before),
            None => Arc::new(new),
        };
        // Gateways that are gone would be kept for ever.
        made.retain(|_, (generation, _)| world.generation.saturating_sub(*generation) < KEPT);
        made.insert(gateway, (world.generation, new.clone()));
        new
    }
}

/// Worlds after which what nobody asked for is let go.
const KEPT: u64 = 64;

#[cfg(test)]
mod tests;
