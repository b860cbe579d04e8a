//! `cargo xtask bench`: what one proxied request costs, Organza beside its peers, in one run and interleaved, so that ratios hold on a noisy
//! machine. CPU time is the kernel's own account of each process (`/proc/PID/task/*/schedstat`).

use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Connections that wrk keeps open.
const CONNECTIONS: &str = "64";
/// Length of one measurement.
const SECONDS: u64 = 3;

struct Contender {
    name: &'static str,
    port: u16,
    /// The processes whose time counts.
    process: Running,
}

struct Running {
    child: Child,
    /// Started by a supervisor: find the proxy itself below it.
    below: Option<&'static str>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-s", "TERM", &self.child.id().to_string()]).status();
        let end = Instant::now() + Duration::from_secs(5);
        while Instant::now() < end {
            if let Ok(Some(_)) = self.child.try_wait() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Default, Clone)]
struct Round {
    requests: f64,
    cpu_us: f64,
    user_share: f64,
    rate: f64,
    p50_us: f64,
    p99_us: f64,
    memory_kb: f64,
}

/// `--rounds N` (default 5), `--json FILE`.
pub fn run(root: &Path, args: &[String]) -> Result<()> {
    let value = |name: &str| args.iter().position(|a| a == name).and_then(|i| args.get(i + 1));
    let rounds: usize = value("--rounds").map_or(Ok(5), |text| text.parse()).context("--rounds takes a number")?;
    for tool in ["wrk", "haproxy", "nginx"] {
        if Command::new(tool).arg("-v").output().is_err() {
            bail!("`{tool}` is not on the PATH: apt-get install wrk haproxy nginx-light");
        }
    }
    let dir = std::env::temp_dir().join(format!("organza-bench-{}", std::process::id()));
    fs::create_dir_all(&dir)?;
    let result = measure(root, &dir, rounds);
    let _ = fs::remove_dir_all(&dir);
    let table = result?;
    print!("{}", render(&table));
    if let Some(file) = value("--json") {
        fs::write(file, json(&table))?;
    }
    Ok(())
}

fn measure(root: &Path, dir: &Path, rounds: usize) -> Result<BTreeMap<&'static str, Vec<Round>>> {
    let ports: Vec<u16> = free_ports(4)?;
    let fill = |name: &str, port: u16| -> Result<PathBuf> {
        let source = root.join("bench").join(name);
        let text = fs::read_to_string(&source).with_context(|| format!("{} cannot be read", source.display()))?;
        let text = text.replace("{port}", &port.to_string()).replace("{backend}", &ports[0].to_string());
        let file = dir.join(name);
        fs::write(&file, text.replace("{dir}", &dir.display().to_string()))?;
        Ok(file)
    };
    let nginx = |file: PathBuf| start(Command::new("nginx").args(["-e", "/dev/null", "-c"]).arg(file), Some("nginx: worker"));
    let _backend = nginx(fill("backend.conf", ports[0])?)?;
    let mut contenders = vec![
        Contender {
            name: "haproxy",
            port: ports[1],
            process: start(Command::new("haproxy").arg("-f").arg(fill("haproxy.cfg", ports[1])?), None)?,
        },
        Contender { name: "nginx", port: ports[2], process: nginx(fill("nginx.conf", ports[2])?)? },
    ];
    let organza = match std::env::var_os("ORGANZA") {
        Some(program) => PathBuf::from(program),
        None => built(root)?,
    };
    let mut up = Command::new(organza);
    up.arg("up").arg("-f").arg(fill("organza.yaml", ports[3])?).args(["--mesh", "bench"]).env("XDG_STATE_HOME", dir);
    contenders.push(Contender { name: "organza", port: ports[3], process: start(&mut up, Some("proxy"))? });
    for contender in &contenders {
        wait_port(contender.port).with_context(|| format!("{} does not listen", contender.name))?;
        check(contender.port).with_context(|| format!("{} does not answer as it should", contender.name))?;
        shoot(contender.port, 1)?;
    }
    let mut table: BTreeMap<&'static str, Vec<Round>> = BTreeMap::new();
    for round in 0..rounds {
        for i in 0..contenders.len() {
            let contender = &contenders[(i + round) % contenders.len()];
            let result = one(contender).with_context(|| contender.name)?;
            table.entry(contender.name).or_default().push(result);
        }
    }
    Ok(table)
}

/// The program as users run it: the release build.
fn built(root: &Path) -> Result<PathBuf> {
    let status =
        Command::new(crate::process::cargo()).args(["build", "--release", "--quiet", "--package", "cli"]).current_dir(root).status()?;
    if !status.success() {
        bail!("organza does not build");
    }
    let out = Command::new(crate::process::cargo()).args(["metadata", "--format-version", "1", "--no-deps"]).current_dir(root).output()?;
    let meta: serde_json::Value = serde_json::from_slice(&out.stdout)?;
    Ok(PathBuf::from(meta["target_directory"].as_str().context("no target directory")?).join("release/organza"))
}

fn start(command: &mut Command, below: Option<&'static str>) -> Result<Running> {
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    Ok(Running { child, below })
}

fn one(contender: &Contender) -> Result<Round> {
    let pids = pids(&contender.process);
    if pids.is_empty() {
        bail!("its process is gone");
    }
    let (cpu, user, system) = (total(&pids, schedstat), total(&pids, |p| ticks(p, 13)), total(&pids, |p| ticks(p, 14)));
    let mut round = shoot(contender.port, SECONDS)?;
    round.cpu_us = (total(&pids, schedstat) - cpu) / 1000.0 / round.requests;
    let (user, system) = (total(&pids, |p| ticks(p, 13)) - user, total(&pids, |p| ticks(p, 14)) - system);
    round.user_share = user / (user + system).max(1.0);
    round.memory_kb = total(&pids, memory);
    Ok(round)
}

fn total(pids: &[u32], read: impl Fn(u32) -> f64) -> f64 {
    pids.iter().map(|pid| read(*pid)).sum()
}

/// wrk's own counts; every answer but 2xx is an error here.
fn shoot(port: u16, seconds: u64) -> Result<Round> {
    let url = format!("http://127.0.0.1:{port}/items/1");
    let out = Command::new("wrk")
        .args(["-t1", "-c", CONNECTIONS, &format!("-d{seconds}s"), "--latency", "-H", "Host: bench.local", "-H", "x-bench: 1", &url])
        .output()?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    if text.contains("Non-2xx") || text.contains("Socket errors") {
        bail!("answers were wrong:\n{text}");
    }
    let after = |mark: &str| text.lines().find_map(|l| l.trim().strip_prefix(mark)).map(str::trim);
    let requests = text.lines().find_map(|l| l.trim().split_once(" requests in ")).and_then(|(n, _)| n.parse().ok());
    Ok(Round {
        requests: requests.with_context(|| format!("wrk said:\n{text}"))?,
        rate: after("Requests/sec:").and_then(|t| t.parse().ok()).unwrap_or(0.0),
        p50_us: after("50%").map_or(0.0, micros),
        p99_us: after("99%").map_or(0.0, micros),
        ..Round::default()
    })
}

fn micros(text: &str) -> f64 {
    let units = [("us", 1.0), ("ms", 1e3), ("s", 1e6)];
    units.iter().find_map(|(unit, by)| text.strip_suffix(unit)?.parse::<f64>().ok().map(|n| n * by)).unwrap_or(0.0)
}

/// The process itself, or those of its descendants whose command line holds the word.
fn pids(running: &Running) -> Vec<u32> {
    let root = running.child.id();
    let Some(word) = running.below else { return vec![root] };
    let mut all = vec![root];
    let mut at = 0;
    while at < all.len() {
        let pid = all[at];
        for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            all.extend(children.split_whitespace().filter_map(|c| c.parse::<u32>().ok()));
        }
        at += 1;
    }
    all.retain(|pid| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        *pid != root && String::from_utf8_lossy(&line).replace('\0', " ").contains(word)
    });
    all
}

/// Nanoseconds on a processor, all threads.
fn schedstat(pid: u32) -> f64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let read = |path: PathBuf| fs::read_to_string(path.join("schedstat")).ok()?.split_whitespace().next()?.parse::<f64>().ok();
    tasks.filter_map(|task| read(task.path())).sum()
}

fn ticks(pid: u32, field: usize) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The second field is the name in brackets and may hold spaces: count from its end.
    stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(field - 2)?.parse().ok()).unwrap_or(0.0)
}

fn memory(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().find_map(|l| l.strip_prefix("VmRSS:")?.trim().strip_suffix("kB")?.trim().parse().ok()).unwrap_or(0.0)
}

fn free_ports(count: usize) -> Result<Vec<u16>> {
    let held: Vec<_> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<std::io::Result<_>>()?;
    held.iter().map(|l| Ok(l.local_addr()?.port())).collect()
}

fn wait_port(port: u16) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(15);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if Instant::now() > end {
            bail!("nothing on port {port}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// One answer, whole: status, body and the edited header.
fn check(port: u16) -> Result<()> {
    use std::io::{Read, Write};
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"GET /items/1 HTTP/1.1\r\nHost: bench.local\r\nx-bench: 1\r\nConnection: close\r\n\r\n")?;
        let mut text = Vec::new();
        let _ = stream.read_to_end(&mut text);
        let text = String::from_utf8_lossy(&text).to_ascii_lowercase();
        if text.starts_with("http/1.1 200") && text.contains("x-edge: bench") && text.ends_with("0123456789") {
            return Ok(());
        }
        if Instant::now() > end {
            bail!("it answered:\n{text}");
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn median(rounds: &[Round], read: impl Fn(&Round) -> f64) -> f64 {
    let mut all: Vec<f64> = rounds.iter().map(read).collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(0.0)
}

fn render(table: &BTreeMap<&'static str, Vec<Round>>) -> String {
    let reference = table.get("haproxy").map_or(1.0, |rounds| median(rounds, |r| r.cpu_us));
    let mut out = format!("h1-{CONNECTIONS}: medians of rounds of {SECONDS} s, one worker each\n");
    out.push_str("proxy     CPU µs/request  × haproxy  user share  requests/s    p50 µs    p99 µs  memory MB\n");
    for (name, rounds) in table {
        let m = |read: fn(&Round) -> f64| median(rounds, read);
        let cpu = m(|r| r.cpu_us);
        out.push_str(&format!(
            "{name:<9} {cpu:>14.1} {:>10.2} {:>11.2} {:>11.0} {:>9.0} {:>9.0} {:>10.1}\n",
            cpu / reference,
            m(|r| r.user_share),
            m(|r| r.rate),
            m(|r| r.p50_us),
            m(|r| r.p99_us),
            m(|r| r.memory_kb) / 1024.0,
        ));
    }
    out
}

fn json(table: &BTreeMap<&'static str, Vec<Round>>) -> String {
    let results: Vec<_> = table
        .iter()
        .map(|(name, rounds)| {
            let m = |read: fn(&Round) -> f64| median(rounds, read);
            serde_json::json!({
                "case": format!("h1-{CONNECTIONS}"), "proxy": name, "rounds": rounds.len(), "cpu_us_per_request": m(|r| r.cpu_us),
                "user_share": m(|r| r.user_share), "requests_per_second": m(|r| r.rate), "p50_us": m(|r| r.p50_us),
                "p99_us": m(|r| r.p99_us), "memory_mb": m(|r| r.memory_kb) / 1024.0,
            })
        })
        .collect();
    format!("{:#}\n", serde_json::json!({ "results": results }))
}
