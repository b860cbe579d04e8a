//! What a proxy knows of the mesh at one moment: immutable, shared by all workers behind one atomic pointer. State that lives longer
//! (balancers, pools, budgets) stands beside it by key. Never knows how it came here.

pub mod file;
pub mod saver;

use crate::access::Access;
use crate::authorizers::Authorizers;
use crate::consumers::Consumers;
use crate::map::Map;
use crate::rates::Rates;
use crate::tokens::Issuers;
use arc_swap::ArcSwap;
use model::{Asleep, Certificate, Change, Endpoints, GatewayCertificate, Key, Kind, Resource, Told, TrustBundle, Workload};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Tables by kind are shared with the snapshot before where nothing of the kind changed.
#[derive(Clone)]
pub struct Snapshot {
    pub generation: u64,
    pub table: Arc<routing::Table>,
    /// By key of kind `Endpoints`.
    pub endpoints: Arc<Map<Key, Arc<Told<Endpoints>>>>,
    pub workloads: Arc<Map<Key, Arc<Workload>>>,
    pub certificates: Arc<Map<Key, Arc<Certificate>>>,
    pub bundles: Arc<Map<Key, Arc<TrustBundle>>>,
    /// Who may call whom.
    pub access: Arc<Access>,
    /// How much may be asked of whom.
    pub rates: Arc<Rates>,
    /// Whose tokens are believed.
    pub tokens: Arc<Issuers>,
    /// What is told of requests, and whom.
    pub telling: Arc<crate::telling::Telling>,
    /// Who else is asked.
    pub authorizers: Arc<Authorizers>,
    /// Who brings what key.
    pub consumers: Arc<Consumers>,
    /// What this gateway shows to servers outside the mesh that ask; or why it cannot.
    pub shown: Result<Option<Arc<Certificate>>, Arc<str>>,
    /// What names asked for on first use resolve to, by subscription (`host/NAMESPACE/HOST`).
    pub answers: Arc<BTreeMap<Arc<str>, Option<Key>>>,
}

impl Default for Snapshot {
    fn default() -> Self {
        Self {
            generation: 0,
            table: Arc::default(),
            endpoints: Arc::default(),
            workloads: Arc::default(),
            certificates: Arc::default(),
            bundles: Arc::default(),
            access: Arc::default(),
            rates: Arc::default(),
            tokens: Arc::default(),
            telling: Arc::default(),
            authorizers: Arc::default(),
            consumers: Arc::default(),
            shown: Ok(None),
            answers: Arc::default(),
        }
    }
}

/// The one pointer.
pub type Shared = Arc<ArcSwap<Snapshot>>;

impl Snapshot {
    /// The snapshot after one step.
    pub fn apply(&self, generation: u64, changes: &[Change], answers: &BTreeMap<Arc<str>, Option<Key>>) -> Self {
        let mut next = self.clone();
        next.generation = generation;
        next.table = Arc::new(self.table.apply(changes));
        if let Some(access) = self.access.after(changes) {
            next.access = Arc::new(access);
        }
        if let Some(rates) = self.rates.after(changes) {
            next.rates = Arc::new(rates);
        }
        if let Some(tokens) = self.tokens.after(changes) {
            next.tokens = Arc::new(tokens);
        }
        if let Some(telling) = self.telling.after(changes) {
            next.telling = Arc::new(telling);
        }
        if let Some(authorizers) = self.authorizers.after(changes) {
            next.authorizers = Arc::new(authorizers);
        }
        if let Some(consumers) = self.consumers.after(changes) {
            next.consumers = Arc::new(consumers);
        }
        for change in changes {
            match change {
                Change::Put(Resource::Endpoints(r)) => next.set_endpoints(&Arc::new(Told::awake(r.key.clone(), r.clone()))),
                Change::Told(Asleep::Endpoints(told)) => next.set_endpoints(told),
                Change::Told(Asleep::Route(_)) => {}
                Change::Put(Resource::Workload(r)) => _ = Arc::make_mut(&mut next.workloads).insert(r.key.clone(), r.clone()),
                Change::Put(Resource::Certificate(r)) => _ = Arc::make_mut(&mut next.certificates).insert(r.key.clone(), r.clone()),
                Change::Put(Resource::TrustBundle(r)) => _ = Arc::make_mut(&mut next.bundles).insert(r.key.clone(), r.clone()),
                Change::Put(Resource::Service(_) | Resource::Listener(_) | Resource::Route(_)) => {}
                Change::Put(Resource::Access(_) | Resource::AccessSettings(_) | Resource::RateLimit(_)) => {}
                Change::Put(Resource::TokenIssuer(_) | Resource::Telemetry(_) | Resource::ExternalAuthorizer(_)) => {}
                Change::Put(Resource::Consumer(_)) => {}
                Change::Remove(key) => next.remove(key),
            }
        }
        if *next.answers != *answers {
            next.answers = Arc::new(answers.clone());
        }
        next.shown = next.gateways_certificate();
        next
    }

    /// A gateway's listeners all say the same, and a proxy has those of its own gateway only.
    fn gateways_certificate(&self) -> Result<Option<Arc<Certificate>>, Arc<str>> {
        match self.table.listeners().map(|listener| &listener.shown).find(|shown| **shown != GatewayCertificate::Nothing) {
            None | Some(GatewayCertificate::Nothing) => Ok(None),
            Some(GatewayCertificate::Broken(why)) => Err(why.clone()),
            Some(GatewayCertificate::Shown(key)) => match self.certificates.get(key) {
                Some(certificate) => Ok(Some(certificate.clone())),
                None => Err(format!("certificate {key} is to be shown to backends, and is not here").into()),
            },
        }
    }

    /// Those of a service that somebody called are read at once as they change: requests do not wait for it again.
    fn set_endpoints(&mut self, told: &Arc<Told<Endpoints>>) {
        let before = Arc::make_mut(&mut self.endpoints).insert(told.key().clone(), told.clone());
        if before.is_some_and(|before| before.is_awake()) {
            told.get();
        }
    }

    fn remove(&mut self, key: &Key) {
        match key.kind {
            Kind::Endpoints => _ = Arc::make_mut(&mut self.endpoints).remove(key),
            Kind::Workload => _ = Arc::make_mut(&mut self.workloads).remove(key),
            Kind::Certificate => _ = Arc::make_mut(&mut self.certificates).remove(key),
            Kind::TrustBundle => _ = Arc::make_mut(&mut self.bundles).remove(key),
            Kind::Service | Kind::Listener | Kind::Route | Kind::Gateway | Kind::External => {}
            Kind::Access | Kind::AccessSettings | Kind::RateLimit => {}
            Kind::TokenIssuer | Kind::Telemetry | Kind::ExternalAuthorizer | Kind::Consumer => {}
        }
    }

    /// All that can answer for a service.
    pub fn endpoints_of(&self, service: &Key) -> Option<&Arc<Endpoints>> {
        self.endpoints.get(&service.with_kind(Kind::Endpoints))?.get()
    }

    /// Of all services of a namespace.
    pub fn endpoints_in<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = &'a Arc<Endpoints>> {
        let all = self.endpoints.iter().filter(move |(key, _)| *key.namespace == *namespace);
        all.filter_map(|(_, told)| told.get())
    }

    /// The key of each resource of which others than the table know.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        let all = self.endpoints.keys().chain(self.workloads.keys());
        all.chain(self.certificates.keys()).chain(self.bundles.keys())
    }

    /// What a caller in `namespace` means by `host`: `None` where nobody has asked yet, `Some(None)` where there is no such service.
    pub fn answer(&self, host: &str, namespace: &str) -> Option<Option<Key>> {
        if let Some(service) = self.table.service_by_host(host, namespace) {
            return Some(Some(service.key.clone()));
        }
        self.answers.get(wire::host_subscription(namespace, host).as_str()).cloned()
    }
}

#[cfg(test)]
mod tests;
