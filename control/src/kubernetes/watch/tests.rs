use super::*;
use serde_json::json;

#[test]
fn what_a_watch_says_is_kept_slender_and_named_by_its_kind() {
    let name = KindName { group: "gateway.networking.k8s.io".into(), kind: "HTTPRoute".into() };
    // Items of a list name neither apiVersion nor kind.
    let object: DynamicObject = serde_json::from_value(json!({
        "metadata": {
            "name": "r", "namespace": "shop", "uid": "u", "resourceVersion": "7", "generation": 2,
            "managedFields": [{"manager": "kubectl"}], "deletionTimestamp": "2026-01-01T00:00:00Z",
            "finalizers": ["example.com/theirs", "gateway-exists-finalizer.gateway.networking.k8s.io"],
        },
        "spec": {"hostnames": ["a"]}, "status": {"parents": []},
    }))
    .unwrap();
    let kept = kept(object, &name, "gateway.networking.k8s.io/v1").unwrap();
    assert_eq!((kept.uid.as_str(), kept.version.as_str(), kept.ending, kept.held), ("u", "7", true, true));
    assert_eq!(kept.status(), json!({"parents": []}));
    assert_eq!(kept.object.object, ObjectRef::new("gateway.networking.k8s.io", "HTTPRoute", "shop", "r"));
    let value = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": "r", "namespace": "shop", "generation": 2}, "spec": {"hostnames": ["a"]},
    });
    assert_eq!(*kept.object.value, value);
}

#[test]
fn pauses_grow_while_a_watch_only_begins() {
    let mut pauses = Pauses::default();
    let mut told = Vec::new();
    for _ in 0..9 {
        told.extend(pauses.next().map(|pause| pause.as_millis()));
        pauses.reset();
    }
    assert_eq!(told, [200, 400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000]);
    pauses.reset();
    assert_eq!(pauses.next(), Some(limits::API_PAUSE.0));
}
