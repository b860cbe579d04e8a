//! Objects of a large cluster, for the programs that measure one (`control/examples/world.rs`, `bench/scale.rs`). Each takes it in by its path.

use serde_json::{Value, json};

pub const NAMESPACE: &str = "shop";
const GATEWAY_API: &str = "gateway.networking.k8s.io/v1";

fn object(api_version: &str, kind: &str, name: &str, mut rest: Value) -> Value {
    rest["apiVersion"] = api_version.into();
    rest["kind"] = kind.into();
    rest["metadata"]["name"] = name.into();
    rest["metadata"]["namespace"] = NAMESPACE.into();
    rest
}

pub fn gateway() -> Value {
    let spec = json!({"gatewayClassName": "organza", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]});
    object(GATEWAY_API, "Gateway", "edge", json!({ "spec": spec }))
}

pub fn service(at: usize) -> Value {
    object("v1", "Service", &format!("s{at}"), json!({"spec": {"ports": [{"name": "http", "port": 80, "targetPort": 8080}]}}))
}

/// With each odd change the first of its endpoints is not ready.
pub fn slice(at: usize, each: usize, change: usize) -> Value {
    let endpoint = |i: usize| {
        json!({"addresses": [format!("10.{}.{}.{}", 16 + at / 256, at % 256, i + 1)], "conditions": {"ready": i != 0 || change.is_multiple_of(2)},
            "nodeName": format!("node-{}", i % 7)})
    };
    let rest = json!({
        "metadata": {"labels": {"kubernetes.io/service-name": format!("s{at}")}},
        "addressType": "IPv4", "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": (0..each).map(endpoint).collect::<Vec<_>>(),
    });
    object("discovery.k8s.io/v1", "EndpointSlice", &format!("s{at}-abcde"), rest)
}

pub fn route(at: usize, services: usize, change: usize) -> Value {
    let spec = json!({
        "parentRefs": [{"name": "edge"}], "hostnames": [format!("h{}.example.com", at / 10)],
        "rules": [{
            "matches": [{"path": {"type": "PathPrefix", "value": format!("/p{}", at % 10)}}],
            "filters": [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x-edge", "value": change.to_string()}]}}],
            "backendRefs": [{"name": format!("s{}", at % services), "port": 80}],
        }],
    });
    object(GATEWAY_API, "HTTPRoute", &format!("r{at}"), json!({ "spec": spec }))
}
