//! What the program is made of, as CycloneDX 1.6 (JSON): crates that are compiled into it, with version, licence and the registry's checksum. Build programs
//! and what only tests use are not in it. No time and no serial number, so that the same lock file gives the same list.

use crate::process;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

pub fn cyclonedx(version: &str) -> Result<String> {
    let arguments = ["metadata", "--format-version", "1", "--locked", "--filter-platform", "x86_64-unknown-linux-gnu"];
    let metadata: Value = serde_json::from_str(&process::output(&process::cargo(), &arguments)?).context("cargo metadata")?;
    let lock = std::fs::read_to_string(crate::root().join("Cargo.lock"))?;
    let text = serde_json::to_string_pretty(&document(version, &metadata, &checksums(&lock)))?;
    Ok(text + "\n")
}

fn document(version: &str, metadata: &Value, checksums: &BTreeMap<(String, String), String>) -> Value {
    let linked = linked(metadata, "cli");
    let mut parts: Vec<Value> = metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|package| linked.contains(package["id"].as_str().unwrap_or_default()))
        // Ours are the program itself.
        .filter(|package| !package["source"].is_null())
        .map(|package| component(package, checksums))
        .collect();
    parts.sort_by(|a, b| a["purl"].as_str().cmp(&b["purl"].as_str()));
    json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": { "component": {
            "type": "application", "name": "organza", "version": version, "licenses": [{ "license": { "id": "Apache-2.0" } }],
        } },
        "components": parts,
    })
}

fn component(package: &Value, checksums: &BTreeMap<(String, String), String>) -> Value {
    let name = package["name"].as_str().unwrap_or_default();
    let version = package["version"].as_str().unwrap_or_default();
    let mut part = json!({ "type": "library", "name": name, "version": version, "purl": format!("pkg:cargo/{name}@{version}") });
    if let Some(licence) = package["license"].as_str() {
        // Crates of old write OR as a slash.
        part["licenses"] = json!([{ "expression": licence.replace('/', " OR ") }]);
    }
    if let Some(sum) = checksums.get(&(name.to_owned(), version.to_owned())) {
        part["hashes"] = json!([{ "alg": "SHA-256", "content": sum }]);
    }
    part
}

/// Ids of packages reached from `root` by dependencies of the usual kind.
fn linked<'m>(metadata: &'m Value, root: &str) -> BTreeSet<&'m str> {
    let nodes = || metadata["resolve"]["nodes"].as_array().into_iter().flatten();
    let members = metadata["workspace_members"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let is_root = |id: &&str| {
        let packages = metadata["packages"].as_array().into_iter().flatten();
        packages.filter(|package| package["id"] == **id).any(|package| package["name"] == root)
    };
    let mut left: Vec<&str> = members.filter(is_root).collect();
    let mut seen = BTreeSet::new();
    while let Some(id) = left.pop() {
        if !seen.insert(id) {
            continue;
        }
        let dependencies = nodes().filter(|node| node["id"] == *id).flat_map(|node| node["deps"].as_array().into_iter().flatten());
        let usual = |dependency: &&Value| dependency["dep_kinds"].as_array().into_iter().flatten().any(|kind| kind["kind"].is_null());
        left.extend(dependencies.filter(usual).filter_map(|dependency| dependency["pkg"].as_str()));
    }
    seen
}

/// (name, version) → SHA-256, of Cargo.lock.
fn checksums(lock: &str) -> BTreeMap<(String, String), String> {
    let field = |block: &str, name: &str| {
        block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = \"")?.strip_suffix('"').map(str::to_owned))
    };
    let blocks = lock.split("[[package]]").skip(1);
    blocks.filter_map(|block| Some(((field(block, "name")?, field(block, "version")?), field(block, "checksum")?))).collect()
}

#[cfg(test)]
mod tests;
