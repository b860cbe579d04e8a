//! A GatewayClass of ours that a Gateway uses is held by the finalizer that the specification names: deleted by a slip it stays, with all that is served by
//! it, until the last of its Gateways has gone (`decisions/0063`). Decided from what the API server said; written by the leader, where Gateways are deployed.

use super::cache::Cache;
use super::discover::Found;
use super::{Cluster, FIELD_MANAGER, Shared, lock, watch};
use crate::limits;
use crate::shell::monotone;
use frontends::gateway_api::{CONTROLLER, GROUP};
use kube::Api;
use kube::api::{ApiResource, Patch, PatchParams};
use kube::core::DynamicObject;
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Instant;

/// Of the specification: "This ensures that a GatewayClass associated with a Gateway is not deleted while in use."
pub const FINALIZER: &str = "gateway-exists-finalizer.gateway.networking.k8s.io";

/// A class that is not held and should be, or the other way round.
#[derive(Debug, PartialEq, Eq)]
struct Due {
    name: String,
    hold: bool,
}

/// Holds and lets go what is due; says whether all of it was taken. `refused` is when that was last forbidden.
pub async fn round(cluster: &Cluster, shared: &Shared, refused: &mut Option<Instant>) -> bool {
    // A process that only looks on leaves nothing behind that somebody would have to take away.
    if cluster.deployment.is_none() || refused.is_some_and(|at| monotone().duration_since(at) < limits::APPLY_AGAIN) {
        return true;
    }
    let due = due(&lock(&shared.cache), are_gateways_gone(&lock(&shared.found)));
    let resource = lock(&shared.found).kinds.iter().find(|served| served.name.kind == "GatewayClass").map(|served| served.resource.clone());
    let Some(resource) = resource else { return true };
    let mut done = true;
    for one in due {
        match set(cluster, &resource, &one).await {
            Ok(()) => {}
            // It is gone, or was changed meanwhile: the watch says more.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
            // A role of an earlier release lacks the verb: that is said and tried now and then, and holds nothing else up.
            Err(e @ kube::Error::Api(_)) if is_forbidden(&e) => {
                tracing::warn!("GatewayClass {}: {}", one.name, watch::told(&e));
                *refused = Some(monotone());
            }
            Err(e) => {
                let what = if one.hold { "is not held" } else { "is not let go" };
                tracing::warn!("GatewayClass {} {what}: {}", one.name, watch::told(&e));
                done = false;
            }
        }
    }
    done
}

fn is_forbidden(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 403)
}

/// Somebody took their definition away. Where definitions may not be read (there is no bundle) nobody knows.
fn are_gateways_gone(found: &Found) -> bool {
    found.bundle.is_some() && found.missing.iter().any(|kind| kind.group == GROUP && kind.kind == "Gateway")
}

fn due(cache: &Cache, are_gateways_gone: bool) -> Vec<Due> {
    let Some(classes) = cache.whole(GROUP, "GatewayClass") else { return Vec::new() };
    let gateways = match cache.whole(GROUP, "Gateway") {
        // Whose Gateways are not all known may be used by one.
        None if !are_gateways_gone => return Vec::new(),
        gateways => gateways.into_iter().flatten(),
    };
    // Also one that is being deleted: what it is made of is there as long as it is.
    let used: BTreeSet<&str> = gateways.filter_map(|kept| kept.object.at("/spec/gatewayClassName").as_str()).collect();
    let ours = classes.filter(|kept| kept.object.at("/spec/controllerName").as_str() == Some(CONTROLLER));
    let due = ours.filter_map(|kept| {
        let hold = used.contains(&*kept.object.object.name);
        // What is being deleted takes no further finalizer.
        let is_due = hold != kept.held && !(hold && kept.ending);
        is_due.then(|| Due { name: kept.object.object.name.to_string(), hold })
    });
    due.collect()
}

/// Others may hold it too: the list is written as it was read, of that version alone.
async fn set(cluster: &Cluster, resource: &ApiResource, due: &Due) -> Result<(), kube::Error> {
    let api: Api<DynamicObject> = Api::all_with(cluster.client.clone(), resource);
    let Some(class) = api.get_opt(&due.name).await? else { return Ok(()) };
    // By that name there may be another now.
    if class.data["spec"]["controllerName"] != CONTROLLER {
        return Ok(());
    }
    let mut finalizers = class.metadata.finalizers.unwrap_or_default();
    let count = finalizers.len();
    finalizers.retain(|one| one != FINALIZER);
    let is_held = finalizers.len() < count;
    if is_held == due.hold || (due.hold && class.metadata.deletion_timestamp.is_some()) {
        return Ok(());
    }
    finalizers.extend(due.hold.then(|| FINALIZER.to_owned()));
    let patch = json!({"metadata": {"finalizers": finalizers, "resourceVersion": class.metadata.resource_version}});
    let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    api.patch(&due.name, &parameters, &Patch::Merge(&patch)).await?;
    let what = if due.hold { "held: a Gateway uses it" } else { "let go: no Gateway uses it" };
    tracing::info!("GatewayClass {} is {what}", due.name);
    Ok(())
}

#[cfg(test)]
mod tests;
