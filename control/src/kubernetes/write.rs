//! Statuses go back to the cluster: by the leader alone, by server-side apply, where they differ from what stands there, and again after what failed.

use super::addresses::{self, Assigned};
use super::cache::{Cache, Kept};
use super::discover::{self, Bundle};
use super::gateways::Gateways;
use super::lease::Lead;
use super::notes::Notes;
use super::status::{Said, Shape, wanted};
use super::{Cluster, FIELD_MANAGER, Shared, deploy, lock, settle, watch};
use crate::api::told::Telling;
use crate::core::{Core, now, seconds};
use crate::limits;
use crate::shell::monotone;
use crate::world::World;
use frontends::Object;
use frontends::kubernetes::label;
use futures_util::StreamExt;
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::{ApiResource, Patch, PatchParams};
use kube::core::DynamicObject;
use model::ObjectRef;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
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
}

impl Settled {
    /// Equal statuses are the same value.
    fn is(&self, other: &Self) -> bool {
        let same = match (&self.status, &other.status) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, None) => true,
            _ => false,
        };
        same && self.shape == other.shape
            && (self.applied, self.generation, &self.version) == (other.applied, other.generation, &other.version)
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
    loop {
        let _ = leads.wait_for(|lead| *lead == Lead::Us).await;
        let began = monotone();
        let deployed = gateways.round(cluster, shared, core).await;
        let done = deployed & round(cluster, shared, core, &mut written, &leads).await;
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
                () = tokio::time::sleep(limits::APPLY_AGAIN) => {}
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

/// Writes all that differs; says whether that was all that is to be done.
async fn round(cluster: &Cluster, shared: &Shared, core: &Core, written: &mut Written, leads: &Receiver<Lead>) -> bool {
    let jobs = jobs(cluster, shared, core, written);
    let results = futures_util::stream::iter(jobs)
        .map(|job| async move {
            // Who leads no more leaves the rest to who does.
            if *leads.borrow() != Lead::Us {
                return (job, Ok(None));
            }
            let applied = apply(cluster, &job).await;
            (job, applied.map(Some))
        })
        .buffer_unordered(limits::WRITES);
    let mut results = std::pin::pin!(results);
    let mut done = true;
    while let Some((job, result)) = results.next().await {
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
    done
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

fn jobs(cluster: &Cluster, shared: &Shared, core: &Core, written: &mut Written) -> Vec<Job> {
    let world = core.world();
    let telling = Telling::new(core, &world);
    let now = Timestamp::from_second(i64::try_from(seconds(now())).unwrap_or(0)).map(|time| time.to_string()).unwrap_or_default();
    let resources: BTreeMap<_, _> = lock(&shared.found).kinds.iter().map(|served| (served.name.clone(), served.resource.clone())).collect();
    let release = lock(&shared.found).bundle.as_ref().map(release);
    let says_reach = lock(&shared.found).bundle.as_ref().is_some_and(discover::has_reach);
    // What came with v1.7 came together.
    let is_renamed = says_reach;
    let cache = lock(&shared.cache);
    written.last.retain(|object, _| cache.get(object).is_some());
    written.settled.retain(|object, _| cache.get(object).is_some());
    let mut jobs = Vec::new();
    for object in world.objects.iter() {
        let Some(shape) = Shape::of(&object.object.group, &object.object.kind, is_renamed) else { continue };
        let name = super::KindName { group: object.object.group.to_string(), kind: object.object.kind.to_string() };
        let (Some(kept), Some(resource)) = (cache.get(&object.object), resources.get(&name)) else { continue };
        // What is somebody else's to judge has no status of ours; but what we said of it before is taken back.
        let status = telling.status(object);
        if status.is_none() && !shape.is_shared() {
            continue;
        }
        let generation = object.at("/metadata/generation").as_u64().unwrap_or(0);
        // Classes and Gateways say more than this, and are few.
        let settled =
            Settled { shape, status: status.cloned(), applied: telling.applied(object), generation, version: kept.version.as_str().into() };
        if shape.is_shared() && written.settled.get(&object.object).is_some_and(|before| before.is(&settled)) {
            continue;
        }
        let told = telling.of(object);
        let besides = release.as_slice().iter().filter(|_| shape == Shape::Class).cloned().collect::<Vec<_>>();
        let is_deployed = cluster.deployment.is_some() && &*object.object.kind == "Gateway";
        let assigned = if is_deployed { reached(object, &cache) } else { Assigned::default() };
        let told = if is_deployed { addressed(&told, object, &assigned, says_reach) } else { told };
        let sets = (&*object.object.kind == "Gateway").then(|| sets(object, &world));
        let said = Said { shape, told: &told, generation, addresses: &assigned.addresses, says_reach, sets, besides: &besides, now: &now };
        let Some(status) = wanted(&said, &kept.status()) else {
            written.last.remove(&object.object);
            if shape.is_shared() {
                written.settled.insert(object.object.clone(), settled);
            }
            continue;
        };
        if written.last.get(&object.object).is_some_and(|(before, version)| *before == hash(&status) && !is_newer(kept, version)) {
            continue;
        }
        let version = shape.is_shared().then(|| kept.version.clone());
        jobs.push(Job { object: object.object.clone(), resource: resource.clone(), status, version });
    }
    jobs
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
