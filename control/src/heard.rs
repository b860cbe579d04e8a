//! Which report of each process of a proxy was counted last, so that what is told again counts once; and [`Kept`], the same for what is in the store: a
//! control plane may end between storing what it counted and saying so, and the next is told it again. It never knows what was reported.

use crate::limits;
use crate::store::Txn;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};

#[derive(Debug, Default, Serialize, Deserialize)]
struct Last {
    /// Incarnations with their last sequence numbers, the latest to speak at the end: two processes of one name may report side by side.
    incarnations: Vec<(u64, u64)>,
    /// In seconds since 1970.
    at: u64,
}

#[derive(Debug, Default)]
pub struct Heard {
    of: HashMap<String, Last>,
}

impl Heard {
    /// Whether this report was not counted yet; it is from now on.
    pub fn is_news(&mut self, proxy: &str, incarnation: u64, sequence: u64, now: u64) -> bool {
        let last = match self.of.get_mut(proxy) {
            Some(last) => last,
            None => {
                self.make_room_for(proxy);
                self.of.entry(proxy.to_owned()).or_default()
            }
        };
        last.at = now;
        let known = last.incarnations.iter().position(|(other, _)| *other == incarnation);
        if known.is_some_and(|at| sequence <= last.incarnations[at].1) {
            return false;
        }
        if let Some(at) = known {
            last.incarnations.remove(at);
        }
        last.incarnations.push((incarnation, sequence));
        if last.incarnations.len() > limits::INCARNATIONS {
            last.incarnations.remove(0);
        }
        true
    }

    /// Members come and go; who was silent longest has left. It is returned where it is forgotten.
    fn make_room_for(&mut self, proxy: &str) -> Option<String> {
        if self.of.len() < limits::REPORTERS || self.of.contains_key(proxy) {
            return None;
        }
        let silent = self.of.iter().min_by_key(|(_, last)| last.at).map(|(name, _)| name.clone())?;
        self.of.remove(&silent);
        Some(silent)
    }
}

const PREFIX: &str = "heard/";
const WEEK: u64 = 7 * 24 * 3600;

/// Belongs into the same step of the store as what was counted.
#[derive(Debug, Default)]
pub struct Kept {
    heard: Heard,
    unsaved: BTreeSet<String>,
}

impl Kept {
    /// What the store has under `heard/`.
    pub fn load(kept: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        let read = |(key, value): (String, Vec<u8>)| Some((key.strip_prefix(PREFIX)?.to_owned(), serde_json::from_slice(&value).ok()?));
        let of = kept.into_iter().filter_map(read).take(limits::REPORTERS).collect();
        Self { heard: Heard { of }, unsaved: BTreeSet::new() }
    }

    /// As [`Heard::is_news`].
    pub fn is_news(&mut self, proxy: &str, incarnation: u64, sequence: u64, now: u64) -> bool {
        self.unsaved.extend(self.heard.make_room_for(proxy));
        let is_news = self.heard.is_news(proxy, incarnation, sequence, now);
        if is_news {
            self.unsaved.insert(proxy.to_owned());
        }
        is_news
    }

    /// What is to be stored since this was last asked. Who said nothing for a week repeats nothing any more.
    pub fn sweep(&mut self, now: u64) -> Txn {
        let silent = self.heard.of.extract_if(|_, last| last.at.saturating_add(WEEK) < now);
        self.unsaved.extend(silent.map(|(proxy, _)| proxy));
        let mut txn = Txn::default();
        for proxy in std::mem::take(&mut self.unsaved) {
            let key = format!("{PREFIX}{proxy}");
            match self.heard.of.get(&proxy) {
                None => txn.delete.push(key),
                Some(last) => txn.put.push((key, serde_json::to_vec(last).unwrap_or_default())),
            }
        }
        txn
    }
}

#[cfg(test)]
mod tests;
