//! The called side: what one proxy knows, and what it would say to a caller, port by port.

use crate::failure::{Failure, Outcome};
use frontends::{Object, Options, translate};
use model::workload::WorkloadPort;
use model::{
    AppProtocol, Change, Key, Kind, Labels, Locality, Normalisation, RequestHead, Resource, Service, Source, SpiffeId, TrustDomain, Tunnel,
    Workload,
};
use proxy::Snapshot;
use proxy::access::{Asked, At, Consumer, Standing, would};
use proxy::consumers;
use proxy::tokens::{self, Token};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Of meshes that nobody named; files do not say it.
const TRUST_DOMAIN: &str = "organza.local";

pub struct Called {
    snapshot: Snapshot,
    workload: Key,
    /// What the caller's token says.
    token: Option<Token>,
    /// Whose key the caller brings.
    consumer: Option<Consumer>,
    /// Issuers of tokens of which the proxy has no keys, and why.
    keyless: BTreeMap<String, String>,
}

/// What a caller comes with.
#[derive(Debug, Clone, Copy)]
pub enum Brought<'a> {
    /// Nobody says: whether anything may come at all.
    Anything,
    /// A connection that is carried unread.
    Bytes,
    Request(&'a RequestHead),
}

impl<'a> Brought<'a> {
    /// A request, where there is one.
    pub fn of(head: Option<&'a RequestHead>) -> Self {
        head.map_or(Self::Anything, Self::Request)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// `yes`, `no` or, where it depends on the request, `some`.
    pub word: &'static str,
    pub why: String,
    pub by: Option<Arc<str>>,
    pub rule: Option<Arc<str>>,
    pub dry_run: Option<String>,
}

impl Verdict {
    pub fn of(word: &'static str, told: proxy::access::Told) -> Self {
        Self { word, why: told.why, by: told.by, rule: told.rule, dry_run: told.dry_run }
    }

    pub fn to_json(&self) -> Value {
        let mut all = json!({
            "verdict": self.word, "reason": self.why, "verdict_by": self.by, "verdict_rule": self.rule, "dry_run": self.dry_run,
        });
        if let Some(all) = all.as_object_mut() {
            all.retain(|_, value| !value.is_null());
        }
        all
    }
}

impl Called {
    pub fn new(snapshot: Snapshot, namespace: &str, proxy: &str) -> Self {
        let workload = Key::new(Source::organza(), Kind::Workload, namespace, proxy);
        Self { snapshot, workload, token: None, consumer: None, keyless: BTreeMap::new() }
    }

    /// By a proxy that cannot fetch the keys of these issuers.
    #[must_use]
    pub fn without_keys(self, keyless: BTreeMap<String, String>) -> Self {
        Self { keyless, ..self }
    }

    /// Asked by callers whose token says this, and is believed.
    #[must_use]
    pub fn bearing(self, token: Option<&Token>) -> Self {
        Self { token: token.cloned(), ..self }
    }

    /// Asked by callers that bring a key of this consumer (`namespace/name`).
    ///
    /// # Errors
    /// If this proxy knows no such consumer.
    pub fn consuming(self, name: Option<&str>) -> Outcome<Self> {
        let Some(name) = name else { return Ok(self) };
        let unknown = || Failure::usage(format!("Consumer {name} is none whose keys are read there")).remedy("organza get consumers -A");
        let consumer = self.snapshot.consumers.named(name).ok_or_else(unknown)?;
        Ok(Self { consumer: Some(Consumer::clone(consumer)), ..self })
    }

    /// As it would be with these policies and settings of access beside its own, or in the place of those that are called like them.
    #[must_use]
    pub fn with(&self, access: &[Resource]) -> Self {
        let changes: Vec<Change> = access.iter().cloned().map(Change::Put).collect();
        let snapshot = self.snapshot.apply(self.snapshot.generation + 1, &changes, &BTreeMap::new());
        let (workload, token, consumer) = (self.workload.clone(), self.token.clone(), self.consumer.clone());
        Self { snapshot, workload, token, consumer, keyless: self.keyless.clone() }
    }

    /// As if one process had joined for the service.
    pub fn of_files(objects: &[Object], namespace: &str, service: &str) -> Outcome<Self> {
        let domain = TrustDomain::parse(TRUST_DOMAIN).map_err(|e| Failure::problem(e.to_string()))?;
        let wrong = |e: model::identity::IdentityError| Failure::usage(format!("{namespace}/{service} is no service: it {e}"));
        let workload = Workload {
            key: Key::new(Source::organza(), Kind::Workload, namespace, service),
            identity: SpiffeId::new(domain, namespace, service).map_err(wrong)?,
            canonical_name: service.into(),
            revision: "v1".into(),
            cluster: "".into(),
            network: "".into(),
            locality: Locality::default(),
            labels: Labels::default(),
            addresses: vec![IpAddr::from([127, 0, 0, 1])],
            ports: vec![WorkloadPort { number: 1, name: Some("http".into()), protocol: AppProtocol::Detect }],
            tunnel: Tunnel::None,
            services: vec![Key::new(Source::files(), Kind::Service, namespace, service)],
            weight: 1,
            started: 0,
        };
        let translated = translate(objects, &Options { workloads: std::slice::from_ref(&workload) });
        let mut changes: Vec<Change> = translated.resources.into_iter().map(Change::Put).collect();
        let key = workload.key.clone();
        changes.push(Change::Put(Resource::Workload(Arc::new(workload))));
        let snapshot = Snapshot::default().apply(1, &changes, &BTreeMap::new());
        let called = Self { snapshot, workload: key, token: None, consumer: None, keyless: BTreeMap::new() };
        match called.ports().is_empty() {
            true => {
                Err(Failure::problem(format!("the files declare no Service {namespace}/{service}")).remedy("name one that stands in them"))
            }
            false => Ok(called),
        }
    }

    pub fn trust_domain(&self) -> &str {
        self.snapshot.workloads.get(&self.workload).map_or(TRUST_DOMAIN, |own| own.identity.trust_domain().as_str())
    }

    /// How far paths are made regular before they are judged.
    fn normalisation(&self) -> Normalisation {
        let own = |service: &&Arc<Service>| *service.key.namespace == *self.workload.namespace;
        self.snapshot.table.services().find(own).map_or_else(Normalisation::default, |service| service.normalisation)
    }

    /// Ports of its services, each with the application's port behind it.
    fn ports(&self) -> BTreeMap<u16, u16> {
        // Services select workloads of their own namespace alone.
        let endpoints = self.snapshot.endpoints_in(&self.workload.namespace).flat_map(|all| &all.endpoints);
        let own = endpoints.filter(|endpoint| endpoint.workload.as_ref() == Some(&self.workload));
        own.flat_map(|endpoint| endpoint.ports.iter().copied()).collect()
    }

    /// What is said of each port, or of the one that is asked about.
    pub fn verdicts(&self, caller: Option<&SpiffeId>, address: IpAddr, port: Option<u16>, what: Brought<'_>) -> Vec<(u16, Verdict)> {
        let ports = self.ports().into_iter().filter(|(number, _)| port.is_none_or(|only| only == *number));
        ports.map(|(number, behind)| (number, self.verdict(caller, address, behind, what))).collect()
    }

    /// The limits that count requests there, in words.
    pub fn limits(&self, port: u16) -> Vec<String> {
        self.stranger(port).map_or_else(Vec::new, |standing| proxy::rates::of(&self.snapshot, &standing))
    }

    /// What is made of who the caller says it is, in words, and whether it gets any further.
    pub fn authentication(&self, port: u16) -> Vec<(bool, String)> {
        self.ports().get(&port).map_or_else(Vec::new, |behind| self.proofs(*behind))
    }

    fn proofs(&self, behind: u16) -> Vec<(bool, String)> {
        let at = At::Workload { workload: &self.workload, port: behind };
        let standing = Standing { consumer: self.consumer.as_ref(), ..Standing::stranger(at) };
        let token = tokens::told(&self.snapshot, tokens::Door::Workload(&self.workload, behind), self.token.as_ref(), &self.keyless);
        token.into_iter().chain(consumers::told(&self.snapshot, &standing)).collect()
    }

    /// Authorizers outside that are asked about requests there, in words.
    pub fn authorizers(&self, port: u16) -> Vec<String> {
        self.stranger(port).map_or_else(Vec::new, |standing| proxy::authorizers::of(&self.snapshot, &standing))
    }

    /// Somebody of whom nothing is known, before the application's port behind this one.
    fn stranger(&self, port: u16) -> Option<Standing<'_>> {
        let at = At::Workload { workload: &self.workload, port: *self.ports().get(&port)? };
        Some(Standing::stranger(at))
    }

    fn verdict(&self, caller: Option<&SpiffeId>, address: IpAddr, port: u16, what: Brought<'_>) -> Verdict {
        let at = At::Workload { workload: &self.workload, port };
        let (token, consumer) = (self.token.as_ref(), self.consumer.as_ref());
        let address = Some(SocketAddr::new(address, 0));
        let standing = Standing { identity: caller, address, token, consumer, ..Standing::stranger(at) };
        let told = |asked| would(&self.snapshot, &standing, asked);
        if let Brought::Request(head) = what {
            if let Some(unproven) = self.unproven(port) {
                return unproven;
            }
            let mut head = head.clone();
            match routing::normalise(head.path(), self.normalisation()).map(std::borrow::Cow::into_owned) {
                Ok(path) => head.set_path(&path),
                Err(e) => return Verdict { word: "no", why: e.to_string(), by: None, rule: None, dry_run: None },
            }
            tokens::would(&self.snapshot, tokens::Door::Workload(&self.workload, port), self.token.as_ref(), &mut head);
            let told = told(Asked::Request(&head));
            return Verdict::of(if told.allowed { "yes" } else { "no" }, told);
        }
        let (opened, bytes) = (told(Asked::Opened), told(Asked::Stream));
        if let Brought::Bytes = what {
            return Verdict::of(if bytes.allowed { "yes" } else { "no" }, bytes);
        }
        match (opened.allowed, bytes.allowed) {
            (false, _) => Verdict::of("no", opened),
            (true, true) => Verdict::of("yes", bytes),
            // Where bytes pass nobody waits for a proof; else no request passes without.
            (true, false) => self.unproven(port).unwrap_or_else(|| Verdict::of("some", opened)),
        }
    }

    /// What is said of requests where a proof is demanded that the caller does not bring.
    fn unproven(&self, port: u16) -> Option<Verdict> {
        let (_, why) = self.proofs(port).into_iter().find(|(passes, _)| !passes)?;
        Some(Verdict { word: "no", why, by: None, rule: None, dry_run: None })
    }
}

/// The verdicts of all ports as one word.
pub fn together(verdicts: &[(u16, Verdict)]) -> &'static str {
    match verdicts.split_first() {
        None => "–",
        Some(((_, first), rest)) if rest.iter().all(|(_, other)| other.word == first.word) => first.word,
        Some(_) => "some",
    }
}

#[cfg(test)]
mod tests;
