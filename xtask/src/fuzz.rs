//! `cargo xtask fuzz`: libFuzzer on the targets of the crate `fuzz`, one after another. It builds them with the instrumentation that libFuzzer
//! counts by (stable Rust has it), lets the working corpora grow under the build folder, and stops at the first find. What a target
//! checks is the crate's business; its committed corpora are replayed by `cargo xtask test` without any of this.

mod every;
mod table;

use crate::bench::account;
use crate::{peers, process};
use anyhow::{Context, Result, bail};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Instant, SystemTime};

/// For whoever gives no number.
const SECONDS: u64 = 60;
/// One input may not keep the processor busy for longer, in seconds.
const INPUT_SECONDS: u64 = 20;
/// Memory that a target may take, in MiB.
const MEMORY_MIB: u64 = 2048;
/// Longest input that is tried, in bytes.
const INPUT_BYTES: u64 = 4096;
/// What one target's committed corpus may hold after it is minimised, in bytes.
const CORPUS_BYTES: u64 = 60 * 1024;
/// And how many files.
const CORPUS_FILES: usize = 64;
/// Coverage as libFuzzer counts it: edges and comparisons, in our code and in that of our dependencies.
const INSTRUMENTATION: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
     -Cllvm-args=-sanitizer-coverage-trace-compares -Cllvm-args=-sanitizer-coverage-stack-depth \
     --cfg fuzzing -Cllvm-args=-simplifycfg-branch-fold-threshold=0";

#[derive(Debug, Default, PartialEq, Eq)]
struct Asked {
    target: Option<String>,
    file: Option<String>,
    seconds: Option<u64>,
    minimise: bool,
    /// Every target, with what it took told.
    all: bool,
    /// Of all targets together.
    total: Option<u64>,
    jobs: Option<usize>,
}

/// What libFuzzer says of a run.
#[derive(Debug, Default, PartialEq, Eq)]
struct Stats {
    executions: u64,
    coverage: u64,
    features: u64,
    inputs: u64,
    /// The input that found something.
    find: Option<String>,
}

/// A run that has ended.
#[derive(Debug)]
struct Ran {
    stats: Stats,
    good: bool,
    wall_seconds: u64,
    /// As the kernel has it: wall time says little where others are at work.
    cpu_seconds: u64,
}

pub fn run(arguments: &[String]) -> Result<()> {
    let asked = asked(arguments)?;
    let known = targets()?;
    if let Some(target) = asked.target.as_ref().filter(|target| !known.contains(target)) {
        bail!("no target is called {target:?}; there are {}", known.join(", "));
    }
    let program = build()?;
    if let (Some(target), Some(file)) = (&asked.target, &asked.file) {
        return process::run(&program.display().to_string(), &[file, "-ignore_remaining_args=1", target]);
    }
    let chosen: Vec<&String> = known.iter().filter(|name| asked.target.as_ref().is_none_or(|target| target == *name)).collect();
    println!(
        "{:<16}{:>9}{:>9}{:>14}{:>10}{:>10}{:>9}{:>9}",
        "target", "seconds", "CPU s", "executions", "coverage", "features", "corpus", "was"
    );
    if asked.all {
        let jobs = asked.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
        let each = asked.total.map(|total| every::share(total, known.len(), jobs)).or(asked.seconds);
        return every::run(&program, &known, each.unwrap_or(SECONDS), jobs);
    }
    let page = every::Page::open()?;
    for target in chosen {
        match asked.minimise {
            true => minimise(&program, target)?,
            false => page.counted(&program, target, asked.seconds.unwrap_or(SECONDS))?,
        }
    }
    Ok(())
}

fn asked(arguments: &[String]) -> Result<Asked> {
    let mut asked = Asked::default();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--seconds" => {
                let number = rest.next().and_then(|text| text.parse().ok());
                asked.seconds = Some(number.context("--seconds takes a number")?);
            }
            "--minimise" => asked.minimise = true,
            "--all" => asked.all = true,
            "--for" => asked.total = Some(rest.next().and_then(|text| seconds(text)).context("--for takes a time: 90s, 30m, 1h")?),
            "--jobs" => asked.jobs = Some(rest.next().and_then(|text| text.parse().ok()).context("--jobs takes a number")?),
            flag if flag.starts_with('-') => {
                bail!("{flag:?}: fuzz takes TARGET, FILE, --seconds N, --minimise, and --all with --for TIME and --jobs N")
            }
            word if asked.target.is_none() => asked.target = Some(word.to_owned()),
            word => asked.file = Some(word.to_owned()),
        }
    }
    let others = asked.target.is_some() || asked.minimise;
    if asked.all && others || !asked.all && (asked.total.is_some() || asked.jobs.is_some()) {
        bail!("--for and --jobs go with --all, and no target or --minimise does");
    }
    Ok(asked)
}

/// `90s`, `30m`, `1h`.
fn seconds(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit).filter(|seconds| *seconds > 0)
}

fn corpora() -> PathBuf {
    crate::root().join("fuzz/corpus")
}

/// Each target has a committed corpus, which the replaying test checks.
fn targets() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for folder in fs::read_dir(corpora()).context("fuzz/corpus")? {
        names.push(folder?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// Where working corpora and finds lie, and the fuzzer.
fn folder() -> Result<PathBuf> {
    let text = process::output(&process::cargo(), &["metadata", "--format-version", "1", "--no-deps", "--locked"])?;
    let metadata: serde_json::Value = serde_json::from_str(&text).context("cargo metadata")?;
    let target = metadata["target_directory"].as_str().context("cargo metadata names no target_directory")?;
    Ok(Path::new(target).join("fuzz"))
}

fn build() -> Result<PathBuf> {
    peers::install(&[("c++", "g++")])?;
    // Naming the target keeps build scripts and macros free of the instrumentation.
    let host = process::output("rustc", &["--print", "host-tuple"])?.trim().to_owned();
    let arguments = ["build", "--profile", "fuzz", "-p", "fuzz", "--features", "engine", "--bin", "fuzz", "--locked", "--target", &host];
    eprintln!("+ cargo {}", arguments.join(" "));
    let status = Command::new(process::cargo())
        .args(arguments)
        .current_dir(crate::root())
        .env("RUSTFLAGS", INSTRUMENTATION)
        .stdin(Stdio::null())
        .status()
        .context("cannot run cargo")?;
    if !status.success() {
        bail!("the fuzzer cannot be built");
    }
    let folder = folder()?;
    let target = folder.parent().context("no target folder")?;
    Ok(target.join(host).join("fuzz/fuzz"))
}

fn one(program: &Path, target: &str, seconds: u64) -> Result<Ran> {
    let folder = folder()?;
    let (work, committed) = (folder.join("corpus").join(target), corpora().join(target));
    fs::create_dir_all(&work)?;
    let before = fs::read_dir(&work)?.count();
    let finds = format!("-artifact_prefix={}/{target}-", folder.display());
    let (time, input) = (format!("-max_total_time={seconds}"), format!("-timeout={INPUT_SECONDS}"));
    let (memory, length) = (format!("-rss_limit_mb={MEMORY_MIB}"), format!("-max_len={INPUT_BYTES}"));
    let (work, committed) = (work.display().to_string(), committed.display().to_string());
    let arguments =
        [&*time, &input, &memory, &length, &finds, "-print_final_stats=1", &work, &committed, "-ignore_remaining_args=1", target];
    let begun = Instant::now();
    let (good, text, cpu) = listen(program, &arguments)?;
    let ran = Ran { stats: stats(&text), good, wall_seconds: begun.elapsed().as_secs(), cpu_seconds: cpu.round() as u64 };
    let Ran { stats: Stats { executions, coverage, features, .. }, wall_seconds: wall, cpu_seconds: cpu, .. } = &ran;
    let corpus = fs::read_dir(&work)?.count();
    println!("{target:<16}{wall:>9}{cpu:>9}{executions:>14}{coverage:>10}{features:>10}{corpus:>9}{before:>9}");
    Ok(ran)
}

impl Ran {
    fn judge(&self, target: &str) -> Result<()> {
        match (&self.stats.find, self.good) {
            (Some(input), _) => bail!(
                "{target} found something; what is said above. Play it again: cargo xtask fuzz {target} {input}\n\
                 Once its cause is mended, put it into fuzz/corpus/{target}/."
            ),
            (None, false) => bail!("{target}: the fuzzer failed"),
            (None, true) => Ok(()),
        }
    }
}

/// Replaces the committed corpus by what covers most of what it and the working one together cover. What was once a find stays whatever it covers: its name
/// begins with `found`.
fn minimise(program: &Path, target: &str) -> Result<()> {
    let folder = folder()?;
    let (work, committed, into) = (folder.join("corpus").join(target), corpora().join(target), folder.join("merged").join(target));
    fs::create_dir_all(&work)?;
    let _ = fs::remove_dir_all(&into);
    fs::create_dir_all(&into)?;
    let paths = [&into, &committed, &work].map(|path| path.display().to_string());
    let arguments = ["-set_cover_merge=1", &paths[0], &paths[1], &paths[2], "-ignore_remaining_args=1", target];
    let (good, ..) = listen(program, &arguments)?;
    if !good {
        bail!("{target}: inputs could not be merged");
    }
    let before = fs::read_dir(&committed)?.count();
    for file in fs::read_dir(&committed)? {
        let file = file?;
        if !file.file_name().to_string_lossy().starts_with("found") {
            fs::remove_file(file.path())?;
        }
    }
    let mut merged = Vec::new();
    for file in fs::read_dir(&into)? {
        let file = file?;
        let metadata = file.metadata()?;
        merged.push((metadata.modified()?, metadata.len(), file.path()));
    }
    for path in kept(merged) {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        fs::copy(path, committed.join(&name[..name.len().min(16)]))?;
    }
    println!("{target:<16}committed corpus{:>54}{before:>9}", fs::read_dir(&committed)?.count());
    Ok(())
}

/// Of inputs that were written then and are so large, those that there is room for. libFuzzer writes next whichever covers most of what none before it does: what
/// comes first is worth most.
fn kept(mut merged: Vec<(SystemTime, u64, PathBuf)>) -> Vec<PathBuf> {
    merged.sort();
    let mut room = CORPUS_BYTES;
    let fits = |(_, size, path): (SystemTime, u64, PathBuf)| {
        room = room.checked_sub(size)?;
        Some(path)
    };
    merged.into_iter().filter_map(fits).take(CORPUS_FILES).collect()
}

/// Runs the fuzzer, shows what it says of a find, and gives back all, and the seconds that it kept a processor busy.
fn listen(program: &Path, arguments: &[&str]) -> Result<(bool, String, f64)> {
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(crate::root())
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {}", program.display()))?;
    let mut text = String::new();
    if let Some(out) = child.stderr.take() {
        for line in BufReader::new(out).split(b'\n') {
            let line = String::from_utf8_lossy(&line?).into_owned();
            let chatter = ["#", "\t", "INFO", "stat::", "Done ", "MERGE-", "WARNING: Failed to find function"];
            if !chatter.iter().any(|start| line.starts_with(start)) && !line.is_empty() {
                eprintln!("{line}");
            }
            text.push_str(&line);
            text.push('\n');
        }
    }
    // It has ended, and until it is waited for the kernel still tells what it used.
    use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
    waitid(WaitId::Pid(Pid::from_child(&child)), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)?;
    let used = account::of(&[child.id()]);
    Ok((child.wait()?.success(), text, (used.user_ticks + used.system_ticks) / account::TICKS))
}

/// Reads `#… cov: 12 ft: 34 corp: 5/67b …` and `stat::number_of_executed_units: 89`; the last of each counts.
fn stats(text: &str) -> Stats {
    let mut stats = Stats::default();
    for line in text.lines() {
        if let Some(count) = line.strip_prefix("stat::number_of_executed_units:") {
            stats.executions = count.trim().parse().unwrap_or_default();
        }
        if let Some((_, path)) = line.split_once("Test unit written to ") {
            stats.find = Some(path.trim().to_owned());
        }
        if !line.starts_with('#') {
            continue;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let after = |name: &str| {
            let at = words.iter().position(|word| *word == name)?;
            words.get(at + 1)?.split('/').next()?.parse().ok()
        };
        stats.coverage = after("cov:").unwrap_or(stats.coverage);
        stats.features = after("ft:").unwrap_or(stats.features);
        stats.inputs = after("corp:").unwrap_or(stats.inputs);
    }
    stats
}

#[cfg(test)]
mod tests;
