//! What it costs to wait: memory of a proxy with nothing to do, per connection that says nothing, and per service in its table. No requests, so one
//! round says all.

use super::account;
use super::case::{Case, Load, Request, Speech, Way};
use super::contender::{Contender, Field, Tools, services_yaml};
use crate::running::{PATIENCE, Running};
use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const CONNECTIONS: [usize; 2] = [1_000, 10_000];
const SERVICES: [usize; 2] = [1_000, 10_000];
const PLAIN: Case = Case { name: "idle", shape: "", way: Way::Edge { front: Speech::Http1, back: Speech::Http1 }, load: SMALL };
const TLS: Case = Case { name: "idle-tls", shape: "", way: Way::Edge { front: Speech::Tls1, back: Speech::Http1 }, load: SMALL };
/// Before anybody's memory is looked at: what a start needed is given back by then, where it is given back.
const WAITED: Duration = Duration::from_secs(12);
/// What comes with the first connections, as the code that serves them, is not what another one costs.
const FIRST: usize = 50;
const SMALL: Load = Load::Http1(1, Request::Small);

pub struct Idle {
    pub case: &'static str,
    pub proxy: String,
    pub number: usize,
    /// Megabytes of one that waits for the first.
    pub idle_mb: f64,
    /// With none that is kept, and with so many.
    pub none_mb: f64,
    pub all_mb: f64,
}

impl Idle {
    pub fn kb_each(&self) -> f64 {
        (self.all_mb - self.none_mb) * 1024.0 / self.number as f64
    }
}

pub fn measure(tools: &Tools, folder: &Path) -> Result<Vec<Idle>> {
    let mut all = Vec::new();
    for case in [&PLAIN, &TLS] {
        for number in CONNECTIONS {
            std::fs::create_dir_all(folder)?;
            // Each number gets proxies that have never seen a connection.
            let field = Field::new(case, tools, folder)?;
            let contenders = field.contenders()?;
            for contender in &contenders {
                super::answers(contender).with_context(|| contender.name.clone())?;
            }
            std::thread::sleep(WAITED);
            for contender in contenders {
                all.push(connections(case, &contender, number).with_context(|| contender.name.clone())?);
            }
            drop(field);
            std::fs::remove_dir_all(folder).ok();
        }
    }
    for number in SERVICES {
        all.push(services(tools, folder, number)?);
    }
    Ok(all)
}

fn memory(contender: &Contender) -> f64 {
    account::of(&contender.processes()).memory_kb / 1024.0
}

fn connections(case: &Case, contender: &Contender, number: usize) -> Result<Idle> {
    let hold = |number| if contender.tls { Held::tls(contender.port, number) } else { Held::plain(contender.port, number) };
    let with = |number| -> Result<f64> {
        let held = hold(number)?;
        std::thread::sleep(Duration::from_secs(1));
        let memory = memory(contender);
        drop(held);
        Ok(memory)
    };
    let idle_mb = memory(contender);
    with(FIRST)?;
    std::thread::sleep(Duration::from_secs(1));
    let none_mb = memory(contender);
    Ok(Idle { case: case.name, proxy: contender.name.clone(), number, idle_mb, none_mb, all_mb: with(number)? })
}

enum Held {
    Plain { _all: Vec<TcpStream> },
    Tls { _python: Running },
}

impl Held {
    fn plain(port: u16, number: usize) -> Result<Self> {
        let all = (0..number).map(|_| TcpStream::connect(("127.0.0.1", port))).collect::<std::io::Result<Vec<_>>>();
        Ok(Self::Plain { _all: all? })
    }

    fn tls(port: u16, number: usize) -> Result<Self> {
        let script = crate::root().join("bench/idle.py");
        let mut command = Command::new("python3");
        command.arg(script).args([port.to_string(), number.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut python = Running::start(&mut command)?;
        let mut line = String::new();
        BufReader::new(python.child().stdout.take().context("no output")?).read_line(&mut line)?;
        if line.trim() != "ready" {
            bail!("the connections were not opened");
        }
        Ok(Self::Tls { _python: python })
    }
}

/// Organza alone: a gateway with so many services, each with an endpoint and a route, beside one with one.
fn services(tools: &Tools, folder: &Path, number: usize) -> Result<Idle> {
    let with = |number: usize| -> Result<f64> {
        std::fs::create_dir_all(folder)?;
        let field = Field::new(&PLAIN, tools, folder)?;
        let contender = field.organza_with("organza", &services_yaml(number))?;
        super::answers(&contender)?;
        // The last service answers when all are there.
        let end = Instant::now() + PATIENCE;
        while super::load::verify_host(contender.port, &format!("service-{}.bench.local", number - 1)).is_err() {
            if Instant::now() > end {
                bail!("{number} services are not there in time");
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        std::thread::sleep(WAITED);
        let memory = memory(&contender);
        drop((contender, field));
        std::fs::remove_dir_all(folder).ok();
        Ok(memory)
    };
    let none_mb = with(1)?;
    Ok(Idle { case: "services", proxy: "organza".into(), number, idle_mb: none_mb, none_mb, all_mb: with(number)? })
}
