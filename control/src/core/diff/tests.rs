use super::*;
use serde_json::json;

fn object(group: &str, kind: &str, version: &str, name: &str, mut value: Value) -> Object {
    value["metadata"]["name"] = json!(name);
    Object::new(ObjectRef::new(group, kind, "shop", name), version, value)
}

fn route(path: &str, metadata: Value) -> Object {
    let rule = json!({"matches": [{"path": {"type": "PathPrefix", "value": path}}]});
    let spec = json!({"parentRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge"}], "rules": [rule]});
    object("gateway.networking.k8s.io", "HTTPRoute", "gateway.networking.k8s.io/v1", "one", json!({"metadata": metadata, "spec": spec}))
}

fn service(spec: Value) -> Object {
    object("", "Service", "v1", "web", json!({"metadata": {}, "spec": spec}))
}

/// A cluster's objects as its API server keeps them.
fn there() -> Vec<Object> {
    let written = json!({"creationTimestamp": "2026-01-01T00:00:00Z", "generation": 3, "labels": {"app": "one"}});
    let ports = json!([{"name": "http", "port": 80, "protocol": "TCP", "nodePort": 30080}]);
    let gateway =
        json!({"metadata": {}, "spec": {"gatewayClassName": "organza", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]}});
    vec![
        object("gateway.networking.k8s.io", "Gateway", "gateway.networking.k8s.io/v1", "edge", gateway),
        route("/", written),
        service(json!({"clusterIP": "10.91.0.7", "ports": ports})),
        object("", "ConfigMap", "v1", "words", json!({"metadata": {}, "data": {"ca.crt": "roots"}})),
        object("", "Secret", "v1", "keys", json!({"metadata": {}, "type": "Opaque", "data": {"tls.crt": "b25l"}})),
    ]
}

fn said(in_cluster: bool, files: Vec<Object>) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let (core, _) = crate::open(&crate::tests::config(folder.path()), Arc::new(crate::store::Memory::default())).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _inside = runtime.enter();
    if in_cluster {
        let nobody = kube::Config::new("http://127.0.0.1:9".parse().unwrap());
        core.join_cluster(kube::Client::try_from(nobody).unwrap());
    }
    core.read(crate::files::Read { objects: there(), problems: Vec::new() });
    let before = core.world().generation;
    let diff = core.diff(files);
    assert_eq!((diff.generation, core.world().generation), (before, before), "nothing is changed");
    diff.changes.into_iter().map(|change| change.summary).collect()
}

#[test]
fn what_is_applied_to_a_cluster_takes_nothing_away_and_leaves_what_the_api_server_wrote() {
    let changed = "HTTPRoute one changed: spec.rules[0].matches[0].path.value";
    assert_eq!(said(true, vec![route("/new", json!({}))]), [changed]);
    assert_eq!(said(true, vec![route("/", json!({}))]), [""; 0]);
    let mut told = route("/", json!({}));
    Arc::make_mut(&mut told.value)["status"] = json!({"parents": []});
    assert_eq!(said(true, vec![told]), [""; 0], "a status is nobody's to apply");
    assert_eq!(said(true, vec![service(json!({"ports": [{"name": "http", "port": 80}]}))]), [""; 0]);
    assert_eq!(said(true, vec![service(json!({"ports": [{"name": "http", "port": 81}]}))]), ["Service web changed: spec.ports[0].port"]);
    assert_eq!(said(true, vec![route("/", json!({"labels": {"tier": "front"}}))]), ["HTTPRoute one changed: metadata.labels.tier"]);
    let second = object("gateway.networking.k8s.io", "HTTPRoute", "gateway.networking.k8s.io/v1", "two", json!({"spec": {}}));
    assert_eq!(said(true, vec![second]), ["HTTPRoute two added"]);
}

#[test]
fn what_is_not_read_of_an_object_of_a_cluster_is_no_difference() {
    let words = |roots: &str| {
        let metadata = json!({"annotations": {"team": "web"}});
        object("", "ConfigMap", "v1", "words", json!({"metadata": metadata, "data": {"greeting": "hello", "ca.crt": roots}}))
    };
    assert_eq!(said(true, vec![words("roots")]), [""; 0]);
    assert_eq!(said(true, vec![words("others")]), ["ConfigMap words changed: data.ca.crt"]);
    let keys = |field: &str, certificate: &str| {
        let mut keys = object("", "Secret", "v1", "keys", json!({"metadata": {}, "type": "Opaque"}));
        Arc::make_mut(&mut keys.value)[field] = json!({"tls.crt": certificate, "password": "c2VjcmV0"});
        keys
    };
    assert_eq!(said(true, vec![keys("data", "b25l")]), [""; 0]);
    assert_eq!(said(true, vec![keys("stringData", "one")]), [""; 0]);
    assert_eq!(said(true, vec![keys("stringData", "two")]), ["Secret keys changed: data.tls.crt"]);
}

#[test]
fn files_of_a_mesh_are_all_that_it_has() {
    let said = said(false, vec![route("/new", json!({}))]);
    assert_eq!(said.iter().filter(|what| what.ends_with(" removed")).count(), 4, "{said:?}");
}
