//! Links between our documents lead somewhere.

use anyhow::Result;
use std::path::{Path, PathBuf};

pub fn check(files: &[PathBuf]) -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    for file in files.iter().filter(|f| f.extension().is_some_and(|e| e == "md") && !f.starts_with("third_party")) {
        let text = std::fs::read_to_string(crate::root().join(file))?;
        for (number, line) in text.lines().enumerate() {
            for target in targets(line) {
                let path = target.split('#').next().unwrap_or_default();
                let folder = file.parent().unwrap_or(Path::new(""));
                if !path.is_empty() && !crate::root().join(folder).join(path).exists() {
                    complaints.push(format!("{}:{}: link to {path}, which is not there", file.display(), number + 1));
                }
            }
        }
    }
    Ok(complaints)
}

/// Targets of `[text](target)` that are files of ours.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split(')').next()).filter(|t| !t.contains("://") && !t.starts_with("mailto:"))
}
