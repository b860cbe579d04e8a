//! `cargo xtask bench`: what one proxied request costs, Organza beside its peers, in one run and in turns, so that ratios hold on a noisy machine. CPU
//! time is the kernel's own account of each process. The cases are in `bench/case.rs`, the configurations in the folder `bench`.

mod access;
pub mod account;
pub mod caller;
mod case;
mod contender;
pub mod floor;
mod idle;
mod load;
mod phases;
mod report;
mod telling;

use crate::peers;
use crate::process;
use anyhow::{Context, Result, bail};
use case::{CASES, Case, Load};
use contender::{Contender, Field, Tools};
use load::{Shot, Target};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

pub use load::source;
pub use telling::sink;

const ROUNDS: usize = 9;
const IDLE: &str = "idle";
/// Whose time is told by phases, in this order.
const LOOKED_INTO: [&str; 3] = ["organza", "haproxy", "floor"];
/// Length of one measurement.
const SECONDS: u64 = 3;

#[derive(Debug, Default, Clone, Copy)]
pub struct Round {
    shot: Shot,
    cpu_us: f64,
    user_share: f64,
    machine_us: f64,
    idle_kb: f64,
    loaded_kb: f64,
}

/// `--case NAME` (all; may be given several times), `--rounds N`, `--json FILE`, `--organza FILE` (else the release build), `--with traced,policies` (Organza
/// has a collector that takes its spans, and 100 policies of access), `--phases` (no rounds: where the time goes, of `h1-64` or the cases named).
pub fn run(arguments: &[String]) -> Result<()> {
    let values =
        |name: &'static str| arguments.iter().zip(arguments.iter().skip(1)).filter(move |(at, _)| *at == name).map(|(_, value)| value);
    let rounds = values("--rounds").next().map_or(Ok(ROUNDS), |text| text.parse()).context("--rounds takes a number")?;
    let names: Vec<&String> = values("--case").collect();
    let known: Vec<&str> = CASES.iter().map(|case| case.name).chain([IDLE]).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(&name.as_str())) {
        bail!("no case is called {unknown:?}; there are {}", known.join(", "));
    }
    peers::install(&[
        ("wrk", "wrk"),
        ("haproxy", "haproxy"),
        ("nginx", "nginx-light"),
        ("h2load", "nghttp2-client"),
        ("taskset", "util-linux"),
    ])?;
    let organza = match values("--organza").next() {
        Some(file) => std::path::absolute(file)?,
        None => {
            process::run(&process::cargo(), &["build", "--release", "--locked", "-p", "cli"])?;
            crate::root().join("target/release/organza")
        }
    };
    let with = values("--with").next().map_or(Ok(telling::With::default()), |text| telling::With::parse(text))?;
    let tools = Tools { organza, envoy: peers::envoy()?, with };
    let folder = std::env::temp_dir().join(format!("organza-bench-{}", std::process::id()));
    if arguments.iter().any(|argument| argument == "--phases") {
        peers::install(&[("perf", "linux-perf")])?;
        let is_chosen = |case: &&Case| if names.is_empty() { case.name == "h1-64" } else { names.iter().any(|name| *name == case.name) };
        for case in CASES.iter().filter(is_chosen) {
            std::fs::create_dir_all(&folder)?;
            let looked = look_into(case, &tools, &folder).with_context(|| case.name);
            std::fs::remove_dir_all(&folder).ok();
            print!("{}", looked?);
        }
        return Ok(());
    }
    let mut results: Vec<report::Result> = Vec::new();
    for case in CASES.iter().filter(|case| names.is_empty() || names.iter().any(|name| *name == case.name)) {
        eprintln!("{}: {}", case.name, case.shape);
        std::fs::create_dir_all(&folder)?;
        let measured = measure(case, &tools, &folder, rounds).with_context(|| case.name);
        std::fs::remove_dir_all(&folder).ok();
        results.push((case.name, measured?));
        print!("{}", results.last().map(report::table).unwrap_or_default());
    }
    let mut waiting = Vec::new();
    if names.is_empty() || names.iter().any(|name| *name == IDLE) {
        waiting = idle::measure(&tools, &folder).context(IDLE)?;
        std::fs::remove_dir_all(&folder).ok();
        print!("{}", report::idle(&waiting));
    }
    if let Some(file) = values("--json").next() {
        std::fs::write(file, report::json(&results, &waiting))?;
    }
    Ok(())
}

/// Names of the cases in which something is carried.
pub fn carrying() -> impl Iterator<Item = &'static str> {
    CASES.iter().map(|case| case.name)
}

fn measure(case: &'static Case, tools: &Tools, folder: &Path, rounds: usize) -> Result<BTreeMap<String, Vec<Round>>> {
    let field = Field::new(case, tools, folder)?;
    let contenders = field.contenders()?;
    let mut idle = Vec::new();
    for contender in &contenders {
        let named = || contender.name.clone();
        answers(contender).with_context(named)?;
        idle.push(account::of(&contender.processes()).memory_kb);
        // The first connections, allocations and caches belong to nobody's figures.
        if !matches!(contender.load, Load::Bulk(_)) {
            shoot(contender, 1).with_context(named)?;
        }
    }
    let mut table: BTreeMap<String, Vec<Round>> = BTreeMap::new();
    for round in 0..rounds {
        for at in 0..contenders.len() {
            let at = (at + round) % contenders.len();
            let contender = &contenders[at];
            let measured = one(contender).with_context(|| contender.name.clone())?;
            table.entry(contender.name.clone()).or_default().push(Round { idle_kb: idle[at], ..measured });
        }
    }
    Ok(table)
}

/// Of Organza and, beside it, the reference and the floor, where the case has them.
fn look_into(case: &'static Case, tools: &Tools, folder: &Path) -> Result<String> {
    let field = Field::new(case, tools, folder)?;
    let mut looked = Vec::new();
    for contender in field.contenders()?.iter().filter(|contender| LOOKED_INTO.iter().any(|name| contender.name.starts_with(name))) {
        let named = || contender.name.clone();
        answers(contender).with_context(named)?;
        shoot(contender, 1).with_context(named)?;
        let (round, phases) = phases::of(contender).with_context(named)?;
        looked.push((contender.name.clone(), round, phases));
    }
    looked.sort_by_key(|(name, ..)| LOOKED_INTO.iter().position(|known| name.starts_with(known)));
    Ok(phases::table(case.name, &looked))
}

fn one(contender: &Contender) -> Result<Round> {
    let processes = contender.processes();
    if processes.is_empty() {
        bail!("its process is gone");
    }
    let (before, machine) = (account::of(&processes), account::machine_us());
    let shot = shoot(contender, SECONDS)?;
    let (after, machine) = (account::of(&processes), account::machine_us() - machine);
    let (user, system) = (after.user_ticks - before.user_ticks, after.system_ticks - before.system_ticks);
    Ok(Round {
        shot,
        cpu_us: (after.cpu_ns - before.cpu_ns) / 1e3 / shot.requests,
        user_share: user / (user + system).max(1.0),
        machine_us: machine / shot.requests,
        idle_kb: 0.0,
        loaded_kb: after.memory_kb,
    })
}

fn shoot(contender: &Contender, seconds: u64) -> Result<Shot> {
    load::shoot(contender.load, &target(contender)?, seconds)
}

fn target(contender: &Contender) -> Result<Target<'_>> {
    let token = contender.token.then(access::token).transpose()?;
    Ok(Target { port: contender.port, tls: contender.tls, routes: contender.routes, token, folder: &contender.folder })
}

/// Until it is configured whole; then what it answers to HTTP/1.1 is looked at: status, body, and the edit of its answer's head.
fn answers(contender: &Contender) -> Result<()> {
    let end = Instant::now() + crate::running::PATIENCE;
    loop {
        let tried = match contender.load {
            Load::Bulk(_) => load::shoot(Load::Bulk(1), &target(contender)?, 0).map(drop),
            Load::Http1(..) if !contender.tls => load::verify(&target(contender)?, contender.spread(), contender.head),
            _ => shoot(contender, 1).map(drop),
        };
        match tried {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() > end => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(200)),
        }
    }
}
