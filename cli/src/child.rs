//! One child by its process number: started here, or by the program that this process was before it became a newer one. The child lives as long as
//! the pipe on its standard input (see `lifeline`); what it says comes by two more. Dropped without a word, it is killed.

use crate::log_file::LogFile;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};
use std::time::Duration;
use tokio::net::unix::pipe;
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};

#[derive(Debug)]
pub struct Child {
    pid: Pid,
    /// Comes whenever any child has ended.
    some_ended: Signals,
    pipes: Pipes,
    ended: Option<ExitStatus>,
    /// Somebody else's from now on.
    let_go: bool,
}

/// Our ends: of its standard input, which holds it, and of its two outputs, beside those that the log reads. None where it has our own streams.
#[derive(Debug, Default)]
pub struct Pipes {
    pub lifeline: Option<OwnedFd>,
    pub outputs: Vec<OwnedFd>,
}

impl Child {
    /// Starts a child whose words go into the log, where its outputs are piped.
    pub fn start(command: &mut Command, log: Option<&LogFile>) -> io::Result<Self> {
        let mut child = command.spawn()?;
        let outputs = child.stdout.take().map(OwnedFd::from).into_iter().chain(child.stderr.take().map(OwnedFd::from)).collect();
        let pipes = Pipes { lifeline: child.stdin.take().map(OwnedFd::from), outputs };
        // Never kills nor waits when it is dropped: from here on the number is all there is to know.
        Self::adopt(child.id(), pipes, log)
    }

    /// A child of this process that is known by its number.
    pub fn adopt(pid: u32, pipes: Pipes, log: Option<&LogFile>) -> io::Result<Self> {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or_else(|| io::Error::other("no process has this number"))?;
        if let Some(log) = log {
            for output in &pipes.outputs {
                tokio::spawn(log.clone().copy(pipe::Receiver::from_owned_fd(output.try_clone()?)?));
            }
        }
        Ok(Self { pid, some_ended: signal(SignalKind::child())?, pipes, ended: None, let_go: false })
    }

    pub fn id(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Its end; may be dropped and asked again.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        loop {
            if let Some(ended) = self.ended {
                return Ok(ended);
            }
            // Asked after we began to listen: an end between the two is heard.
            match waitpid(Some(self.pid), WaitOptions::NOHANG)? {
                Some((_, status)) => self.ended = Some(ExitStatus::from_raw(status.as_raw())),
                None => drop(self.some_ended.recv().await),
            }
        }
    }

    pub fn signal(&self, signal: Signal) {
        if self.ended.is_none() {
            // It may have ended; the number is its own until it is waited for.
            let _ = kill_process(self.pid, signal);
        }
    }

    /// SIGTERM, patience, SIGKILL.
    pub async fn end(&mut self, patience: Duration) {
        self.pipes.lifeline = None;
        self.signal(Signal::TERM);
        if tokio::time::timeout(patience, self.wait()).await.is_err() {
            self.signal(Signal::KILL);
            // Nothing outlives SIGKILL but what the kernel itself holds.
            let _ = self.wait().await;
        }
    }

    /// Its number and our ends of its pipes, for another process or another keeper.
    pub fn let_go(mut self) -> (u32, Pipes) {
        self.let_go = true;
        (self.id(), std::mem::take(&mut self.pipes))
    }

    #[cfg(test)]
    pub fn cut_lifeline(&mut self) {
        self.pipes.lifeline = None;
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.let_go {
            self.signal(Signal::KILL);
        }
    }
}
