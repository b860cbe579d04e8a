//! The map of the request path. Its keys come from configuration, which no stranger chooses, so a fast hash will do; keys of strangers
//! (names of hosts) stay with the standard library's.

use model::access::AccessTarget;
use model::{Change, Key, Kind, Resource};

pub type Map<K, V> = hashbrown::HashMap<K, V, foldhash::fast::RandomState>;

/// Objects of one kind by key, as they are after `changes`; `None` where none of these is of that kind. `read` says what is held of one.
pub fn after<T: Clone>(all: &Map<Key, T>, kind: Kind, changes: &[Change], read: impl Fn(&Resource) -> Option<T>) -> Option<Map<Key, T>> {
    if !changes.iter().any(|change| change.key().kind == kind) {
        return None;
    }
    let mut all = all.clone();
    for change in changes {
        match change {
            Change::Put(resource) => _ = read(resource).map(|held| all.insert(resource.key().clone(), held)),
            // Of no kind that is asked for here.
            Change::Told(_) => {}
            Change::Remove(key) => _ = all.remove(key),
        }
    }
    Some(all)
}

/// What guards each target, in the order of the keys.
pub fn by_target<T: Clone>(all: &Map<Key, T>, targets: impl Fn(&T) -> &[AccessTarget]) -> policy::Targets<Vec<T>> {
    let mut sorted: Vec<_> = all.iter().collect();
    sorted.sort_by(|a, b| a.0.cmp(b.0));
    let mut found = policy::Targets::<Vec<T>>::default();
    for (_, one) in sorted {
        targets(one).iter().for_each(|target| found.set(target).push(one.clone()));
    }
    found
}
