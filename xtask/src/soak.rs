//! `cargo xtask soak`: the mesh on virtual time, as many seeds as one likes; with `--real` a mesh of real processes for some minutes; with
//! `--access` verdicts against their reference. How they are judged is their own business (`testkit/tests/world`, `cli/tests/soak`,
//! `policy/src/tests`); this only builds them and hands the arguments on.

use crate::process;
use anyhow::{Result, bail};

/// For whoever gives no number.
const SECONDS: &str = "60";
const MINUTES: &str = "10";
const CASES: &str = "1000000";

pub fn run(arguments: &[String]) -> Result<()> {
    match arguments.split_first() {
        Some((first, rest)) if first == "--real" => real(rest),
        Some((first, rest)) if first == "--access" => access(rest),
        _ => world(arguments),
    }
}

fn real(arguments: &[String]) -> Result<()> {
    let minutes = match arguments {
        [] => MINUTES,
        [flag, minutes] if flag == "--minutes" && minutes.parse::<u64>().is_ok_and(|n| n > 0) => minutes,
        _ => bail!("soak --real takes --minutes N and no more"),
    };
    process::run(&process::cargo(), &["test", "--release", "--locked", "-p", "cli", "--test", "soak", "--", "--minutes", minutes])
}

/// Properties of verdicts, each over so many worlds of policies; tests try a few hundred.
fn access(arguments: &[String]) -> Result<()> {
    let cases = match arguments {
        [] => CASES,
        [flag, cases] if flag == "--cases" && cases.parse::<u32>().is_ok_and(|n| n > 0) => cases,
        _ => bail!("soak --access takes --cases N and no more"),
    };
    let (cases, cargo) = (format!("PROPTEST_CASES={cases}"), process::cargo());
    process::run("env", &[&cases, &cargo, "test", "--release", "--locked", "-p", "policy", "--lib", "properties"])
}

fn world(arguments: &[String]) -> Result<()> {
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--seeds" | "--seconds" | "--from" | "--twice" if rest.next().is_some_and(|n| n.parse::<u64>().is_ok()) => {}
            "--log" => {}
            other => bail!("{other:?}: soak takes --seconds N, --seeds N, --from SEED, --twice N and --log, or --real first"),
        }
    }
    let mut all = vec!["test", "--release", "--locked", "-p", "testkit", "--test", "world", "--"];
    if !arguments.iter().any(|argument| argument == "--seeds" || argument == "--seconds") {
        all.extend(["--seconds", SECONDS]);
    }
    all.extend(arguments.iter().map(String::as_str));
    process::run(&process::cargo(), &all)
}
