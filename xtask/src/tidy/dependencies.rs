//! What we build on: licences from an allow list (the same file that cargo-deny reads), no second TLS stack, nothing kept under
//! `third_party/` without saying where it came from. Needs no network.

use super::texts;
use crate::process;
use anyhow::{Context, Result};
use serde_json::Value;

/// Crates that would bring a second TLS or crypto stack.
const REFUSED: &[&str] = &["ring", "openssl", "openssl-sys", "native-tls", "boring", "serde_yaml"];

pub fn check(metadata: &Value) -> Result<Vec<String>> {
    let rules = std::fs::read_to_string(crate::root().join("deny.toml")).context("deny.toml")?;
    let allowed = allow_list(&rules);
    let mut complaints = licences(metadata, &allowed);
    complaints.extend(built()?);
    complaints.extend(third_party()?);
    Ok(complaints)
}

fn licences(metadata: &Value, allowed: &[String]) -> Vec<String> {
    let members: Vec<&str> = texts(metadata, "workspace_members").collect();
    let mut complaints = Vec::new();
    let used: Vec<&str> = metadata["resolve"]["nodes"].as_array().into_iter().flatten().filter_map(|node| node["id"].as_str()).collect();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let id = package["id"].as_str().unwrap_or_default();
        if members.contains(&id) || !used.contains(&id) {
            continue;
        }
        let licence = package["license"].as_str().unwrap_or("none stated");
        if !permits(licence, allowed) {
            complaints.push(format!("deny.toml: {} is under {licence:?}, which is not allowed", package["name"].as_str().unwrap_or(id)));
        }
    }
    complaints
}

/// The strings of `allow = [...]` under `[licenses]`.
pub fn allow_list(rules: &str) -> Vec<String> {
    let section = rules.split("[licenses]").nth(1).unwrap_or_default();
    let list = section.split_once("allow = [").map_or("", |(_, rest)| rest.split(']').next().unwrap_or_default());
    list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Whether an SPDX expression can be satisfied from the list. `/` is the old way to write OR.
pub fn permits(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut position = 0;
    either(&words, &mut position, allowed) && position == words.len()
}

fn either(words: &[&str], position: &mut usize, allowed: &[String]) -> bool {
    let mut good = both(words, position, allowed);
    while words.get(*position) == Some(&"OR") {
        *position += 1;
        good |= both(words, position, allowed);
    }
    good
}

fn both(words: &[&str], position: &mut usize, allowed: &[String]) -> bool {
    let mut good = one(words, position, allowed);
    while words.get(*position) == Some(&"AND") {
        *position += 1;
        good &= one(words, position, allowed);
    }
    good
}

fn one(words: &[&str], position: &mut usize, allowed: &[String]) -> bool {
    let Some(word) = words.get(*position) else { return false };
    *position += 1;
    if *word == "(" {
        let good = either(words, position, allowed);
        *position += 1;
        return good && words.get(*position - 1) == Some(&")");
    }
    let mut name = (*word).to_owned();
    if words.get(*position) == Some(&"WITH") {
        name = format!("{name} WITH {}", words.get(*position + 1).unwrap_or(&""));
        *position += 2;
    }
    allowed.contains(&name)
}

/// What is really compiled into the binary; the lock file also names what other platforms would need.
fn built() -> Result<Vec<String>> {
    let arguments = ["tree", "-p", "cli", "-e", "normal,build", "--prefix", "none", "--locked", "--target", "x86_64-unknown-linux-gnu"];
    let tree = process::output(&process::cargo(), &arguments)?;
    let mut found: Vec<&str> = tree.lines().filter_map(|line| line.split(' ').next()).filter(|name| REFUSED.contains(name)).collect();
    found.sort_unstable();
    found.dedup();
    Ok(found.into_iter().map(|name| format!("Cargo.lock: the binary would contain {name}")).collect())
}

fn third_party() -> Result<Vec<String>> {
    let folder = crate::root().join("third_party");
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut complaints = Vec::new();
    for entry in std::fs::read_dir(&folder).context("third_party")? {
        let path = entry?.path();
        if path.is_dir() && !path.join("README.md").is_file() && !folder.join("README.md").is_file() {
            complaints
                .push(format!("third_party/{}: no README.md says where it comes from", path.file_name().unwrap_or_default().display()));
        }
    }
    Ok(complaints)
}

#[cfg(test)]
mod tests;
