//! `cargo xtask test releases`: this program and that of an earlier commit in one mesh. What is judged stands in `cli/tests/upgrade/releases.rs`; this builds the
//! other program, of files of its own below `target`, and hands it on. Both are of the dev profile: what they say to each other is the same.

use crate::process;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};

/// `--older COMMIT`.
pub fn test(arguments: &[String]) -> Result<()> {
    let commit = match arguments {
        [flag, commit] if flag == "--older" => commit,
        _ => bail!("test releases takes --older COMMIT: which commit's program is the other release"),
    };
    let folder = crate::root().join("target/releases");
    let older = built(commit, &folder).with_context(|| format!("the program of {commit}"))?;
    let older = format!("ORGANZA_OLDER={}", older.display());
    process::run("env", &[&older, &process::cargo(), "test", "--locked", "-p", "cli", "--test", "upgrade", "--", "releases", "--nocapture"])
}

fn built(commit: &str, folder: &Path) -> Result<PathBuf> {
    let hash = process::output("git", &["rev-parse", "--verify", &format!("{commit}^{{commit}}")])?;
    let tree = folder.join(hash.trim());
    if !tree.exists() {
        // Under its name once it is whole.
        let (begun, archive) = (tree.with_extension("new"), tree.with_extension("tar"));
        fs::create_dir_all(&begun)?;
        let archive_text = archive.to_string_lossy();
        process::run("git", &["archive", "--output", &archive_text, hash.trim()])?;
        process::run("tar", &["-x", "-f", &archive_text, "-C", &begun.to_string_lossy()])?;
        fs::remove_file(&archive)?;
        fs::rename(&begun, &tree)?;
    }
    let mut cargo = process::cargo_apart(&tree);
    let built = cargo.args(["build", "--locked", "-p", "cli", "--bin", "organza"]).status().context("cannot run cargo")?;
    if !built.success() {
        bail!("cargo build ended with {built}");
    }
    Ok(tree.join("target/debug/organza"))
}
