//! The user's own program under `organza run`: it keeps the terminal, our process group and our standard streams, so that Ctrl-C and Ctrl-Z reach
//! it as if we were not there. Signals sent to us are passed on, and its exit code becomes ours.

use crate::child::{Child, Pipes};
use crate::failure::{Context, Failure, Outcome};
use rustix::process::Signal;
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};

/// What the shell says of a program that was not found, or could not be run.
const NOT_FOUND: u8 = 127;

pub struct Wrapped {
    child: Child,
    term: Signals,
    hangup: Signals,
    int: Signals,
    quit: Signals,
}

impl Wrapped {
    pub fn start(command: &[OsString], environment: &[(String, String)]) -> Outcome<Self> {
        let (program, arguments) = command.split_first().ok_or_else(|| Failure::usage("no command after --"))?;
        Self::listening(|| {
            let mut command = Command::new(program);
            command.args(arguments).envs(environment.iter().map(|(name, value)| (name, value)));
            Child::start(&mut command, None).map_err(|error| {
                Failure::problem(format!("cannot start {}", program.to_string_lossy()))
                    .why(error)
                    .remedy("is it installed, and on the PATH?")
            })
        })
    }

    /// Goes on with a program that runs already, as a child of this process.
    pub fn adopt(pid: u32) -> Outcome<Self> {
        Self::listening(|| Child::adopt(pid, Pipes::default(), None).doing(|| format!("go on with process {pid}")))
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its number; somebody else waits for it from now on.
    pub fn let_go(self) -> u32 {
        self.child.let_go().0
    }

    /// Before the program starts: from its first word on, whoever signals us means it.
    fn listening(start: impl FnOnce() -> Outcome<Child>) -> Outcome<Self> {
        let listen = |kind| signal(kind).doing(|| "listen to signals".into());
        let (term, hangup) = (listen(SignalKind::terminate())?, listen(SignalKind::hangup())?);
        let (int, quit) = (listen(SignalKind::interrupt())?, listen(SignalKind::quit())?);
        Ok(Self { child: start()?, term, hangup, int, quit })
    }

    /// Waits for the program's own end, passing on what we are told.
    pub async fn exit_code(&mut self) -> Outcome<u8> {
        loop {
            tokio::select! {
                biased;
                ended = self.child.wait() => return ended.map(code).doing(|| "wait for the command".into()),
                _ = self.term.recv() => self.child.signal(Signal::TERM),
                _ = self.hangup.recv() => self.child.signal(Signal::HUP),
                // From the terminal these have reached the program already; whoever sends them to us alone means the program.
                _ = self.int.recv() => self.unless_from_terminal(Signal::INT),
                _ = self.quit.recv() => self.unless_from_terminal(Signal::QUIT),
            }
        }
    }

    /// Ends the program: politely, then not.
    pub async fn end(&mut self) {
        self.child.end(crate::limits::DRAIN).await;
    }

    fn unless_from_terminal(&self, signal: Signal) {
        if !std::io::IsTerminal::is_terminal(&std::io::stdin()) {
            self.child.signal(signal);
        }
    }
}

/// As a shell tells it: 128 and the signal's number for a program that a signal ended.
fn code(status: ExitStatus) -> u8 {
    let signalled = status.signal().map(|number| 128 + number);
    status.code().or(signalled).and_then(|code| u8::try_from(code).ok()).unwrap_or(NOT_FOUND)
}

#[cfg(test)]
mod tests;
