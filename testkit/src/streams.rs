//! Long-lived calls that count what becomes of them: WebSocket-style upgrades over HTTP/1 and gRPC-shaped streams over HTTP/2. A stream that ends
//! before it was asked to is lost.

use crate::Tally;
use crate::ledger::{Ledger, Loss};
use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, UPGRADE};
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longest wait for an echo.
const PATIENCE: Duration = Duration::from_secs(10);
/// Messages of one stream before it is ended in order and the next begins.
const MESSAGES: usize = 50;
const PAUSE: Duration = Duration::from_millis(10);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    WebSocket,
    Grpc,
    /// Opaque bytes to a backend that sends each back; host and target say nothing.
    Tcp,
}

/// Streams in the background, one after another on each of several connections, until stopped.
pub struct Streams {
    stop: Arc<AtomicBool>,
    ledger: Ledger,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Streams {
    pub fn start(kind: Kind, address: SocketAddr, host: &str, target: &str, connections: usize) -> Self {
        let (stop, ledger) = (Arc::new(AtomicBool::new(false)), Ledger::default());
        let one = || {
            let (stop, ledger, host, target) = (stop.clone(), ledger.clone(), host.to_owned(), target.to_owned());
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    let ending = match kind {
                        Kind::WebSocket => web_socket(address, &host, &target).await,
                        Kind::Grpc => grpc(address, &host, &target).await,
                        Kind::Tcp => tcp(address).await,
                    };
                    let ending = ending.map_or_else(|why| format!("error: {why}"), |()| "200".to_owned());
                    ledger.count(began, ending, "");
                }
            })
        };
        let tasks = (0..connections).map(|_| one()).collect();
        Self { stop, ledger, tasks }
    }

    /// How those ended that have ended.
    pub fn so_far(&self) -> Tally {
        self.ledger.tally()
    }

    /// The first that were lost.
    pub fn losses(&self) -> Vec<Loss> {
        self.ledger.losses()
    }

    /// Lets the streams under way end in order, and says how all ended; `200` is whole.
    pub async fn finish(self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            let _ = task.await;
        }
        self.ledger.tally()
    }
}

async fn within<T>(what: &str, work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    tokio::time::timeout(PATIENCE, work).await.map_err(|_| format!("{what}: not in time"))?
}

async fn web_socket(address: SocketAddr, host: &str, target: &str) -> Result<(), String> {
    let stream = TcpStream::connect(address).await.map_err(|e| e.to_string())?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| e.to_string())?;
    tokio::spawn(connection.with_upgrades());
    let request = Request::get(target).header(HOST, host).header(CONNECTION, "Upgrade").header(UPGRADE, "websocket");
    let request = request.header("sec-websocket-version", "13").header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    let request = request.body(http_body_util::Empty::<Bytes>::new()).map_err(|e| e.to_string())?;
    let answer = within("upgrade", async { sender.send_request(request).await.map_err(|e| e.to_string()) }).await?;
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(format!("upgrade answered {}", answer.status()));
    }
    let upgraded = within("upgrade", async { hyper::upgrade::on(answer).await.map_err(|e| e.to_string()) }).await?;
    echoes(TokioIo::new(upgraded)).await
}

async fn tcp(address: SocketAddr) -> Result<(), String> {
    echoes(within("connect", async { TcpStream::connect(address).await.map_err(|e| e.to_string()) }).await?).await
}

/// Messages that come back one by one, and an end that is answered by one.
async fn echoes(mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin) -> Result<(), String> {
    let text = |e: std::io::Error| e.to_string();
    for i in 0..MESSAGES {
        let message = format!("message {i:04}\n");
        let mut back = vec![0; message.len()];
        within("echo", async {
            stream.write_all(message.as_bytes()).await.map_err(text)?;
            stream.read_exact(&mut back).await.map(|_| ()).map_err(text)
        })
        .await?;
        if back != message.as_bytes() {
            return Err("another message came back".into());
        }
        tokio::time::sleep(PAUSE).await;
    }
    within("close", async { stream.shutdown().await.map_err(text) }).await
}

struct Frames(tokio::sync::mpsc::Receiver<Frame<Bytes>>);

impl futures_util::Stream for Frames {
    type Item = Result<Frame<Bytes>, std::convert::Infallible>;
    fn poll_next(mut self: std::pin::Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> std::task::Poll<Option<Self::Item>> {
        self.0.poll_recv(cx).map(|frame| frame.map(Ok))
    }
}

async fn grpc(address: SocketAddr, host: &str, target: &str) -> Result<(), String> {
    let stream = TcpStream::connect(address).await.map_err(|e| e.to_string())?;
    let io = TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.map_err(|e| e.to_string())?;
    tokio::spawn(connection);
    let (frames, receiver) = tokio::sync::mpsc::channel(4);
    let request = Request::post(format!("http://{host}{target}")).header(CONTENT_TYPE, "application/grpc").header("te", "trailers");
    let request = request.body(StreamBody::new(Frames(receiver))).map_err(|e| e.to_string())?;
    let answer = within("headers", async { sender.send_request(request).await.map_err(|e| e.to_string()) }).await?;
    if answer.status() != StatusCode::OK {
        return Err(format!("answered {}", answer.status()));
    }
    let mut body = answer.into_body();
    for i in 0..MESSAGES {
        let mut message = vec![0, 0, 0, 0, 12];
        message.extend_from_slice(format!("message {i:04}").as_bytes());
        within("send", async { frames.send(Frame::data(message.clone().into())).await.map_err(|_| "stream closed".to_owned()) }).await?;
        let mut back = Vec::new();
        while back.len() < message.len() {
            match within("echo", async { Ok(body.frame().await) }).await? {
                Some(Ok(frame)) => back.extend_from_slice(&frame.into_data().map_err(|_| "trailers before the end")?),
                Some(Err(e)) => return Err(e.to_string()),
                None => return Err("ended early".into()),
            }
        }
        if back != message {
            return Err("another message came back".into());
        }
        tokio::time::sleep(PAUSE).await;
    }
    drop(frames);
    match within("trailers", async { Ok(body.frame().await) }).await? {
        Some(Ok(frame)) if frame.trailers_ref().is_some_and(|t| t.get("grpc-status").is_some_and(|v| v == "0")) => Ok(()),
        other => {
            Err(format!("no good trailers: {}", other.map_or("end".to_owned(), |f| f.map_or_else(|e| e.to_string(), |_| "data".into()))))
        }
    }
}
