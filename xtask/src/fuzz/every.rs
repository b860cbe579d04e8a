//! Runs that count: what each took is added to the table of `fuzz/README.md`. With `--all` every target runs for a fair share of the time, several at once, and
//! its committed corpus becomes what covers most of it now. A find ends its own target and no other.

use super::table::{self, Spent};
use super::{Ran, minimise, one};
use crate::process;
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

const PAGE: &str = "fuzz/README.md";

/// Seconds of each target, so that all of them together take no more than so many.
pub fn share(seconds: u64, targets: usize, jobs: usize) -> u64 {
    (seconds / targets.div_ceil(jobs.max(1)).max(1) as u64).max(1)
}

pub fn run(program: &Path, targets: &[String], seconds: u64, jobs: usize) -> Result<()> {
    let page = Page::open()?;
    let (queue, failed) = (Mutex::new(targets.iter()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some(target) = next else { return };
                    let ended = page.counted(program, target, seconds).and_then(|()| minimise(program, target));
                    if let Err(why) = ended {
                        failed.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{target}: {why:#}"));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    if !failed.is_empty() {
        bail!("{}", failed.join("\n"));
    }
    Ok(())
}

/// The page with the table, and what its rows say of when and of what.
pub struct Page {
    /// `2026-11-26 09ae44b`.
    stamp: String,
    writing: Mutex<()>,
}

impl Page {
    pub fn open() -> Result<Self> {
        let date = process::output("date", &["-u", "+%F"])?;
        let commit = process::output("git", &["rev-parse", "--short=7", "HEAD"])?;
        Ok(Self { stamp: format!("{} {}", date.trim(), commit.trim()), writing: Mutex::default() })
    }

    /// One target: what it took is told whether something was found or not.
    pub fn counted(&self, program: &Path, target: &str, seconds: u64) -> Result<()> {
        let ran: Ran = one(program, target, seconds)?;
        let (executions, coverage) = (ran.stats.executions, ran.stats.coverage);
        let spent = Spent { wall_seconds: ran.wall_seconds, cpu_seconds: ran.cpu_seconds, executions, coverage };
        {
            let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
            let path = crate::root().join(PAGE);
            let text = std::fs::read_to_string(&path).context(PAGE)?;
            let text = table::add(&text, target, &self.stamp, spent).with_context(|| format!("{PAGE} has no table of what was spent"))?;
            std::fs::write(&path, text).context(PAGE)?;
        }
        ran.judge(target)
    }
}
