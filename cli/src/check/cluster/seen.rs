//! What is looked up in a cluster: each thing once, and why not where it may not be read.

use super::Answer;
use control::kubernetes::{AskError, Client, Found, get, look as kinds, may};
use serde_json::Value;

/// By (resource, group, and whether it is of a namespace): what installing creates.
const CREATED: &[(&str, &str, bool)] = &[
    ("namespaces", "", false),
    ("customresourcedefinitions", "apiextensions.k8s.io", false),
    ("clusterroles", "rbac.authorization.k8s.io", false),
    ("clusterrolebindings", "rbac.authorization.k8s.io", false),
    ("gatewayclasses", "gateway.networking.k8s.io", false),
    ("roles", "rbac.authorization.k8s.io", true),
    ("rolebindings", "rbac.authorization.k8s.io", true),
    ("serviceaccounts", "", true),
    ("services", "", true),
    ("deployments", "apps", true),
    ("poddisruptionbudgets", "policy", true),
];

pub struct Seen {
    pub version: Answer,
    pub found: Result<Found, String>,
    pub class: Answer,
    pub rights: Vec<(&'static str, Result<bool, AskError>)>,
    pub namespace: Answer,
    /// What it is called, as this release wants it, and as it is.
    pub roles: Vec<(String, Value, Answer)>,
    pub deployment: Answer,
    pub pods: Answer,
    pub lease: Answer,
    pub slice: Answer,
    pub webhooks: Vec<Answer>,
    pub classes: Answer,
    pub gateways: Answer,
}

/// `wanted` are the objects that this release installs. Once the API server is not reached, nothing more is asked.
pub async fn look(client: &Client, namespace: &str, wanted: &[Value], pre: bool) -> Seen {
    let none = || Ok(None);
    let mut seen = Seen {
        version: get(client, "/version").await,
        found: Err(String::new()),
        class: none(),
        rights: Vec::new(),
        namespace: none(),
        roles: Vec::new(),
        deployment: none(),
        pods: none(),
        lease: none(),
        slice: none(),
        webhooks: Vec::new(),
        classes: none(),
        gateways: none(),
    };
    if seen.version.is_err() {
        return seen;
    }
    seen.found = kinds(client).await;
    let gateway_api = "/apis/gateway.networking.k8s.io/v1";
    seen.class = get(client, &format!("{gateway_api}/gatewayclasses/organza")).await;
    if pre {
        for (resource, group, is_namespaced) in CREATED {
            let namespace = if *is_namespaced { namespace } else { "" };
            seen.rights.push((resource, may(client, "create", (group, resource), namespace).await));
        }
        return seen;
    }
    let own = format!("namespaces/{namespace}");
    seen.namespace = get(client, &format!("/api/v1/{own}")).await;
    seen.roles = roles(client, wanted).await;
    seen.deployment = get(client, &format!("/apis/apps/v1/{own}/deployments/organza-control")).await;
    seen.pods = get(client, &format!("/api/v1/{own}/pods?labelSelector=app%3Dorganza-control")).await;
    seen.lease = get(client, &format!("/apis/coordination.k8s.io/v1/{own}/leases/organza-control")).await;
    seen.slice = get(client, &format!("/apis/discovery.k8s.io/v1/{own}/endpointslices/organza-control")).await;
    for kind in ["validatingwebhookconfigurations", "mutatingwebhookconfigurations"] {
        seen.webhooks.push(get(client, &format!("/apis/admissionregistration.k8s.io/v1/{kind}")).await);
    }
    seen.classes = get(client, &format!("{gateway_api}/gatewayclasses")).await;
    seen.gateways = get(client, &format!("{gateway_api}/gateways")).await;
    seen
}

async fn roles(client: &Client, wanted: &[Value]) -> Vec<(String, Value, Answer)> {
    let mut roles = Vec::new();
    for object in wanted.iter().filter(|object| object["apiVersion"] == "rbac.authorization.k8s.io/v1") {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (kind, name) = (text(&object["kind"]), text(&object["metadata"]["name"]));
        let place = match object["metadata"]["namespace"].as_str() {
            Some(namespace) => format!("namespaces/{namespace}/"),
            None => String::new(),
        };
        let path = format!("/apis/rbac.authorization.k8s.io/v1/{place}{}s/{name}", kind.to_lowercase());
        roles.push((format!("{kind} {name}"), object.clone(), get(client, &path).await));
    }
    roles
}
