//! Which crate may name which: the table of `ARCHITECTURE.md`. An edge that is not here is refused, also in tests, except for `testkit`,
//! which tests alone may use.

use super::texts;
use serde_json::Value;

/// (crate, what of ours it may depend on).
pub const WALLS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("policy", &["model"]),
    ("routing", &["model"]),
    ("frontends", &["model"]),
    ("wire", &["model"]),
    ("identity", &["model"]),
    ("telemetry", &["model"]),
    ("uring", &[]),
    ("resident", &[]),
    ("transport", &["model", "identity", "telemetry", "uring"]),
    ("control", &["model", "frontends", "wire", "identity", "telemetry"]),
    ("proxy", &["model", "policy", "routing", "wire", "identity", "telemetry", "transport"]),
    ("cli", &["model", "policy", "resident", "routing", "frontends", "wire", "identity", "telemetry", "transport", "control", "proxy"]),
    ("testkit", &["model", "policy", "routing", "frontends", "wire", "identity", "telemetry", "transport", "control", "proxy"]),
    ("fuzz", &["model", "policy", "routing", "frontends", "wire", "identity", "telemetry", "transport"]),
    ("xtask", &[]),
];

/// What a crate must not depend on though it is not ours: the language has no outside words.
const FOREIGN: &[(&str, &[&str])] = &[
    ("model", &["kube", "k8s-openapi", "prost", "tonic", "serde", "serde_json", "tokio", "hyper", "rustls"]),
    ("policy", &["tokio", "hyper", "serde", "serde_json", "prost", "tonic", "rustls"]),
    ("routing", &["tokio", "hyper", "serde", "prost", "tonic", "rustls"]),
    ("frontends", &["tokio", "hyper", "prost", "tonic", "rustls"]),
    ("xtask", &["tokio", "clap"]),
];

pub fn check(metadata: &Value) -> Vec<String> {
    let members: Vec<&str> = texts(metadata, "workspace_members").collect();
    let ours: Vec<&Value> = metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|p| p["id"].as_str().is_some_and(|id| members.contains(&id)))
        .collect();
    let names: Vec<&str> = ours.iter().filter_map(|package| package["name"].as_str()).collect();
    ours.iter().flat_map(|package| of_crate(package, &names)).collect()
}

fn of_crate(package: &Value, ours: &[&str]) -> Vec<String> {
    let name = package["name"].as_str().unwrap_or_default();
    let Some((_, allowed)) = WALLS.iter().find(|(crate_name, _)| *crate_name == name) else {
        return vec![format!("{name}/Cargo.toml: crate {name} has no line in the table of walls")];
    };
    let foreign = FOREIGN.iter().find(|(crate_name, _)| *crate_name == name).map_or(&[][..], |(_, refused)| *refused);
    let mut complaints = Vec::new();
    for dependency in package["dependencies"].as_array().into_iter().flatten() {
        let to = dependency["name"].as_str().unwrap_or_default();
        let normal = dependency["kind"].is_null();
        let optional = dependency["optional"].as_bool().unwrap_or(false);
        if ours.contains(&to) && !allowed.contains(&to) && (normal || to != "testkit") {
            complaints.push(format!("{name}/Cargo.toml: {name} may not depend on {to}"));
        }
        if normal && !optional && foreign.contains(&to) {
            complaints.push(format!("{name}/Cargo.toml: {name} may not know {to}"));
        }
    }
    complaints
}

#[cfg(test)]
mod tests;
