//! `cargo xtask test dashboard`: the page is checked, built anew and compared with what is committed byte for byte, then looked at in Debian's chromium on a
//! demo that runs (`dashboard/test/run.mjs`). Ends what it started; knows nothing of what the page shows.

use crate::process;
use crate::running::{Running, free_ports, wait_for_port};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// (program, Debian package that brings it).
const TOOLS: &[(&str, &str)] = &[("node", "nodejs"), ("npm", "npm"), ("chromium", "chromium")];

fn folder() -> PathBuf {
    crate::root().join("dashboard")
}

/// `arguments`: `--organza FILE`, where another program than the released one is to be looked at.
pub fn test(arguments: &[String]) -> Result<()> {
    crate::peers::install(TOOLS)?;
    built()?;
    let organza = match arguments {
        [] => {
            process::run(&process::cargo(), &["build", "--release", "--locked", "-p", "cli"])?;
            crate::root().join("target/release/organza")
        }
        [flag, file] if flag == "--organza" => std::path::absolute(file)?,
        _ => bail!("test dashboard takes --organza FILE or nothing"),
    };
    let state = std::env::temp_dir().join(format!("organza-see-{}", std::process::id()));
    std::fs::create_dir_all(&state)?;
    let looked = look(&organza, &state);
    std::fs::remove_dir_all(&state).ok();
    looked
}

/// What is committed is what its sources make: the client of the API of its document, and the page of all.
pub fn built() -> Result<()> {
    let lock = std::fs::metadata(folder().join("package-lock.json")).and_then(|file| file.modified())?;
    let installed = std::fs::metadata(folder().join("node_modules/.package-lock.json")).and_then(|file| file.modified());
    if installed.map_or(true, |installed| installed < lock) {
        npm(&["ci", "--ignore-scripts", "--no-audit", "--no-fund"])?;
    }
    npm(&["run", "--silent", "generate", "--", "--check"])?;
    npm(&["run", "--silent", "check"])?;
    let fresh = crate::root().join("target/dashboard/dist");
    let target = fresh.to_str().context("a path that is not UTF-8")?;
    npm(&["run", "--silent", "build", "--", "--logLevel", "error", "--outDir", target])?;
    let different = differing(&fresh, &folder().join("dist"))?;
    match different.is_empty() {
        true => Ok(()),
        false => bail!("dashboard/dist is not what dashboard/src makes: {}; run npm run build there and commit it", different.join(", ")),
    }
}

fn npm(arguments: &[&str]) -> Result<()> {
    eprintln!("+ npm {}", arguments.join(" "));
    let status = Command::new("npm").args(arguments).current_dir(folder()).stdin(Stdio::null()).status().context("cannot run npm")?;
    match status.success() {
        true => Ok(()),
        false => bail!("npm {} ended with {status}", arguments.join(" ")),
    }
}

/// Names of files that are in one folder only, or are not the same in both.
fn differing(a: &Path, b: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for folder in [a, b] {
        for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    names.dedup();
    names.retain(|name| std::fs::read(a.join(name)).ok() != std::fs::read(b.join(name)).ok());
    Ok(names)
}

fn look(organza: &Path, state: &Path) -> Result<()> {
    let [port] = free_ports()?;
    let home = state.join("state");
    let port_text = port.to_string();
    // Its own load all but stands still: what is counted is what the test sends.
    let words = ["demo", "--port", &port_text, "--rate", "0.001", "--for", "10m", "-o", "json"];
    let mut demo = Command::new(organza);
    demo.args(words).current_dir(state).env("XDG_STATE_HOME", &home).stdin(Stdio::null()).stdout(Stdio::null());
    let _demo = Running::start(&mut demo)?;
    wait_for_port(port)?;
    let shots = crate::root().join("target/dashboard/screenshots");
    let status = Command::new("node")
        .arg(folder().join("test/run.mjs"))
        .arg(organza)
        .args(["demo", &format!("http://127.0.0.1:{port}/")])
        .arg(&shots)
        .current_dir(folder())
        .env("XDG_STATE_HOME", &home)
        .stdin(Stdio::null())
        .status()
        .context("cannot run node")?;
    println!("screenshots: {}", shots.display());
    match status.success() {
        true => Ok(()),
        false => bail!("the dashboard is not as it should be"),
    }
}

#[cfg(test)]
mod tests;
