//! Every limit is in `docs/limits.md`, and nothing else is: what a user can run into can be looked up. Beside each stands the test that fails without it, and
//! those that have none yet become fewer. Settings stand in tables of their own. Knows lines, not Rust.

use anyhow::Result;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const PAGE: &str = "docs/limits.md";
/// Limits that name no test yet. Never more than that.
const OWED: usize = 0;
/// Begins the table of what nobody can exceed, and no test is owed for.
const SETTINGS: &str = "| setting |";

pub fn check(files: &[PathBuf]) -> Result<Vec<String>> {
    let page = std::fs::read_to_string(crate::root().join(PAGE))?;
    let mut complaints = Vec::new();
    let mut known = Vec::new();
    for file in files.iter().filter(|file| file.file_name().is_some_and(|name| name == "limits.rs") && !file.starts_with("xtask")) {
        let text = std::fs::read_to_string(crate::root().join(file))?;
        let room = room(file);
        complaints.extend(undocumented(file, &text, section(&page, &room)));
        known.extend(names(&text).map(|name| (room.clone(), name.to_owned())));
    }
    complaints.extend(gone(&page, &known));
    let mut tests = BTreeSet::new();
    for file in files.iter().filter(|file| file.extension().is_some_and(|e| e == "rs") && is_of_tests(file)) {
        tests.extend(functions(&std::fs::read_to_string(crate::root().join(file))?).map(str::to_owned));
    }
    complaints.extend(untested(&page, &tests, OWED));
    Ok(complaints)
}

fn is_of_tests(file: &Path) -> bool {
    file.ends_with("tests.rs") || file.iter().any(|part| part == "tests")
}

/// Names of the functions of a file.
fn functions(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let line = line.trim_start();
        line.strip_prefix("fn ").or_else(|| line.strip_prefix("async fn "))?.split(['(', '<']).next()
    })
}

/// What is wrong with the column of tests.
fn untested(page: &str, tests: &BTreeSet<String>, owed: usize) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut without = 0;
    for part in page.split("\n## ").skip(1) {
        let head = part.lines().find(|line| line.starts_with("| limit |"));
        if !head.is_some_and(|head| head.ends_with("| test |")) {
            complaints.push(format!("{PAGE}: the last column of each table is the test"));
            continue;
        }
        for row in part.lines().take_while(|line| !line.starts_with(SETTINGS)).filter(|line| line.starts_with("| `")) {
            let name = row.split('`').nth(1).unwrap_or_default();
            let cell = row.trim_end_matches(" |").rsplit(" | ").next().unwrap_or_default();
            let named: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
            without += usize::from(named.is_empty());
            let missing = named.iter().filter(|test| !tests.contains(**test));
            complaints.extend(missing.map(|test| format!("{PAGE}: {name} names a test that is not there: {test}")));
        }
    }
    if without > owed {
        complaints.push(format!("{PAGE}: {without} limits name no test, {owed} may: name the test that fails without it"));
    }
    complaints
}

/// The crate that a file belongs to.
fn room(file: &Path) -> String {
    file.iter().next().unwrap_or_default().to_string_lossy().into_owned()
}

/// Names of the constants of a `limits.rs`.
fn names(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| line.strip_prefix("pub const ")?.split(':').next())
}

/// The part of the page whose heading names the crate.
fn section<'p>(page: &'p str, room: &str) -> &'p str {
    let heading = format!("(`{room}`)");
    page.split("\n## ").skip(1).find(|part| part.lines().next().is_some_and(|line| line.ends_with(&heading))).unwrap_or_default()
}

fn rows(section: &str) -> impl Iterator<Item = &str> {
    section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next())
}

fn undocumented(file: &Path, text: &str, section: &str) -> Vec<String> {
    let missing = |name: &&str| !rows(section).any(|row| row == *name);
    names(text).filter(missing).map(|name| format!("{}: {name} is not in {PAGE}", file.display())).collect()
}

fn gone(page: &str, known: &[(String, String)]) -> Vec<String> {
    let mut complaints = Vec::new();
    for part in page.split("\n## ").skip(1) {
        let room = part.lines().next().and_then(|line| line.split("(`").nth(1)?.strip_suffix("`)")).unwrap_or_default();
        let is_known = |name: &str| known.iter().any(|(r, n)| r == room && n == name);
        complaints.extend(rows(part).filter(|name| !is_known(name)).map(|name| format!("{PAGE}: `{room}` has no limit {name}")));
    }
    complaints
}

#[cfg(test)]
mod tests;
