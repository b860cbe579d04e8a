//! Which of the kinds that we read an API server has, and in which version; and what it says of its Gateway API. Kinds that it has not are no error:
//! they are looked for again. One that has just begun lists a kind only when it has read its definition, and answers as if there were none of its objects
//! meanwhile: only who has no definition either is without that kind.

use super::cache::KindName;
use futures_util::future::try_join_all;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResourceList;
use kube::Client;
use kube::api::ApiResource;
use serde_json::Value;
use std::collections::BTreeSet;

/// A kind that can be watched.
#[derive(Debug, Clone, PartialEq)]
pub struct Served {
    pub name: KindName,
    pub resource: ApiResource,
    pub namespaced: bool,
}

/// Release and channel of the CRDs of Gateway API, as their annotations say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    pub version: String,
    pub channel: String,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Found {
    pub kinds: Vec<Served>,
    pub missing: Vec<KindName>,
    /// Those of the missing whose definition is there all the same: they are about to be listed.
    pub unlisted: Vec<KindName>,
    pub bundle: Option<Bundle>,
}

/// Without these no Gateway is served at all.
pub const REQUIRED: &[&str] = &["GatewayClass", "Gateway", "HTTPRoute", "ReferenceGrant"];

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const BUNDLE_CRD: &str = "gatewayclasses.gateway.networking.k8s.io";
const VERSION: &str = "gateway.networking.k8s.io/bundle-version";
const CHANNEL: &str = "gateway.networking.k8s.io/channel";

/// The kinds that are read.
pub fn wanted() -> Vec<KindName> {
    frontends::schema::kinds().into_iter().map(|(group, kind)| KindName { group, kind }).collect()
}

/// Asks an API server.
///
/// # Errors
/// If it does not answer, or does not let us ask.
pub async fn look(client: &Client) -> Result<Found, kube::Error> {
    let wanted = wanted();
    let groups: BTreeSet<&str> = wanted.iter().map(|kind| kind.group.as_str()).collect();
    let mut lists = vec![client.list_core_api_resources("v1").await?];
    for group in client.list_api_groups().await?.groups.iter().filter(|group| groups.contains(group.name.as_str())) {
        for version in &group.versions {
            match client.list_api_group_resources(&version.group_version).await {
                Ok(list) => lists.push(list),
                // It was taken away while we asked.
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(e) => return Err(e),
            }
        }
    }
    let mut found = choose(&wanted, &lists);
    if found.kinds.iter().any(|served| served.name.kind == "GatewayClass") {
        found.bundle = definition(client, BUNDLE_CRD).await?.as_ref().and_then(bundle);
    }
    let asked = found.missing.iter().filter_map(|kind| Some((kind, frontends::schema::definition(&kind.group, &kind.kind)?)));
    let defined = asked.map(async |(kind, name)| {
        let is_served = definition(client, name).await?.is_some_and(|crd| is_served(&crd));
        Ok::<_, kube::Error>(is_served.then(|| kind.clone()))
    });
    found.unlisted = try_join_all(defined).await?.into_iter().flatten().collect();
    Ok(found)
}

/// A CRD. For who may not read CRDs it is not there.
async fn definition(client: &Client, name: &str) -> Result<Option<Value>, kube::Error> {
    let Ok(request) = http::Request::get(format!("{DEFINITIONS}/{name}")).body(Vec::new()) else { return Ok(None) };
    match client.request(request).await {
        Ok(crd) => Ok(Some(crd)),
        Err(kube::Error::Api(status)) if matches!(status.code, 403 | 404) => Ok(None),
        Err(e) => Err(e),
    }
}

fn bundle(crd: &Value) -> Option<Bundle> {
    let annotation = |name: &str| crd["metadata"]["annotations"][name].as_str().map(str::to_owned);
    Some(Bundle { version: annotation(VERSION)?, channel: annotation(CHANNEL).unwrap_or_default() })
}

/// Whether the kind of a CRD is listed, or will be: one that is being deleted, whose names another has, or of which no version is served, never is.
fn is_served(crd: &Value) -> bool {
    let any = |list: &Value, holds: fn(&Value) -> bool| list.as_array().is_some_and(|list| list.iter().any(holds));
    crd["metadata"]["deletionTimestamp"].is_null()
        && any(&crd["spec"]["versions"], |version| version["served"] == true)
        && any(&crd["status"]["conditions"], |condition| condition["type"] == "Established" && condition["status"] == "True")
}

/// Of each kind the most stable version.
pub fn choose(wanted: &[KindName], lists: &[APIResourceList]) -> Found {
    let mut found = Found::default();
    for name in wanted {
        let offers = lists.iter().filter_map(|list| {
            let (group, version) = list.group_version.rsplit_once('/').unwrap_or(("", &list.group_version));
            let resource = list.resources.iter().find(|resource| resource.kind == name.kind && !resource.name.contains('/'))?;
            (group == name.group).then_some((rank(version), list, version, resource))
        });
        let Some((_, list, version, resource)) = offers.max_by_key(|(rank, ..)| *rank) else {
            found.missing.push(name.clone());
            continue;
        };
        let resource_name = ApiResource {
            group: name.group.clone(),
            version: version.to_owned(),
            api_version: list.group_version.clone(),
            kind: name.kind.clone(),
            plural: resource.name.clone(),
        };
        found.kinds.push(Served { name: name.clone(), resource: resource_name, namespaced: resource.namespaced });
    }
    found
}

/// `v2` before `v1` before `v1beta1` before `v1alpha3`; as Kubernetes sorts versions.
fn rank(version: &str) -> (u8, u32, u32) {
    let number = |text: &str| text.parse::<u32>().ok();
    let rest = version.strip_prefix('v').unwrap_or("");
    for (stability, word) in [(1, "beta"), (0, "alpha")] {
        if let Some((major, minor)) = rest.split_once(word) {
            return (stability, number(major).unwrap_or(0), number(minor).unwrap_or(0));
        }
    }
    number(rest).map_or((0, 0, 0), |major| (2, major, 0))
}

/// Whether these CRDs are of a release that is understood: the first six after v1 and v1.7.
pub fn is_understood(bundle: &Bundle) -> bool {
    minor(bundle).is_some_and(|minor| minor <= NEWEST_MINOR)
}

/// Whether a Gateway's addresses have a field for whence they are reached.
pub fn has_reach(bundle: &Bundle) -> bool {
    minor(bundle).is_some_and(|minor| minor >= 7) && bundle.channel == "experimental"
}

fn minor(bundle: &Bundle) -> Option<u32> {
    bundle.version.strip_prefix("v1.").and_then(|rest| rest.split('.').next()?.parse().ok())
}

/// Of Gateway API v1.
const NEWEST_MINOR: u32 = 7;

#[cfg(test)]
mod tests;
