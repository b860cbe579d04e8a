//! Every limit is in `docs/limits.md`, and nothing else is: what a user can run into can be looked up. Knows lines, not Rust.

use anyhow::Result;
use std::path::{Path, PathBuf};

const PAGE: &str = "docs/limits.md";

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
    Ok(complaints)
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
