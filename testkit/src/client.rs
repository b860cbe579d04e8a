//! Clients that never retry and count every ending: what shows that a change loses no request.

use crate::ledger::{Ledger, Loss};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper::header::HOST;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// How requests ended: `200` → 4711, `503` → 1, `error: connection reset` → 1.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally(pub BTreeMap<String, u64>);

impl Tally {
    pub fn count(&mut self, ending: impl Into<String>) {
        *self.0.entry(ending.into()).or_insert(0) += 1;
    }
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }
    pub fn of(&self, ending: &str) -> u64 {
        self.0.get(ending).copied().unwrap_or(0)
    }
    pub fn add(&mut self, other: &Self) {
        other.0.iter().for_each(|(ending, n)| *self.0.entry(ending.clone()).or_insert(0) += n);
    }
    /// Everything but `200`.
    pub fn lost(&self) -> u64 {
        self.total() - self.of("200")
    }
}

/// A single request that takes so long hangs.
const HANGS: Duration = Duration::from_secs(240);

/// What each connection of a counter sends, over and over.
#[derive(Debug, Clone)]
pub struct Shot {
    pub address: SocketAddr,
    pub method: &'static str,
    pub host: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
    /// Pause between two requests of a connection.
    pub pause: Duration,
    /// Longest time for one request.
    pub patience: Duration,
}

impl Shot {
    pub fn get(address: SocketAddr, host: &str, target: &str) -> Self {
        Self {
            address,
            method: "GET",
            host: host.to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: Bytes::new(),
            pause: Duration::from_millis(2),
            patience: Duration::from_secs(10),
        }
    }

    pub fn upload(address: SocketAddr, host: &str, target: &str, bytes: usize) -> Self {
        Self { method: "POST", body: Bytes::from(vec![b'x'; bytes]), ..Self::get(address, host, target) }
    }
}

/// Connections in the background until stopped.
pub struct Counter {
    stop: Arc<AtomicBool>,
    ledger: Ledger,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Counter {
    /// Starts `connections` of them on the current tokio runtime.
    pub fn start(shot: &Shot, connections: usize) -> Self {
        let (stop, ledger) = (Arc::new(AtomicBool::new(false)), Ledger::default());
        let tasks = (0..connections).map(|_| tokio::spawn(shoot(shot.clone(), stop.clone(), ledger.clone()))).collect();
        Self { stop, ledger, tasks }
    }

    pub fn so_far(&self) -> Tally {
        self.ledger.tally()
    }

    /// The first that were lost.
    pub fn losses(&self) -> Vec<Loss> {
        self.ledger.losses()
    }

    /// Lets what is under way finish, and says how everything ended.
    pub async fn finish(self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            let _ = task.await;
        }
        self.ledger.tally()
    }
}

async fn shoot(shot: Shot, stop: Arc<AtomicBool>, ledger: Ledger) {
    let mut connection = None;
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        let (ending, detail) = match tokio::time::timeout(shot.patience, once(&shot, &mut connection)).await {
            Ok(Ok((status, said))) => (status.as_u16().to_string(), said),
            Ok(Err(why)) => {
                connection = None;
                (format!("error: {why}"), String::new())
            }
            Err(_) => {
                connection = None;
                ("error: no answer in time".to_owned(), String::new())
            }
        };
        ledger.count(began, ending, &detail);
        tokio::time::sleep(shot.pause).await;
    }
}

type Sender = SendRequest<Full<Bytes>>;

/// Status and `Proxy-Status` of one request on the connection that is there, or on a new one where the server said that it closes the old one.
async fn once(shot: &Shot, connection: &mut Option<Sender>) -> Result<(StatusCode, String), String> {
    let mut sender = match connection.take().filter(|s| !s.is_closed()) {
        Some(sender) => sender,
        None => connect(shot.address).await?,
    };
    let mut request = Request::builder().method(shot.method).uri(&shot.target).header(HOST, &shot.host);
    for (name, value) in &shot.headers {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(shot.body.clone())).map_err(|e| e.to_string())?;
    sender.ready().await.map_err(|e| format!("before sending: {e}"))?;
    let answer = sender.send_request(request).await.map_err(|e| chain(&e))?;
    let (head, body) = answer.into_parts();
    body.collect().await.map_err(|e| chain(&e))?;
    *connection = Some(sender);
    let said = head.headers.get("proxy-status").map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    Ok((head.status, said.unwrap_or_default()))
}

async fn connect(address: SocketAddr) -> Result<Sender, String> {
    let stream = TcpStream::connect(address).await.map_err(|e| format!("connect: {e}"))?;
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| e.to_string())?;
    tokio::spawn(connection);
    Ok(sender)
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// One request on a connection of its own: status, headers and body. How fast it is answered is the test's to judge, not this one's: on a busy machine
/// everything takes long.
///
/// # Errors
/// In words, where no whole answer came.
pub async fn fetch(shot: &Shot) -> Result<(StatusCode, hyper::HeaderMap, Bytes), String> {
    let work = async {
        let mut sender = connect(shot.address).await?;
        let mut request = Request::builder().method(shot.method).uri(&shot.target).header(HOST, &shot.host);
        for (name, value) in &shot.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(shot.body.clone())).map_err(|e| e.to_string())?;
        let (head, body) = sender.send_request(request).await.map_err(|e| chain(&e))?.into_parts();
        Ok((head.status, head.headers, body.collect().await.map_err(|e| chain(&e))?.to_bytes()))
    };
    tokio::time::timeout(HANGS, work).await.map_err(|_| "no answer in time".to_owned())?
}
