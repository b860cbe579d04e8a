//! What only one process of a proxy can have: its admin socket, the port of `/metrics`, and the socket where successors ask. While two processes of
//! one proxy live, the younger has these, and the elder's admin socket carries its process number.

use crate::admin::{self, Admin};
use crate::config::Config;
use crate::handover::{self, HandoverError, Predecessor, Rest, Successor};
use crate::run::RunError;
use std::cell::RefCell;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinHandle;

pub struct Names {
    admin: PathBuf,
    /// The admin socket of a process that has a successor.
    aside: PathBuf,
    next: PathBuf,
    metrics_address: Option<SocketAddr>,
    answers: Admin,
    metrics: RefCell<Option<(Arc<TcpListener>, JoinHandle<()>)>>,
    successors: Option<UnixListener>,
}

impl Names {
    pub fn new(config: &Config, answers: Admin) -> Self {
        Self {
            admin: config.admin.clone(),
            aside: config.admin.with_extension(format!("{}.sock", std::process::id())),
            next: config.handover_socket(),
            metrics_address: config.metrics,
            answers,
            metrics: RefCell::default(),
            successors: None,
        }
    }

    /// All that nobody had before, but for the socket of successors: there is nothing to take over yet.
    ///
    /// # Errors
    /// Where another process has one of them.
    pub async fn open(&mut self) -> Result<(), RunError> {
        let socket = admin::bind(&self.admin).map_err(|e| RunError::Admin(self.admin.clone(), e))?;
        tokio::task::spawn_local(admin::serve(socket, self.answers.clone().router()));
        self.open_metrics(None).await
    }

    /// `inherited` is the predecessor's listening socket, where it had one.
    async fn open_metrics(&self, inherited: Option<OwnedFd>) -> Result<(), RunError> {
        let Some(address) = self.metrics_address else { return Ok(()) };
        let door = |why| RunError::Door { address, what: "metrics".into(), why };
        let inherited = inherited.and_then(|fd| TcpListener::from_std(fd.into()).ok());
        let listener = match inherited.filter(|listener| listener.local_addr().is_ok_and(|at| at == address)) {
            Some(listener) => listener,
            None => TcpListener::bind(address).await.map_err(door)?,
        };
        self.serve_metrics(Arc::new(listener));
        Ok(())
    }

    fn serve_metrics(&self, listener: Arc<TcpListener>) {
        let served = tokio::task::spawn_local(admin::serve_metrics(listener.clone(), self.answers.clone().metrics_router()));
        self.metrics.replace(Some((listener, served)));
    }

    /// A listener that the user wants goes before `/metrics`, where both want one port.
    pub async fn make_room(&self, mut wanted: impl Iterator<Item = u16>) {
        let Some(address) = self.metrics_address.filter(|address| wanted.any(|port| port == address.port())) else { return };
        if let Some((listener, served)) = self.metrics.take() {
            served.abort();
            // The port is free once the task is gone.
            let _ = served.await;
            drop(listener);
            tracing::warn!("/metrics is not shown at {address} any more: a listener of the gateway wants that port");
        }
    }

    /// The last words of a handover, as the successor says them; what it is handed is used once they are said.
    pub async fn take_over(&mut self, mut successor: Successor, metrics: Option<OwnedFd>) -> Result<Rest, RunError> {
        successor.ready().await?;
        let socket = admin::replace(&self.admin).map_err(|e| RunError::Admin(self.admin.clone(), e))?;
        self.open_to_successors();
        let rest = successor.taken().await?;
        tokio::task::spawn_local(admin::serve(socket, self.answers.clone().router()));
        if let Err(e) = self.open_metrics(metrics).await {
            // Who carried requests before goes on, whatever has come between.
            tracing::warn!("/metrics is not shown: {e}");
        }
        Ok(rest)
    }

    /// What was taken over, for whoever asks.
    pub fn tell(&self, what: String) {
        // It is taken over once.
        let _ = self.answers.took_over.set(what);
    }

    /// Where the next process asks for our doors. Without it we serve all the same, and cannot be succeeded.
    pub fn open_to_successors(&mut self) {
        match admin::replace(&self.next) {
            Ok(listener) => self.successors = Some(listener),
            Err(e) => tracing::warn!("no successor can take over: {}: {e}", self.next.display()),
        }
    }

    /// The next successor that asks.
    pub async fn asked(&self, config: &Config) -> Predecessor {
        match &self.successors {
            Some(listener) => handover::asked(listener, config).await,
            None => std::future::pending().await,
        }
    }

    pub fn metrics(&self) -> Option<Arc<TcpListener>> {
        self.metrics.borrow().as_ref().map(|(listener, _)| listener.clone())
    }

    /// Makes room for a successor: our admin socket goes on answering under another name, `/metrics` waits.
    pub fn step_aside(&mut self) {
        if let Err(e) = fs::rename(&self.admin, &self.aside) {
            tracing::warn!("{} keeps its name: {e}", self.admin.display());
        }
        if let Some((_, served)) = &*self.metrics.borrow() {
            served.abort();
        }
    }

    /// Takes the names back from a successor that ended.
    pub fn step_back(&mut self) {
        if let Err(e) = fs::rename(&self.aside, &self.admin) {
            tracing::warn!("{} has no name: {e}", self.admin.display());
        }
        let metrics = self.metrics.take();
        if let Some((listener, _)) = metrics {
            self.serve_metrics(listener);
        }
        self.open_to_successors();
    }

    /// A successor has them for good.
    pub fn give_up(&mut self) {
        self.metrics.take();
        self.successors = None;
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        match fs::remove_file(&self.aside) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => tracing::warn!("{}: {e}", self.aside.display()),
            _ => {}
        }
    }
}

impl From<HandoverError> for RunError {
    fn from(why: HandoverError) -> Self {
        Self::Handover(why)
    }
}
