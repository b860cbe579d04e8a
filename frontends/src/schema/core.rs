//! Schemas of the few core kinds that are read. They are ours: all fields of Kubernetes' API are named, so that a mistake in typing is seen, and the
//! types of those that matter here are checked.

use serde_json::{Map, Value, json};

/// apiVersion and kind.
pub const KINDS: &[(&str, &str)] =
    &[("v1", "Service"), ("v1", "Namespace"), ("v1", "Secret"), ("v1", "ConfigMap"), ("discovery.k8s.io/v1", "EndpointSlice")];

pub fn schema(api_version: &str, kind: &str) -> Option<Value> {
    let properties = match (api_version, kind) {
        ("v1", "Service") => json!({ "spec": service_spec(), "status": free() }),
        ("v1", "Namespace") => json!({ "spec": free(), "status": free() }),
        ("v1", "Secret") => json!({
            "type": { "type": "string" }, "immutable": { "type": "boolean" }, "data": texts(), "stringData": texts(),
        }),
        ("v1", "ConfigMap") => json!({ "immutable": { "type": "boolean" }, "data": texts(), "binaryData": texts() }),
        ("discovery.k8s.io/v1", "EndpointSlice") => endpoint_slice(),
        _ => return None,
    };
    let mut all = Map::new();
    all.insert("apiVersion".into(), json!({ "type": "string" }));
    all.insert("kind".into(), json!({ "type": "string" }));
    all.insert("metadata".into(), free());
    all.extend(properties.as_object().cloned().unwrap_or_default());
    let required = if kind == "EndpointSlice" { json!(["addressType"]) } else { json!([]) };
    Some(json!({ "type": "object", "properties": all, "required": required }))
}

fn free() -> Value {
    json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

fn texts() -> Value {
    json!({ "type": "object", "additionalProperties": { "type": "string" } })
}

fn list(items: Value) -> Value {
    json!({ "type": "array", "items": items })
}

fn port() -> Value {
    json!({ "type": "integer", "minimum": 1, "maximum": 65535 })
}

fn service_spec() -> Value {
    let text = json!({ "type": "string" });
    let port = json!({
        "type": "object",
        "required": ["port"],
        "properties": {
            "name": text, "port": port(), "protocol": { "type": "string", "enum": ["TCP", "UDP", "SCTP"] },
            "targetPort": { "anyOf": [port(), { "type": "string", "minLength": 1, "maxLength": 63 }] },
            "nodePort": { "type": "integer" }, "appProtocol": text,
        },
    });
    let ports = json!({ "type": "array", "items": port, "x-kubernetes-list-map-keys": ["port", "protocol"] });
    json!({
        "type": "object",
        "properties": {
            "ports": ports, "selector": texts(), "clusterIP": text, "clusterIPs": list(text.clone()),
            "type": { "type": "string", "enum": ["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"] },
            "externalIPs": list(text.clone()), "externalName": text, "externalTrafficPolicy": text, "internalTrafficPolicy": text,
            "sessionAffinity": text, "sessionAffinityConfig": free(), "loadBalancerIP": text,
            "loadBalancerSourceRanges": list(text.clone()), "loadBalancerClass": text, "allocateLoadBalancerNodePorts": { "type": "boolean" },
            "healthCheckNodePort": { "type": "integer" }, "publishNotReadyAddresses": { "type": "boolean" },
            "ipFamilies": list(text.clone()), "ipFamilyPolicy": text, "trafficDistribution": text,
        },
    })
}

fn endpoint_slice() -> Value {
    let text = json!({ "type": "string" });
    let flag = json!({ "type": "boolean" });
    let endpoint = json!({
        "type": "object",
        "required": ["addresses"],
        "properties": {
            "addresses": { "type": "array", "items": text, "minItems": 1, "maxItems": 100 },
            "conditions": { "type": "object", "properties": { "ready": flag, "serving": flag, "terminating": flag } },
            "deprecatedTopology": texts(), "hints": free(), "hostname": text, "nodeName": text, "targetRef": free(), "zone": text,
        },
    });
    let port = json!({
        "type": "object",
        "properties": { "name": text, "port": port(), "protocol": text, "appProtocol": text },
    });
    json!({
        "addressType": { "type": "string", "enum": ["IPv4", "IPv6", "FQDN"] },
        "endpoints": list(endpoint),
        "ports": { "type": "array", "items": port },
    })
}
