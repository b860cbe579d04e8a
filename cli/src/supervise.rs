//! Child processes: each with a log of its own, started again with growing pauses where that was asked for, and ended in the order that
//! its owner wants. A child gets a process group of its own, so that Ctrl-C reaches us alone and we decide who drains first; its standard
//! input is a pipe that we hold (see `lifeline`). Knows nothing of meshes: a child is a command line.

use crate::failure::{Context, Outcome};
use crate::limits;
use crate::log_file::LogFile;
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

#[derive(Debug, Clone)]
pub struct Program {
    /// How messages call it.
    pub name: String,
    pub command: Vec<OsString>,
    pub environment: Vec<(String, String)>,
    pub log: PathBuf,
    pub restart: Restart,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    Never,
    Always,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Running {
        pid: u32,
    },
    /// Ended by itself; starts again after a pause.
    Pausing {
        last: ExitStatus,
    },
    Ended,
}

/// A running child. Dropped without [`Supervised::stop`], the child is killed.
#[derive(Debug)]
pub struct Supervised {
    pub state: watch::Receiver<State>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Supervised {
    pub fn start(program: Program) -> Outcome<Self> {
        let log = LogFile::open(&program.log).doing(|| format!("open the log {}", program.log.display()))?;
        let child = spawn(&program, &log).doing(|| format!("start {}", program.name))?;
        let (say, state) = watch::channel(State::Running { pid: child.id().unwrap_or(0) });
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(keep(program, log, child, say, stopped));
        Ok(Self { state, stop, task })
    }

    /// Asks the child to drain and waits for its end; kills it after [`limits::DRAIN`].
    pub async fn stop(self) {
        self.stop.send_replace(true);
        // The task ends by itself: its last wait is bounded.
        let _ = self.task.await;
    }
}

/// Ends children that do not depend on one another, all at once.
pub async fn stop_together(children: Vec<Supervised>) {
    futures_util::future::join_all(children.into_iter().map(Supervised::stop)).await;
}

fn spawn(program: &Program, log: &LogFile) -> std::io::Result<Child> {
    let (first, rest) = program.command.split_first().ok_or_else(|| std::io::Error::other("empty command"))?;
    let mut child = Command::new(first)
        .args(rest)
        .envs(program.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    if let Some(out) = child.stdout.take() {
        tokio::spawn(log.clone().copy(out));
    }
    if let Some(err) = child.stderr.take() {
        tokio::spawn(log.clone().copy(err));
    }
    Ok(child)
}

async fn keep(program: Program, log: LogFile, mut child: Child, say: watch::Sender<State>, mut stopped: watch::Receiver<bool>) {
    let mut pause = limits::RESTART_FIRST;
    let mut started = Instant::now();
    loop {
        // `wait` would close the child's standard input, which is what keeps it alive.
        let lifeline = child.stdin.take();
        let ended = tokio::select! {
            biased;
            () = asked(&mut stopped) => {
                drop(lifeline);
                end(&mut child, limits::DRAIN).await;
                break;
            }
            ended = child.wait() => ended,
        };
        let Ok(last) = ended else { break };
        log.line(format!("organza: {} ended: {last}", program.name).as_bytes());
        if program.restart == Restart::Never {
            break;
        }
        pause = if started.elapsed() > limits::RESTART_FORGIVEN { limits::RESTART_FIRST } else { pause };
        say.send_replace(State::Pausing { last });
        match again(&program, &log, &mut pause, &mut stopped).await {
            Some(next) => child = next,
            None => break,
        }
        started = Instant::now();
        say.send_replace(State::Running { pid: child.id().unwrap_or(0) });
    }
    say.send_replace(State::Ended);
}

/// Starts the program again after a pause; `None` when it was to stop meanwhile.
async fn again(program: &Program, log: &LogFile, pause: &mut Duration, stopped: &mut watch::Receiver<bool>) -> Option<Child> {
    loop {
        tokio::select! {
            biased;
            () = asked(stopped) => return None,
            () = tokio::time::sleep(*pause) => {}
        }
        *pause = (*pause * 2).min(limits::RESTART_LONGEST);
        match spawn(program, log) {
            Ok(child) => return Some(child),
            Err(error) => log.line(format!("organza: cannot start {}: {error}", program.name).as_bytes()),
        }
    }
}

async fn asked(stopped: &mut watch::Receiver<bool>) {
    // An error means that the owner is gone: then the child ends too.
    let _ = stopped.wait_for(|stop| *stop).await;
}

/// SIGTERM, patience, SIGKILL.
pub async fn end(child: &mut Child, patience: Duration) {
    signal(child, Signal::TERM);
    if tokio::time::timeout(patience, child.wait()).await.is_err() {
        // Fails only where the child has ended meanwhile.
        let _ = child.kill().await;
    }
}

pub fn signal(child: &Child, signal: Signal) {
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // The child may have ended; it is not reaped before `wait`, so the number is still its own.
        let _ = kill_process(pid, signal);
    }
}

#[cfg(test)]
mod tests;
