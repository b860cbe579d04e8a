//! Any object, applied to a cluster: the API server is asked what its kind is called there.

use super::{FIELD_MANAGER, watch};
use kube::api::{ApiResource, Patch, PatchParams};
use kube::core::DynamicObject;
use kube::{Api, Client};
use serde_json::Value;

/// Of an object that was applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    Stands,
    /// It was deleted before, and goes when nothing holds it any more.
    Goes,
}

/// Applies one object by server-side apply.
///
/// # Errors
/// In words for people: the API server has no such kind, or does not take the object.
pub async fn apply(client: &Client, object: &Value) -> Result<Applied, String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (api_version, kind) = (text(&object["apiVersion"]), text(&object["kind"]));
    let (namespace, name) = (text(&object["metadata"]["namespace"]), text(&object["metadata"]["name"]));
    let list = match api_version.contains('/') {
        true => client.list_api_group_resources(&api_version).await,
        false => client.list_core_api_resources(&api_version).await,
    };
    let unknown = || format!("the cluster has no {kind} of {api_version}");
    let list = match list {
        Err(kube::Error::Api(status)) if status.code == 404 => return Err(unknown()),
        other => other.map_err(|e| watch::told(&e))?,
    };
    let found = list.resources.iter().find(|resource| resource.kind == kind && !resource.name.contains('/')).ok_or_else(unknown)?;
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", &api_version));
    let resource = ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version: api_version.clone(),
        kind,
        plural: found.name.clone(),
    };
    let api: Api<DynamicObject> = match found.namespaced {
        true => Api::namespaced_with(client.clone(), &namespace, &resource),
        false => Api::all_with(client.clone(), &resource),
    };
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    let applied = api.patch(&name, &parameters, &Patch::Apply(object)).await.map_err(|e| watch::told(&e))?;
    Ok(if applied.metadata.deletion_timestamp.is_some() { Applied::Goes } else { Applied::Stands })
}
