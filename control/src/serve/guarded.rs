//! Whose word on what consumers used is taken: that of a proxy which was given the Consumer, for nobody else reads its keys.

use crate::core::{Core, Inner};
use crate::registry::Entry;
use crate::view;
use crate::world::World;
use crate::{consumption, limits};
use model::{Key, Resource, SpiffeId};
use std::collections::HashMap;
use std::sync::Arc;
use telemetry::{ConsumedCounts, ConsumedId};
use wire::delta::Set;
use wire::v1::report_request::Consumed;

/// What consumers used where this proxy read their keys.
pub fn guarded(core: &Core, (proxy, identity): (&str, &SpiffeId), told: Vec<Consumed>) -> Vec<(ConsumedId, ConsumedCounts)> {
    if told.is_empty() {
        return Vec::new();
    }
    let given = Given::of(&core.lock(), proxy, identity);
    let (Some(mut given), world) = (given, core.world()) else { return Vec::new() };
    let mut known: HashMap<Arc<str>, bool> = HashMap::new();
    let mut is_given = |consumer: &Arc<str>| {
        *known.entry(consumer.clone()).or_insert_with(|| key(&world, consumer).is_some_and(|key| given.has(&world, &key)))
    };
    told.into_iter().take(limits::CONSUMED_OF_ONE).filter_map(consumption::read).filter(|(id, _)| is_given(&id.consumer)).collect()
}

/// The key of a Consumer that there is, by its name in reports.
fn key(world: &World, consumer: &str) -> Option<Key> {
    let (namespace, name) = consumer.split_once('/')?;
    let key = frontends::organza::consumer::key(namespace, name);
    matches!(world.get(&key)?.resource, Resource::Consumer(_)).then_some(key)
}

/// What a proxy was given, as far as is known.
struct Given {
    /// Of who was taken out nobody knows any more what that was.
    is_departed: bool,
    /// By the streams of its processes, and by those before them: a report tells of what was before it was sent.
    sets: Vec<Arc<Set>>,
    /// Who it is. What its stream has not come to yet, as after a restart of ours, it may have all the same where it is meant to: worked out if need be.
    meant: Option<Entry>,
}

impl Given {
    /// `None` for who is not the proxy that it says it is.
    fn of(inner: &Inner, proxy: &str, identity: &SpiffeId) -> Option<Self> {
        let member = inner.registry.get(proxy).filter(|entry| entry.identity().as_ref() == Some(identity));
        let Some(entry) = member else {
            let departed = inner.registry.departed(proxy, identity);
            return departed.map(|_| Self { is_departed: true, sets: Vec::new(), meant: None });
        };
        let serving = inner.sessions.get(proxy);
        let leaving = inner.leaving.range((proxy.to_owned(), 0)..=(proxy.to_owned(), u64::MAX)).map(|(_, session)| session);
        let sets = serving.into_iter().chain(leaving).map(|session| session.given().clone()).collect();
        Some(Self { is_departed: false, sets, meant: Some(entry.clone()) })
    }

    fn has(&mut self, world: &World, key: &Key) -> bool {
        let name = key.to_string();
        if self.is_departed || self.sets.iter().any(|set| set.get(&name).is_some()) {
            return true;
        }
        let Some(entry) = self.meant.take() else { return false };
        let (meant, _) = view::set(world, None, &entry, [wire::SELF]);
        let has = meant.get(&name).is_some();
        self.sets.push(Arc::new(meant));
        has
    }
}
