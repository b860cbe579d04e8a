use super::*;
use serde_json::json;

#[test]
fn each_hop_says_what_decided_and_why_it_ended_so() {
    let caller = json!({
        "method": "GET", "authority": "catalog", "path": "/items\u{1b}[2J", "proxy": "web-1", "reporter": "source", "security": "mutual_tls",
        "source_workload": "web", "destination_service": "catalog.shop.svc.cluster.local", "route": "HTTPRoute shop/catalog", "rule": "rule-0",
        "match_index": 1, "filters": ["RequestHeaderModifier"], "backend": "shop/catalog-v1:80", "endpoint": "127.0.0.1:9001", "attempt": 2,
        "response_code": 403, "duration_ms": 1.5, "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "generation": 7,
    });
    let called = json!({
        "method": "GET", "path": "/items", "proxy": "catalog-1", "reporter": "destination", "security": "mutual_tls", "attempt": 1,
        "source_principal": "spiffe://organza.local/ns/shop/sa/web", "destination_workload": "catalog", "response_code": 403, "duration_ms": 0.2,
        "fault": "access_denied", "reason": "no rule allows it", "verdict_by": "AccessPolicy shop/catalog", "verdict_rule": "admins",
    });
    let want = "\
GET catalog/items\u{fffd}[2J at web-1 (source, mutual_tls)
  from       web
  to         catalog.shop.svc.cluster.local
  decided by HTTPRoute shop/catalog, rule-0, match 1
  filters    RequestHeaderModifier
  backend    shop/catalog-v1:80 at 127.0.0.1:9001
  tries      2, the last was answered
  answer     403 after 1.5 ms
  trace      4bf92f3577b34da6a3ce929d0e0e4736
  generation 7

GET /items at catalog-1 (destination, mutual_tls)
  from       spiffe://organza.local/ns/shop/sa/web
  to         catalog
  answer     403 after 0.2 ms
  why        access_denied: no rule allows it, by AccessPolicy shop/catalog, rule admins
";
    assert_eq!(text(&[caller, called]), want);
    let stranger = json!({
        "method": "GET", "authority": "shop.example", "path": "/admin", "proxy": "edge", "reporter": "source", "security": "tls", "listener": "shop/edge/web",
        "source_principal": "spiffe://organza.local/ns/shop/sa/edge", "source_workload": "edge", "source_address": "10.0.0.9:4711",
        "token_issuer": "https://issuer.example", "token_subject": "ann", "response_code": 403, "fault": "access_denied",
    });
    let want = "\
GET shop.example/admin at edge (source, tls)
  from       a stranger at 10.0.0.9:4711
  token      ann, issued by https://issuer.example
  listener   shop/edge/web
  answer     403 after ? ms
  why        access_denied
";
    assert_eq!(text(&[stranger]), want);
    assert_eq!(text(&[json!({"protocol": "tcp", "proxy": "web-1"})]), "TCP at web-1 (source, none)\n");
}

#[test]
fn what_a_reason_says_itself_is_not_said_again() {
    let told = |fault: &str, reason: &str| {
        let line = json!({"fault": fault, "reason": reason, "verdict_by": "AccessPolicy shop/cut-path", "verdict_rule": "cut"});
        why(&line).unwrap()
    };
    let by = "denied by rule cut of AccessPolicy shop/cut-path";
    assert_eq!(told("access_denied", by), format!("access_denied: {by}"));
    assert_eq!(told("access_denied", "no"), "access_denied: no, by AccessPolicy shop/cut-path, rule cut");
    let closed = "downstream_closed: the caller went away";
    assert_eq!(why(&json!({"fault": "downstream_closed", "reason": closed})).unwrap(), closed);
    assert_eq!(why(&json!({"fault": "timeout"})).unwrap(), "timeout");
    assert_eq!(why(&json!({})), None);
}
