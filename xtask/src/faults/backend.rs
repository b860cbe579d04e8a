//! A backend that does what it is told: `ok`, `slow MS`, `fail PERCENT`, `hang`, `sick` (its health check fails and nothing else), a line each on its
//! standard input. A process of its own, so that it can be killed as real ones are. Its answers name its port.

use crate::running::{Running, wait_for_port};
use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The process, as the one that breaks it holds it.
pub struct Backend {
    port: u16,
    process: Running,
}

impl Backend {
    pub fn start(port: u16) -> Result<Self> {
        let mut command = Command::new(crate::process::own()?);
        command.args(["backend", &port.to_string()]).stdin(Stdio::piped()).stdout(Stdio::null());
        let process = Running::start(&mut command)?;
        wait_for_port(port)?;
        Ok(Self { port, process })
    }

    pub fn tell(&mut self, what: &str) -> Result<()> {
        let input = self.process.child().stdin.as_mut().context("the backend has no input")?;
        writeln!(input, "{what}").context("the backend does not listen any more")
    }

    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// After a kill.
    pub fn again(&mut self) -> Result<()> {
        *self = Self::start(self.port)?;
        Ok(())
    }
}

/// What it does now, in one number: what it is, and how much of it.
#[derive(Default)]
struct Mode(AtomicU64);

#[derive(Clone, Copy)]
enum Doing {
    Well,
    Slow(u64),
    Failing(u64),
    Hanging,
    Sick,
}

impl Mode {
    fn set(&self, line: &str) -> Result<()> {
        let (what, amount) = line.split_once(' ').unwrap_or((line, "0"));
        let amount: u64 = amount.parse().with_context(|| line.to_owned())?;
        let number = match what {
            "ok" => 0,
            "slow" => 1,
            "fail" => 2,
            "hang" => 3,
            "sick" => 4,
            _ => bail!("{line:?} is nothing that a backend does"),
        };
        self.0.store(number << 32 | amount, Ordering::Release);
        Ok(())
    }

    fn now(&self) -> Doing {
        let number = self.0.load(Ordering::Acquire);
        let amount = number & 0xffff_ffff;
        match number >> 32 {
            1 => Doing::Slow(amount),
            2 => Doing::Failing(amount),
            3 => Doing::Hanging,
            4 => Doing::Sick,
            _ => Doing::Well,
        }
    }
}

/// `xtask backend PORT`: serves until its input closes.
pub fn serve(arguments: &[String]) -> Result<()> {
    let port: u16 = arguments.first().and_then(|port| port.parse().ok()).context("backend PORT")?;
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    let mode = Arc::new(Mode::default());
    let (accepting, answered) = (mode.clone(), Arc::new(AtomicU64::new(0)));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (mode, answered) = (accepting.clone(), answered.clone());
            std::thread::spawn(move || connection(stream, port, &mode, &answered));
        }
    });
    for line in std::io::stdin().lines() {
        mode.set(&line?)?;
    }
    Ok(())
}

/// Requests have no bodies here. That a caller is gone ends the connection and is nobody's fault.
fn connection(stream: TcpStream, port: u16, mode: &Mode, answered: &AtomicU64) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut out = stream.try_clone()?;
    let mut lines = BufReader::new(stream).lines();
    while let Some(first) = lines.next() {
        let first = first?;
        while !lines.next().transpose()?.unwrap_or_default().is_empty() {}
        let check = first.contains(" /healthz ");
        let status = match mode.now() {
            Doing::Slow(millis) => {
                std::thread::sleep(Duration::from_millis(millis));
                200
            }
            Doing::Failing(percent) if answered.fetch_add(1, Ordering::Relaxed) % 100 * 37 % 100 < percent => 503,
            Doing::Sick if check => 503,
            Doing::Hanging => loop {
                std::thread::park();
            },
            _ => 200,
        };
        let text = if status == 200 { "OK" } else { "Service Unavailable" };
        write!(out, "HTTP/1.1 {status} {text}\r\ncontent-length: 2\r\nx-endpoint: {port}\r\n\r\nok")?;
    }
    Ok(())
}
