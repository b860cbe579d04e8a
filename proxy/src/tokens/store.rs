//! Keys of issuers that were fetched, for all workers: the last good ones, also while their issuer is away. Workers ask for newer ones; whether and when
//! these are fetched is for whoever fetches.

use crate::map::Map;
use arc_swap::ArcSwap;
use identity::jwt::Keys;
use model::Key;
use model::token::{KeySource, KeysUrl, TokenIssuer};
use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use transport::rt;

/// The keys of one issuer, and from where: what was fetched from elsewhere is not its own any more.
type Fetched = (KeysUrl, Arc<Keys>);

/// An issuer whose keys cannot be fetched now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keyless {
    pub issuer: Key,
    pub why: String,
    pub since: Instant,
    /// Those of before hold meanwhile.
    pub older_hold: bool,
}

/// From where keys cannot be fetched, since when, and why the last time.
struct Failing {
    url: KeysUrl,
    since: Instant,
    why: String,
}

pub struct Store {
    keys: ArcSwap<Map<Key, Fetched>>,
    failing: Mutex<BTreeMap<Key, Failing>>,
    /// Issuers of whom somebody wants newer keys.
    wanted: Mutex<HashSet<Key>>,
    /// Rises with each word of `wanted`, and with each fetch that ended.
    asked: watch::Sender<u64>,
    ended: watch::Sender<u64>,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            keys: ArcSwap::default(),
            failing: Mutex::default(),
            wanted: Mutex::default(),
            asked: watch::Sender::new(0),
            ended: watch::Sender::new(0),
        }
    }
}

impl Store {
    pub fn is_fetched(&self, issuer: &TokenIssuer) -> bool {
        matches!(issuer.keys, KeySource::Url(_))
    }

    pub fn keys(&self, issuer: &TokenIssuer) -> Option<Arc<Keys>> {
        let KeySource::Url(url) = &issuer.keys else { return None };
        let keys = self.keys.load();
        keys.get(&issuer.key).filter(|(from, _)| from == url).map(|(_, keys)| keys.clone())
    }

    /// Asks for newer keys, and waits until a fetch of them ended, for so long at most.
    pub async fn again(&self, issuer: &TokenIssuer, longest: Duration) {
        let mut ended = self.ended.subscribe();
        lock(&self.wanted).insert(issuer.key.clone());
        self.asked.send_modify(|asked| *asked += 1);
        let until = rt::now() + longest;
        while self.is_wanted(&issuer.key) {
            // Who waited long enough looks again all the same.
            match rt::timeout(until.saturating_duration_since(rt::now()), ended.changed()).await {
                Some(Ok(())) => {}
                Some(Err(_)) | None => return,
            }
        }
    }

    /// Told when somebody wants keys.
    pub fn asked(&self) -> watch::Receiver<u64> {
        self.asked.subscribe()
    }

    pub fn is_wanted(&self, issuer: &Key) -> bool {
        lock(&self.wanted).contains(issuer)
    }

    /// A fetch ended, with new keys or with why there are none.
    pub fn fetched(&self, issuer: &Key, url: &KeysUrl, keys: Result<Arc<Keys>, String>) {
        lock(&self.wanted).remove(issuer);
        self.failed(issuer, url, keys.as_ref().err());
        if let Ok(found) = keys {
            let same = self.keys.load().get(issuer).is_some_and(|(from, known)| from == url && **known == *found);
            if !same {
                self.keys.rcu(|all| {
                    let mut all = Map::clone(all);
                    all.insert(issuer.clone(), (url.clone(), found.clone()));
                    all
                });
            }
        }
        self.ended.send_modify(|ended| *ended += 1);
    }

    fn failed(&self, issuer: &Key, url: &KeysUrl, why: Option<&String>) {
        let mut failing = lock(&self.failing);
        let before = failing.remove(issuer).filter(|before| before.url == *url);
        if let Some(why) = why {
            let since = before.map_or_else(rt::now, |before| before.since);
            failing.insert(issuer.clone(), Failing { url: url.clone(), since, why: why.clone() });
        }
    }

    /// Whose keys cannot be fetched now.
    pub fn keyless(&self) -> Vec<Keyless> {
        let keys = self.keys.load();
        let told = |(issuer, failing): (&Key, &Failing)| Keyless {
            issuer: issuer.clone(),
            why: failing.why.clone(),
            since: failing.since,
            older_hold: keys.get(issuer).is_some_and(|(from, _)| *from == failing.url),
        };
        lock(&self.failing).iter().map(told).collect()
    }

    /// Forgets all but these.
    pub fn keep(&self, issuers: &[Key]) {
        lock(&self.failing).retain(|key, _| issuers.contains(key));
        if self.keys.load().keys().all(|key| issuers.contains(key)) {
            return;
        }
        self.keys.rcu(|all| {
            let mut all = Map::clone(all);
            all.retain(|key, _| issuers.contains(key));
            all
        });
        lock(&self.wanted).retain(|key| issuers.contains(key));
    }
}

fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each change under these locks is whole before anything can panic.
    what.lock().unwrap_or_else(PoisonError::into_inner)
}
