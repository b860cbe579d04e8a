//! What is kept of an object of a cluster: what translation reads, and nothing else. Most of what an API server sends is said for others (who wrote
//! which field, what a controller last saw), changes often, and would make a new world each time; keys of Secrets that nobody shows are not held at all.

use serde_json::{Map, Value};

/// Fields of a Secret that are read: certificates, their keys, and authorities.
const SECRET_FIELDS: &[&str] = &["tls.crt", "tls.key", "ca.crt"];
/// Fields of a ConfigMap that are read: authorities.
const CONFIG_MAP_FIELDS: &[&str] = &["ca.crt"];
/// `generation` is the number of what was written: a status says of which it is.
const METADATA: &[&str] = &["name", "namespace", "labels", "annotations", "creationTimestamp", "generation"];
/// As long as the object itself, and says nothing that the object does not: its secrets too.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
const SERVICE: &[&str] = &[
    "type",
    "clusterIP",
    "clusterIPs",
    "externalName",
    "ipFamilies",
    "ports",
    "publishNotReadyAddresses",
    "selector",
    "sessionAffinity",
    "trafficDistribution",
];
const ENDPOINT: &[&str] = &["addresses", "conditions", "hints", "nodeName", "zone"];

/// Leaves out what is not read, and hands back the status, which is ours to write and not to read.
pub fn slim(group: &str, kind: &str, value: &mut Value) -> Value {
    let Some(object) = value.as_object_mut() else { return Value::Null };
    let status = object.remove("status").unwrap_or(Value::Null);
    let is_core = matches!(group, "" | "discovery.k8s.io");
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        // Annotations of core objects are notes of controllers; their generation, where they have one, is asked for by nobody.
        metadata.retain(|field, _| METADATA.contains(&field.as_str()) && !(is_core && matches!(&**field, "annotations" | "generation")));
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove(LAST_APPLIED);
        }
    }
    if is_core {
        slim_core(kind, object);
    }
    status
}

fn slim_core(kind: &str, object: &mut Map<String, Value>) {
    let mut keep =
        |top: &[&str]| object.retain(|field, _| matches!(&**field, "apiVersion" | "kind" | "metadata") || top.contains(&&**field));
    match kind {
        "Secret" => {
            keep(&["type", "data"]);
            retain(object.get_mut("data"), SECRET_FIELDS);
        }
        "ConfigMap" => {
            keep(&["data"]);
            retain(object.get_mut("data"), CONFIG_MAP_FIELDS);
        }
        "Service" => {
            keep(&["spec"]);
            retain(object.get_mut("spec"), SERVICE);
        }
        "EndpointSlice" => {
            keep(&["addressType", "endpoints", "ports"]);
            let endpoints = object.get_mut("endpoints").and_then(Value::as_array_mut);
            endpoints.into_iter().flatten().for_each(|endpoint| retain(Some(endpoint), ENDPOINT));
        }
        _ => keep(&[]),
    }
}

fn retain(value: Option<&mut Value>, fields: &[&str]) {
    if let Some(object) = value.and_then(Value::as_object_mut) {
        object.retain(|field, _| fields.contains(&field.as_str()));
    }
}

#[cfg(test)]
mod tests;
