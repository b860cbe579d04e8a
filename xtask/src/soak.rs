//! `cargo xtask soak`: the mesh on virtual time, as many seeds as one likes. What a seed is and how it is judged is the world's business
//! (`testkit/tests/world`); this only builds it and hands the arguments on.

use crate::process;
use anyhow::{Result, bail};

/// For whoever gives no number.
const SECONDS: &str = "60";

pub fn run(arguments: &[String]) -> Result<()> {
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--seeds" | "--seconds" | "--from" | "--twice" if rest.next().is_some_and(|n| n.parse::<u64>().is_ok()) => {}
            "--log" => {}
            other => bail!("{other:?}: soak takes --seconds N, --seeds N, --from SEED, --twice N and --log"),
        }
    }
    let mut all = vec!["test", "--release", "--locked", "-p", "testkit", "--test", "world", "--"];
    if !arguments.iter().any(|argument| argument == "--seeds" || argument == "--seconds") {
        all.extend(["--seconds", SECONDS]);
    }
    all.extend(arguments.iter().map(String::as_str));
    process::run(&process::cargo(), &all)
}
