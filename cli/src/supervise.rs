//! Child processes: each with a log of its own, started again with growing pauses where that was asked for, replaced by others of a newer program,
//! and ended in the order that their owner wants. A child gets a process group of its own, so that Ctrl-C reaches us alone and we decide who drains
//! first; its standard input is a pipe that we hold (see `lifeline`). Knows nothing of meshes: a child is a command line.

mod keeper;

use crate::child::{Child, Pipes};
use crate::failure::{Context, Failure, Outcome};
use crate::log_file::LogFile;
use keeper::{Keeper, Order};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

#[derive(Debug, Clone)]
pub struct Program {
    /// How messages call it.
    pub name: String,
    pub command: Vec<OsString>,
    pub environment: Vec<(String, String)>,
    /// None: what it writes goes where our own words go.
    pub log: Option<PathBuf>,
    pub restart: Restart,
    /// How long it may drain before it is killed.
    pub patience: Duration,
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
    /// The child that is to take over from the one that serves, while there is one.
    pub successor: watch::Receiver<Option<u32>>,
    orders: mpsc::Sender<Order>,
    task: JoinHandle<()>,
}

/// Children that somebody else keeps from now on: the one that serves, and elder ones that finish what they began.
#[derive(Debug, Default)]
pub struct Released {
    pub serving: Option<(u32, Pipes)>,
    pub elders: Vec<(u32, Pipes)>,
}

impl Supervised {
    pub fn start(program: Program) -> Outcome<Self> {
        let log = open(&program)?;
        let child = spawn(&program, log.as_ref()).doing(|| format!("start {}", program.name))?;
        Ok(Self::keep(Keeper::new(program, log, Some(child), Vec::new())))
    }

    /// Goes on with children that were kept before; one that had ended is started again as any is.
    pub fn adopt(program: Program, released: Released) -> Outcome<Self> {
        let log = open(&program)?;
        let adopt = |(pid, pipes)| Child::adopt(pid, pipes, log.as_ref()).doing(|| format!("go on with process {pid} of {}", program.name));
        let serving = released.serving.map(adopt).transpose()?;
        // An elder that has ended meanwhile is missed by nobody.
        let elders = released.elders.into_iter().filter_map(|elder| adopt(elder).ok()).collect();
        Ok(Self::keep(Keeper::new(program, log, serving, elders)))
    }

    fn keep(mut keeper: Keeper) -> Self {
        let (orders, received) = mpsc::channel(1);
        let (state, successor) = keeper.watched();
        Self { state, successor, orders, task: tokio::spawn(async move { keeper.run(received).await }) }
    }

    /// Asks the child to drain and waits for its end; kills it when its patience is over.
    pub async fn stop(self) {
        let _ = self.orders.send(Order::Stop).await;
        // The task ends by itself: its last wait is bounded.
        let _ = self.task.await;
    }

    /// Ends the child and starts another in its place, which may be of a newer program.
    pub async fn replace(&self, program: Program) -> Outcome<u32> {
        let (reply, answer) = oneshot::channel();
        self.order(Order::Replace(program, reply), answer).await?
    }

    /// Starts another child beside the one that serves; [`Supervised::settle`] says whether it has taken over.
    pub async fn begin_succession(&self, program: Program) -> Outcome<u32> {
        let (reply, answer) = oneshot::channel();
        self.order(Order::Succeed(program, reply), answer).await?
    }

    /// The successor serves: from now on it is the child, and the one before ends by itself. Or it does not: it is ended, and nothing has changed.
    pub async fn settle(&self, serves: bool) -> Outcome<()> {
        let (reply, answer) = oneshot::channel();
        self.order(Order::Settle(serves, reply), answer).await
    }

    /// Keeps the children no longer, without ending them.
    pub async fn release(self) -> Released {
        let (reply, answer) = oneshot::channel();
        self.order(Order::Release(reply), answer).await.unwrap_or_default()
    }

    async fn order<T>(&self, order: Order, answer: oneshot::Receiver<T>) -> Outcome<T> {
        let gone = || Failure::problem("a child is not kept any more");
        self.orders.send(order).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())
    }
}

/// Ends children that do not depend on one another, all at once.
pub async fn stop_together(children: Vec<Supervised>) {
    futures_util::future::join_all(children.into_iter().map(Supervised::stop)).await;
}

fn open(program: &Program) -> Outcome<Option<LogFile>> {
    program.log.as_ref().map(|path| LogFile::open(path).doing(|| format!("open the log {}", path.display()))).transpose()
}

fn spawn(program: &Program, log: Option<&LogFile>) -> std::io::Result<Child> {
    use std::os::unix::process::CommandExt;
    let (first, rest) = program.command.split_first().ok_or_else(|| std::io::Error::other("empty command"))?;
    let mut command = Command::new(first);
    let output = || if log.is_some() { Stdio::piped() } else { Stdio::inherit() };
    command
        .args(rest)
        .envs(program.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::piped())
        .stdout(output())
        .stderr(output())
        .process_group(0);
    Child::start(&mut command, log)
}

#[cfg(test)]
mod tests;
