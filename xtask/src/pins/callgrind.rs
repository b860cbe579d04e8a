//! Reads what callgrind wrote: instructions without those of the crypto library, whose code differs with the processor, calls of the allocator, and what
//! finding the route costs. Of each proxy it reads the worker alone: what the rim does goes by the clock, not by requests. The format is described in
//! valgrind's manual ("Callgrind Format Specification").

use anyhow::{Context, Result, bail};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// Its functions: not ours, and chosen by processor.
const CRYPTO: &str = "aws_lc_";
/// What Rust calls for memory.
const ALLOCATOR: [&str; 3] = ["__rust_alloc", "__rust_alloc_zeroed", "__rust_realloc"];

/// What the request path asks the table at a gateway: which listener, and which rule.
const ROUTE: [&str; 2] = ["routing::table::Table>::gateway_listener", "routing::table::Table>::listener_route"];

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Profile {
    pub instructions: u64,
    pub allocations: u64,
    /// Of the instructions, those of finding the route and of all that this calls.
    pub route: u64,
}

/// The busiest thread of each proxy, all proxies together.
pub fn read(folder: &Path) -> Result<Profile> {
    let mut workers: BTreeMap<String, Profile> = BTreeMap::new();
    for entry in std::fs::read_dir(folder)?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        // callgrind.N.M-T is the dump M of the proxy N, of its thread T; callgrind.N what came after the last.
        let Some((proxy, _)) = name.strip_prefix("callgrind.").and_then(|rest| rest.split_once('.')) else { continue };
        let one = parse(&std::fs::read_to_string(entry.path())?).with_context(|| name.clone())?;
        let worker = workers.entry(proxy.to_owned()).or_default();
        if one.instructions > worker.instructions {
            *worker = one;
        }
    }
    let mut all = Profile::default();
    for worker in workers.values() {
        all.instructions += worker.instructions;
        all.allocations += worker.allocations;
        all.route += worker.route;
    }
    if all.instructions == 0 {
        bail!("callgrind wrote nothing");
    }
    Ok(all)
}

pub fn parse(text: &str) -> Result<Profile> {
    let mut profile = Profile::default();
    // Names are written once, then numbered: `fn=(12) name`, later `fn=(12)`.
    let mut names: HashMap<&str, &str> = HashMap::new();
    let mut in_crypto = false;
    let (mut called_allocates, mut called_routes) = (false, false);
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(function) = line.strip_prefix("fn=") {
            in_crypto = named(function, &mut names).contains(CRYPTO);
        } else if let Some(function) = line.strip_prefix("cfn=") {
            let name = named(function, &mut names);
            called_allocates = ALLOCATOR.iter().any(|allocator| name == *allocator || name.ends_with(&format!("::{allocator}")));
            called_routes = ROUTE.iter().any(|route| name.ends_with(route));
        } else if let Some(calls) = line.strip_prefix("calls=") {
            if called_allocates {
                profile.allocations += calls.split(' ').next().and_then(|n| n.parse::<u64>().ok()).context("calls without a number")?;
            }
            // The line that follows is the cost of the called, which is counted where it is spent.
            let whole = lines.next().map_or(0, cost);
            if called_routes {
                profile.route += whole;
            }
        } else if !in_crypto && line.starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first)) {
            profile.instructions += cost(line);
        }
    }
    Ok(profile)
}

/// Behind the position.
fn cost(line: &str) -> u64 {
    line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap_or(0)
}

pub fn named<'t>(text: &'t str, names: &mut HashMap<&'t str, &'t str>) -> &'t str {
    match text.split_once(' ') {
        Some((number, name)) if number.starts_with('(') => {
            names.insert(number, name);
            name
        }
        _ => names.get(text).copied().unwrap_or(text),
    }
}

#[cfg(test)]
mod tests;
