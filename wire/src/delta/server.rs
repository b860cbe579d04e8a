//! The control plane's end: knows what one proxy subscribed to, what it was sent and what it acknowledged. What a subscription resolves to is
//! decided elsewhere and arrives as a [`View`].

use super::{Breach, Set};
use crate::discovery::{Any, ControlPlane, DeltaDiscoveryRequest, DeltaDiscoveryResponse, Resource};
use crate::{TYPE_URL, limits, v1};
use bytes::Bytes;
use model::Kind;
use prost::Message;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// A resource in its encoding, made once and shared by all sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// Text of its key.
    pub name: Arc<str>,
    pub version: Arc<str>,
    pub bytes: Bytes,
}

impl Encoded {
    pub fn new(resource: &model::Resource) -> Self {
        let bytes = crate::encode(resource);
        Self { name: resource.key().to_string().into(), version: crate::version(&bytes).into(), bytes }
    }
}

/// All that one proxy should hold now.
#[derive(Debug, Clone, Default)]
pub struct View {
    pub generation: u64,
    /// Shared by the proxies that should hold the same.
    pub items: Arc<Set>,
    /// What each `host/…` subscription resolves to: a name in `items`, or nothing.
    pub answers: BTreeMap<Arc<str>, Option<Arc<str>>>,
}

/// What a request said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heard {
    /// Subscriptions changed: resolve [`ServerSession::subscriptions`] anew and give the view.
    pub resubscribed: bool,
    /// A generation is in force at the proxy, but for what it refused.
    pub acknowledged: Option<u64>,
    /// Key and reason of each resource refused in the response that this answers.
    pub refused: Vec<(String, String)>,
}

#[derive(Debug)]
struct InFlight {
    nonce: String,
    /// The generation, where this is the last part of its step.
    completes: Option<u64>,
}

#[derive(Debug)]
enum Sent {
    /// What it said that it has: version by name.
    Claimed(HashMap<Arc<str>, Arc<str>>),
    Set(Arc<Set>),
}

impl Default for Sent {
    fn default() -> Self {
        Self::Claimed(HashMap::new())
    }
}

impl Sent {
    /// Adds what the proxy says that it has.
    fn claim(&mut self, name: Arc<str>, version: Arc<str>) {
        match self {
            Self::Claimed(held) => _ = held.insert(name, version),
            Self::Set(set) => {
                let held = set.items().iter().map(|item| (item.name.clone(), item.version.clone()));
                *self = Self::Claimed(held.chain([(name, version)]).collect());
            }
        }
    }
}

/// What is left to send of a step; parts are made one by one, for all of them together are as long as everything that the proxy should hold.
#[derive(Debug)]
struct Step {
    generation: u64,
    items: Items,
    /// Of the items, those that were sent.
    at: usize,
    removed: Vec<String>,
    /// Subscriptions that an item answers, by its name.
    aliases: HashMap<Arc<str>, Vec<String>>,
}

#[derive(Debug)]
enum Items {
    All(Arc<Set>),
    Some(Vec<Arc<Encoded>>),
}

impl Items {
    fn all(&self) -> &[Arc<Encoded>] {
        match self {
            Self::All(set) => set.items(),
            Self::Some(items) => items,
        }
    }
}

#[derive(Debug, Default)]
pub struct ServerSession {
    node: Option<String>,
    release: String,
    /// Kinds that guard and that the proxy does not say that it knows.
    lacks: Vec<Kind>,
    leaving: bool,
    subscriptions: BTreeSet<Arc<str>>,
    view: Option<View>,
    /// What the proxy holds, or will once what is under way has arrived.
    sent: Sent,
    /// What the proxy was told that its `host/…` subscriptions resolve to.
    told: BTreeMap<Arc<str>, Option<Arc<str>>>,
    step: Option<Step>,
    in_flight: Option<InFlight>,
    nonces: u64,
    acknowledged: Option<u64>,
    refused: BTreeMap<String, String>,
    greeted: bool,
}

impl ServerSession {
    pub fn new() -> Self {
        Self::default()
    }

    /// `node.id` of the first request.
    pub fn node(&self) -> Option<&str> {
        self.node.as_deref()
    }

    /// `node.user_agent_version` of the first request.
    pub fn release(&self) -> &str {
        &self.release
    }

    /// Of [`super::GUARDS`] those that the proxy does not know. Who has not said who it is knows none.
    pub fn lacks(&self) -> &[Kind] {
        if self.greeted { &self.lacks } else { &super::GUARDS }
    }

    /// Whether the proxy said that a successor serves under its name, and that it only finishes what it began.
    pub fn is_leaving(&self) -> bool {
        self.leaving
    }

    pub fn subscriptions(&self) -> &BTreeSet<Arc<str>> {
        &self.subscriptions
    }

    pub fn acknowledged(&self) -> Option<u64> {
        self.acknowledged
    }

    /// Keys that the proxy refused and has not been sent again since, with the reason.
    pub fn refused(&self) -> &BTreeMap<String, String> {
        &self.refused
    }

    /// Name and version of what the proxy was sent and did not refuse.
    pub fn held(&self) -> impl Iterator<Item = (&str, &str)> {
        let items = self.set().map_or(&[][..], |set| set.items());
        items.iter().filter(|item| !self.refused.contains_key(&*item.name)).map(|item| (&*item.name, &*item.version))
    }

    /// All that it was sent, what it refused among it; `None` before the first step.
    pub fn set(&self) -> Option<&Arc<Set>> {
        match &self.sent {
            Sent::Set(set) => Some(set),
            Sent::Claimed(_) => None,
        }
    }

    pub fn on_request(&mut self, request: DeltaDiscoveryRequest) -> Result<Heard, Breach> {
        if !request.type_url.is_empty() && request.type_url != TYPE_URL {
            return Err(Breach::Type(request.type_url));
        }
        let mut heard = Heard { resubscribed: self.resubscribe(&request)?, ..Heard::default() };
        if !self.greeted {
            self.greet(&request)?;
        }
        // A nonce that is not the one in flight is late news of an older stream; its subscriptions counted all the same.
        let answered = self.in_flight.take_if(|flight| !request.response_nonce.is_empty() && flight.nonce == request.response_nonce);
        let Some(flight) = answered else { return Ok(heard) };
        if let Some(error) = &request.error_detail {
            heard.refused = refusals(error);
            for (key, reason) in &heard.refused {
                self.refused.insert(key.clone(), reason.clone());
            }
        }
        if let Some(generation) = flight.completes {
            self.acknowledged = Some(generation);
            heard.acknowledged = Some(generation);
        }
        Ok(heard)
    }

    fn greet(&mut self, request: &DeltaDiscoveryRequest) -> Result<(), Breach> {
        if request.initial_resource_versions.len() > limits::RESOURCES {
            return Err(Breach::Resources);
        }
        self.greeted = true;
        let said = || request.node.iter().flat_map(|node| node.client_features.iter().take(limits::FEATURES));
        self.lacks = super::GUARDS.into_iter().filter(|kind| !said().any(|feature| *feature == super::knows(*kind))).collect();
        if let Some(node) = &request.node {
            check_name(&node.id)?;
            self.node = Some(node.id.clone());
            self.release = node.user_agent_version.chars().take(64).collect();
            self.leaving = said().any(|feature| feature == super::LEAVING);
        }
        for (name, version) in &request.initial_resource_versions {
            check_name(name)?;
            check_name(version)?;
            // A name of the form `host/…` is what the client knows that it resolves to: the answer's name, or nothing.
            if crate::parse_host_subscription(name).is_some() {
                self.told.insert(name.as_str().into(), (!version.is_empty()).then(|| version.as_str().into()));
            } else {
                self.sent.claim(name.as_str().into(), version.as_str().into());
            }
        }
        Ok(())
    }

    fn resubscribe(&mut self, request: &DeltaDiscoveryRequest) -> Result<bool, Breach> {
        let mut changed = false;
        for name in &request.resource_names_subscribe {
            check_name(name)?;
            self.subscriptions.insert(name.as_str().into());
            // Asked again, answered again, as xDS has it: also where the answer is that there is none.
            self.told.remove(name.as_str());
            changed = true;
        }
        for name in &request.resource_names_unsubscribe {
            changed |= self.subscriptions.remove(name.as_str());
            self.told.remove(name.as_str());
        }
        if self.subscriptions.len() > limits::SUBSCRIPTIONS {
            return Err(Breach::Subscriptions);
        }
        Ok(changed)
    }

    /// Whether something was sent that is not answered yet, or waits to be sent.
    pub fn is_waiting(&self) -> bool {
        self.in_flight.is_some() || self.view.is_some() || self.step.is_some()
    }

    /// What the proxy should hold from now on. A step under way is finished first.
    pub fn set_view(&mut self, view: View) {
        self.view = Some(view);
    }

    /// The next response to send, if one may be sent and there is something to say.
    pub fn poll(&mut self) -> Option<DeltaDiscoveryResponse> {
        if self.in_flight.is_some() {
            return None;
        }
        if self.step.is_none() {
            self.plan();
        }
        let (mut response, completes) = self.step.as_mut()?.part();
        if completes.is_some() {
            self.step = None;
        }
        self.nonces += 1;
        response.nonce = self.nonces.to_string();
        response.control_plane = Some(ControlPlane { identifier: super::IDENTIFIER.to_owned() });
        self.in_flight = Some(InFlight { nonce: response.nonce.clone(), completes });
        Some(response)
    }

    /// Turns the difference between the view and what was sent into a step.
    fn plan(&mut self) {
        let Some(view) = self.view.take() else { return };
        let mut aliases: HashMap<Arc<str>, Vec<String>> = HashMap::new();
        let mut news: BTreeSet<&str> = BTreeSet::new();
        for (subscription, name) in &view.answers {
            let Some(name) = name else { continue };
            aliases.entry(name.clone()).or_default().push(subscription.to_string());
            if self.told.get(subscription) != Some(&Some(name.clone())) {
                news.insert(name);
            }
        }
        let (items, mut removed) = self.difference(&view.items, &news);
        if !self.refused.is_empty() {
            items.all().iter().for_each(|item| _ = self.refused.remove(&*item.name));
            removed.iter().for_each(|name| _ = self.refused.remove(name));
        }
        self.sent = Sent::Set(view.items);
        for (subscription, name) in view.answers {
            if name.is_none() && self.told.get(&subscription) != Some(&None) {
                removed.push(subscription.to_string());
            }
            self.told.insert(subscription, name);
        }
        let is_empty = items.all().is_empty() && removed.is_empty();
        // The first answer is sent though it be empty, and so is a generation's: the acknowledgement says that it is in force.
        if !is_empty || self.acknowledged != Some(view.generation) {
            self.step = Some(Step { generation: view.generation, items, at: 0, removed, aliases });
        }
    }

    /// What is to be sent, and names of what is gone; `news` are sent again in any case.
    fn difference(&self, set: &Arc<Set>, news: &BTreeSet<&str>) -> (Items, Vec<String>) {
        let (changed, gone) = match &self.sent {
            Sent::Claimed(held) if held.is_empty() => return (Items::All(set.clone()), Vec::new()),
            Sent::Claimed(held) => {
                let changed = set.items().iter().filter(|item| held.get(&item.name) != Some(&item.version)).cloned().collect();
                (changed, held.keys().filter(|name| set.get(name).is_none()).map(ToString::to_string).collect())
            }
            Sent::Set(base) => {
                let difference = set.since(base);
                (difference.changed.clone(), difference.gone.iter().map(ToString::to_string).collect())
            }
        };
        if news.is_empty() {
            return (Items::Some(changed), gone);
        }
        let mut by_name: BTreeMap<Arc<str>, Arc<Encoded>> =
            changed.into_iter().map(|item: Arc<Encoded>| (item.name.clone(), item)).collect();
        by_name.extend(news.iter().filter_map(|name| set.get(name)).map(|item| (item.name.clone(), item.clone())));
        (Items::Some(by_name.into_values().collect()), gone)
    }
}

impl Step {
    /// The next part, and where it is the last the generation that it completes.
    fn part(&mut self) -> (DeltaDiscoveryResponse, Option<u64>) {
        let (mut resources, mut bytes) = (Vec::new(), 0);
        let items = self.items.all();
        while let Some(item) = items.get(self.at) {
            let aliases = self.aliases.get(&item.name).map_or(&[][..], Vec::as_slice);
            let size = item.bytes.len() + item.name.len() + aliases.iter().map(String::len).sum::<usize>();
            if !resources.is_empty() && (bytes + size > limits::PART_BYTES || resources.len() >= limits::PART_RESOURCES) {
                break;
            }
            bytes += size;
            self.at += 1;
            resources.push(Resource {
                name: item.name.to_string(),
                version: item.version.to_string(),
                resource: Some(Any { type_url: TYPE_URL.to_owned(), value: item.bytes.clone() }),
                aliases: aliases.to_vec(),
            });
        }
        let is_last = self.at >= items.len();
        let generation = self.generation;
        let response = DeltaDiscoveryResponse {
            system_version_info: if is_last { generation.to_string() } else { format!("{generation}+") },
            resources,
            type_url: TYPE_URL.to_owned(),
            removed_resources: if is_last { std::mem::take(&mut self.removed) } else { Vec::new() },
            ..DeltaDiscoveryResponse::default()
        };
        (response, is_last.then_some(generation))
    }
}

fn check_name(name: &str) -> Result<(), Breach> {
    if name.len() > limits::NAME_BYTES { Err(Breach::Name) } else { Ok(()) }
}

fn refusals(error: &crate::discovery::Status) -> Vec<(String, String)> {
    let read = |any: &Any| v1::Refusal::decode(&*any.value).ok().filter(|_| any.type_url.ends_with("organza.wire.v1.Refusal"));
    let named: Vec<_> = error.details.iter().take(limits::REFUSALS).filter_map(read).map(|r| (r.key, r.reason)).collect();
    // A client of another make names no keys.
    if named.is_empty() { vec![(String::new(), error.message.clone())] } else { named }
}
