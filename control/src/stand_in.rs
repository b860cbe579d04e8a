//! What a proxy is given in place of what guards and what its release does not know: it would skip the kind and let in whoever policies let in, so it gets a
//! denial in words that every release reads (`decisions/0046`). Pure; it never knows which proxy it is for.

use crate::world::World;
use model::access::{AccessPolicy, AccessRule, Action, Enforcement, Tier};
use model::{Consumer, Key, Kind, Resource};
use std::collections::BTreeMap;
use std::sync::Arc;
use wire::delta::{Encoded, Set};

/// Keys of what is not sent as it is, with what that means there.
pub type Withheld = BTreeMap<String, String>;

/// The same with something in the place of each resource of those kinds; `None` where there is none of them.
pub fn without(set: &Set, world: &World, lacks: &[Kind]) -> Option<(Set, Withheld)> {
    let is_known = |item: &Arc<Encoded>| Key::parse(&item.name).is_none_or(|key| !lacks.contains(&key.kind));
    if lacks.is_empty() || set.items().iter().all(is_known) {
        return None;
    }
    let mut withheld = Withheld::new();
    let mut items = Vec::with_capacity(set.items().len());
    for item in set.items() {
        if is_known(item) {
            items.push(item.clone());
            continue;
        }
        let guards = Key::parse(&item.name).and_then(|key| world.get(&key)).map(|item| &item.resource);
        let denial = guards.and_then(instead);
        let means = if denial.is_some() { CLOSED } else { UNREAD };
        withheld.insert(item.name.to_string(), means.to_owned());
        items.extend(denial.map(|denial| Arc::new(Encoded::new(&denial))));
    }
    Some((items.into_iter().collect(), withheld))
}

const CLOSED: &str = "this release does not know the kind, and would ask nobody for a key: it lets nobody in there until it is upgraded";
const UNREAD: &str = "this release does not know the kind: no key is read there until it is upgraded";

/// What lets nobody in where this lets in but some; `None` where it lets in everybody.
fn instead(resource: &Resource) -> Option<Resource> {
    match resource {
        Resource::Consumer(consumer) if consumer.required => Some(Resource::Access(Arc::new(denial(consumer)))),
        _ => None,
    }
}

/// First of all, so that nothing that is said of access opens it.
fn denial(consumer: &Consumer) -> AccessPolicy {
    AccessPolicy {
        key: consumer.key.with_kind(Kind::Access),
        origin: consumer.origin.clone(),
        tier: Tier::Admin,
        action: Action::Deny,
        enforcement: Enforcement::Enforce,
        targets: consumer.targets.clone(),
        rules: vec![AccessRule { name: "a-key-is-demanded".into(), clauses: Vec::new() }],
    }
}

/// Whether it stands in for something else: no object says it.
pub fn stands_in(key: &Key) -> bool {
    key.kind == Kind::Access && key.name.starts_with("consumer.")
}

#[cfg(test)]
mod tests;
