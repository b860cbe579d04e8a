//! A GatewayClass of ours that a Gateway uses is held by the finalizer that the specification names: deleted by a slip it stays, with all that is served by
//! it, until the last of its Gateways has gone (`decisions/0063`). Decided from what the API server said; written by the leader, where Gateways are deployed.

use super::cache::Cache;
use super::{Cluster, FIELD_MANAGER, Shared, lock, watch};
use frontends::gateway_api::{CONTROLLER, GROUP};
use kube::Api;
use kube::api::{ApiResource, Patch, PatchParams};
use kube::core::DynamicObject;
use serde_json::json;
use std::collections::BTreeSet;

/// Of the specification: "This ensures that a GatewayClass associated with a Gateway is not deleted while in use."
pub const FINALIZER: &str = "gateway-exists-finalizer.gateway.networking.k8s.io";

/// A class that is not held and should be, or the other way round.
#[derive(Debug, PartialEq, Eq)]
struct Due {
    name: String,
    hold: bool,
}

/// Holds and lets go what is due; says whether all of it was taken.
pub async fn round(cluster: &Cluster, shared: &Shared) -> bool {
    // A process that only looks on leaves nothing behind that somebody would have to take away.
    if cluster.deployment.is_none() {
        return true;
    }
    let due = due(&lock(&shared.cache));
    let resource = lock(&shared.found).kinds.iter().find(|served| served.name.kind == "GatewayClass").map(|served| served.resource.clone());
    let Some(resource) = resource else { return true };
    let mut done = true;
    for one in due {
        match set(cluster, &resource, &one).await {
            Ok(()) => {}
            // It is gone, or was changed meanwhile: the watch says more.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
            Err(e) => {
                let what = if one.hold { "is not held" } else { "is not let go" };
                tracing::warn!("GatewayClass {} {what}: {}", one.name, watch::told(&e));
                done = false;
            }
        }
    }
    done
}

fn due(cache: &Cache) -> Vec<Due> {
    // Whose Gateways are not all known may be used by one.
    let (Some(classes), Some(gateways)) = (cache.whole(GROUP, "GatewayClass"), cache.whole(GROUP, "Gateway")) else { return Vec::new() };
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
