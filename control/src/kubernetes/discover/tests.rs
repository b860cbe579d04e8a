use super::*;
use serde_json::json;

fn list(group_version: &str, kinds: &[(&str, &str)]) -> APIResourceList {
    let resources: Vec<Value> = kinds
        .iter()
        .map(|(name, kind)| json!({"name": name, "kind": kind, "namespaced": true, "singularName": "", "verbs": ["list", "watch"]}))
        .collect();
    serde_json::from_value(json!({"groupVersion": group_version, "resources": resources})).unwrap()
}

fn kind(group: &str, kind: &str) -> KindName {
    KindName { group: group.into(), kind: kind.into() }
}

#[test]
fn the_most_stable_version_is_taken_and_what_is_not_there_is_named() {
    let lists = [
        list("v1", &[("services", "Service"), ("services/status", "Service")]),
        list("g/v1alpha2", &[("routes", "Route"), ("olds", "Old")]),
        list("g/v1beta1", &[("routes", "Route")]),
        list("g/v1", &[("routes/status", "Route")]),
        list("g/v1alpha3", &[("olds", "Old")]),
        list("other/v1", &[("news", "New")]),
    ];
    let wanted = [kind("", "Service"), kind("g", "Route"), kind("g", "Old"), kind("g", "New")];
    let found = choose(&wanted, &lists);
    let named: Vec<_> = found.kinds.iter().map(|s| format!("{} {}", s.resource.api_version, s.resource.plural)).collect();
    assert_eq!(named, ["v1 services", "g/v1beta1 routes", "g/v1alpha3 olds"]);
    assert_eq!(found.missing, [kind("g", "New")]);
}

#[test]
fn versions_are_ordered_as_kubernetes_has_it() {
    let mut versions = ["v1alpha1", "v2", "v1", "v1beta2", "v1beta1", "v1alpha3", "strange"];
    versions.sort_by_key(|version| std::cmp::Reverse(rank(version)));
    assert_eq!(versions, ["v2", "v1", "v1beta2", "v1beta1", "v1alpha3", "v1alpha1", "strange"]);
}

#[test]
fn releases_that_nobody_knows_yet_are_not_understood() {
    let understood = |version: &str| is_understood(&Bundle { version: version.into(), channel: "standard".into() });
    assert!(understood("v1.6.3") && understood("v1.7.0"));
    assert!(!understood("v1.8.0") && !understood("v2.0.0") && !understood("v0.8.1") && !understood("main"));
}

#[test]
fn all_kinds_that_files_may_hold_are_wanted() {
    assert!(wanted().contains(&kind("gateway.networking.k8s.io", "HTTPRoute")));
    assert!(wanted().contains(&kind("", "Secret")));
    assert!(wanted().contains(&kind("organza.dev", "AccessPolicy")));
}

#[test]
fn a_definition_by_which_nothing_will_be_listed_is_none() {
    let crd = json!({
        "metadata": {"name": "routes.g"},
        "spec": {"versions": [{"name": "v1alpha1", "served": false}, {"name": "v1", "served": true}]},
        "status": {"conditions": [{"type": "NamesAccepted", "status": "True"}, {"type": "Established", "status": "True"}]},
    });
    assert!(is_served(&crd));
    for (pointer, value) in [
        ("/metadata/deletionTimestamp", json!("2026-01-01T00:00:00Z")),
        ("/spec/versions/1/served", json!(false)),
        ("/spec/versions", json!([])),
        ("/status/conditions/1/status", json!("False")),
        ("/status", Value::Null),
    ] {
        let mut other = crd.clone();
        match pointer.strip_prefix("/metadata/") {
            Some(field) => other["metadata"][field] = value,
            None => *other.pointer_mut(pointer).unwrap() = value,
        }
        assert!(!is_served(&other), "{pointer}");
    }
}
