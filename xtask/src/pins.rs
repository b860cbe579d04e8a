//! `cargo xtask pins`: what can be counted exactly about a request, held to what it was: instructions of our own code (callgrind), system calls
//! (strace), allocations. Counts do not drift with the machine as times do, so a regression of 3 % fails. `bench/pins.json` keeps them.

mod callgrind;
mod layout;

use crate::peers;
use crate::process;
use crate::running::{Running, eventually, free_ports, wait_for_port};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// More than this above what is kept is a regression; as much below is worth keeping.
const TOLERANCE: f64 = 0.03;
const REQUESTS: u32 = 2000;
const LAYOUT: &str = "cli/layout.txt";
/// Before anything is counted: caches, pools and first allocations.
const WARM: u32 = 300;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Pin {
    /// A gateway, HTTP/1.1 to HTTP/1.1, one connection.
    H1,
    /// A gateway, HTTP/2 to HTTP/2, one connection of four streams.
    H2,
    /// Both proxies of a call in the mesh, HTTP/1.1 and mutual TLS, together.
    Mesh,
}

const PINS: [(&str, Pin); 3] = [("h1", Pin::H1), ("h2", Pin::H2), ("mesh", Pin::Mesh)];

#[derive(Debug, Clone, Copy)]
struct Counted {
    instructions: f64,
    allocations: f64,
    system_calls: f64,
    /// Instructions of finding the route; both ends of a mesh are no gateways.
    route: Option<f64>,
}

/// `--keep` writes what is counted into `bench/pins.json`; `--organza FILE` (else the release build); `--profile FOLDER` keeps callgrind's files;
/// `--layout` counts nothing and writes `cli/layout.txt` anew.
pub fn run(arguments: &[String]) -> Result<()> {
    let value = |name: &str| arguments.iter().position(|argument| argument == name).and_then(|at| arguments.get(at + 1));
    peers::install(&[("valgrind", "valgrind"), ("strace", "strace"), ("h2load", "nghttp2-client")])?;
    let organza = match value("--organza") {
        Some(file) => std::path::absolute(file)?,
        None => {
            process::run(&process::cargo(), &["build", "--release", "--locked", "-p", "cli"])?;
            crate::root().join("target/release/organza")
        }
    };
    if arguments.iter().any(|argument| argument == "--layout") {
        return lay_out(&organza);
    }
    let mut counted = BTreeMap::new();
    for (name, pin) in PINS.into_iter().filter(|(name, _)| value("--pin").is_none_or(|wanted| wanted == name)) {
        let folder = std::env::temp_dir().join(format!("organza-pins-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let result = count(pin, &organza, &folder).with_context(|| name);
        if let Some(kept) = value("--profile") {
            std::fs::create_dir_all(kept)?;
            for entry in std::fs::read_dir(&folder)?.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with("callgrind"))
            {
                std::fs::copy(entry.path(), Path::new(kept).join(format!("{name}-{}", entry.file_name().to_string_lossy())))?;
            }
        }
        std::fs::remove_dir_all(&folder).ok();
        counted.insert(name, result?);
    }
    let file = crate::root().join("bench/pins.json");
    let kept: Value = std::fs::read_to_string(&file).map_or_else(|_| Ok(json!({})), |text| serde_json::from_str(&text))?;
    let mut worse = compare(&counted, &kept);
    worse.extend(laid_out(&organza)?);
    if arguments.iter().any(|argument| argument == "--keep") {
        let all: BTreeMap<_, _> = counted.iter().map(|(name, c)| (*name, as_json(c))).collect();
        std::fs::write(&file, format!("{:#}\n", json!(all)))?;
        return Ok(());
    }
    match worse.is_empty() {
        true => Ok(()),
        false => bail!("{}\n(if it is worth that: cargo xtask pins --keep, and say why in the commit)", worse.join("\n")),
    }
}

fn as_json(counted: &Counted) -> Value {
    let tenth = |number: f64| (number * 10.0).round() / 10.0;
    let mut value = json!({
        "instructions": counted.instructions.round(), "allocations": tenth(counted.allocations), "system_calls": tenth(counted.system_calls),
    });
    if let Some(route) = counted.route {
        value["route"] = json!(route.round());
    }
    value
}

/// Prints all, and gives what got worse.
fn compare(counted: &BTreeMap<&'static str, Counted>, kept: &Value) -> Vec<String> {
    let mut worse = Vec::new();
    println!("per request      now       kept");
    for (name, now) in counted {
        let now = as_json(now);
        for what in ["instructions", "allocations", "system_calls", "route"] {
            let (Some(is), was) = (now[what].as_f64(), kept[name][what].as_f64()) else { continue };
            let shown = was.map_or_else(|| "-".into(), |was| was.to_string());
            println!("{name:<5} {what:<13} {is:>8} {shown:>8}");
            // A tenth of a call is noise of timers.
            if was.is_some_and(|was| is > was * (1.0 + TOLERANCE) + 0.1) {
                worse.push(format!("{name}: {what} per request rose from {shown} to {is}"));
            }
        }
    }
    worse
}

fn count(pin: Pin, organza: &Path, folder: &Path) -> Result<Counted> {
    let [port, backend] = free_ports()?;
    let _backend = sample(organza, backend)?;
    let configs = configured(pin, organza, folder, port, backend)?;
    let load = |requests: u32| shoot(pin, port, requests);
    let counted = {
        let proxies = begin(pin, &configs, port, |number| callgrind_of(organza, folder, &number.to_string(), &[]))?;
        load(WARM)?;
        proxies.iter().try_for_each(|proxy| control(proxy, "--zero"))?;
        load(REQUESTS)?;
        proxies.iter().try_for_each(|proxy| control(proxy, "--dump"))?;
        callgrind::read(folder)?
    };
    let proxies = begin(pin, &configs, port, |_| Command::new(organza))?;
    load(WARM)?;
    let system_calls = traced(&proxies, folder, || load(REQUESTS))?;
    let each = |total: u64| total as f64 / f64::from(REQUESTS);
    let route = if pin == Pin::Mesh { None } else { Some(each(counted.route)) };
    if route == Some(0.0) {
        bail!("callgrind saw no call of the table: its functions have other names than pins/callgrind.rs says");
    }
    let (instructions, allocations, system_calls) = (each(counted.instructions), each(counted.allocations), each(system_calls));
    Ok(Counted { instructions, allocations, system_calls, route })
}

/// Which functions of the program proxies of every kind run, from their start to some requests, and which of them before any.
fn lay_out(organza: &Path) -> Result<()> {
    let program = organza.file_name().context("no program")?.to_string_lossy();
    let calls = |name: &str, run: &dyn Fn(&Path) -> Result<Vec<String>>| -> Result<BTreeMap<String, u64>> {
        let folder = std::env::temp_dir().join(format!("organza-layout-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let ran = run(&folder).with_context(|| name.to_owned());
        std::fs::remove_dir_all(&folder).ok();
        let mut calls = BTreeMap::new();
        ran?.iter().for_each(|text| layout::functions(text, &program, &mut calls));
        if calls.is_empty() {
            bail!("callgrind wrote nothing of a proxy {name}");
        }
        Ok(calls)
    };
    let mut kinds = Vec::new();
    for (name, pin) in PINS {
        kinds.push(calls(name, &|folder| ran_alone(pin, organza, folder))?);
    }
    kinds.push(calls("with a control plane", &|folder| {
        ran_told(organza, folder, |port| {
            eventually("a request is answered", || Ok(shoot(Pin::H1, port, WARM).is_ok()))?;
            // It reports each second.
            std::thread::sleep(Duration::from_secs(4));
            shoot(Pin::H1, port, WARM)
        })
    })?);
    let waits = calls("that waits", &|folder| {
        ran_told(organza, folder, |port| {
            eventually("it listens", || Ok(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()))?;
            // It clears up each minute.
            std::thread::sleep(Duration::from_secs(70));
            Ok(())
        })
    })?;
    let symbols = process::output("nm", &[&organza.to_string_lossy()])?;
    let list = layout::list(&kinds, &waits, &layout::symbols(&symbols), &compiler()?);
    Ok(std::fs::write(crate::root().join(LAYOUT), list)?)
}

fn compiler() -> Result<String> {
    Ok(process::output("rustc", &["--version"])?.trim().to_owned())
}

/// Whether most names of the list are still the program's: what is not is not laid with the rest.
fn laid_out(organza: &Path) -> Result<Option<String>> {
    let list = std::fs::read_to_string(crate::root().join(LAYOUT))?;
    let symbols = process::output("nm", &[&organza.to_string_lossy()])?;
    let Some((found, all)) = layout::found(&list, &layout::symbols(&symbols), &compiler()?) else {
        println!("layout: made by another compiler, says nothing");
        return Ok(None);
    };
    println!("layout: {found} of {all} functions");
    let stale = (found as f64) < layout::STALE * all as f64;
    Ok(stale.then(|| format!("of the {all} functions that {LAYOUT} lays side by side only {found} are left: cargo xtask pins --layout")))
}

/// What callgrind wrote of each thread of proxies that have no control plane.
fn ran_alone(pin: Pin, organza: &Path, folder: &Path) -> Result<Vec<String>> {
    let [port, backend] = free_ports()?;
    let _backend = sample(organza, backend)?;
    let configs = configured(pin, organza, folder, port, backend)?;
    let proxies = begin(pin, &configs, port, |number| callgrind_of(organza, folder, &number.to_string(), &["--demangle=no"]))?;
    shoot(pin, port, WARM)?;
    proxies.iter().try_for_each(|proxy| control(proxy, "--dump"))?;
    written(folder)
}

/// The same of a gateway that its control plane tells what there is, from its first start to its end; `meanwhile` is told its port.
fn ran_told(organza: &Path, folder: &Path, meanwhile: impl Fn(u16) -> Result<()>) -> Result<Vec<String>> {
    let [port, backend] = free_ports()?;
    let _backend = sample(organza, backend)?;
    let file = objects(Pin::H1, folder, port, backend)?;
    let mut command = callgrind_of(organza, folder, "%p", &["--demangle=no", "--trace-children=yes"]);
    let up = Running::quietly(command.args(["up", "--mesh", "pins", "-f"]).arg(file).env("XDG_STATE_HOME", folder))?;
    meanwhile(port)?;
    // Asked to end, all three write what they ran.
    drop(up);
    let proxy = |text: &String| text.lines().any(|line| line.starts_with("cmd:") && line.contains(" proxy "));
    Ok(written(folder)?.into_iter().filter(proxy).collect())
}

fn written(folder: &Path) -> Result<Vec<String>> {
    let files = std::fs::read_dir(folder)?.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with("callgrind."));
    Ok(files.map(|entry| std::fs::read_to_string(entry.path())).collect::<std::io::Result<_>>()?)
}

fn sample(organza: &Path, port: u16) -> Result<Running> {
    let backend = Running::quietly(Command::new(organza).args(["sample", "--name", "pins", "--port", &port.to_string()]))?;
    wait_for_port(port)?;
    Ok(backend)
}

fn callgrind_of(organza: &Path, folder: &Path, number: &str, more: &[&str]) -> Command {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--quiet", "--separate-threads=yes"]).args(more);
    command.arg(format!("--callgrind-out-file={}/callgrind.{number}", folder.display())).arg(organza);
    command
}

/// What the bench has of this kind.
fn objects(pin: Pin, folder: &Path, port: u16, backend: u16) -> Result<PathBuf> {
    let app = if pin == Pin::H2 { "kubernetes.io/h2c" } else { "http" };
    let values = [
        ("port", port.to_string()),
        ("backend", backend.to_string()),
        ("protocol", "HTTP".to_owned()),
        ("tls", String::new()),
        ("app", app.to_owned()),
        ("more", String::new()),
    ];
    let template = if pin == Pin::Mesh { "mesh.yaml" } else { "organza.yaml" };
    peers::filled(&crate::root().join("bench").join(template), folder, &values)
}

/// A mesh comes up as users have it; then all of it is killed, and what remains are proxies' configurations, snapshots and certificates, by which they
/// start again alone.
fn configured(pin: Pin, organza: &Path, folder: &Path, port: u16, backend: u16) -> Result<Vec<PathBuf>> {
    let command = |arguments: &[&str]| {
        let mut command = Command::new(organza);
        command.args(arguments).args(["--mesh", "pins"]).env("XDG_STATE_HOME", folder);
        command
    };
    let file = objects(pin, folder, port, backend)?;
    let mut running = vec![Running::quietly(command(&["up"]).arg("-f").arg(file))?];
    if pin == Pin::Mesh {
        eventually("the mesh comes up", || Ok(command(&["status"]).output()?.status.success()))?;
        let (served, upstream) = (backend.to_string(), format!("bench={port}"));
        running.push(Running::quietly(&mut command(&["run", "--service", "bench", "--port", &served]))?);
        running.push(Running::quietly(&mut command(&["run", "--upstream", &upstream]))?);
    }
    wait_for_port(port)?;
    eventually("a request is answered", || Ok(shoot(pin, port, 4).is_ok()))?;
    // The server's first: the client's calls it.
    let mut configs: Vec<PathBuf> = std::fs::read_dir(folder.join("organza/pins/proxies"))?
        .flatten()
        .map(|entry| entry.path().join("config.json"))
        .filter(|path| path.exists())
        .collect();
    configs.sort();
    running.iter_mut().rev().for_each(Running::kill);
    eventually("the port is free again", || Ok(std::net::TcpListener::bind(("127.0.0.1", port)).is_ok()))?;
    for config in &configs {
        let mut value: Value = serde_json::from_str(&std::fs::read_to_string(config)?)?;
        value["workers"] = 1.into();
        std::fs::write(config, value.to_string())?;
    }
    Ok(configs)
}

fn begin(pin: Pin, configs: &[PathBuf], port: u16, command: impl Fn(usize) -> Command) -> Result<Vec<Running>> {
    let start = |(number, config): (usize, &PathBuf)| Running::quietly(command(number).args(["proxy", "--config"]).arg(config));
    let proxies = configs.iter().enumerate().map(start).collect::<Result<Vec<_>>>()?;
    // Who listens first may call who does not listen yet.
    eventually("the proxies answer", || Ok(shoot(pin, port, 4).is_ok()))?;
    Ok(proxies)
}

fn shoot(pin: Pin, port: u16, requests: u32) -> Result<()> {
    let mut command = Command::new("h2load");
    let streams = if pin == Pin::H2 { "-m4" } else { "--h1" };
    command.args(["-c1", "-t1", streams, &format!("-n{requests}"), "-H", "x-bench: 1"]);
    // Whether a trace is recorded was decided: where it is drawn here, the clock has a say.
    command.args(["-H", "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"]);
    // Its HTTP/1 makes a Host field of it.
    command.args(["-H", ":authority: bench.local"]);
    let output = command.arg(format!("http://127.0.0.1:{port}/items/1")).stdin(Stdio::null()).output().context("cannot run h2load")?;
    let text = String::from_utf8_lossy(&output.stdout);
    match text.contains(&format!("status codes: {requests} 2xx")) {
        true => Ok(()),
        false => bail!("h2load said:\n{text}"),
    }
}

fn control(proxy: &Running, what: &str) -> Result<()> {
    process::output("callgrind_control", &[what, &proxy.id().to_string()]).map(drop)
}

/// The one worker of a proxy.
fn worker(proxy: u32) -> Result<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{proxy}/task"))?.flatten();
    let mut workers = tasks.filter(|task| std::fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name.starts_with("worker-")));
    let task = workers.next().with_context(|| format!("the proxy {proxy} has no worker"))?;
    Ok(task.file_name().to_string_lossy().parse()?)
}

/// System calls of the workers of all proxies while `work` is done.
fn traced(proxies: &[Running], folder: &Path, work: impl FnOnce() -> Result<()>) -> Result<u64> {
    let mut tracers = Vec::new();
    for (number, proxy) in proxies.iter().enumerate() {
        let file = folder.join(format!("strace.{number}"));
        let worker = worker(proxy.id())?;
        let mut command = Command::new("strace");
        command.args(["-q", "-c", "-U", "calls,name", "-o"]).arg(&file).args(["-p", &worker.to_string()]);
        tracers.push((Running::quietly(&mut command)?, file, worker));
    }
    let attached = |task: u32| {
        let status = std::fs::read_to_string(format!("/proc/{task}/status")).unwrap_or_default();
        status.lines().any(|line| line.strip_prefix("TracerPid:").is_some_and(|id| id.trim() != "0"))
    };
    eventually("strace is attached", || Ok(tracers.iter().all(|(_, _, task)| attached(*task))))?;
    work()?;
    let mut calls = 0;
    for (tracer, file, _) in tracers {
        // It writes its table when it is told to let go.
        drop(tracer);
        let text = std::fs::read_to_string(&file)?;
        let total = text.lines().find_map(|line| line.trim().strip_suffix(" total")?.trim().parse::<u64>().ok());
        calls += total.with_context(|| format!("strace said:\n{text}"))?;
    }
    Ok(calls)
}
