//! Which processes a cluster is made of: by number and the time of their start, so that a number that was given away again harms nobody. One line each.

use anyhow::{Context, Result, bail};
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// For a process to be gone after it was killed.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct Ledger(PathBuf);

#[derive(Debug, PartialEq, Eq)]
pub struct Process {
    pub name: String,
    pub id: u32,
    /// In ticks since the machine's.
    start: u64,
}

impl Ledger {
    pub fn at(file: PathBuf) -> Self {
        Self(file)
    }

    pub fn note(&self, name: &str, id: u32) -> Result<()> {
        let start = start_of(id).with_context(|| format!("{name} ended at once"))?;
        let mut file = fs::OpenOptions::new().append(true).create(true).open(&self.0)?;
        writeln!(file, "{name} {id} {start}")?;
        Ok(())
    }

    pub fn all(&self) -> Result<Vec<Process>> {
        match fs::read_to_string(&self.0) {
            Ok(text) => Ok(text.lines().filter_map(parse).collect()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error).with_context(|| self.0.display().to_string()),
        }
    }

    /// The number of the process of that name, if it lives.
    pub fn alive(&self, name: &str) -> Option<u32> {
        self.all().ok()?.iter().find(|process| process.name == name && process.is_alive()).map(|process| process.id)
    }

    /// The last first. The first process of a node takes along all that runs on it.
    pub fn end_all(&self) -> Result<()> {
        for process in self.all()?.iter().rev() {
            if process.is_alive() {
                Command::new("kill").args(["-s", "KILL", &process.id.to_string()]).status().context("cannot run kill")?;
            }
            let end = Instant::now() + PATIENCE;
            while process.is_alive() {
                if Instant::now() > end {
                    bail!("{} ({}) does not end", process.name, process.id);
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(())
    }
}

impl Process {
    /// One that is dead and not buried yet does not count.
    pub fn is_alive(&self) -> bool {
        start_of(self.id) == Some(self.start)
    }
}

fn parse(line: &str) -> Option<Process> {
    let mut words = line.split(' ');
    Some(Process { name: words.next()?.into(), id: words.next()?.parse().ok()?, start: words.next()?.parse().ok()? })
}

fn start_of(id: u32) -> Option<u64> {
    started(&fs::read_to_string(format!("/proc/{id}/stat")).ok()?)
}

/// The 22nd field of /proc/ID/stat; the second is the program's name in parentheses, which may hold anything. `None` for a zombie.
pub fn started(stat: &str) -> Option<u64> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    if matches!(fields.first(), Some(&"Z" | &"X")) {
        return None;
    }
    fields.get(19)?.parse().ok()
}
