//! The world: everything that the control plane knows, as one immutable value with a generation. A pure function makes the next one from objects and
//! registrations; each resource is encoded once, however many proxies will be sent it.

use crate::registry::Registry;
use crate::sessions;
use frontends::gateway_api::edited;
use frontends::kubernetes::slices;
use frontends::{Object, Options, translate};
use model::{Key, ObjectRef, Report, Resource, Status, TrustBundle, TrustDomain};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};
use wire::delta::Encoded;

#[derive(Debug, Clone)]
pub struct Item {
    pub resource: Resource,
    pub encoded: Arc<Encoded>,
    /// Generation in which it last changed.
    pub modified: u64,
}

#[derive(Debug, Clone, Default)]
pub struct World {
    pub generation: u64,
    pub items: BTreeMap<Key, Item>,
    pub objects: Arc<Vec<Object>>,
    /// What worlds say alike is there once, as are statuses.
    pub reports: Arc<Vec<Report>>,
    pub statuses: Vec<Arc<Status>>,
    /// Who was registered when it was made.
    pub registry: Arc<Registry>,
    /// Resources that were encoded for it and for all worlds before it.
    pub encoded: u64,
    /// Services by the workloads that back them, once somebody asked: proxies do with each of their reports.
    pub(crate) backed: OnceLock<HashMap<Key, Vec<Key>>>,
}

/// The items of the next world that are not those of this one.
struct Making {
    generation: u64,
    encoded: u64,
}

impl Making {
    fn item(&mut self, resource: Resource) -> Item {
        self.encoded += 1;
        Item { encoded: Arc::new(Encoded::new(&resource)), resource, modified: self.generation }
    }
}

/// What a world is made from.
pub struct Ingredients<'a> {
    pub objects: Arc<Vec<Object>>,
    pub registry: &'a Registry,
    pub trust_domain: &'a TrustDomain,
    pub roots: Vec<Vec<u8>>,
    /// What the keys of sessions are made from.
    pub secret: Option<&'a [u8; 32]>,
    /// Gateways are deployed into a cluster: their addresses are their Services', and a pod opens its ports on all of its own.
    pub in_cluster: bool,
}

impl World {
    /// The world after a change, or `None` where nothing that a proxy sees and nothing that status says is different.
    pub fn next(&self, from: Ingredients<'_>) -> Option<Self> {
        if self.is_of(&from) {
            return None;
        }
        if let Some(next) = self.after_slices(&from).or_else(|| self.after_edits(&from)) {
            return Some(next);
        }
        let workloads = from.registry.workloads();
        let mut objects = Vec::clone(&from.objects);
        objects.extend(from.registry.implicit_services(&from.objects));
        let translation = translate(&objects, &Options { workloads: &workloads });
        let mut resources = translation.resources;
        resources.extend(workloads.into_iter().map(|w| Resource::Workload(Arc::new(w))));
        resources.push(Resource::TrustBundle(Arc::new(bundle(from.trust_domain, from.roots, from.registry))));
        let mut making = self.making();
        let mut items = BTreeMap::new();
        for resource in resources {
            let resource = sessions::keyed(from.registry.located(resource), from.secret);
            let resource = if from.in_cluster { everywhere(resource) } else { resource };
            let item = match self.items.get(resource.key()) {
                Some(old) if old.resource == resource => old.clone(),
                _ => making.item(resource),
            };
            items.insert(item.resource.key().clone(), item);
        }
        let changed = making.encoded != self.encoded || items.len() != self.items.len();
        let (statuses, reports) = (self.shared(translation.statuses), translation.reports);
        let told = reports == *self.reports && statuses == self.statuses && objects_equal(&from.objects, &self.objects);
        if !changed && told {
            return None;
        }
        let registry = Arc::new(from.registry.clone());
        let Making { generation, encoded } = making;
        Some(Self {
            generation,
            items,
            objects: from.objects,
            reports: Arc::new(reports),
            statuses,
            registry,
            encoded,
            backed: OnceLock::new(),
        })
    }

    fn making(&self) -> Making {
        Making { generation: self.generation + 1, encoded: self.encoded }
    }

    /// The world after a change that nothing but items and objects tells of.
    fn but_for(&self, Making { generation, encoded }: Making, items: BTreeMap<Key, Item>, from: &Ingredients<'_>) -> Self {
        let (reports, statuses, registry) = (self.reports.clone(), self.statuses.clone(), self.registry.clone());
        Self { generation, items, objects: from.objects.clone(), reports, statuses, registry, encoded, backed: OnceLock::new() }
    }

    /// Statuses, of which those that say what they said before are the same values.
    fn shared(&self, statuses: Vec<Status>) -> Vec<Arc<Status>> {
        let before: HashMap<_, _> = self.statuses.iter().map(|status| (&status.object, status)).collect();
        let share = |status: Status| match before.get(&status.object) {
            Some(before) if ***before == status => Arc::clone(before),
            _ => Arc::new(status),
        };
        statuses.into_iter().map(share).collect()
    }

    /// The world after a change of EndpointSlices alone, which is the same as the whole translation makes; `None` where that has to be asked.
    fn after_slices(&self, from: &Ingredients<'_>) -> Option<Self> {
        let services = slices::changed_alone(&self.objects, &from.objects)?;
        if !self.registry.is_alike(from.registry) || !self.has_roots(from) {
            return None;
        }
        let mut making = self.making();
        let mut items = self.items.clone();
        for endpoints in slices::endpoints(&from.objects, &services, &Options { workloads: &from.registry.workloads() })? {
            let resource = sessions::keyed(from.registry.located(Resource::Endpoints(Arc::new(endpoints))), from.secret);
            let item = items.get_mut(resource.key())?;
            if item.resource != resource {
                *item = making.item(resource);
            }
        }
        Some(self.but_for(making, items, from))
    }

    /// The world after an edit of rules alone, which is the same as the whole translation makes; `None` where that has to be asked.
    fn after_edits(&self, from: &Ingredients<'_>) -> Option<Self> {
        let edited = edited::alone(&self.objects, &from.objects)?;
        let is_one = |object: &ObjectRef| edited.iter().any(|route| route.object == *object);
        if !self.registry.is_alike(from.registry) || !self.has_roots(from) || self.reports.iter().any(|report| is_one(&report.object)) {
            return None;
        }
        let implicit = from.registry.implicit_services(&from.objects);
        let options = Options { workloads: &from.registry.workloads() };
        let (routes, statuses) = edited::routes(from.objects.iter().chain(&implicit), &edited, &options)?;
        if !statuses.iter().all(|status| self.statuses.iter().any(|before| **before == *status)) {
            return None;
        }
        // Statuses of these tell of the Gateways that lead to a Service.
        let ways_count = from.objects.iter().any(|object| &*object.object.kind == "BackendTLSPolicy");
        let mut making = self.making();
        let mut items = self.items.clone();
        for route in routes {
            let item = items.get_mut(&route.key)?;
            let Resource::Route(before) = &item.resource else { return None };
            if before.attachments != route.attachments || (ways_count && !before.backends().eq(route.backends())) {
                return None;
            }
            let resource = sessions::keyed(from.registry.located(Resource::Route(route)), from.secret);
            if item.resource != resource {
                *item = making.item(resource);
            }
        }
        Some(self.but_for(making, items, from))
    }

    /// Whether nothing came that a world is made of: proxies of Gateways are in none.
    fn is_of(&self, from: &Ingredients<'_>) -> bool {
        Arc::ptr_eq(&self.objects, &from.objects) && self.registry.is_alike(from.registry) && self.has_roots(from)
    }

    fn has_roots(&self, from: &Ingredients<'_>) -> bool {
        let bundle = Resource::TrustBundle(Arc::new(bundle(from.trust_domain, from.roots.clone(), from.registry)));
        self.get(bundle.key()).is_some_and(|item| item.resource == bundle)
    }

    /// Keys of the services that a workload backs.
    pub fn services_of(&self, workload: &Key) -> Vec<String> {
        self.backed(workload).iter().map(Key::to_string).collect()
    }

    pub fn backed(&self, workload: &Key) -> &[Key] {
        self.backed.get_or_init(|| self.all_backed()).get(workload).map_or(&[][..], Vec::as_slice)
    }

    fn all_backed(&self) -> HashMap<Key, Vec<Key>> {
        let mut all: HashMap<Key, Vec<Key>> = HashMap::new();
        for endpoints in self.resources().filter_map(|resource| if let Resource::Endpoints(e) = resource { Some(e) } else { None }) {
            let service = endpoints.key.with_kind(model::Kind::Service);
            for workload in endpoints.endpoints.iter().filter_map(|endpoint| endpoint.workload.as_ref()) {
                all.entry(workload.clone()).or_default().push(service.clone());
            }
        }
        all
    }

    pub fn get(&self, key: &Key) -> Option<&Item> {
        self.items.get(key)
    }

    pub fn resources(&self) -> impl Iterator<Item = &Resource> {
        self.items.values().map(|item| &item.resource)
    }

    /// What must be the same for two worlds to look the same to a reader of `validate` or `get`.
    pub fn problems(&self) -> impl Iterator<Item = &Report> {
        self.reports.iter().filter(|report| report.severity >= model::Severity::Warning)
    }
}

fn everywhere(resource: Resource) -> Resource {
    match resource {
        Resource::Listener(listener) if !listener.addresses.is_empty() => {
            Resource::Listener(Arc::new(model::Listener { addresses: Vec::new(), ..model::Listener::clone(&listener) }))
        }
        other => other,
    }
}

fn objects_equal(a: &[Object], b: &[Object]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.object == b.object && a.value == b.value && a.place == b.place)
}

/// Whom members believe, and of those whom no more.
pub fn bundle(domain: &TrustDomain, roots: Vec<Vec<u8>>, registry: &Registry) -> TrustBundle {
    let key = Key::new(model::Source::organza(), model::Kind::TrustBundle, "", domain.as_str());
    let roots = roots.into_iter().map(Arc::from).collect();
    TrustBundle { key, trust_domain: domain.clone(), roots, revoked: registry.revoked().collect() }
}

#[cfg(test)]
mod tests;
