//! Where a proxy's processor time goes: samples of the kernel's clock (`perf`), each counted to the phase of a request that it fell into. In a virtual machine
//! there is nothing better: its processors tell no guest of cycles or misses.

use super::contender::Contender;
use super::{Round, one};
use crate::process;
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::Command;

/// A second, of each processor; a number that no timer of the kernel divides.
const SAMPLES: &str = "4999";
/// Less than a measurement, so that the load outlasts it.
const SECONDS: &str = "2";
/// Fewer say nothing of phases.
const FEWEST: usize = 500;

/// What a function belongs to, by the beginning of its name; the first that fits. What stands nowhere is "other".
const PHASES: &[(&str, &[&str])] = &[
    (
        "read the head",
        &[
            "transport::h1::reader",
            "transport::h1::head",
            "transport::h1::framing",
            "httparse",
            "transport::h2::hpack",
            "transport::h2::head",
        ],
    ),
    ("frames of HTTP/2", &["transport::h2"]),
    ("write the head", &["transport::h1::writer", "model::http::HeaderBlock::write", "transport::body"]),
    ("TLS", &["rustls", "aws_lc", "tokio_rustls", "transport::tls"]),
    ("route and balance", &["routing"]),
    ("access", &["policy", "proxy::access", "proxy::guard"]),
    ("record and trace", &["telemetry", "proxy::flows", "proxy::lines"]),
    ("carry the request", &["proxy", "model", "transport::rt::post"]),
    (
        "wait and wake",
        &["tokio", "mio", "transport::rt", "std::sys::pal::unix::time", "std::time", "clock_gettime", "__vdso", "epoll_wait"],
    ),
    ("memory", &["mi_", "_mi_", "__mem", "__rust", "bytes", "alloc::", "malloc", "free", "cfree"]),
];

/// Calls of the kernel by what a request wants of it. What a send delivers on the same machine is done within it.
const CALLS: &[(&str, &[&str])] = &[
    ("kernel: receive", &["recvfrom", "recvmsg", "read", "readv"]),
    ("kernel: send", &["sendto", "sendmsg", "write", "writev"]),
    ("kernel: wait", &["epoll_wait", "epoll_pwait", "epoll_pwait2", "poll"]),
    ("kernel: io_uring", &["io_uring_enter"]),
    ("kernel: open and close", &["accept4", "accept", "connect", "socket", "close", "epoll_ctl", "shutdown", "setsockopt", "getsockopt"]),
];
const OTHER: &str = "other";
const KERNEL: &str = "kernel: other";
/// Before a name of a call, where the kernel begins with it.
const ENTRIES: [&str; 3] = ["__x64_sys_", "__arm64_sys_", "__do_sys_"];
/// Of a column.
const WIDTH: usize = 15;

/// Microseconds of a request, by phase.
pub type Phases = BTreeMap<&'static str, f64>;

/// A round in which it is looked into.
pub fn of(contender: &Contender) -> Result<(Round, Phases)> {
    let file = contender.folder.join("perf.data");
    let processes = contender.processes().iter().map(u32::to_string).collect::<Vec<_>>().join(",");
    let mut perf = Command::new("perf")
        .args(["record", "-q", "-g", "-e", "cpu-clock", "-F", SAMPLES, "-p", &processes, "-o"])
        .arg(&file)
        .args(["--", "sleep", SECONDS])
        .spawn()
        .context("cannot run perf")?;
    let round = one(contender);
    ensure!(perf.wait()?.success(), "perf may not look at {}: it wants root, or kernel.perf_event_paranoid below 2", contender.name);
    let round = round?;
    let told = process::output("perf", &["script", "-i", &file.to_string_lossy(), "-F", "ip,sym,dso"])?;
    let counts = counted(&told);
    let all: usize = counts.values().sum();
    if all < FEWEST {
        bail!("{}: {all} samples are too few", contender.name);
    }
    let phases = counts.into_iter().map(|(phase, count)| (phase, round.cpu_us * count as f64 / all as f64)).collect();
    Ok((round, phases))
}

/// Samples by phase. Each is a stack, the innermost function first, and ends with an empty line.
fn counted(told: &str) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for sample in told.split("\n\n") {
        let frames: Vec<(&str, &str)> = sample.lines().filter_map(frame).collect();
        if !frames.is_empty() {
            *counts.entry(phase(&frames)).or_default() += 1;
        }
    }
    counts
}

/// `ffffffff81 tcp_sendmsg ([kernel.kallsyms])`: function and program.
fn frame(line: &str) -> Option<(&str, &str)> {
    let (_, rest) = line.trim().split_once(' ')?;
    let (name, program) = rest.rsplit_once(" (")?;
    Some((name.split_once("+0x").map_or(name, |(name, _)| name), program.trim_end_matches(')')))
}

fn phase(frames: &[(&str, &str)]) -> &'static str {
    let (name, program) = frames[0];
    if program.contains("kernel") || program.starts_with("[guest") {
        let call = frames.iter().find_map(|(name, _)| ENTRIES.iter().find_map(|entry| name.strip_prefix(entry)));
        let known = CALLS.iter().find(|(_, names)| call.is_some_and(|call| names.contains(&call)));
        return known.map_or(KERNEL, |(phase, _)| phase);
    }
    // `<a::b::C as d::E>::f` is of `a`.
    let name = name.trim_start_matches(['<', '&', '*']);
    PHASES.iter().find(|(_, begins)| begins.iter().any(|begin| name.starts_with(begin))).map_or(OTHER, |(phase, _)| phase)
}

/// Side by side, the dearest of the first proxy on top.
pub fn table(case: &str, all: &[(String, Round, Phases)]) -> String {
    let mut out = format!("{case:<24}");
    for (name, ..) in all {
        write!(out, "{name:>WIDTH$}").ok();
    }
    out.push_str("   µs of a request\n");
    let mut names: Vec<&str> = all.iter().flat_map(|(_, _, phases)| phases.keys().copied()).collect();
    let first = |name: &str| all.first().and_then(|(_, _, phases)| phases.get(name)).copied().unwrap_or_default();
    names.sort_by(|a, b| first(b).total_cmp(&first(a)).then(a.cmp(b)));
    names.dedup();
    for name in names {
        write!(out, "{name:<24}").ok();
        for (_, _, phases) in all {
            write!(out, "{:>WIDTH$.2}", phases.get(name).copied().unwrap_or_default()).ok();
        }
        out.push('\n');
    }
    write!(out, "{:<24}", "all").ok();
    for (_, round, _) in all {
        write!(out, "{:>WIDTH$.2}", round.cpu_us).ok();
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests;
