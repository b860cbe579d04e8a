//! Reads what callgrind wrote: instructions without those of the crypto library, whose code differs with the processor, and calls of the allocator. The
//! format is described in valgrind's manual ("Callgrind Format Specification").

use anyhow::{Context, Result, bail};
use std::collections::HashMap;
use std::path::Path;

/// Its functions: not ours, and chosen by processor.
const CRYPTO: &str = "aws_lc_";
/// What Rust calls for memory.
const ALLOCATOR: [&str; 3] = ["__rust_alloc", "__rust_alloc_zeroed", "__rust_realloc"];

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Profile {
    pub instructions: u64,
    pub allocations: u64,
}

/// All dumps in a folder together.
pub fn read(folder: &Path) -> Result<Profile> {
    let mut all = Profile::default();
    for entry in std::fs::read_dir(folder)?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        // callgrind.N.M is the dump M of the proxy N; callgrind.N what came after the last.
        if name.starts_with("callgrind.") && name.matches('.').count() > 1 {
            let text = std::fs::read_to_string(entry.path())?;
            let one = parse(&text).with_context(|| name)?;
            all.instructions += one.instructions;
            all.allocations += one.allocations;
        }
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
    let mut called_allocates = false;
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(function) = line.strip_prefix("fn=") {
            in_crypto = named(function, &mut names).contains(CRYPTO);
        } else if let Some(function) = line.strip_prefix("cfn=") {
            let name = named(function, &mut names);
            called_allocates = ALLOCATOR.iter().any(|allocator| name == *allocator || name.ends_with(&format!("::{allocator}")));
        } else if let Some(calls) = line.strip_prefix("calls=") {
            if called_allocates {
                profile.allocations += calls.split(' ').next().and_then(|n| n.parse::<u64>().ok()).context("calls without a number")?;
            }
            // The line that follows is the cost of the called, which is counted where it is spent.
            lines.next();
        } else if !in_crypto && line.starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first)) {
            profile.instructions += line.split_whitespace().nth(1).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
        }
    }
    Ok(profile)
}

fn named<'t>(text: &'t str, names: &mut HashMap<&'t str, &'t str>) -> &'t str {
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
