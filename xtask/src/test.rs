//! `cargo xtask test`: every test in the one profile. A test that lacks what it needs says `skipped: why` (`testkit::require`); under
//! `CI=true` that fails, so that a machine without the tool never looks green.

use crate::process;
use anyhow::{Result, bail};

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub passed: u64,
    pub failed: u64,
    pub ignored: u64,
    pub skipped: Vec<String>,
}

pub fn run(arguments: &[String]) -> Result<()> {
    let mut all = vec!["test", "--release", "--workspace", "--no-fail-fast"];
    all.extend(arguments.iter().map(String::as_str));
    if !arguments.iter().any(|argument| argument == "--") {
        // What a test prints about being skipped must be seen though it passes.
        all.extend(["--", "--show-output"]);
    }
    let (good, text) = process::run_and_read(&process::cargo(), &all)?;
    let counts = count(&text);
    for why in &counts.skipped {
        println!("{why}");
    }
    println!("{} passed, {} failed, {} ignored, {} skipped", counts.passed, counts.failed, counts.ignored, counts.skipped.len());
    if !good || counts.failed > 0 {
        bail!("tests failed");
    }
    if std::env::var("CI").is_ok_and(|ci| ci == "true") && (counts.ignored > 0 || !counts.skipped.is_empty()) {
        bail!("under CI=true a test that is skipped or ignored has failed");
    }
    Ok(())
}

/// Reads the summaries that libtest writes, one for each program.
pub fn count(text: &str) -> Counts {
    let mut counts = Counts::default();
    for line in text.lines() {
        if let Some(why) = line.strip_prefix("skipped: ") {
            counts.skipped.push(format!("skipped: {why}"));
        }
        let Some(summary) = line.strip_prefix("test result: ") else { continue };
        for part in summary.split([';', '.']) {
            let mut words = part.split_whitespace();
            let (Some(number), Some(what)) = (words.next().and_then(|n| n.parse::<u64>().ok()), words.next()) else { continue };
            match what {
                "passed" => counts.passed += number,
                "failed" => counts.failed += number,
                "ignored" => counts.ignored += number,
                _ => {}
            }
        }
    }
    counts
}

#[cfg(test)]
mod tests;
