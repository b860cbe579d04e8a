//! A hash map that is cheap to copy and change a little: shards behind `Arc`, of which a change copies one. So an edit of one route
//! costs the same in a table of ten as in one of ten thousand. It never knows what it holds.

use crate::limits;
use foldhash::fast::FixedState;
use hashbrown::{Equivalent, HashTable};
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

#[derive(Clone)]
pub(crate) struct CowMap<K, V> {
    /// A power of two of them, or none.
    shards: Vec<Arc<HashTable<(K, V)>>>,
    len: usize,
}

impl<K, V> Default for CowMap<K, V> {
    fn default() -> Self {
        Self { shards: Vec::new(), len: 0 }
    }
}

/// Keys come from configuration, not from strangers, so a fixed seed is safe and keeps iteration the same from run to run.
pub(crate) fn hash_of<Q: Hash + ?Sized>(key: &Q) -> u64 {
    FixedState::default().hash_one(key)
}

impl<K: Hash + Eq + Clone, V: Clone> CowMap<K, V> {
    /// The shard is chosen by bits that the table inside does not use.
    fn shard(&self, hash: u64) -> usize {
        (hash >> 40) as usize & (self.shards.len() - 1)
    }

    pub fn get<Q: Hash + Equivalent<K> + ?Sized>(&self, key: &Q) -> Option<&V> {
        self.entry(key).map(|(_, value)| value)
    }

    /// The key itself, which may hold more than what it is found by.
    pub fn get_key<Q: Hash + Equivalent<K> + ?Sized>(&self, key: &Q) -> Option<&K> {
        self.entry(key).map(|(key, _)| key)
    }

    fn entry<Q: Hash + Equivalent<K> + ?Sized>(&self, key: &Q) -> Option<&(K, V)> {
        if self.len == 0 {
            return None;
        }
        let hash = hash_of(key);
        self.shards[self.shard(hash)].find(hash, |(k, _)| key.equivalent(k))
    }

    pub fn insert(&mut self, key: K, value: V) {
        if self.shards.is_empty() {
            self.shards.push(Arc::default());
        }
        let hash = hash_of(&key);
        let at = self.shard(hash);
        let shard = Arc::make_mut(&mut self.shards[at]);
        match shard.find_mut(hash, |(k, _)| *k == key) {
            Some(entry) => *entry = (key, value),
            None => {
                shard.insert_unique(hash, (key, value), |(k, _)| hash_of(k));
                self.len += 1;
                self.spread();
            }
        }
    }

    pub fn remove<Q: Hash + Equivalent<K> + ?Sized>(&mut self, key: &Q) {
        if self.get(key).is_none() {
            return;
        }
        let hash = hash_of(key);
        let at = self.shard(hash);
        if let Ok(entry) = Arc::make_mut(&mut self.shards[at]).find_entry(hash, |(k, _)| key.equivalent(k)) {
            entry.remove();
            self.len -= 1;
        }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.shards.iter().flat_map(|shard| shard.iter()).map(|(k, v)| (k, v))
    }

    fn spread(&mut self) {
        let count = self.shards.len();
        if self.len <= count * limits::SHARD_ENTRIES || count >= limits::SHARDS {
            return;
        }
        let old = std::mem::take(&mut self.shards);
        let mut tables: Vec<HashTable<(K, V)>> = (0..count * 4).map(|_| HashTable::new()).collect();
        for (key, value) in old.iter().flat_map(|shard| shard.iter()) {
            let hash = hash_of(key);
            let at = (hash >> 40) as usize & (tables.len() - 1);
            tables[at].insert_unique(hash, (key.clone(), value.clone()), |(k, _)| hash_of(k));
        }
        self.shards = tables.into_iter().map(Arc::new).collect();
    }
}

#[cfg(test)]
mod tests;
