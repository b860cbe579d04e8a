//! How many proxies have what, looked at once for as many objects as are told of: of thousands of each, every pair would be too many. It knows what was
//! acknowledged, and never what it says.

use crate::core::{Core, Session, Standing, now, seconds};
use crate::limits;
use crate::registry::Entry;
use crate::world::{Item, World};
use frontends::Object;
use model::{Key, Resource, Target};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// The connected proxies as they were when it was looked.
#[derive(Debug, Default)]
pub struct Having {
    all: Group,
    /// In a cluster, where what a Gateway serves is the matter of its own proxies alone; those that only begin are no matter of its status yet.
    gateways: Option<BTreeMap<Key, Group>>,
    standing: Option<Arc<Standing>>,
}

/// Who has an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Had {
    /// So many proxies, of so many.
    By(u32, u32),
    /// Those of whoever led before: they have yet to come.
    Before,
}

#[derive(Debug, Default)]
struct Group {
    /// Up to which generation each has all that concerns it, of those that refuse nothing; ascending.
    content: Vec<u64>,
    /// The same of the others, and what they refuse.
    refusing: Vec<(u64, BTreeSet<String>)>,
}

impl Having {
    pub fn look(core: &Core) -> Self {
        let mut having = Self { gateways: core.cluster().map(|_| BTreeMap::new()), ..Self::default() };
        let (inner, now) = (core.lock(), seconds(now()));
        for (proxy, session) in inner.sessions.iter().filter(|(_, session)| session.connected) {
            having.all.add(session);
            // It opens its ports when it has all of it: nobody is led there before.
            if is_joining(session, now) {
                continue;
            }
            if let Some(gateways) = &mut having.gateways
                && let Some(gateway) = inner.registry.get(proxy).and_then(Entry::gateway)
            {
                gateways.entry(gateway).or_default().add(session);
            }
        }
        having.standing.clone_from(&inner.standing);
        drop(inner);
        having.all.content.sort_unstable();
        having.gateways.iter_mut().flat_map(BTreeMap::values_mut).for_each(|group| group.content.sort_unstable());
        having
    }

    /// How many have these resources as they are in force, and of how many; every proxy has what does not concern it, and none what it refused.
    pub fn applied(&self, world: &World, items: &[&Item]) -> (u32, u32) {
        let modified = items.iter().map(|item| item.modified).max().unwrap_or(0);
        let Some(groups) = &self.gateways else { return self.all.applied(modified, items) };
        let serving = gateways(world, items);
        if serving.is_empty() {
            return self.all.applied(modified, items);
        }
        let each = serving.iter().filter_map(|gateway| groups.get(gateway)).map(|group| group.applied(modified, items));
        each.fold((0, 0), |(applied, concerned), (a, c)| (applied + a, concerned + c))
    }

    /// Where no proxy has come that it concerns, what was written before stands.
    pub fn had(&self, object: &Object, (applied, concerned): (u32, u32)) -> Had {
        match concerned == 0 && self.standing.as_ref().is_some_and(|standing| standing.has(object)) {
            true => Had::Before,
            false => Had::By(applied, concerned),
        }
    }
}

/// Whether it came just now, and has not had all that concerns it yet. One that does not come to that counts after a while.
fn is_joining(session: &Session, now: u64) -> bool {
    session.current == 0 && now.saturating_sub(session.since) < limits::JOINING
}

/// How long until the next proxy that only begins counts, whatever it has by then: of that nobody says a word.
pub fn until_one_counts(core: &Core) -> Option<Duration> {
    let (inner, now) = (core.lock(), seconds(now()));
    let joining = inner.sessions.values().filter(|session| session.connected && is_joining(session, now));
    joining.map(|session| limits::JOINING - now.saturating_sub(session.since)).min().map(Duration::from_secs)
}

impl Group {
    fn add(&mut self, session: &Session) {
        let lacks: BTreeSet<String> = session.refused.keys().chain(session.withheld.keys()).cloned().collect();
        match lacks.is_empty() {
            true => self.content.push(session.current),
            false => self.refusing.push((session.current, lacks)),
        }
    }

    fn applied(&self, modified: u64, items: &[&Item]) -> (u32, u32) {
        let content = self.content.len() - self.content.partition_point(|current| *current < modified);
        let took = |(current, refused): &&(u64, BTreeSet<String>)| {
            *current >= modified && items.iter().all(|item| !refused.contains(&*item.encoded.name))
        };
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        (count(content + self.refusing.iter().filter(took).count()), count(self.content.len() + self.refusing.len()))
    }
}

/// The gateways that serve these.
fn gateways(world: &World, items: &[&Item]) -> BTreeSet<Key> {
    let listener = |key: &Key| match world.get(key).map(|item| &item.resource) {
        Some(Resource::Listener(listener)) => Some(listener.gateway.clone()),
        _ => None,
    };
    let mut found = BTreeSet::new();
    for item in items {
        match &item.resource {
            Resource::Listener(listener) => drop(found.insert(listener.gateway.clone())),
            Resource::Route(route) => {
                let on = route.attachments.iter().filter_map(|a| if let Target::Listener(key) = &a.target { listener(key) } else { None });
                found.extend(on);
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests;
