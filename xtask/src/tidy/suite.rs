//! What Organza does must not depend on who asks: no name of a test of the Gateway API's conformance suite, of its namespaces or of the hosts in its
//! manifests stands in what is shipped. Names that the documentation of the world uses (`example.com`) are everybody's.

use anyhow::Result;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const SUITE: &str = "third_party/gateway-api/conformance";
/// Its namespaces begin so.
const NAMESPACE: &str = "gateway-conformance";
/// Not what is shipped.
const ELSEWHERE: &[&str] = &["tests", "testkit", "xtask", "fuzz", "third_party", "benches", "bench", "examples"];

pub fn check(files: &[PathBuf]) -> Result<Vec<String>> {
    let mut words = BTreeSet::from([NAMESPACE.to_owned()]);
    for file in files.iter().filter(|file| file.starts_with(SUITE) && file.extension().is_some_and(|e| e == "yaml")) {
        words.extend(name_of(file));
        words.extend(hosts(&std::fs::read_to_string(crate::root().join(file))?));
    }
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| is_shipped(file)) {
        let text = std::fs::read_to_string(crate::root().join(file))?;
        complaints.extend(of_file(file, &text, &words));
    }
    Ok(complaints)
}

fn is_shipped(file: &Path) -> bool {
    let code = file.extension().is_some_and(|e| e == "rs" || e == "ts" || e == "svelte");
    code && !file.ends_with("tests.rs") && !file.iter().any(|part| ELSEWHERE.iter().any(|place| part == *place))
}

/// The name of a test, if it is of three words or more: `httproute` alone is a word of the language.
fn name_of(file: &Path) -> Option<String> {
    let stem = file.file_stem()?.to_str()?;
    (stem.matches('-').count() >= 2).then(|| stem.to_owned())
}

fn hosts(manifest: &str) -> impl Iterator<Item = String> + '_ {
    let words = manifest.split(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.')));
    words.filter(|word| is_host(word)).map(|word| word.trim_start_matches('.').to_owned())
}

fn is_host(word: &str) -> bool {
    let Some((rest, top)) = word.rsplit_once('.') else { return false };
    let last = rest.rsplit('.').next().unwrap_or_default();
    !last.is_empty() && matches!(top, "com" | "org" | "io" | "net") && last != "example" && !matches!(last, "k8s" | "kubernetes")
}

fn of_file(file: &Path, text: &str, words: &BTreeSet<String>) -> Vec<String> {
    let mut complaints = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
        for word in words.iter().filter(|word| holds(line, word)) {
            complaints.push(format!(
                "{}:{}: {word:?} is of the conformance suite; what is shipped must not know it",
                file.display(),
                number + 1
            ));
        }
    }
    complaints
}

/// As a word of its own, not as a part of a longer name.
fn holds(line: &str, word: &str) -> bool {
    let part = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '-');
    let whole = |(at, _): (usize, &str)| !part(line[..at].chars().next_back()) && !part(line[at + word.len()..].chars().next());
    if word == NAMESPACE { line.contains(word) } else { line.match_indices(word).any(whole) }
}

#[cfg(test)]
mod tests;
