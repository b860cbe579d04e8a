use super::*;
use serde_json::from_value;

fn services() -> ServiceList {
    let endpoint = |id: &str, ejected: Value| json!({"id": id, "address": "127.0.0.1:1", "workload": "", "revision": "", "healthy": true, "tunnel": "organza", "ejected": ejected});
    let service = |name: &str, endpoints: Value, breakers: Value| json!({"namespace": "default", "name": name, "hostnames": [], "ports": [], "identities": [], "endpoints": endpoints, "breakers": breakers, "crowded": [{"proxy": "web-1", "open": 4, "limit": 4, "waiting": 2}, {"proxy": "edge-1", "open": 9, "limit": 9, "waiting": 0}]});
    let out = |proxy: &str, left: u64| json!({"proxy": proxy, "cause": "5 × 503", "since_millis": 12_400, "left_millis": left});
    let sick = json!({"proxy": "web-1", "cause": "GET /healthz answered 503 (3 in a row)", "since_millis": 4000, "left_millis": 0, "unhealthy": true});
    let open = |proxy: &str| json!({"proxy": proxy, "percent": 60, "requests": 20, "since_millis": 3000, "half_open": proxy == "web-1"});
    let items = json!([
        service(
            "catalog",
            json!([
                endpoint("catalog-0", json!([out("web-1", 17_100), out("edge-1", 0)])),
                endpoint("catalog-1", json!([out("web-1", 0), sick]))
            ]),
            json!([open("edge-1"), open("web-1")])
        ),
        service("ratings", json!([endpoint("ratings-0", json!([out("web-1", 0)]))]), json!([open("web-1")])),
        service("catalog-v2", json!([endpoint("catalog-v2-0", json!([out("edge-1", 0)]))]), json!([])),
    ]);
    from_value(json!({"generation": 1, "items": items})).expect("services")
}

#[test]
fn what_the_proxy_found_out_is_told_and_nothing_of_others() {
    let state = State::of(&services(), "web-1", &["default/catalog:80", "default/catalog-v2:80"]);
    let want = [
        "left out   default/catalog catalog-0: ejected 12 s ago after 5 × 503; tried again in 18 s",
        "           default/catalog catalog-1: ejected 12 s ago after 5 × 503; a request tries it now",
        "           default/catalog catalog-1: unhealthy for 4 s: GET /healthz answered 503 (3 in a row)",
        "breaker    default/catalog half-open for 3 s after 60 % of 20 requests failed",
        "full       default/catalog 4 of 4 connections are open, 2 calls wait for one",
        "           default/catalog-v2 4 of 4 connections are open, 2 calls wait for one",
    ];
    assert_eq!(state.lines(), want);
    let told = state.to_json();
    assert_eq!(
        told["left_out"][2],
        json!({"service": "default/catalog", "endpoint": "catalog-1", "state": "unhealthy", "cause": "GET /healthz answered 503 (3 in a row)", "since_ms": 4000, "left_ms": 0})
    );
    assert_eq!(
        told["breakers"],
        json!([{"service": "default/catalog", "state": "half_open", "percent": 60, "requests": 20, "since_ms": 3000}])
    );
    assert!(State::of(&services(), "web-2", &["default/catalog:80"]).lines().is_empty());
    assert!(State::of(&services(), "web-1", &["default/cat:80", "example.com:80"]).lines().is_empty());
}
