//! Programs that a chore starts and ends again: gateways, peers, backends. Whoever is dropped is asked to end, and killed if it does not. It never
//! ends what it did not start, and knows nothing of what the programs do.

use anyhow::{Context, Result, anyhow, bail};
use std::fs;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

// As tests have it; to depend on their crate would make each chore wait for half of the workspace.
#[path = "../../testkit/src/ports.rs"]
mod ports;

/// For a program to listen, and to end when asked.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Asks again until it is so, for twice as long.
pub fn eventually(what: &str, mut is: impl FnMut() -> Result<bool>) -> Result<()> {
    let end = Instant::now() + 2 * PATIENCE;
    while !is()? {
        if Instant::now() > end {
            bail!("not in time: {what}");
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

pub struct Running(Child);

impl Running {
    /// Starts it without input and with its output thrown away, unless the command says otherwise.
    pub fn quietly(command: &mut Command) -> Result<Self> {
        Self::start(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()))
    }

    pub fn start(command: &mut Command) -> Result<Self> {
        let child = command.spawn().with_context(|| format!("cannot run {}", command.get_program().display()))?;
        Ok(Self(child))
    }

    pub fn id(&self) -> u32 {
        self.0.id()
    }

    pub fn child(&mut self) -> &mut Child {
        &mut self.0
    }

    /// kill -9, and waits until it is gone.
    pub fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }

    /// Its process or, of what a supervisor started, the descendants whose command line holds the word.
    pub fn processes(&self, word: Option<&str>) -> Vec<u32> {
        let Some(word) = word else { return vec![self.id()] };
        let mut all = vec![self.id()];
        let mut at = 0;
        while at < all.len() {
            for task in fs::read_dir(format!("/proc/{}/task", all[at])).into_iter().flatten().flatten() {
                let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
                all.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
            }
            at += 1;
        }
        all.retain(|process| {
            let line = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
            *process != self.id() && String::from_utf8_lossy(&line).replace('\0', " ").contains(word)
        });
        all
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(Some(_)) = self.0.try_wait() {
            return;
        }
        let _ = Command::new("kill").args(["-s", "TERM", &self.id().to_string()]).status();
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if let Ok(Some(_)) = self.0.try_wait() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        self.kill();
    }
}

/// Ports that nobody has now, and that nobody takes before whoever they are for: neither others of ours nor an outgoing connection.
pub fn free_ports<const N: usize>() -> Result<[u16; N]> {
    ports::free_ports(N).try_into().map_err(|found: Vec<u16>| anyhow!("{} of {N} ports", found.len()))
}

pub fn wait_for_port(port: u16) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if Instant::now() > end {
            bail!("nothing listens at port {port}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
