//! What is counted under names and kept in the store, a key for each name: all that changed since is stored in one step. It knows neither what is counted nor
//! a clock.

use crate::store::Txn;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};

/// What stands under one name.
pub trait Shelved: Default + Serialize + DeserializeOwned {
    /// Before the name, in the store.
    const PREFIX: &'static str;
    /// Names that are read from the store at most.
    const MOST: usize;

    /// Forgets what is too old at this time, in seconds since 1970; whether there was any.
    fn forget(&mut self, now: u64) -> bool;

    /// Nothing is left of it.
    fn is_over(&self) -> bool;
}

#[derive(Debug)]
pub struct Shelf<V> {
    all: BTreeMap<String, V>,
    unsaved: BTreeSet<String>,
}

impl<V> Default for Shelf<V> {
    fn default() -> Self {
        Self { all: BTreeMap::new(), unsaved: BTreeSet::new() }
    }
}

impl<V: Shelved> Shelf<V> {
    /// What the store has under the prefix; what cannot be read is left out.
    pub fn load(kept: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        let read = |(key, value): (String, Vec<u8>)| Some((key.strip_prefix(V::PREFIX)?.to_owned(), serde_json::from_slice(&value).ok()?));
        Self { all: kept.into_iter().filter_map(read).take(V::MOST).collect(), unsaved: BTreeSet::new() }
    }

    pub fn all(&self) -> &BTreeMap<String, V> {
        &self.all
    }

    /// What stands under this name, to be changed: it is stored with the next step.
    pub fn change(&mut self, name: &str) -> &mut V {
        self.unsaved.insert(name.to_owned());
        self.all.entry(name.to_owned()).or_default()
    }

    /// The others go, and leave the store.
    pub fn retain(&mut self, is_kept: impl Fn(&V) -> bool) {
        self.unsaved.extend(self.all.extract_if(.., |_, value| !is_kept(value)).map(|(name, _)| name));
    }

    /// Forgets what is too old, and says what is to be stored since this was last asked.
    pub fn sweep(&mut self, now: u64) -> Txn {
        for (name, value) in &mut self.all {
            if value.forget(now) {
                self.unsaved.insert(name.clone());
            }
        }
        self.retain(|value| !value.is_over());
        let mut txn = Txn::default();
        for name in std::mem::take(&mut self.unsaved) {
            let key = format!("{}{name}", V::PREFIX);
            match self.all.get(&name) {
                None => txn.delete.push(key),
                Some(value) => txn.put.push((key, serde_json::to_vec(value).unwrap_or_default())),
            }
        }
        txn
    }
}
