//! Who consumes an API, by the key that a request brings: read where access is judged and nowhere else, looked up by its hash, and taken off the request
//! before anything is told of it. A key itself is kept nowhere, logged nowhere and shown to nobody; how long a look-up takes says nothing of keys, for it
//! is their hashes that are compared. Where there are no consumers nothing is read.

mod counts;
mod place;

pub use counts::Counts;

use crate::access::{self, At, Called, Standing};
use crate::http::Stop;
use crate::map::{self, Map};
use crate::snapshot::Snapshot;
use crate::worker::Worker;
use model::consumer::{Consumer, KeyHash, KeyPlace};
use model::{Change, Fault, Key, Kind, RequestHead, Resource};
use sha2::{Digest, Sha256};
use smallvec::SmallVec;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

/// The consumers of one snapshot.
#[derive(Default)]
pub struct Consumers {
    all: Map<Key, Arc<Held>>,
    targets: policy::Targets<Desk>,
    /// Names of headers that bear keys, in lower case.
    headers: HashSet<Arc<str>>,
}

#[derive(Debug)]
struct Held {
    said: Arc<Consumer>,
    told: Arc<policy::Consumer>,
}

/// The consumers of one target.
#[derive(Debug, Default)]
struct Desk {
    /// Where any of them has its key.
    places: Vec<KeyPlace>,
    /// Hashes are of keys that strangers may choose, but they do not choose which of them are here.
    by_hash: Map<KeyHash, Arc<Held>>,
    /// One that demands a key.
    demands: Option<Arc<Held>>,
}

impl Consumers {
    /// Whether a header, in lower case, may bear a key of any of them.
    pub fn bear_keys_in(&self, header: &str) -> bool {
        self.headers.contains(header)
    }

    /// As they are after these changes; `None` where none of them is their business.
    pub fn after(&self, changes: &[Change]) -> Option<Self> {
        let all = map::after(&self.all, Kind::Consumer, changes, |put| match put {
            Resource::Consumer(said) => Some(Arc::new(Held::new(said))),
            _ => None,
        })?;
        let mut sorted: Vec<_> = all.iter().collect();
        sorted.sort_by(|a, b| a.0.cmp(b.0));
        let mut targets = policy::Targets::<Desk>::default();
        for (_, held) in sorted {
            held.said.targets.iter().for_each(|target| targets.set(target).add(held));
        }
        let header = |place: &KeyPlace| match place {
            KeyPlace::Header(name) => Some(name.clone()),
            KeyPlace::Query(_) | KeyPlace::Cookie(_) => None,
        };
        let headers = all.values().flat_map(|held| held.said.from.iter().filter_map(header)).collect();
        Some(Self { all, targets, headers })
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Who demands a key there.
    pub fn demanded(&self, place: &policy::Place<'_>) -> Option<Arc<str>> {
        let sets = self.targets.sets(place);
        sets.into_iter().find_map(|desk| desk.demands.as_ref()).map(|held| held.said.origin.object.to_string().into())
    }

    /// A consumer by `namespace/name`, for those who ask what would become of its requests.
    pub fn named(&self, name: &str) -> Option<&Arc<policy::Consumer>> {
        self.all.values().map(|held| &held.told).find(|told| *told.name == *name)
    }
}

impl Held {
    fn new(said: &Arc<Consumer>) -> Self {
        Self { said: said.clone(), told: Arc::new(policy::Consumer { name: said.name(), groups: said.groups.clone() }) }
    }
}

impl Desk {
    /// Of two with the same key the first has it.
    fn add(&mut self, held: &Arc<Held>) {
        for place in &held.said.from {
            if !self.places.contains(place) {
                self.places.push(place.clone());
            }
        }
        for hash in &held.said.keys {
            self.by_hash.entry(*hash).or_insert_with(|| held.clone());
        }
        if held.said.required && self.demands.is_none() {
            self.demands = Some(held.clone());
        }
    }
}

/// Why a key is not believed. The words are for the caller too, and say nothing of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refused {
    Missing,
    Unknown,
    /// Of several nobody knows which is meant.
    Several,
}

impl Refused {
    fn label(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Unknown => "unknown",
            Self::Several => "several",
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "a key is demanded, and there is none",
            Self::Unknown => "the key is no consumer's here",
            Self::Several => "the request brings several keys",
        })
    }
}

/// Whose key a request brings. It is taken off the head, unless its consumer has it passed on.
///
/// # Errors
/// If the key is nobody's there, or one is demanded and there is none.
pub fn read(
    worker: &Worker,
    snapshot: &Snapshot,
    standing: &Standing<'_>,
    head: &mut RequestHead,
) -> Result<Option<Arc<policy::Consumer>>, Stop> {
    if snapshot.consumers.is_empty() {
        return Ok(None);
    }
    let called = access::called(worker, snapshot, standing);
    let (place, _) = access::place(snapshot, standing, &called)?;
    let desks = snapshot.consumers.targets.sets(&place);
    let mut places: SmallVec<[&KeyPlace; 4]> = SmallVec::new();
    for place in desks.iter().flat_map(|desk| &desk.places) {
        if !places.contains(&place) {
            places.push(place);
        }
    }
    let found = identify(&desks, &places, head).map_err(|refused| stop(worker, refused, &desks))?;
    let Some(held) = found else { return Ok(None) };
    if !held.said.passed_on {
        places.iter().for_each(|place| place::take_off(place, head));
    }
    Ok(Some(held.told.clone()))
}

/// What is made of a caller there, in words, and whether it gets any further; `None` where nobody reads keys.
pub fn told(snapshot: &Snapshot, standing: &Standing<'_>) -> Option<(bool, String)> {
    let called = match standing.at {
        At::Workload { workload, port } => Called::of(snapshot, workload, port),
        At::Gateway { .. } => Called::default(),
    };
    // Where the workload is not known nothing is said of it.
    let (place, _) = access::place(snapshot, standing, &called).ok()?;
    let desks = snapshot.consumers.targets.sets(&place);
    let mut all = desks.iter().flat_map(|desk| desk.by_hash.values());
    let demands = desks.iter().find_map(|desk| desk.demands.as_ref());
    let knows = |desk: &Desk, name: &str| desk.by_hash.values().any(|held| *held.told.name == *name);
    let foreign = |name: &str| desks.iter().filter(|desk| !knows(desk, name)).find_map(|desk| desk.demands.as_ref());
    Some(match (standing.consumer, demands) {
        (Some(consumer), _) => match all.any(|held| held.told.name == consumer.name) {
            true => match foreign(&consumer.name) {
                None => (true, format!("a key of Consumer {}", consumer.name)),
                Some(held) => (
                    false,
                    format!("401, for {} demands a key of its own, and knows none of Consumer {}", held.said.origin.object, consumer.name),
                ),
            },
            false if demands.is_none() && desks.iter().all(|desk| desk.places.is_empty()) => return None,
            false => (false, format!("401, for no key of Consumer {} is known here", consumer.name)),
        },
        (None, Some(held)) => (false, format!("401, for {} demands a key, and there is none", held.said.origin.object)),
        (None, None) => (true, format!("no key, and {} demands none", all.next()?.said.origin.object)),
    })
}

fn identify(desks: &[&Desk], places: &[&KeyPlace], head: &RequestHead) -> Result<Option<Arc<Held>>, Refused> {
    let mut brought = None;
    for place in places {
        for value in place::values(place, head) {
            if brought.is_some() {
                return Err(Refused::Several);
            }
            brought = Some((*place, KeyHash::from(Sha256::digest(&value))));
        }
    }
    let Some((place, hash)) = brought else {
        return if desks.iter().any(|desk| desk.demands.is_some()) { Err(Refused::Missing) } else { Ok(None) };
    };
    let known = |desk: &&Desk| desk.by_hash.get(&hash).filter(|held| held.said.from.contains(place)).cloned();
    // Whose target demands a key believes its own alone: who may write a route does not let in to the Gateway.
    if desks.iter().any(|desk| desk.demands.is_some() && known(desk).is_none()) {
        return Err(Refused::Unknown);
    }
    desks.iter().find_map(known).ok_or(Refused::Unknown).map(Some)
}

fn count(worker: &Worker, refused: Refused) {
    let help = "Requests and connections that were refused for the key of a consumer that they brought, or for bringing none, by why";
    worker.shared.metrics.counter("organza_key_refused", help, &[("cause", refused.label())]).add(1.0);
}

/// Bytes came where a key is demanded.
pub fn count_missing(worker: &Worker) {
    count(worker, Refused::Missing);
}

fn stop(worker: &Worker, refused: Refused, desks: &[&Desk]) -> Stop {
    count(worker, refused);
    // Who demands one is named; whose key it is not, is everybody.
    let demands = desks.iter().find_map(|desk| desk.demands.as_ref()).filter(|_| refused == Refused::Missing);
    let by = demands.map(|held| held.said.origin.object.to_string().into());
    let fields = vec![("WWW-Authenticate", "ApiKey".into())];
    Stop { by, fields, ..Stop::new(Fault::Unauthenticated, refused.to_string()) }
}

#[cfg(test)]
mod tests;
