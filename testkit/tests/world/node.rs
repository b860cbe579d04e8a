//! A process of the world: one task that runs on its node's machine, can be paused between two of its polls, and is gone when aborted.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tokio::task::{JoinHandle, LocalSet};
use transport::rt::{self, Machine};

#[derive(Default)]
struct Gate {
    shut: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

pub struct Process {
    gate: Rc<Gate>,
    task: JoinHandle<()>,
}

impl Process {
    /// Runs `work` and all that it spawns on this machine.
    pub fn start(machine: Arc<dyn Machine>, work: impl Future<Output = ()> + 'static) -> Self {
        let gate = Rc::new(Gate::default());
        let work = Box::pin(async move { LocalSet::new().run_until(work).await });
        let task = tokio::task::spawn_local(OnNode { machine, gate: gate.clone(), work });
        Self { gate, task }
    }

    /// As SIGSTOP and SIGCONT.
    pub fn pause(&self, paused: bool) {
        self.gate.shut.set(paused);
        self.gate.waker.take().into_iter().for_each(Waker::wake);
    }

    /// As SIGKILL; its sockets are the caller's business.
    pub async fn kill(self) {
        self.task.abort();
        // Cancelled, or it had ended of itself.
        let _ = self.task.await;
    }

    pub fn is_over(&self) -> bool {
        self.task.is_finished()
    }

    /// Comes when it has ended of itself.
    pub async fn ended(self) {
        self.task.await.expect("a process of the world panicked");
    }
}

struct OnNode {
    machine: Arc<dyn Machine>,
    gate: Rc<Gate>,
    work: Pin<Box<dyn Future<Output = ()>>>,
}

impl Future for OnNode {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.gate.shut.get() {
            self.gate.waker.replace(Some(cx.waker().clone()));
            return Poll::Pending;
        }
        let machine = self.machine.clone();
        rt::on(&machine, || self.work.as_mut().poll(cx))
    }
}
