//! `cargo xtask pins --layout`: which functions proxies run, from their start to some requests of each kind, as a list by which the linker lays them side
//! by side (`cli/build.rs`): first those that requests alone need, then those that one without a request runs too. In the middle lie those that
//! most kinds run and that are called most. Names are the compiler's, hashes and all: only by them instances of a generic
//! function are told apart. They outlive changes of code, but neither another compiler nor another version of a dependency.

use super::callgrind::named;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;

/// Fewer of the names than this share are left: the list is to be made anew.
pub const STALE: f64 = 0.8;

/// Parts of names of what a waiting proxy runs and callgrind does not see: its processor has not all that others have, and the requests that are sent here bring
/// a trace. Found by the addresses of page faults. Those that are largest come last.
const UNSEEN: [&str; 10] = [
    START,
    "telemetry5trace8sampling7Sampler6decide",
    "telemetry5trace12TraceContext4root",
    "rustls4msgs7message8outbound14OutboundChunks3new",
    "routing8compiled13CompiledMatch5holds",
    "sha26sha2563x8613digest_blocks",
    "_mlkem_",
    "_curve25519_x25519",
    "_aes_gcm_encrypt_avx512",
    "_aes_gcm_decrypt_avx512",
];

/// Where a process begins.
const START: &str = "_start";

/// Counts the calls of functions of the program itself in what callgrind wrote (without demangling).
pub fn functions(text: &str, program: &str, calls: &mut BTreeMap<String, u64>) {
    let (mut objects, mut names): (HashMap<&str, &str>, HashMap<&str, &str>) = Default::default();
    let (mut ours, mut called) = (true, "");
    for line in text.lines() {
        if let Some(object) = line.strip_prefix("cob=") {
            named(object, &mut objects);
        } else if let Some(object) = line.strip_prefix("ob=") {
            ours = named(object, &mut objects).ends_with(program);
        } else if let Some(function) = line.strip_prefix("cfn=") {
            called = name(named(function, &mut names));
        } else if let Some(function) = line.strip_prefix("fn=") {
            let name = name(named(function, &mut names));
            if ours {
                calls.entry(name.to_owned()).or_default();
            }
        } else if let Some(times) = line.strip_prefix("calls=").and_then(|rest| rest.split(' ').next()?.parse::<u64>().ok()) {
            *calls.entry(called.to_owned()).or_default() += times;
        }
    }
}

/// What calls itself is listed as `name'2`.
fn name(listed: &str) -> &str {
    listed.split('\'').next().unwrap_or_default()
}

/// Names of functions, from what `nm` says of a program.
pub fn symbols(text: &str) -> HashSet<&str> {
    text.lines()
        .filter_map(|line| line.rsplit_once(' '))
        .filter(|(before, _)| before.ends_with(['t', 'T', 'w', 'W']))
        .map(|(_, name)| name)
        .collect()
}

/// The list, of what each kind of proxy calls, and of what one that waits for its first request does. What the program does not name has no section of
/// its own.
pub fn list(kinds: &[BTreeMap<String, u64>], waits: &BTreeMap<String, u64>, symbols: &HashSet<&str>, compiler: &str) -> String {
    // By which kinds, a bit for each, and how often.
    let mut all: BTreeMap<&str, (u32, u64)> = BTreeMap::new();
    for (kind, calls) in kinds.iter().chain([waits]).enumerate() {
        for (name, times) in calls.iter().filter(|(name, _)| symbols.contains(name.as_str())) {
            let of = all.entry(name).or_default();
            *of = (of.0 | 1 << kind, of.1 + times);
        }
    }
    let unseen = UNSEEN.iter().flat_map(|part| {
        let is_it = |name: &str| if *part == START { name == START } else { name.contains(part) };
        let mut of: Vec<_> = symbols.iter().copied().filter(|name| is_it(name) && !all.contains_key(name)).collect();
        of.sort_unstable();
        of
    });
    let unseen: Vec<_> = unseen.collect();
    let (mut waiting, mut asked): (Vec<_>, Vec<_>) = all.into_iter().partition(|(name, _)| waits.contains_key(*name));
    // What the same kinds run lies together.
    asked.sort_by_key(|(_, (kinds, times))| (kinds.count_ones(), *kinds, *times));
    waiting.sort_by_key(|(_, (kinds, times))| std::cmp::Reverse((kinds.count_ones(), *kinds, *times)));
    let mut out = format!("# Made by `cargo xtask pins --layout` (decisions/0048).\n# {compiler}\n");
    for name in asked.into_iter().chain(waiting).map(|(name, _)| name).chain(unseen) {
        // Writing to a string does not fail.
        let _ = writeln!(out, "{name}");
    }
    out
}

/// How many of the names a program has, and how many there are; `None` if another compiler made them.
pub fn found(list: &str, symbols: &HashSet<&str>, compiler: &str) -> Option<(usize, usize)> {
    let names: Vec<_> = list.lines().filter(|line| !line.starts_with('#')).collect();
    let same = list.lines().any(|line| line.strip_prefix("# ") == Some(compiler));
    same.then(|| (names.iter().filter(|name| symbols.contains(**name)).count(), names.len()))
}

#[cfg(test)]
mod tests;
