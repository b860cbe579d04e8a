use super::*;
use serde_json::json;

fn package(name: &str, dependencies: &[(&str, Option<&str>)]) -> Value {
    let dependencies: Vec<Value> = dependencies.iter().map(|(name, kind)| json!({"name": name, "kind": kind, "optional": false})).collect();
    json!({"id": name, "name": name, "dependencies": dependencies})
}

#[test]
fn edges_point_down_only() {
    let metadata = json!({
        "workspace_members": ["model", "control", "proxy", "testkit", "stray"],
        "packages": [
            package("model", &[("serde", None)]),
            package("control", &[("model", None), ("proxy", None), ("testkit", Some("dev"))]),
            package("proxy", &[("testkit", None)]),
            package("testkit", &[]),
            package("stray", &[]),
        ],
    });
    assert_eq!(
        check(&metadata),
        [
            "model/Cargo.toml: model may not know serde",
            "control/Cargo.toml: control may not depend on proxy",
            "proxy/Cargo.toml: proxy may not depend on testkit",
            "stray/Cargo.toml: crate stray has no line in the table of walls",
        ]
    );
}

#[test]
fn the_table_has_no_cycle() {
    for (position, (name, allowed)) in WALLS.iter().enumerate() {
        for below in *allowed {
            let at = WALLS.iter().position(|(other, _)| other == below).expect("a crate of the table");
            assert!(at < position, "{name} may depend on {below}, which stands above it");
        }
    }
}
