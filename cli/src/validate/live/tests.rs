use super::*;

#[test]
fn keys_that_proxies_cannot_fetch_are_told_of_the_issuer_that_names_them() {
    let issuer = |uri: &str| {
        let value = json!({"apiVersion": "organza.dev/v1alpha1", "kind": "TokenIssuer", "spec": {"jwks": {"uri": uri}}});
        Object::new(ObjectRef::new("organza.dev", "TokenIssuer", "shop", "corp"), "organza.dev/v1alpha1", value)
    };
    let problem = json!({"severity": "error", "file": "a.yaml", "line": 1, "column": 1, "object": "TokenIssuer shop/corp", "path": "spec.jwks.uri",
        "reason": "KeysNotFetched", "message": "edge cannot fetch its keys", "fix": "mend it"});
    let live = Live {
        objects: vec![issuer("https://issuer.example/a")],
        workloads: Vec::new(),
        calls: Vec::new(),
        called: BTreeMap::new(),
        keyless: vec![serde_json::from_value(problem).unwrap()],
    };
    let told = live.keyless(&[issuer("https://issuer.example/a")]);
    assert_eq!(
        told.iter().map(|one| (one.path_text(), &*one.message)).collect::<Vec<_>>(),
        [("spec.jwks.uri".into(), "edge cannot fetch its keys")]
    );
    // What is elsewhere nobody tried.
    assert_eq!(live.keyless(&[issuer("https://issuer.example/b")]), []);
}
