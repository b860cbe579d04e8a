//! `cargo xtask profile`: what the program runs of our crates while it carries what the bench sends, for the compiler to read (`.cargo/rustc`,
//! `decisions/0053`). Knows no case of the bench and no function of the program.

use crate::{bench, process};
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::Command;

/// Builds a program that counts, in a folder of its own; has the bench use it for one round of each case; merges what it wrote into `cli/profile`.
pub fn run() -> Result<()> {
    let tools = process::output("rustc", &["--print", "target-libdir"])?;
    let merger = Path::new(tools.trim()).with_file_name("bin").join("llvm-profdata");
    if !merger.exists() {
        bail!("{} is not there; it is the compiler's own: rustup component add llvm-tools", merger.display());
    }
    let build = crate::root().join("target/profile");
    let counts = build.join("counts");
    // What an older program counted is nobody's.
    std::fs::remove_dir_all(&counts).ok();
    let built = Command::new(process::cargo())
        .args(["build", "--release", "--locked", "-p", "cli", "--target-dir"])
        .arg(&build)
        .env("CARGO_BUILD_BUILD_DIR", &build)
        .env("ORGANZA_PROFILE", &counts)
        .current_dir(crate::root())
        .status()?;
    if !built.success() {
        bail!("the program that counts was not built");
    }
    let program = build.join("release/organza");
    let mut arguments = vec!["--rounds".into(), "1".into(), "--organza".into(), program.display().to_string()];
    arguments.extend(bench::carrying().flat_map(|case| ["--case".into(), case.into()]));
    bench::run(&arguments)?;
    let folder = crate::root().join("cli/profile");
    std::fs::remove_dir_all(&folder).ok();
    std::fs::create_dir_all(&folder)?;
    let file = folder.join(format!("{}.profdata", compiler()?));
    let text = |path: &Path| path.to_str().map(str::to_owned).context("a path that is not UTF-8");
    process::run(&text(&merger)?, &["merge", "--sparse", "-o", &text(&file)?, &text(&counts)?])?;
    println!("{} is new; functions have other names by it: cargo xtask pins --layout, then cargo xtask pins --keep", file.display());
    Ok(())
}

/// As `.cargo/rustc` asks for it: a profile says nothing to another compiler, and an older LLVM does not read it.
fn compiler() -> Result<String> {
    let told = process::output("rustc", &["-vV"])?;
    let after =
        |word: &str| told.lines().find_map(|line| line.strip_prefix(word)).with_context(|| format!("rustc -vV does not say its {word}"));
    Ok(format!("rustc-{}-llvm-{}", after("release: ")?, after("LLVM version: ")?))
}
