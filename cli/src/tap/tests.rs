use super::*;
use serde_json::json;

#[test]
fn what_was_asked_for_is_in_the_question_whatever_letters_it_has() {
    assert_eq!(asked(&TapQuery::default()), "/v1/tap");
    let query = TapQuery { from: Some("shop/web&x=1".into()), status: Some("5XX".parse().unwrap()), ..TapQuery::default() };
    assert_eq!(asked(&query), "/v1/tap?from=shop%2Fweb%26x%3D1&status=5xx");
    assert!("600".parse::<StatusMatch>().is_err() && "6xx".parse::<StatusMatch>().is_err() && "-1".parse::<StatusMatch>().is_err());
}

#[test]
fn a_request_is_a_line_and_why_it_failed_another() {
    let flow = json!({
        "source_workload": "web-v1", "destination_service": "catalog.shop.svc.cluster.local", "destination_workload": "catalog-v1",
        "method": "GET", "authority": "catalog", "path": "/items", "response_code": 503, "duration_ms": 4.21, "security": "mutual_tls",
        "proxy": "web-v1", "route": "HTTPRoute shop/catalog", "rule": "split", "backend": "shop/catalog-v1:80",
        "fault": "connect_refused", "reason": "127.0.0.1:9 refused the connection", "verdict_by": "Service shop/catalog",
    });
    let told = text(&flow);
    let (line, why) = told.split_once('\n').unwrap();
    assert_eq!(
        line,
        "web-v1 → catalog  GET catalog/items  503  4.2 ms  mTLS  by web-v1  HTTPRoute shop/catalog split → shop/catalog-v1:80"
    );
    assert_eq!(why.trim(), "connect_refused: 127.0.0.1:9 refused the connection (by Service shop/catalog)");
    let refused = json!({
        "source_workload": "gateway-edge", "source_address": "10.0.0.9:4711", "destination_workload": "unknown", "listener": "shop/edge/grpc",
        "method": "POST", "authority": "shop.example", "path": "/shop.Admin/Say", "response_code": 200, "grpc_status": 7, "duration_ms": 0.0,
        "security": "none", "proxy": "gateway-edge", "fault": "access_denied",
    });
    let line = "a stranger at 10.0.0.9:4711 → gateway-edge  POST shop.example/shop.Admin/Say  gRPC 7 PERMISSION_DENIED  0.0 ms  plain  by gateway-edge";
    assert_eq!(text(&refused).lines().next(), Some(line));
    assert_eq!(text(&json!({"dropped": 7})), "… 7 more were too many to be told");
}

#[test]
fn a_request_concerns_the_namespaces_of_both_its_ends() {
    let flow =
        json!({"source_namespace": "web", "destination_namespace": "shop", "destination_service": "catalog.stock.svc.cluster.local"});
    for (namespace, told) in
        [(&["-n", "web"][..], true), (&["-n", "shop"], true), (&["-n", "stock"], true), (&["-n", "dev"], false), (&[], true)]
    {
        assert_eq!(concerns(&flow, &NamespaceFlag::of(namespace)), told, "{namespace:?}");
    }
    assert!(concerns(&json!({"dropped": 7}), &NamespaceFlag::of(&["-n", "dev"])), "some of them may have been of it");
}
