//! Who joined: processes that are not pods. Each becomes a workload; a service that no object declares is declared by its first member.

use crate::limits;
use frontends::Object;
use model::{AppProtocol, Key, Kind, ObjectRef, Resource, Source, SpiffeId, TrustDomain, Tunnel, Workload};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use wire::api::{RegistrationRequest, WorkloadPort};

/// One process, as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Name of the proxy, unique in the mesh.
    pub proxy: String,
    pub request: RegistrationRequest,
    pub identity: String,
    /// Seconds since the Unix epoch.
    pub since: u64,
    /// End of the last certificate that it was given, in the same seconds.
    #[serde(default)]
    pub certified_until: u64,
    /// Those that it was given and that have not ended.
    #[serde(default)]
    pub certificates: Vec<Certified>,
    /// End of the last one that it may have been given and that is not among them: by a release that noted none.
    #[serde(default)]
    pub unnoted_until: u64,
    /// The process on this machine that registered it, where one did.
    #[serde(default)]
    pub registrant: Option<Registrant>,
}

/// A certificate that was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certified {
    /// In hexadecimal.
    pub sha256: String,
    /// Its end, in seconds since the Unix epoch.
    pub until: u64,
}

/// What processes from elsewhere were given that had this name and left: as long as it has not ended it may be revoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    pub proxy: String,
    #[serde(default)]
    pub certificates: Vec<Certified>,
    /// As of an [`Entry`].
    #[serde(default)]
    pub unnoted_until: u64,
}

/// A process, told apart from another that has its number later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registrant {
    pub pid: i32,
    /// When it started, in the kernel's ticks.
    pub started: u64,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Registry {
    entries: BTreeMap<String, Entry>,
    /// Those that nobody is sent to while their streams are gone. Not stored: after a start everybody is expected back.
    withdrawn: BTreeSet<String>,
    /// The last that were taken out: what they carried to the end is still to be told.
    departed: VecDeque<Departed>,
    /// What those were given that left and came from elsewhere, by name.
    left: BTreeMap<String, Left>,
    /// Ends of the certificates that are believed no more, by their SHA-256.
    revoked: BTreeMap<String, u64>,
}

/// One that was taken out.
#[derive(Debug, Clone, PartialEq)]
pub struct Departed {
    proxy: String,
    identity: SpiffeId,
    /// What it stood for.
    pub workload: Key,
    pub services: Vec<Key>,
}

/// Why a registration is refused, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Refusal {
    pub what: String,
    pub fix: Option<String>,
}

/// Of who shows a certificate of which nothing is remembered: when the last of its kind ends is not known.
const UNKNOWN: u64 = u64::MAX;

/// Whether what ends then has ended by anybody's clock.
fn is_over(until: u64, now: u64) -> bool {
    until.saturating_add(limits::CLOCK_SKEW.as_secs()) < now
}

/// Whether there may be one that nobody noted; 0 says that there was none.
fn is_open(unnoted_until: u64, now: u64) -> bool {
    unnoted_until > 0 && !is_over(unnoted_until, now)
}

fn refuse(what: impl Into<String>, fix: &str) -> Refusal {
    Refusal { what: what.into(), fix: (!fix.is_empty()).then(|| fix.to_owned()) }
}

impl Left {
    /// When the last of it ends.
    fn until(&self) -> u64 {
        self.certificates.iter().map(|one| one.until).max().unwrap_or(0).max(self.unnoted_until)
    }
}

impl Entry {
    /// Of a process that was given nothing yet.
    fn new(proxy: String, request: RegistrationRequest, identity: &SpiffeId, now: u64) -> Self {
        Self {
            proxy,
            request,
            identity: identity.to_string(),
            since: now,
            certified_until: 0,
            certificates: Vec::new(),
            unnoted_until: 0,
            registrant: None,
        }
    }

    /// As it is stored; releases that noted no certificates gave some all the same.
    fn loaded(self) -> Self {
        let unnoted_until = if self.certificates.is_empty() { self.unnoted_until.max(self.certified_until) } else { self.unnoted_until };
        Self { unnoted_until, ..self }
    }

    pub fn identity(&self) -> Option<SpiffeId> {
        SpiffeId::parse(&self.identity).ok()
    }

    /// The gateway that this proxy serves, if it is one.
    pub fn gateway(&self) -> Option<Key> {
        let name = self.request.service_account.strip_prefix("gateway-").filter(|_| self.request.service.is_none())?;
        Some(Key::new(Source::files(), Kind::Gateway, &self.request.namespace, name))
    }

    pub fn workload_key(&self) -> Key {
        Key::new(Source::organza(), Kind::Workload, &self.request.namespace, &self.proxy)
    }

    fn tunnel(&self) -> Option<SocketAddr> {
        self.request.addresses.first().and_then(|text| text.parse().ok())
    }

    fn protocol(&self) -> AppProtocol {
        self.request.protocol.as_deref().and_then(AppProtocol::declared).unwrap_or_default()
    }

    fn service_key(&self) -> Option<Key> {
        self.request.service.as_ref().map(|name| Key::new(Source::files(), Kind::Service, &self.request.namespace, name))
    }

    fn workload(&self) -> Option<Workload> {
        let identity = self.identity()?;
        let tunnel = self.tunnel();
        let labels: model::Labels = self.request.labels.iter().map(|(k, v)| (Arc::from(k.as_str()), Arc::from(v.as_str()))).collect();
        let ports = self.request.ports.iter().map(|port| model::workload::WorkloadPort {
            number: port.target,
            // A process has one port that matters; whatever name a Service gives its target is that one.
            name: Some("http".into()),
            protocol: self.protocol(),
        });
        Some(Workload {
            key: self.workload_key(),
            identity,
            canonical_name: self.request.name.as_str().into(),
            revision: self.request.labels.get("version").map_or("latest", |v| v).into(),
            cluster: "".into(),
            network: "".into(),
            locality: model::Locality::of_labels(&labels),
            labels,
            addresses: tunnel.iter().map(SocketAddr::ip).collect(),
            ports: ports.collect(),
            tunnel: tunnel.map_or(Tunnel::None, Tunnel::Organza),
            services: self.service_key().into_iter().collect(),
            weight: 1,
            started: self.since,
        })
    }
}

impl Registry {
    pub fn load(entries: impl IntoIterator<Item = Entry>) -> Self {
        Self { entries: entries.into_iter().map(|e| (e.proxy.clone(), e.loaded())).collect(), ..Self::default() }
    }

    /// Whether a world made of the one is the same as one of the other: they may differ in proxies of Gateways, which are in no world.
    pub fn is_alike(&self, other: &Self) -> bool {
        let others = |registry: &'_ Self| registry.entries.values().filter(|entry| entry.gateway().is_none()).cloned().collect::<Vec<_>>();
        self == other || self.withdrawn == other.withdrawn && others(self) == others(other)
    }

    pub fn get(&self, proxy: &str) -> Option<&Entry> {
        self.entries.get(proxy)
    }

    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// Takes a process in under a name of its own.
    ///
    /// # Errors
    /// If the request cannot be what it says.
    pub fn register(
        &mut self,
        request: RegistrationRequest,
        registrant: Option<Registrant>,
        domain: &TrustDomain,
        now: u64,
    ) -> Result<Entry, Refusal> {
        let proxy = self.unique(&request.name);
        self.enter(proxy, request, registrant, domain, now)
    }

    /// Takes a process in again that was forgotten, under the name that it has; `None` where it is known.
    ///
    /// # Errors
    /// If the name is another's, or the request cannot be what it says.
    pub fn register_again(
        &mut self,
        proxy: &str,
        request: RegistrationRequest,
        registrant: Option<Registrant>,
        domain: &TrustDomain,
        now: u64,
    ) -> Result<Option<Entry>, Refusal> {
        match self.entries.get(proxy) {
            Some(known) if known.request == request => return Ok(None),
            Some(_) => return Err(refuse(format!("another process is called {proxy:?}"), "end this one, and start it again")),
            None => {}
        }
        let numbered = |rest: &str| rest.is_empty() || rest.strip_prefix('-').is_some_and(|number| number.parse::<u32>().is_ok());
        if !proxy.strip_prefix(request.name.as_str()).is_some_and(numbered) {
            return Err(refuse(format!("{proxy:?} is no name that {:?} was given", request.name), ""));
        }
        self.enter(proxy.to_owned(), request, registrant, domain, now)?;
        // What came from elsewhere and left under this name is not taken for a process of this machine.
        let before = if registrant.is_none() { self.left.remove(proxy) } else { None };
        let Some(entry) = self.entries.get_mut(proxy) else { return Ok(None) };
        entry.unnoted_until = before.as_ref().map_or(UNKNOWN, |left| left.unnoted_until);
        entry.certificates.extend(before.into_iter().flat_map(|left| left.certificates));
        Ok(Some(entry.clone()))
    }

    /// A proxy whose identity is proven: the one that is known already, or a new one; and which of the two.
    ///
    /// # Errors
    /// If another has the name, or there are too many.
    pub fn admit(&mut self, proxy: &str, identity: &SpiffeId, now: u64) -> Result<(Entry, bool), Refusal> {
        if let Some(known) = self.entries.get(proxy) {
            return match known.identity().as_ref() == Some(identity) {
                true => Ok((known.clone(), false)),
                false => Err(refuse(format!("another process is called {proxy:?}"), "")),
            };
        }
        if self.entries.len() >= limits::REGISTRATIONS {
            return Err(refuse(format!("{} processes are registered, the most there may be", limits::REGISTRATIONS), ""));
        }
        let request = RegistrationRequest {
            name: proxy.to_owned(),
            namespace: identity.namespace().to_owned(),
            service_account: identity.service_account().to_owned(),
            service: None,
            ports: Vec::new(),
            protocol: None,
            labels: [("app".to_owned(), identity.service_account().to_owned())].into(),
            addresses: Vec::new(),
        };
        // It may have been let in before, by another control plane.
        let entry = Entry { unnoted_until: UNKNOWN, ..Entry::new(proxy.to_owned(), request, identity, now) };
        self.entries.insert(entry.proxy.clone(), entry.clone());
        Ok((entry, true))
    }

    fn enter(
        &mut self,
        proxy: String,
        request: RegistrationRequest,
        registrant: Option<Registrant>,
        domain: &TrustDomain,
        now: u64,
    ) -> Result<Entry, Refusal> {
        check(&request)?;
        if self.entries.len() >= limits::REGISTRATIONS {
            return Err(refuse(format!("{} processes are registered, the most there may be", limits::REGISTRATIONS), ""));
        }
        let identity = SpiffeId::new(domain.clone(), &request.namespace, &request.service_account)
            .map_err(|e| refuse(format!("service account {:?}: {e}", request.service_account), "use letters, digits, dots and hyphens"))?;
        let entry = Entry { registrant, ..Entry::new(proxy, request, &identity, now) };
        self.entries.insert(entry.proxy.clone(), entry.clone());
        Ok(entry)
    }

    fn unique(&self, name: &str) -> String {
        let taken = |candidate: &String| self.entries.contains_key(candidate);
        let mut numbered = (2..).map(|n| format!("{name}-{n}"));
        std::iter::once(name.to_owned()).chain(&mut numbered).find(|candidate| !taken(candidate)).unwrap_or_else(|| name.to_owned())
    }

    /// Takes one out, which backed these services.
    pub fn remove(&mut self, proxy: &str, services: Vec<Key>) -> Option<Entry> {
        self.withdrawn.remove(proxy);
        let gone = self.entries.remove(proxy)?;
        if self.departed.len() >= limits::DEPARTED {
            self.departed.pop_front();
        }
        let of = |identity| Departed { proxy: gone.proxy.clone(), identity, workload: gone.workload_key(), services };
        self.departed.extend(gone.identity().map(of));
        self.remember(&gone);
        Some(gone)
    }

    /// Whoever leaves keeps what it has, and may turn out to be no longer to be trusted. A process of this machine can be ended; a pod, too.
    fn remember(&mut self, gone: &Entry) {
        let certificates: Vec<_> = gone.certificates.iter().filter(|one| !self.is_revoked(&one.sha256)).cloned().collect();
        let has_none = certificates.is_empty() && gone.unnoted_until == 0;
        if has_none || gone.registrant.is_some() || gone.unnoted_until == UNKNOWN {
            return;
        }
        let fresh = || Left { proxy: gone.proxy.clone(), certificates: Vec::new(), unnoted_until: 0 };
        let left = self.left.entry(gone.proxy.clone()).or_insert_with(fresh);
        left.certificates.extend(certificates);
        left.unnoted_until = left.unnoted_until.max(gone.unnoted_until);
    }

    /// What those of this name were given that left.
    pub fn left(&self, proxy: &str) -> Option<&Left> {
        self.left.get(proxy)
    }

    /// Forgets of those that left what has ended by anybody's clock and, of too many, those that end first; whose name is no longer known.
    pub fn forget_left(&mut self, now: u64) -> Vec<String> {
        self.left.values_mut().for_each(|left| left.certificates.retain(|one| !is_over(one.until, now)));
        let is_past = |left: &&Left| left.certificates.is_empty() && !is_open(left.unnoted_until, now);
        let mut ended: Vec<String> = self.left.values().filter(is_past).map(|left| left.proxy.clone()).collect();
        ended.iter().for_each(|proxy| _ = self.left.remove(proxy));
        while self.left.len() > limits::LEFT {
            let Some(first) = self.left.values().min_by_key(|left| left.until()).map(|left| left.proxy.clone()) else { break };
            self.left.remove(&first);
            ended.push(first);
        }
        ended
    }

    /// What it was, if it was this identity's and was taken out a while ago.
    pub fn departed(&self, proxy: &str, identity: &SpiffeId) -> Option<&Departed> {
        self.departed.iter().rev().find(|gone| gone.proxy == proxy && gone.identity == *identity)
    }

    /// Nobody is sent to it any more; says whether that is news.
    pub fn withdraw(&mut self, proxy: &str) -> bool {
        self.entries.contains_key(proxy) && self.withdrawn.insert(proxy.to_owned())
    }

    /// It is back; says whether that is news.
    pub fn restore(&mut self, proxy: &str) -> bool {
        self.withdrawn.remove(proxy)
    }

    pub fn is_withdrawn(&self, proxy: &str) -> bool {
        self.withdrawn.contains(proxy)
    }

    /// Remembers a certificate that it was given.
    pub fn certified(&mut self, proxy: &str, given: Certified, now: u64) -> Option<&Entry> {
        let entry = self.entries.get_mut(proxy)?;
        entry.certified_until = entry.certified_until.max(given.until);
        entry.certificates.retain(|one| !is_over(one.until, now));
        // Those that ended last may be believed by a clock that is behind; as many of them as there may be of others.
        let over = (entry.certificates.len() + 1).saturating_sub(2 * limits::CERTIFICATES);
        entry.certificates.drain(..over);
        entry.certificates.push(given);
        Some(entry)
    }

    /// Whether it has as many certificates that have not ended as it may.
    pub fn is_full(&self, proxy: &str, now: u64) -> bool {
        let given = self.entries.get(proxy).into_iter().flat_map(|entry| &entry.certificates);
        given.filter(|one| one.until >= now).count() >= limits::CERTIFICATES
    }

    /// Who is given a new certificate for this one: whoever was given it. One that nobody noted may be of anybody of its name who has such a one; one
    /// of who left is of nobody.
    pub fn renewed(&self, sha256: &str, identity: &SpiffeId, now: u64) -> Option<&Entry> {
        let name = identity.to_string();
        let is_it = |certificates: &[Certified]| certificates.iter().any(|one| one.sha256 == sha256);
        let mut same = self.entries.values().filter(|entry| entry.identity == name);
        if let Some(holder) = same.clone().find(|entry| is_it(&entry.certificates)) {
            return Some(holder);
        }
        if self.left.values().any(|left| is_it(&left.certificates)) {
            return None;
        }
        same.find(|entry| is_open(entry.unnoted_until, now))
    }

    /// Has nobody believe any more what this process was given, and who had its name before and left; what that was. A process of this machine that has
    /// the name by now is another.
    ///
    /// # Errors
    /// If it is not there, may simply be ended, or nothing can be done about it.
    pub fn revoke(&mut self, proxy: &str, now: u64) -> Result<Vec<Certified>, Refusal> {
        let known = self.entries.get(proxy);
        let (entry, left) = (known.filter(|entry| entry.registrant.is_none()), self.left.get(proxy));
        if entry.is_none() && left.is_none() {
            return Err(match known {
                Some(_) => refuse(format!("{proxy:?} is a process of this machine"), "end it: what it was given ends with it"),
                None => refuse(format!("no proxy is called {proxy:?}"), "organza get proxies"),
            });
        }
        let is_unclear = entry.is_some_and(|entry| entry.certificates.is_empty() || is_open(entry.unnoted_until, now));
        if is_unclear || left.is_some_and(|left| is_open(left.unnoted_until, now)) {
            let fix = "rotate the root, organza ca rotate, and it is believed no more when the old one is dropped";
            return Err(refuse(format!("it is not known which certificates {proxy:?} was given"), fix));
        }
        let given = left.into_iter().flat_map(|left| &left.certificates).chain(entry.into_iter().flat_map(|entry| &entry.certificates));
        let given: Vec<_> = given.filter(|one| !is_over(one.until, now)).cloned().collect();
        if self.revoked.len() + given.len() > limits::REVOKED {
            let what = format!("{} certificates are revoked already, and no more than {} may be", self.revoked.len(), limits::REVOKED);
            return Err(refuse(what, "rotate the root, organza ca rotate: those of before need no list then"));
        }
        self.revoked.extend(given.iter().map(|one| (one.sha256.clone(), one.until)));
        self.left.remove(proxy);
        Ok(given)
    }

    /// With what was revoked before.
    #[must_use]
    pub fn without(self, revoked: impl IntoIterator<Item = Certified>) -> Self {
        Self { revoked: revoked.into_iter().map(|one| (one.sha256, one.until)).collect(), ..self }
    }

    /// With what those were given that left before.
    #[must_use]
    pub fn with_left(self, left: impl IntoIterator<Item = Left>) -> Self {
        Self { left: left.into_iter().map(|one| (one.proxy.clone(), one)).collect(), ..self }
    }

    pub fn is_revoked(&self, sha256: &str) -> bool {
        self.revoked.contains_key(sha256)
    }

    /// What members are told, each as its SHA-256.
    pub fn revoked(&self) -> impl Iterator<Item = [u8; 32]> {
        self.revoked.keys().filter_map(|text| identity::pem::from_fingerprint(text))
    }

    /// Takes out of the list what has ended by anybody's clock; what that was.
    pub fn forget_revoked(&mut self, now: u64) -> Vec<String> {
        let ended: Vec<String> = self.revoked.iter().filter(|(_, until)| is_over(**until, now)).map(|(sha256, _)| sha256.clone()).collect();
        ended.iter().for_each(|sha256| _ = self.revoked.remove(sha256));
        ended
    }

    /// Those that can be called or call, in the model's words.
    pub fn workloads(&self) -> Vec<Workload> {
        let here = |e: &&Entry| e.gateway().is_none() && !self.withdrawn.contains(&e.proxy);
        self.entries.values().filter(here).filter_map(Entry::workload).collect()
    }

    /// Services that members name and no object declares.
    pub fn implicit_services(&self, objects: &[Object]) -> Vec<Object> {
        let services = objects.iter().filter(|o| o.is("", "Service"));
        let declared: BTreeSet<(&str, &str)> = services.map(|o| (&*o.object.namespace, &*o.object.name)).collect();
        let mut made: BTreeMap<(String, String), Object> = BTreeMap::new();
        for entry in self.entries.values() {
            let Some(name) = &entry.request.service else { continue };
            if !declared.contains(&(&*entry.request.namespace, &**name)) {
                let place = (entry.request.namespace.clone(), name.clone());
                made.entry(place).or_insert_with(|| implicit_service(entry, name));
            }
        }
        made.into_values().collect()
    }

    /// A registration knows where its program listens better than a Service's `targetPort` does.
    pub fn located(&self, resource: Resource) -> Resource {
        let Resource::Endpoints(endpoints) = resource else { return resource };
        let mut endpoints = model::Endpoints::clone(&endpoints);
        for endpoint in &mut endpoints.endpoints {
            let entry = endpoint.workload.as_ref().and_then(|key| self.entries.get(&*key.name));
            let Some(mapped) = entry.map(|e| &e.request.ports) else { continue };
            // What serves datagrams alone has one port that matters, as other programs have.
            let other = !endpoint.ports.is_empty();
            for (service, target) in &mut endpoint.ports {
                *target = mapped_port(mapped, *service).unwrap_or(*target);
            }
            for (service, target) in &mut endpoint.datagrams {
                let named = mapped.iter().find(|port| port.service == *service).map(|port| port.target);
                *target = named.or_else(|| mapped_port(mapped, *service).filter(|_| !other)).unwrap_or(*target);
            }
        }
        Resource::Endpoints(Arc::new(endpoints))
    }
}

fn mapped_port(ports: &[WorkloadPort], service: u16) -> Option<u16> {
    ports.iter().find(|p| p.service == service).or(ports.first().filter(|_| ports.len() == 1)).map(|p| p.target)
}

fn implicit_service(entry: &Entry, name: &str) -> Object {
    let ports: Vec<_> = entry
        .request
        .ports
        .iter()
        .map(|port| {
            let mut value = serde_json::json!({ "port": port.service, "targetPort": port.target });
            if let Some(protocol) = &entry.request.protocol {
                value["appProtocol"] = protocol.as_str().into();
            }
            value
        })
        .collect();
    let value = serde_json::json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": name, "namespace": entry.request.namespace },
        "spec": { "ports": ports },
    });
    Object::new(ObjectRef::new("", "Service", &entry.request.namespace, name), "v1", value)
}

fn check(request: &RegistrationRequest) -> Result<(), Refusal> {
    let label = |text: &str| {
        !text.is_empty() && text.len() <= 63 && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.')
    };
    let names = [Some(("name", &request.name)), Some(("namespace", &request.namespace)), request.service.as_ref().map(|s| ("service", s))];
    for (what, text) in names.into_iter().flatten() {
        if !label(text) {
            return Err(refuse(format!("{what} {text:?} is no name"), "use lower-case letters, digits, dots and hyphens, at most 63"));
        }
    }
    if request.service.is_some() && (request.ports.is_empty() || request.addresses.is_empty()) {
        return Err(refuse("a service needs a port and an address", "give --port"));
    }
    if request.labels.len() > limits::LABELS || request.ports.iter().any(|p| p.service == 0 || p.target == 0) {
        return Err(refuse("too many labels, or port 0", ""));
    }
    let priority = request.labels.get(model::Endpoint::PRIORITY_LABEL);
    if model::Endpoint::priority_of(priority.map(String::as_str)).is_none() {
        let label = model::Endpoint::PRIORITY_LABEL;
        return Err(refuse(
            format!("{label} {:?} is no priority", priority.cloned().unwrap_or_default()),
            "write a number from 0 to 255; 0 is used first",
        ));
    }
    match request.addresses.iter().find(|a| a.parse::<SocketAddr>().is_err()) {
        Some(bad) => Err(refuse(format!("{bad:?} is no address and port"), "")),
        None => Ok(()),
    }
}

#[cfg(test)]
pub(crate) mod tests;
