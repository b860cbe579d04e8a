//! `cargo xtask faults`: real backends are killed, slowed, half-broken and overloaded under a steady load, behind Organza's gateway and behind Envoy
//! given the same policy, and callers that never try again count what they got before, during and after. It measures and shows; it never decides
//! how a proxy behaves (the policies are in `bench/faults`).

mod backend;
mod callers;
mod report;
mod scenarios;

use crate::peers;
use crate::process;
use crate::running::{Running, free_ports, wait_for_port};
use anyhow::{Context, Result, bail};
use backend::Backend;
use callers::{Callers, Seen};
use report::{Phase, Row};
use scenarios::{SCENARIOS, Scenario};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Endpoints of each service.
const BACKENDS: usize = 3;
/// How long each of before, during and after lasts.
const PHASE: Duration = Duration::from_secs(5);

pub use backend::serve;
pub use callers::serve as call;

/// `--scenario NAME` (all), `--organza FILE` (else the release build), `--json FILE`.
pub fn run(arguments: &[String]) -> Result<()> {
    let value = |name: &str| arguments.iter().position(|argument| argument == name).and_then(|at| arguments.get(at + 1));
    let chosen: Vec<&Scenario> = SCENARIOS.iter().filter(|scenario| value("--scenario").is_none_or(|name| scenario.name == name)).collect();
    if chosen.is_empty() {
        bail!("--scenario is one of: {}", SCENARIOS.map(|scenario| scenario.name).join(", "));
    }
    let organza = match value("--organza") {
        Some(file) => std::path::absolute(file)?,
        None => {
            process::run(&process::cargo(), &["build", "--release", "--locked", "-p", "cli"])?;
            crate::root().join("target/release/organza")
        }
    };
    let envoy = peers::envoy()?;
    let folder = std::env::temp_dir().join(format!("organza-faults-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let rows = all(&chosen, &organza, &envoy, &folder);
    std::fs::remove_dir_all(&folder).ok();
    let rows = rows?;
    print!("{}", report::table(&rows));
    if let Some(file) = value("--json") {
        std::fs::write(file, report::json(&rows))?;
    }
    let broken = report::broken(&rows);
    match broken.is_empty() {
        true => Ok(()),
        false => bail!("{}", broken.join("\n")),
    }
}

fn all(chosen: &[&'static Scenario], organza: &Path, envoy: &Path, folder: &Path) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for scenario in chosen {
        for proxy in [Proxy::Organza(organza), Proxy::Envoy(envoy)] {
            let (row, _proxy) = one(scenario, &proxy, folder).with_context(|| format!("{} behind {}", scenario.name, proxy.name()))?;
            eprintln!("{}", report::line(&row));
            rows.push(row);
        }
    }
    Ok(rows)
}

enum Proxy<'a> {
    Organza(&'a Path),
    Envoy(&'a Path),
}

impl Proxy<'_> {
    fn name(&self) -> &'static str {
        match self {
            Self::Organza(_) => "organza",
            Self::Envoy(_) => "envoy",
        }
    }

    fn start(&self, folder: &Path, fill: &[(&str, String)]) -> Result<Running> {
        let sources = crate::root().join("bench/faults");
        match self {
            Self::Organza(program) => {
                let file: PathBuf = peers::filled(&sources.join("organza.yaml"), folder, fill)?;
                let mut up = Command::new(program);
                up.arg("up")
                    .arg("-f")
                    .arg(file)
                    .args(["--mesh", "faults", "--locality", "eu/eu-1"])
                    .env("XDG_STATE_HOME", folder.join("state"));
                Running::quietly(&mut up)
            }
            Self::Envoy(program) => {
                let file = peers::filled(&sources.join("envoy.yaml"), folder, fill)?;
                let mut command = Command::new(program);
                Running::quietly(command.arg("-c").arg(file).args(["--concurrency", "1", "--use-dynamic-base-id", "-l", "off"]))
            }
        }
    }
}

/// Each scenario gets backends and a proxy of its own, so that none inherits what another one broke.
fn one(scenario: &'static Scenario, proxy: &Proxy<'_>, folder: &Path) -> Result<(Row, Running)> {
    let ports = free_ports::<{ BACKENDS + 1 }>()?;
    let mut backends = ports[..BACKENDS].iter().map(|port| Backend::start(*port)).collect::<Result<Vec<_>>>()?;
    let mut fill = vec![("port", ports[BACKENDS].to_string())];
    fill.extend(["b0", "b1", "b2"].into_iter().zip(ports.iter().map(u16::to_string)));
    let running = proxy.start(folder, &fill)?;
    wait_for_port(ports[BACKENDS])?;
    let address = SocketAddr::from(([127, 0, 0, 1], ports[BACKENDS]));
    callers::wait_for_answer(address, scenario.host)?;
    let start = |count: u32| Callers::start(count, address, scenario.host, callers::PATIENCE);
    let callers = start(scenario.callers);
    let phase = || -> Phase {
        let begun = Instant::now();
        std::thread::sleep(PHASE);
        (begun, Instant::now())
    };
    let before = phase();
    (scenario.breaks)(&mut backends)?;
    let more = start(scenario.more_callers);
    let during = phase();
    let more = more.stop();
    (scenario.mends)(&mut backends)?;
    let phases = [before, during, phase()];
    let mut seen: Vec<Seen> = callers.stop().into_iter().chain(more).collect();
    seen.sort_by_key(|one| one.at);
    Ok((report::row(scenario, proxy.name(), &seen, &phases, &ports[..BACKENDS]), running))
}
