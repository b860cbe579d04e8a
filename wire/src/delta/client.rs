//! The proxy's end: knows what it subscribed to and what it applied. Gives out whole steps and acknowledges one only when it is told that
//! the step is in force.

use super::{Breach, Version};
use crate::discovery::{Any, DeltaDiscoveryRequest, DeltaDiscoveryResponse, Node, Resource, Status};
use crate::{TYPE_URL, limits, v1};
use model::{Change, Key};
use prost::Message;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// A resource that could not be taken; its last good version stays in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    pub name: String,
    pub reason: String,
}

/// All that changed between two generations.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Step {
    pub generation: u64,
    pub changes: Vec<Change>,
    /// What `host/…` subscriptions resolve to now, where that is news.
    pub answers: BTreeMap<Arc<str>, Option<Key>>,
    pub unreadable: Vec<Unreadable>,
    /// In force, and not as the control plane may mean it: what this release does not know was read as the strictest that it can be.
    pub strict: Vec<Unreadable>,
}

/// A resource as it came: for the snapshot on disk, which alone keeps bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    pub version: Version,
    /// Apart from the message in which they came, and shared with what sleeps.
    pub bytes: Arc<[u8]>,
}

#[derive(Debug, Default)]
struct Staged {
    put: Vec<(Key, Applied, Change)>,
    answers: BTreeMap<Arc<str>, Option<Key>>,
    unreadable: Vec<Unreadable>,
    strict: Vec<Unreadable>,
    bytes: usize,
}

/// A step that was given out and not yet confirmed.
#[derive(Debug)]
struct Pending {
    nonce: String,
    put: Vec<(Key, Applied)>,
    removed: Vec<Key>,
    answers: BTreeMap<Arc<str>, Option<Key>>,
    unreadable: Vec<Unreadable>,
}

#[derive(Debug, Default)]
pub struct ClientSession {
    node: Node,
    held: BTreeMap<Key, Version>,
    /// What `host/…` subscriptions resolve to, as it is in force.
    answers: BTreeMap<Arc<str>, Option<Key>>,
    subscriptions: BTreeSet<Arc<str>>,
    subscribe: BTreeSet<Arc<str>>,
    unsubscribe: BTreeSet<Arc<str>>,
    staged: Staged,
    /// Refusals of parts already answered are reported with the last one too: the answer to a part names its own alone.
    pending: Option<Pending>,
    answer: Option<(String, Vec<Unreadable>)>,
    connected: bool,
    knows_leaving: bool,
}

impl ClientSession {
    /// `held` and `answers` are what a snapshot brought; they are announced, so that only what changed meanwhile is sent.
    pub fn new(node: Node, held: BTreeMap<Key, Version>, answers: BTreeMap<Arc<str>, Option<Key>>) -> Self {
        let client_features = super::features().chain(node.client_features).collect();
        let node = Node { client_features, ..node };
        let subscriptions = answers.keys().cloned().collect();
        Self { node, held, answers, subscriptions, ..Self::default() }
    }

    /// From the next stream on this process says that a successor serves under its name: it finishes what it began.
    pub fn leave(&mut self) {
        if !self.node.client_features.iter().any(|feature| feature == super::LEAVING) {
            self.node.client_features.push(super::LEAVING.to_owned());
        }
    }

    /// Whether the control plane of the last stream told what it is: one that does not takes each stream of a name for the one that serves.
    pub fn knows_leaving(&self) -> bool {
        self.knows_leaving
    }

    pub fn subscriptions(&self) -> &BTreeSet<Arc<str>> {
        &self.subscriptions
    }

    /// The version of every resource that was applied.
    pub fn held(&self) -> &BTreeMap<Key, Version> {
        &self.held
    }

    /// What `host/…` subscriptions resolve to; absent where no answer has come.
    pub fn answers(&self) -> &BTreeMap<Arc<str>, Option<Key>> {
        &self.answers
    }

    /// False where the limit of subscriptions is reached.
    pub fn subscribe(&mut self, name: &str) -> bool {
        if self.subscriptions.contains(name) {
            return true;
        }
        if self.subscriptions.len() >= limits::SUBSCRIPTIONS || name.len() > limits::NAME_BYTES {
            return false;
        }
        let name: Arc<str> = name.into();
        self.subscriptions.insert(name.clone());
        self.unsubscribe.remove(&name);
        self.subscribe.insert(name);
        true
    }

    pub fn unsubscribe(&mut self, name: &str) {
        if let Some(name) = self.subscriptions.take(name) {
            self.answers.remove(&name);
            self.subscribe.remove(&name);
            self.unsubscribe.insert(name);
        }
    }

    /// A stream was opened: forgets all of the last one but what is in force.
    pub fn connected(&mut self) {
        self.staged = Staged::default();
        self.pending = None;
        self.answer = None;
        self.unsubscribe.clear();
        self.subscribe = self.subscriptions.clone();
        self.connected = false;
    }

    /// The next request to send, if there is one.
    pub fn poll(&mut self) -> Option<DeltaDiscoveryRequest> {
        let first = !self.connected;
        if !first && self.answer.is_none() && self.subscribe.is_empty() && self.unsubscribe.is_empty() {
            return None;
        }
        let names = |set: &mut BTreeSet<Arc<str>>| std::mem::take(set).iter().map(ToString::to_string).collect();
        let mut request = DeltaDiscoveryRequest {
            type_url: TYPE_URL.to_owned(),
            resource_names_subscribe: names(&mut self.subscribe),
            resource_names_unsubscribe: names(&mut self.unsubscribe),
            ..DeltaDiscoveryRequest::default()
        };
        if first {
            self.connected = true;
            request.node = Some(self.node.clone());
            let held = self.held.iter().map(|(key, version)| (key.to_string(), version.to_string()));
            // What names resolve to is known too, and announced in the same way.
            let name_of = |key: &Option<Key>| key.as_ref().map(ToString::to_string).unwrap_or_default();
            request.initial_resource_versions =
                held.chain(self.answers.iter().map(|(name, key)| (name.to_string(), name_of(key)))).collect();
        }
        if let Some((nonce, refused)) = self.answer.take() {
            request.response_nonce = nonce;
            request.error_detail = (!refused.is_empty()).then(|| refusal(&refused));
        }
        Some(request)
    }

    /// Takes a response. `Some` where it completes a step: put it in force, then call [`Self::applied`].
    pub fn on_response(&mut self, response: DeltaDiscoveryResponse) -> Result<Option<Step>, Breach> {
        if self.pending.is_some() || self.answer.is_some() {
            return Err(Breach::TwoInFlight);
        }
        if response.type_url != TYPE_URL {
            return Err(Breach::Type(response.type_url));
        }
        self.knows_leaving = response.control_plane.is_some_and(|control| control.identifier == super::IDENTIFIER);
        let (generation, last) = match response.system_version_info.strip_suffix('+') {
            Some(number) => (number, false),
            None => (&*response.system_version_info, true),
        };
        let generation = generation.parse().map_err(|_| Breach::Generation(response.system_version_info.clone()))?;
        let before = self.staged.unreadable.len();
        for resource in response.resources {
            self.stage(resource)?;
        }
        let unreadable = self.staged.unreadable[before..].to_vec();
        if !last {
            self.answer = Some((response.nonce, unreadable));
            return Ok(None);
        }
        let staged = std::mem::take(&mut self.staged);
        // What is used otherwise than it was meant is told like what is not used at all.
        let told = unreadable.into_iter().chain(staged.strict.iter().cloned()).collect();
        let mut step =
            Step { generation, answers: staged.answers, unreadable: staged.unreadable, strict: staged.strict, ..Step::default() };
        let mut removed = Vec::new();
        for name in response.removed_resources {
            if name.starts_with("host/") {
                step.answers.insert(name.into(), None);
            } else if let Some(key) = Key::parse(&name) {
                step.changes.push(Change::Remove(key.clone()));
                removed.push(key);
            }
        }
        let mut put = Vec::with_capacity(staged.put.len());
        for (key, applied, change) in staged.put {
            // Sent for a new alias only: nothing to do in the table, and so nothing to hold anew. What is held is always what is in force.
            if self.held.get(&key).is_none_or(|version| *version != applied.version) {
                step.changes.push(change);
                put.push((key, applied));
            }
        }
        // An answer to what is no longer asked is no news.
        step.answers.retain(|name, _| self.subscriptions.contains(name));
        self.pending = Some(Pending { nonce: response.nonce, put, removed, answers: step.answers.clone(), unreadable: told });
        Ok(Some(step))
    }

    fn stage(&mut self, resource: Resource) -> Result<(), Breach> {
        if resource.name.len() > limits::NAME_BYTES || resource.version.len() > limits::NAME_BYTES {
            return Err(Breach::Name);
        }
        let bytes: Arc<[u8]> = resource.resource.map(|any| any.value).unwrap_or_default()[..].into();
        self.staged.bytes += bytes.len();
        if self.staged.bytes > limits::STEP_BYTES {
            return Err(Breach::Step);
        }
        if self.staged.put.len() + self.staged.unreadable.len() >= limits::RESOURCES {
            return Err(Breach::Resources);
        }
        let read = match crate::decode_noting(&bytes) {
            Ok(read) if read.0.key().to_string() == resource.name => Ok(read),
            Ok((read, _)) => Err(format!("carries {}", read.key())),
            Err(error) => Err(error.to_string()),
        };
        match read {
            Ok((read, note)) => {
                self.staged.strict.extend(note.map(|reason| Unreadable { name: resource.name.clone(), reason }));
                for alias in resource.aliases {
                    self.staged.answers.insert(alias.into(), Some(read.key().clone()));
                }
                let change = crate::change(read, &bytes);
                let applied = Applied { version: resource.version.into(), bytes };
                self.staged.put.push((change.key().clone(), applied, change));
            }
            Err(reason) => self.staged.unreadable.push(Unreadable { name: resource.name, reason }),
        }
        Ok(())
    }

    /// On the next stream all is asked for again: somebody lost the bytes of what is held. What is in force stays, and what is gone meanwhile is told as ever.
    pub fn ask_again(&mut self) {
        let none = Version::none();
        self.held.values_mut().for_each(|version| *version = none.clone());
    }

    /// The step is in force, but for `refused`: resources that could be read and yet not be used. Gives what is held from now on that was not before.
    pub fn applied(&mut self, refused: Vec<Unreadable>) -> BTreeMap<Key, Applied> {
        let Some(mut pending) = self.pending.take() else { return BTreeMap::new() };
        let bad: HashMap<&str, ()> = refused.iter().map(|r| (r.name.as_str(), ())).collect();
        for key in pending.removed {
            self.held.remove(&key);
        }
        let is_bad = |key: &Key| !bad.is_empty() && bad.contains_key(key.to_string().as_str());
        let put: BTreeMap<_, _> = pending.put.into_iter().filter(|(key, _)| !is_bad(key)).collect();
        let versions = put.iter().map(|(key, applied)| (key.clone(), applied.version.clone()));
        match put.len() > self.held.len() {
            // Made whole, its nodes are full; those that grow one by one are half empty.
            true => self.held.append(&mut versions.collect()),
            false => self.held.extend(versions),
        }
        for (name, key) in pending.answers {
            if self.subscriptions.contains(&name) {
                self.answers.insert(name, key);
            }
        }
        pending.unreadable.extend(refused);
        self.answer = Some((pending.nonce, pending.unreadable));
        put
    }
}

fn refusal(refused: &[Unreadable]) -> Status {
    let mut named = BTreeMap::new();
    for one in refused {
        named.insert(&one.name, &one.reason);
    }
    let detail = |(key, reason): (&&String, &&String)| Any {
        type_url: "type.googleapis.com/organza.wire.v1.Refusal".to_owned(),
        value: v1::Refusal { key: (*key).clone(), reason: reason.chars().take(512).collect() }.encode_to_vec().into(),
    };
    let details = named.iter().take(limits::REFUSALS).map(detail).collect();
    let mut message = String::new();
    for (key, reason) in named.iter().take(8) {
        message.push_str(&format!("{key}: {}\n", reason.chars().take(512).collect::<String>()));
    }
    if named.len() > 8 {
        message.push_str(&format!("and {} more\n", named.len() - 8));
    }
    // INVALID_ARGUMENT
    Status { code: 3, message: message.trim_end().to_owned(), details }
}
