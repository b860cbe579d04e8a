//! The task behind one supervised program: waits for the ends of its children and for orders, and keeps one child serving.

use super::{Program, Released, Restart, State, spawn};
use crate::child::Child;
use crate::failure::{Context, Failure, Outcome};
use crate::limits;
use crate::log_file::LogFile;
use std::process::ExitStatus;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

#[derive(Debug)]
pub(super) enum Order {
    Stop,
    Replace(Program, oneshot::Sender<Outcome<u32>>),
    Succeed(Program, oneshot::Sender<Outcome<u32>>),
    Settle(bool, oneshot::Sender<()>),
    Release(oneshot::Sender<Released>),
}

pub(super) struct Keeper {
    program: Program,
    log: Option<LogFile>,
    serving: Option<Child>,
    /// On its way to take over, and what it is of.
    successor: Option<(Child, Program)>,
    /// Those that have been succeeded and let their connections end.
    elders: Vec<Child>,
    started: Instant,
    /// Before the next start, and when that is.
    pause: Duration,
    again: Option<Instant>,
    state: watch::Sender<State>,
    beside: watch::Sender<Option<u32>>,
}

enum Event {
    Order(Order),
    Ended(std::io::Result<ExitStatus>),
    SuccessorEnded,
    ElderEnded(usize),
    Again,
}

impl Keeper {
    pub fn new(program: Program, log: Option<LogFile>, serving: Option<Child>, elders: Vec<Child>) -> Self {
        let state = serving.as_ref().map_or(State::Ended, |child| State::Running { pid: child.id() });
        Self {
            program,
            log,
            again: serving.is_none().then(Instant::now),
            serving,
            successor: None,
            elders,
            started: Instant::now(),
            pause: limits::RESTART_FIRST,
            state: watch::Sender::new(state),
            beside: watch::Sender::new(None),
        }
    }

    pub fn watched(&self) -> (watch::Receiver<State>, watch::Receiver<Option<u32>>) {
        (self.state.subscribe(), self.beside.subscribe())
    }

    pub async fn run(&mut self, mut orders: mpsc::Receiver<Order>) {
        loop {
            match self.next(&mut orders).await {
                Event::Order(Order::Stop) => break,
                Event::Order(Order::Replace(program, reply)) => drop(reply.send(self.replace(program).await)),
                Event::Order(Order::Succeed(program, reply)) => drop(reply.send(self.succeed(program))),
                Event::Order(Order::Settle(serves, reply)) => {
                    self.settle(serves).await;
                    let _ = reply.send(());
                }
                Event::Order(Order::Release(reply)) => {
                    self.settle(false).await;
                    let _ = reply.send(self.release());
                    return;
                }
                Event::Ended(ended) => {
                    if !self.ended(ended) {
                        break;
                    }
                }
                Event::SuccessorEnded => self.drop_successor(),
                Event::ElderEnded(at) => drop(self.elders.swap_remove(at)),
                Event::Again => self.start_again(),
            }
        }
        self.end().await;
        self.state.send_replace(State::Ended);
    }

    async fn next(&mut self, orders: &mut mpsc::Receiver<Order>) -> Event {
        let ended = async {
            match &mut self.serving {
                Some(child) => child.wait().await,
                None => std::future::pending().await,
            }
        };
        let successor = async {
            match &mut self.successor {
                Some((child, _)) => drop(child.wait().await),
                None => std::future::pending().await,
            }
        };
        let again = async {
            match self.again {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            // Nobody who could give orders is left: then the children end too.
            order = orders.recv() => Event::Order(order.unwrap_or(Order::Stop)),
            ended = ended => Event::Ended(ended),
            () = successor => Event::SuccessorEnded,
            at = first_to_end(&mut self.elders) => Event::ElderEnded(at),
            () = again => Event::Again,
        }
    }

    /// Whether there is still something to keep.
    fn ended(&mut self, ended: std::io::Result<ExitStatus>) -> bool {
        self.serving = None;
        let Ok(last) = ended else { return false };
        if let Some((successor, program)) = self.successor.take() {
            // It has handed over and had nothing left to do.
            self.say(&format!("organza: {} ended beside its successor: {last}", self.program.name));
            self.serve(successor, program);
            return true;
        }
        self.say(&format!("organza: {} ended: {last}", self.program.name));
        if self.program.restart == Restart::Never {
            return false;
        }
        if self.started.elapsed() > limits::RESTART_FORGIVEN {
            self.pause = limits::RESTART_FIRST;
        }
        self.state.send_replace(State::Pausing { last });
        self.postpone();
        true
    }

    fn postpone(&mut self) {
        self.again = Some(Instant::now() + self.pause);
        self.pause = (self.pause * 2).min(limits::RESTART_LONGEST);
    }

    fn start_again(&mut self) {
        self.again = None;
        match spawn(&self.program, self.log.as_ref()) {
            Ok(child) => self.serve(child, self.program.clone()),
            Err(error) => {
                self.say(&format!("organza: cannot start {}: {error}", self.program.name));
                self.postpone();
            }
        }
    }

    fn serve(&mut self, child: Child, program: Program) {
        self.program = program;
        self.started = Instant::now();
        self.again = None;
        self.beside.send_replace(None);
        self.state.send_replace(State::Running { pid: child.id() });
        self.serving = Some(child);
    }

    async fn replace(&mut self, program: Program) -> Outcome<u32> {
        self.settle(false).await;
        if let Some(mut child) = self.serving.take() {
            child.end(self.program.patience).await;
        }
        self.pause = limits::RESTART_FIRST;
        let started = spawn(&program, self.log.as_ref()).doing(|| format!("start {}", program.name));
        match started {
            Ok(child) => {
                let pid = child.id();
                self.serve(child, program);
                Ok(pid)
            }
            Err(failure) => {
                // The one before is as good as it was.
                self.start_again();
                Err(failure)
            }
        }
    }

    fn succeed(&mut self, program: Program) -> Outcome<u32> {
        if self.successor.is_some() {
            return Err(Failure::problem(format!("{} is being replaced already", program.name)));
        }
        if self.serving.is_none() {
            // Nobody to take over from: it starts at once, as what it is to be.
            self.program = program;
            self.start_again();
            let running = self.serving.as_ref().map(Child::id);
            return running.ok_or_else(|| Failure::problem(format!("{} cannot be started", self.program.name)));
        }
        let child = spawn(&program, self.log.as_ref()).doing(|| format!("start {}", program.name))?;
        let pid = child.id();
        self.successor = Some((child, program));
        self.beside.send_replace(Some(pid));
        Ok(pid)
    }

    async fn settle(&mut self, serves: bool) {
        let Some((mut successor, program)) = self.successor.take() else { return };
        if serves {
            self.elders.extend(self.serving.take());
            self.serve(successor, program);
        } else {
            successor.end(program.patience).await;
            self.beside.send_replace(None);
        }
    }

    fn drop_successor(&mut self) {
        self.say(&format!("organza: a successor of {} ended; the one before goes on", self.program.name));
        self.successor = None;
        self.beside.send_replace(None);
    }

    fn release(&mut self) -> Released {
        Released {
            serving: self.serving.take().map(Child::let_go),
            elders: std::mem::take(&mut self.elders).into_iter().map(Child::let_go).collect(),
        }
    }

    async fn end(&mut self) {
        let successor = self.successor.take().map(|(child, _)| child);
        let all = self.serving.take().into_iter().chain(successor).chain(std::mem::take(&mut self.elders));
        let patience = self.program.patience;
        futures_util::future::join_all(all.map(async |mut child| child.end(patience).await)).await;
    }

    /// Where the child's own words go.
    fn say(&self, line: &str) {
        match &self.log {
            Some(log) => log.line(line.as_bytes()),
            None => eprintln!("{line}"),
        }
    }
}

async fn first_to_end(children: &mut [Child]) -> usize {
    if children.is_empty() {
        return std::future::pending().await;
    }
    let ends = children.iter_mut().map(|child| Box::pin(child.wait()));
    futures_util::future::select_all(ends).await.1
}

#[cfg(test)]
mod tests;
