use super::target::Kind;
use super::*;

mod services;

fn condition(kind: &str, status: &str, reason: &str) -> Value {
    json!({"type": kind, "status": status, "reason": reason, "message": ""})
}

#[test]
fn a_bad_condition_is_shown_with_its_reason_and_a_good_one_by_name() {
    let mut object = json!({
        "group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "default", "name": "catalog", "place": "routes.yaml:3",
        "conditions": [], "parents": [{"kind": "Service", "namespace": "default", "name": "catalog", "conditions": [
            condition("Accepted", "True", "Accepted"), condition("ResolvedRefs", "True", "ResolvedRefs"), condition("Conflicted", "False", "NoConflicts"),
        ]}], "applied": 5, "concerned": 6,
    });
    let good = tables::shown(Kind::Objects, &object, false).expect("an object");
    assert_eq!(good.cells[..5], ["HTTPRoute", "catalog", "Accepted,ResolvedRefs", "5 of 6", "routes.yaml:3"]);
    assert_eq!(good.full_name(), "httproute.gateway.networking.k8s.io/catalog");
    object["parents"][0]["conditions"][1] = condition("ResolvedRefs", "False", "BackendNotFound");
    let bad = tables::shown(Kind::Objects, &object, false).expect("an object");
    assert_eq!(bad.cells[2], "ResolvedRefs=False (BackendNotFound)");
}

/// The page and the tables say the same of an object.
#[test]
fn the_dashboard_knows_which_conditions_are_good_when_false() {
    let words = include_str!("../../../dashboard/src/lib/words.ts");
    let line = words.lines().find(|line| line.starts_with("const NEGATIVE = [")).expect("the list");
    let negative: Vec<&str> = line.split('\'').skip(1).step_by(2).collect();
    assert_eq!(negative, ["Conflicted", "PartiallyInvalid", "OverlappingTLSConfig", "organza.dev/NeedsHttp"]);
    let is_bad = |kind: &str, status: &str| tables::is_bad(&serde_json::from_value(condition(kind, status, "")).unwrap());
    for kind in negative {
        assert!(is_bad(kind, "True") && !is_bad(kind, "False"), "{kind}");
    }
    assert!(is_bad("Accepted", "False") && !is_bad("Accepted", "True"));
}

#[test]
fn every_kind_has_as_many_cells_as_heads() {
    let items = [
        (
            Kind::Proxies,
            json!({"name": "web-v1", "role": "workload", "namespace": "default", "service": "web", "revision": "v1", "identity": "spiffe://x",
            "version": "0.1.0", "connected": true, "acknowledged": 4, "resources": 9, "mtls": true, "since": 0}),
        ),
        (
            Kind::Services,
            json!({"namespace": "default", "name": "web", "hostnames": ["web"], "ports": [{"number": 80, "protocol": "http"}],
            "endpoints": [], "identities": []}),
        ),
        (
            Kind::Routes,
            json!({"kind": "HTTPRoute", "namespace": "default", "name": "catalog", "place": "routes.yaml:3", "hosts": [], "parents": ["catalog"],
            "rules": [{"name": "split", "backends": [{"weight": 90, "backend": "default/a:80", "valid": true}, {"weight": 10, "backend": "default/b:80", "valid": true}]}],
            "conditions": [], "applied": 6, "concerned": 6}),
        ),
        (
            Kind::Edges,
            json!({"source_namespace": "default", "source": "web", "source_version": "v1", "service_namespace": "default", "service": "catalog",
            "destination_namespace": "default", "destination": "catalog", "destination_version": "v2", "protocol": "http", "security": "mtls",
            "requests": 10, "failures": 0, "retries": 0, "requests_per_second": 5.0, "success_rate": 0.99999, "p50_millis": 1.5, "p99_millis": null}),
        ),
        (
            Kind::Calls,
            json!({"source": "spiffe://organza.local/ns/shop/sa/web", "source_services": ["shop/web"], "namespace": "default", "service": "catalog",
            "port": 80, "protocol": "http", "method": "GET", "path": "/items/{id}", "allowed": 12, "denied": 1, "first_seen": 0, "last_seen": 0}),
        ),
        (
            Kind::Certificates,
            json!({"identity": "spiffe://x", "kind": "workload", "proxy": "web-v1", "issuer": "y", "not_before": 0, "not_after": 1}),
        ),
    ];
    for (kind, item) in items {
        let shown = tables::shown(kind, &item, false).expect("an item");
        assert_eq!(tables::head(kind, true).len(), shown.cells.len(), "{kind:?}");
        match kind {
            Kind::Routes => assert_eq!(shown.cells[3], "90/10"),
            Kind::Edges => assert_eq!(shown.cells[..8], ["web v1", "catalog v2", "5.0", "99.99 %", "0", "1.5 ms", "–", "mTLS"]),
            Kind::Calls => assert_eq!(shown.cells[..6], ["shop/web", "catalog", "80", "GET", "/items/{id}", "12"]),
            Kind::Certificates => assert_eq!(shown.cells[3], "expired"),
            _ => {}
        }
    }
}

#[test]
fn a_document_is_what_was_written_with_its_status() {
    let object: wire::api::Object = serde_json::from_value(json!({
        "group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "shop", "name": "catalog", "place": "routes.yaml:3",
        "manifest": {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "catalog"}, "spec": {"rules": []},
            "status": {"a file": "says nothing of its status"}},
        "conditions": [condition("organza.dev/Applied", "True", "Applied")],
        "parents": [{"group": "", "kind": "Service", "namespace": "shop", "name": "catalog", "port": 80, "conditions": [condition("Accepted", "True", "Accepted")]}],
        "applied": 6, "concerned": 6,
    }))
    .expect("an object");
    let document = manifest::whole(&object, None, None);
    assert_eq!(document["spec"], json!({"rules": []}));
    let parent = &document["status"]["parents"][0];
    assert_eq!(parent["parentRef"], json!({"group": "", "kind": "Service", "namespace": "shop", "name": "catalog", "port": 80}));
    assert_eq!(parent["conditions"][0]["type"], "Accepted");
    assert_eq!(document["status"]["conditions"][0]["type"], "organza.dev/Applied");
    assert!(document["status"].get("a file").is_none());
}

#[test]
fn what_a_proxy_refuses_or_cannot_be_given_is_named() {
    let mut item = json!({"name": "orders", "role": "workload", "namespace": "shop", "service": "orders", "revision": "", "identity": "spiffe://x",
        "version": "0.0.9", "connected": true, "acknowledged": 4, "resources": 9, "mtls": true, "since": 0});
    let cells = |item: &Value| tables::shown(Kind::Proxies, item, false).expect("a proxy").cells;
    assert_eq!((cells(&item)[5].as_str(), cells(&item)[9].as_str()), ("0", "–"));
    item["refused"] = json!({"files/consumer/shop/consumer.acme": "this release does not know the kind", "files/route/shop/a": "why"});
    assert_eq!((cells(&item)[5].as_str(), cells(&item)[9].as_str()), ("2", "files/consumer/shop/consumer.acme, files/route/shop/a"));
    assert_eq!(tables::head(Kind::Proxies, true)[9], "LACKS");
}

#[test]
fn each_day_of_what_consumers_used_is_asked_for_where_it_is_shown() {
    assert_eq!(answer::question(Kind::Consumers, true), "/v1/consumers?days=true");
    assert_eq!(answer::question(Kind::Consumers, false), "/v1/consumers");
    assert_eq!(answer::question(Kind::Services, true), "/v1/services");
}

/// What a command line says.
#[derive(clap::Parser)]
struct Typed {
    #[command(flatten)]
    args: GetArgs,
}

#[tokio::test(start_paused = true)]
async fn a_control_plane_that_is_gone_is_watched_for_so_long_and_no_longer() {
    let args = <Typed as clap::Parser>::parse_from(["get", "routes", "-w"]).args;
    let nobody = Client::admin(std::path::Path::new("/nowhere/control.sock"), "control");
    let target = target::parse(&args.what).expect("targets").remove(0);
    let begun = Instant::now();
    let watched = watch(&nobody, &args, vec![Answer::empty(target)], vec![None]);
    let gone = tokio::time::timeout(limits::WATCH_PATIENCE * 2, watched).await.expect("it is given up").expect_err("nobody is there");
    assert_eq!(gone.code, Code::Unreachable);
    assert!(begun.elapsed() >= limits::WATCH_PATIENCE && begun.elapsed() <= limits::WATCH_PATIENCE + limits::WATCH_EVERY);
}
