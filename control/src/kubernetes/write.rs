//! Statuses go back to the cluster: by the leader alone, by server-side apply, where they differ from what stands there, and again after what failed.

use super::addresses::{self, Assigned};
use super::cache::{Cache, Kept};
use super::discover::{self, Bundle};
use super::gateways::Gateways;
use super::lease::Lead;
use super::notes::Notes;
use super::status::{Said, Shape, wanted};
use super::{Cluster, FIELD_MANAGER, KindName, Shared, classes, deploy, lock, settle, watch};
use crate::api::having;
use crate::api::told::Telling;
use crate::core::{Core, now, seconds};
use crate::limits;
use crate::shell::monotone;
use crate::world::World;
use frontends::Object;
use frontends::kubernetes::label;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::{ApiResource, Patch, PatchParams};
use kube::core::DynamicObject;
use model::ObjectRef;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::watch::Receiver;
use wire::api::{self, Condition};

/// A status that is to be written.
#[derive(Debug)]
struct Job {
    object: ObjectRef,
    resource: ApiResource,
    status: Value,
    /// The version that it was made for: writing over another is refused.
    version: Option<String>,
}

#[derive(Default)]
struct Written {
    /// What was written last of each object, as its text is hashed, and the version that came of it: until the watch has caught up, and where the server makes
    /// nothing of what is written, it is not written again.
    last: HashMap<ObjectRef, (u64, String)>,
    /// What stood there as it should.
    settled: HashMap<ObjectRef, Settled>,
}

/// All that the status of an object of many is made from: while that is the same, nobody has to look at what stands there again.
struct Settled {
    /// Another release of the definitions may want it told otherwise.
    shape: Shape,
    status: Option<Arc<model::Status>>,
    applied: (u32, u32),
    generation: u64,
    version: Box<str>,
    /// When it was looked at.
    at: Instant,
}

impl Settled {
    /// Equal statuses are the same value. That all proxies still have it, and are more or fewer, is written a little later: each that comes or goes would rewrite
    /// thousands of statuses that say nothing new.
    fn is(&self, other: &Self) -> bool {
        let same = match (&self.status, &other.status) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, None) => true,
            _ => false,
        };
        let is_whole = |(applied, concerned): (u32, u32)| applied == concerned && concerned > 0;
        let may_wait = is_whole(self.applied) && is_whole(other.applied) && other.at.duration_since(self.at) < limits::APPLY_AGAIN;
        same && self.shape == other.shape
            && (self.applied == other.applied || may_wait)
            && (self.generation, &self.version) == (other.generation, &other.version)
    }
}

/// Until dropped.
pub async fn run(cluster: &Cluster, shared: &Shared, core: &Core, mut leads: Receiver<Lead>) {
    let mut anything = shared.anything.subscribe();
    let mut worlds = core.watch();
    // Also what proxies acknowledge.
    let mut events = core.events.subscribe();
    let mut written = Written::default();
    let mut notes = Notes::new(cluster);
    let mut gateways = Gateways::default();
    let mut refused = None;
    loop {
        let _ = leads.wait_for(|lead| *lead == Lead::Us).await;
        let began = monotone();
        let again = having::until_one_counts(core).map_or(limits::APPLY_AGAIN, |until| until.min(limits::APPLY_AGAIN));
        let deployed = gateways.round(cluster, shared, core).await;
        let held = classes::round(cluster, shared, &mut refused).await;
        let done = deployed & held & round(&Round::new(cluster, shared, core, &core.world()), &mut written, &leads).await;
        let noted = notes.tell(&core.world(), shared).await;
        let took = monotone().duration_since(began);
        let pause = async {
            if !(done && noted) {
                return tokio::time::sleep(limits::WRITE_RETRY).await;
            }
            tokio::select! {
                _ = anything.changed() => {}
                _ = worlds.changed() => {}
                // A reader that lags has missed something all the same.
                _ = events.recv() => {}
                _ = leads.changed() => {}
                () = tokio::time::sleep(again) => {}
            }
        };
        pause.await;
        // Thousands of statuses tell of each proxy that comes: what takes long is not done all the time.
        let rest = if took < limits::WRITE_LONG { limits::WRITE_SETTLE } else { took.min(limits::WRITE_REST) };
        settle(&mut anything, rest).await;
        worlds.mark_unchanged();
        events = events.resubscribe();
    }
}

/// Writes all that differs; says whether that was all that is to be done. Each status is made when its turn comes: thousands at once would be many megabytes.
async fn round(round: &Round<'_>, written: &mut Written, leads: &Receiver<Lead>) -> bool {
    round.forget(written);
    let (mut objects, mut under_way, mut done) = (round.world.objects.iter(), FuturesUnordered::new(), true);
    loop {
        while under_way.len() < limits::WRITES
            && let Some(job) = objects.find_map(|object| round.job(object, written))
        {
            under_way.push(attempt(round.cluster, job, leads));
        }
        let Some((job, result)) = under_way.next().await else { return done };
        match result {
            Ok(Some(version)) => drop(written.last.insert(job.object, (hash(&job.status), version))),
            Ok(None) => {}
            // It is gone, or was changed meanwhile: the watch says more.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
            Err(e) => {
                tracing::warn!("the status of {}: {}", job.object, watch::told(&e));
                done = false;
            }
        }
    }
}

/// Who leads no more leaves the rest to who does.
async fn attempt(cluster: &Cluster, job: Job, leads: &Receiver<Lead>) -> (Job, Result<Option<String>, kube::Error>) {
    if *leads.borrow() != Lead::Us {
        return (job, Ok(None));
    }
    let applied = apply(cluster, &job).await;
    (job, applied.map(Some))
}

async fn apply(cluster: &Cluster, job: &Job) -> Result<String, kube::Error> {
    let api: Api<DynamicObject> = match job.object.namespace.is_empty() {
        true => Api::all_with(cluster.client.clone(), &job.resource),
        false => Api::namespaced_with(cluster.client.clone(), &job.object.namespace, &job.resource),
    };
    let mut body = json!({
        "apiVersion": job.resource.api_version,
        "kind": job.resource.kind,
        "metadata": { "name": &*job.object.name },
        "status": job.status,
    });
    if let Some(version) = &job.version {
        body["metadata"]["resourceVersion"] = version.as_str().into();
    }
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    let applied = api.patch_status(&job.object.name, &parameters, &Patch::Apply(&body)).await?;
    Ok(applied.metadata.resource_version.unwrap_or_default())
}

/// What is known when a round of writing begins.
struct Round<'a> {
    cluster: &'a Cluster,
    shared: &'a Shared,
    world: &'a World,
    telling: Telling<'a>,
    resources: BTreeMap<KindName, ApiResource>,
    release: Option<Condition>,
    /// Whether the CRDs have a field for the reach of an address.
    says_reach: bool,
    /// RFC 3339.
    now: String,
}

impl<'a> Round<'a> {
    fn new(cluster: &'a Cluster, shared: &'a Shared, core: &Core, world: &'a World) -> Self {
        let found = lock(&shared.found);
        let time = Timestamp::from_second(i64::try_from(seconds(now())).unwrap_or(0));
        Self {
            cluster,
            shared,
            world,
            telling: Telling::new(core, world),
            resources: found.kinds.iter().map(|served| (served.name.clone(), served.resource.clone())).collect(),
            release: found.bundle.as_ref().map(release),
            says_reach: found.bundle.as_ref().is_some_and(discover::has_reach),
            now: time.map(|time| time.to_string()).unwrap_or_default(),
        }
    }

    /// What is not there any more was not written either.
    fn forget(&self, written: &mut Written) {
        let cache = lock(&self.shared.cache);
        written.last.retain(|object, _| cache.get(object).is_some());
        written.settled.retain(|object, _| cache.get(object).is_some());
    }

    /// What is to be written of an object, if anything is.
    fn job(&self, object: &Object, written: &mut Written) -> Option<Job> {
        // What came with v1.7 came together.
        let shape = Shape::of(&object.object.group, &object.object.kind, self.says_reach)?;
        let resource = self.resources.get(&KindName { group: object.object.group.to_string(), kind: object.object.kind.to_string() })?;
        let cache = lock(&self.shared.cache);
        let kept = cache.get(&object.object)?;
        // What is somebody else's to judge has no status of ours; but what we said of it before is taken back.
        let status = self.telling.status(object);
        if status.is_none() && !shape.is_shared() {
            return None;
        }
        let generation = object.at("/metadata/generation").as_u64().unwrap_or(0);
        let applied = self.telling.applied(object);
        if self.telling.stands(object, applied) {
            return None;
        }
        // Classes and Gateways say more than this, and are few.
        let settled =
            Settled { shape, status: status.cloned(), applied, generation, version: kept.version.as_str().into(), at: monotone() };
        if shape.is_shared() && written.settled.get(&object.object).is_some_and(|before| before.is(&settled)) {
            return None;
        }
        let Some(status) = self.status(object, kept, shape, generation, &cache) else {
            written.last.remove(&object.object);
            if shape.is_shared() {
                written.settled.insert(object.object.clone(), settled);
            }
            return None;
        };
        if written.last.get(&object.object).is_some_and(|(before, version)| *before == hash(&status) && !is_newer(kept, version)) {
            return None;
        }
        let version = shape.is_shared().then(|| kept.version.clone());
        Some(Job { object: object.object.clone(), resource: resource.clone(), status, version })
    }

    /// `None` where it stands there.
    fn status(&self, object: &Object, kept: &Kept, shape: Shape, generation: u64, cache: &Cache) -> Option<Value> {
        let told = self.telling.of(object);
        let is_gateway = &*object.object.kind == "Gateway";
        let is_deployed = self.cluster.deployment.is_some() && is_gateway;
        let assigned = if is_deployed { reached(object, cache) } else { Assigned::default() };
        let told = if is_deployed { addressed(&told, object, &assigned, self.says_reach) } else { told };
        let besides = if shape == Shape::Class { self.release.as_slice() } else { &[] };
        let said = Said {
            shape,
            told: &told,
            generation,
            addresses: &assigned.addresses,
            says_reach: self.says_reach,
            sets: is_gateway.then(|| sets(object, self.world)),
            besides,
            now: &self.now,
        };
        wanted(&said, &kept.status())
    }
}

/// What is written of proxies that have it, by object and generation: whoever leads anew lets it stand until they come.
pub fn standing(world: &World, cache: &Cache) -> HashMap<ObjectRef, u64> {
    let written = |object: &Object| {
        let generation = object.at("/metadata/generation").as_u64().unwrap_or(0);
        let kept = cache.get(&object.object).filter(|kept| tells_of_proxies(&kept.status(), generation))?;
        Some((kept.object.object.clone(), generation))
    };
    world.objects.iter().filter_map(written).collect()
}

/// Whether it says of this generation that proxies have it.
fn tells_of_proxies(status: &Value, generation: u64) -> bool {
    let says = |condition: &Value| {
        condition["type"] == "organza.dev/Applied" && condition["status"] == "True" && condition["observedGeneration"] == generation
    };
    match status {
        Value::Object(fields) => says(status) || fields.values().any(|field| tells_of_proxies(field, generation)),
        Value::Array(items) => items.iter().any(|item| tells_of_proxies(item, generation)),
        _ => false,
    }
}

/// The same within this process alone.
fn hash(status: &Value) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    status.to_string().hash(&mut hasher);
    hasher.finish()
}

/// Where a Gateway is reached: by its Service, if that is its own.
fn reached(gateway: &Object, cache: &Cache) -> Assigned {
    let name = ObjectRef::new("", "Service", &gateway.object.namespace, &deploy::name(gateway));
    let nowhere = || addresses::assigned(gateway, &Value::Null, &Value::Null);
    let Some(service) = cache.get(&name) else { return nowhere() };
    let whose = service.object.at("/metadata/labels")[deploy::GATEWAY_LABEL].as_str();
    if whose != Some(&label(&gateway.object.name)) {
        return nowhere();
    }
    addresses::assigned(gateway, service.object.at("/spec"), &service.status())
}

/// A Gateway that nobody can reach is not programmed, whatever its proxies say.
fn addressed(told: &api::Object, gateway: &Object, assigned: &Assigned, says_reach: bool) -> api::Object {
    let mut told = told.clone();
    told.conditions.extend(says_reach.then(|| addresses::told(assigned)));
    let Some((reason, message)) = addresses::unreached(gateway, assigned) else { return told };
    for condition in told.conditions.iter_mut().filter(|c| c.kind == "Programmed" && (c.status == "True" || c.reason == "Pending")) {
        (condition.status, condition.reason, condition.message) = ("False".into(), reason.into(), message.clone());
    }
    told
}

/// ListenerSets that a Gateway took.
fn sets(gateway: &Object, world: &World) -> usize {
    let is_taken = |object: &ObjectRef| {
        let status = world.statuses.iter().find(|status| status.object == *object);
        status.iter().flat_map(|status| &status.conditions).any(|c| &*c.kind == "Accepted" && c.status == model::ConditionStatus::True)
    };
    let sets = world.objects.iter().filter(|object| &*object.object.kind == "ListenerSet");
    sets.filter(|set| frontends::gateway_api::sets::parent(set) == gateway.object && is_taken(&set.object)).count()
}

/// What a GatewayClass says of the CRDs.
fn release(bundle: &Bundle) -> Condition {
    let Bundle { version, channel } = bundle;
    let (status, reason, what) = match discover::is_understood(bundle) {
        true => ("True", "SupportedVersion", "is understood"),
        false => ("False", "UnsupportedVersion", "is not known: what is new in it has no effect"),
    };
    let message = format!("Gateway API {version} ({channel} channel) {what}.");
    Condition { kind: "SupportedVersion".into(), status: status.into(), reason: reason.into(), message }
}

/// Whether the cache knows of something after that version. Versions of one kind are numbers that grow.
fn is_newer(kept: &Kept, version: &str) -> bool {
    let number = |text: &str| text.parse::<u128>().ok();
    match (number(&kept.version), number(version)) {
        (Some(there), Some(ours)) => there > ours,
        _ => kept.version != version,
    }
}

#[cfg(test)]
mod tests;
