//! The control plane's end: knows what one proxy subscribed to, what it was sent and what it acknowledged. What a subscription resolves to is
//! decided elsewhere and arrives as a [`View`].

use super::Breach;
use crate::discovery::{Any, ControlPlane, DeltaDiscoveryRequest, DeltaDiscoveryResponse, Resource};
use crate::{TYPE_URL, limits, v1};
use bytes::Bytes;
use prost::Message;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
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
    /// By name.
    pub items: BTreeMap<Arc<str>, Arc<Encoded>>,
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

#[derive(Debug, Default)]
pub struct ServerSession {
    node: Option<String>,
    release: String,
    leaving: bool,
    subscriptions: BTreeSet<Arc<str>>,
    view: Option<View>,
    /// What the proxy holds, or will once what is under way has arrived: version by name.
    sent: HashMap<Arc<str>, Arc<str>>,
    /// What the proxy was told that its `host/…` subscriptions resolve to.
    told: BTreeMap<Arc<str>, Option<Arc<str>>>,
    parts: VecDeque<(DeltaDiscoveryResponse, Option<u64>)>,
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
        self.sent.iter().filter(|(name, _)| !self.refused.contains_key(&***name)).map(|(name, version)| (&**name, &**version))
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
        if let Some(node) = &request.node {
            check_name(&node.id)?;
            self.node = Some(node.id.clone());
            self.release = node.user_agent_version.chars().take(64).collect();
            self.leaving = node.client_features.iter().take(limits::FEATURES).any(|feature| feature == super::LEAVING);
        }
        for (name, version) in &request.initial_resource_versions {
            check_name(name)?;
            check_name(version)?;
            // A name of the form `host/…` is what the client knows that it resolves to: the answer's name, or nothing.
            if crate::parse_host_subscription(name).is_some() {
                self.told.insert(name.as_str().into(), (!version.is_empty()).then(|| version.as_str().into()));
            } else {
                self.sent.insert(name.as_str().into(), version.as_str().into());
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
        self.in_flight.is_some() || self.view.is_some() || !self.parts.is_empty()
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
        if self.parts.is_empty() {
            self.plan();
        }
        let (mut response, completes) = self.parts.pop_front()?;
        self.nonces += 1;
        response.nonce = self.nonces.to_string();
        response.control_plane = Some(ControlPlane { identifier: super::IDENTIFIER.to_owned() });
        self.in_flight = Some(InFlight { nonce: response.nonce.clone(), completes });
        Some(response)
    }

    /// Turns the difference between the view and what was sent into the parts of one step.
    fn plan(&mut self) {
        let Some(view) = self.view.take() else { return };
        let mut aliases: HashMap<&str, Vec<&Arc<str>>> = HashMap::new();
        let mut news: BTreeSet<&str> = BTreeSet::new();
        for (subscription, name) in &view.answers {
            let Some(name) = name else { continue };
            aliases.entry(name).or_default().push(subscription);
            if self.told.get(subscription) != Some(&Some(name.clone())) {
                news.insert(name);
            }
        }
        let mut parts = Parts::new(view.generation);
        for (name, item) in &view.items {
            if self.sent.get(name) != Some(&item.version) || news.contains(&**name) {
                self.refused.remove(&**name);
                parts.push(item, aliases.get(&**name).map_or(&[], Vec::as_slice));
                self.sent.insert(name.clone(), item.version.clone());
            }
        }
        let gone: Vec<_> = self.sent.keys().filter(|name| !view.items.contains_key(*name)).cloned().collect();
        for name in gone {
            self.sent.remove(&name);
            self.refused.remove(&*name);
            parts.removed.push(name.to_string());
        }
        for (subscription, name) in view.answers {
            if name.is_none() && self.told.get(&subscription) != Some(&None) {
                parts.removed.push(subscription.to_string());
            }
            self.told.insert(subscription, name);
        }
        // The first answer is sent though it be empty, and so is a generation's: the acknowledgement says that it is in force.
        let news = self.acknowledged != Some(view.generation);
        self.parts = parts.finish(news);
    }
}

struct Parts {
    generation: u64,
    done: Vec<Vec<Resource>>,
    open: Vec<Resource>,
    bytes: usize,
    removed: Vec<String>,
}

impl Parts {
    fn new(generation: u64) -> Self {
        Self { generation, done: Vec::new(), open: Vec::new(), bytes: 0, removed: Vec::new() }
    }

    fn push(&mut self, item: &Encoded, aliases: &[&Arc<str>]) {
        let size = item.bytes.len() + item.name.len() + aliases.iter().map(|a| a.len()).sum::<usize>();
        if !self.open.is_empty() && (self.bytes + size > limits::PART_BYTES || self.open.len() >= limits::PART_RESOURCES) {
            self.done.push(std::mem::take(&mut self.open));
            self.bytes = 0;
        }
        self.bytes += size;
        self.open.push(Resource {
            name: item.name.to_string(),
            version: item.version.to_string(),
            resource: Some(Any { type_url: TYPE_URL.to_owned(), value: item.bytes.clone() }),
            aliases: aliases.iter().map(ToString::to_string).collect(),
        });
    }

    fn finish(mut self, even_if_empty: bool) -> VecDeque<(DeltaDiscoveryResponse, Option<u64>)> {
        let empty = self.open.is_empty() && self.removed.is_empty();
        if empty && !even_if_empty {
            return VecDeque::new();
        }
        let respond = |resources, removed_resources, info| DeltaDiscoveryResponse {
            system_version_info: info,
            resources,
            type_url: TYPE_URL.to_owned(),
            removed_resources,
            ..DeltaDiscoveryResponse::default()
        };
        let generation = self.generation;
        let mut parts: VecDeque<_> = self.done.drain(..).map(|part| (respond(part, Vec::new(), format!("{generation}+")), None)).collect();
        parts.push_back((respond(self.open, self.removed, generation.to_string()), Some(generation)));
        parts
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
