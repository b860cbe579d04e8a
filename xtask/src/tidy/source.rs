//! Shape of the source: sizes, names, heads of modules, clocks. Heuristics on lines, not a parser: rustfmt has made the lines regular.

use anyhow::Result;
use std::path::{Path, PathBuf};

/// A file longer than this is refused; the habit is five hundred.
const FILE_LINES: usize = 600;
/// A function longer than this is refused; the habit is seventy.
const FUNCTION_LINES: usize = 100;
/// Words that say nothing about what a thing is.
const EMPTY_WORDS: &[&str] = &["manager", "util", "utils", "helper", "helpers", "misc"];
/// Where time and chance may be read: what drives the machines, and what people and tests run.
/// Benchmarks measure time.
const DRIVERS: &[&str] = &["transport/src/rt", "control/src/shell", "cli/", "testkit/", "xtask/", "bench/"];
const CLOCKS: &[&str] = &["Instant::now(", "SystemTime::now(", "rand::random", "rand::rng(", "RandomState::new(", "thread_rng("];

pub fn check(files: &[PathBuf]) -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    for file in files.iter().filter(|f| f.extension().is_some_and(|e| e == "rs") && !f.starts_with("third_party")) {
        let text = std::fs::read_to_string(crate::root().join(file))?;
        complaints.extend(of_file(file, &text));
    }
    Ok(complaints)
}

pub fn of_file(file: &Path, text: &str) -> Vec<String> {
    let place = file.display();
    let mut complaints = Vec::new();
    let stem = file.file_stem().and_then(|s| s.to_str()).unwrap_or_default();
    if EMPTY_WORDS.contains(&stem) {
        complaints.push(format!("{place}: {stem:?} says nothing about what is in it"));
    }
    // Generated code is as long as its source makes it.
    if text.contains("@generated") && !file.starts_with("xtask") {
        return complaints;
    }
    let lines: Vec<&str> = text.lines().collect();
    if lines.len() > FILE_LINES {
        complaints.push(format!("{place}: {} lines; at most {FILE_LINES}, better 500", lines.len()));
    }
    let test = is_test(file);
    if !test && !text.starts_with("//!") {
        complaints.push(format!("{place}:1: no head that says what the module is for"));
    }
    for (number, line) in lines.iter().enumerate() {
        complaints.extend(of_line(file, test, line, lines.get(number + 1)).map(|what| format!("{place}:{}: {what}", number + 1)));
        if let Some(length) = function_length(&lines[number..]).filter(|length| *length > FUNCTION_LINES && !test) {
            complaints.push(format!("{place}:{}: a function of {length} lines; at most {FUNCTION_LINES}, better 70", number + 1));
        }
    }
    complaints
}

fn of_line(file: &Path, test: bool, line: &str, next: Option<&&str>) -> Option<String> {
    let code = line.trim_start();
    if code.starts_with("//") {
        return None;
    }
    if code == "#[cfg(test)]" && next.is_some_and(|n| n.trim_start().starts_with("mod ") && n.trim_end().ends_with('{')) {
        return Some("tests below the code; they belong into a file tests.rs".into());
    }
    let driver = DRIVERS.iter().any(|driver| file.starts_with(driver) || file.to_string_lossy().starts_with(driver));
    if let Some(clock) = CLOCKS.iter().find(|clock| !test && !driver && code.contains(**clock)) {
        return Some(format!("{clock:?} outside the drivers: time and chance are arguments"));
    }
    let type_name = ["struct ", "enum ", "trait "].iter().find_map(|word| code.trim_start_matches("pub ").strip_prefix(word))?;
    let name: String = type_name.chars().take_while(|c| c.is_alphanumeric()).collect();
    ["Manager", "Util", "Utils", "Helper", "Helpers"]
        .iter()
        .find(|word| name.ends_with(**word))
        .map(|_| format!("type {name}: a name that says nothing"))
}

fn is_test(file: &Path) -> bool {
    file.iter().any(|part| ["tests", "benches", "fuzz", "examples"].iter().any(|name| part == *name)) || file.ends_with("tests.rs")
}

/// Lines from `fn` to the brace that closes it at the same depth; `None` where no function starts.
fn function_length(lines: &[&str]) -> Option<usize> {
    let first = lines.first()?;
    let indent = first.len() - first.trim_start().len();
    let code = first.trim_start();
    let starts = [
        "fn ",
        "async fn ",
        "const fn ",
        "pub fn ",
        "pub async fn ",
        "pub const fn ",
        "pub(crate) fn ",
        "pub(crate) async fn ",
        "pub(super) fn ",
    ];
    if !starts.iter().any(|start| code.starts_with(start)) || first.trim_end().ends_with([';', '}']) {
        return None;
    }
    let end = lines.iter().position(|line| line.len() > indent && line.trim_end() == format!("{}}}", " ".repeat(indent)))?;
    Some(end + 1)
}

#[cfg(test)]
mod tests;
