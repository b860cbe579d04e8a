//! Running other programs from the root of the clone.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub fn cargo() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".into())
}

/// This program, also where a build has put a newer one in its place: that one serves as well, and the old has no path any more.
pub fn own() -> Result<PathBuf> {
    let path = std::env::current_exe()?;
    Ok(path.to_str().and_then(|path| path.strip_suffix(" (deleted)")).map_or(path.clone(), PathBuf::from))
}

/// Python's packages that tests use, beside our finished programs.
pub fn python_modules() -> PathBuf {
    crate::root().join("target/tools/python")
}

/// Cargo on sources that are not the clone's: it builds below these. In the build folder that clones share they would pass for the clone's own, which cargo
/// tells apart by when they were written.
pub fn cargo_apart(tree: &Path) -> Command {
    let into = tree.join("target");
    let mut cargo = Command::new(cargo());
    cargo.current_dir(tree).env("CARGO_BUILD_BUILD_DIR", into.join("build")).env("CARGO_TARGET_DIR", into).stdin(Stdio::null());
    cargo
}

fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(crate::root()).stdin(Stdio::null());
    let modules = python_modules();
    if modules.exists() {
        command.env("PYTHONPATH", modules);
    }
    command
}

/// Shows what it runs and fails when that fails.
pub fn run(program: &str, arguments: &[&str]) -> Result<()> {
    eprintln!("+ {program} {}", arguments.join(" "));
    let status = command(program, arguments).status().with_context(|| format!("cannot run {program}"))?;
    if !status.success() {
        bail!("{program} {} ended with {status}", arguments.join(" "));
    }
    Ok(())
}

pub fn output(program: &str, arguments: &[&str]) -> Result<String> {
    let output = command(program, arguments).stderr(Stdio::inherit()).output().with_context(|| format!("cannot run {program}"))?;
    if !output.status.success() {
        bail!("{program} {} ended with {}", arguments.join(" "), output.status);
    }
    String::from_utf8(output.stdout).with_context(|| format!("{program} did not write UTF-8"))
}

/// Runs a program with its output shown as it comes; gives back what it wrote to standard output.
pub fn run_and_read(program: &str, arguments: &[&str]) -> Result<(bool, String)> {
    use std::io::{BufRead, BufReader};
    eprintln!("+ {program} {}", arguments.join(" "));
    let mut child = command(program, arguments).stdout(Stdio::piped()).spawn().with_context(|| format!("cannot run {program}"))?;
    let mut text = String::new();
    if let Some(out) = child.stdout.take() {
        for line in BufReader::new(out).lines() {
            let line = line.with_context(|| format!("reading from {program}"))?;
            println!("{line}");
            text.push_str(&line);
            text.push('\n');
        }
    }
    Ok((child.wait()?.success(), text))
}

/// Whether a program of that name is on the path.
pub fn present(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Network tools live in sbin, which is not on everybody's path.
    std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]).any(|folder| folder.join(program).is_file())
}

/// A program of Go's module proxy: the one on the path, or one built into the folder of finished programs.
pub fn go_tool(name: &str, module: &str) -> Result<PathBuf> {
    if present(name) {
        return Ok(name.into());
    }
    let folder = crate::root().join("target/tools");
    let program = folder.join(name);
    if !program.exists() {
        println!("building {module}");
        let status =
            Command::new("go").args(["install", module]).env("GOBIN", &folder).env("GOFLAGS", "-mod=mod").stdin(Stdio::null()).status();
        if !status.with_context(|| format!("cannot run go, which builds {name}"))?.success() {
            bail!("{name} was not built");
        }
    }
    Ok(program)
}
