//! Applications: those that call, one request after another on connections that they keep, and those that answer after a while. Callers never
//! try again by themselves what they began to send: what the mesh loses is seen.

use crate::ledger::{End, Ledger};
use crate::network::{Door, Network, Node};
use crate::random::Random;
use crate::stream::VirtualWire;
use crate::tunnel::Peer;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Longest that a caller waits; longer than anything that the mesh is meant to ride out.
const PATIENCE: Duration = Duration::from_secs(20);
/// After this time a caller that was turned away knocks again.
const KNOCK: Duration = Duration::from_millis(50);

/// What an application speaks on its port, as its registration says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    Http1,
    Http2,
}

#[derive(Clone)]
pub struct Caller {
    pub network: Network,
    pub ledger: Rc<RefCell<Ledger>>,
    pub stop: Rc<Cell<bool>>,
    /// Where it stands, where it calls, and which node's proxy that is.
    pub node: Node,
    pub address: SocketAddr,
    pub entrance: Node,
    /// Speaks HTTP/2 from the first byte.
    pub http2: bool,
    /// Of requests to an explicit proxy.
    pub authorization: Option<String>,
    /// It calls replicas itself, by these.
    pub tunnels: Option<Rc<Peer>>,
}

/// A connection of either kind.
enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Sender {
    fn is_closed(&self) -> bool {
        match self {
            Self::Http1(sender) => sender.is_closed(),
            Self::Http2(sender) => sender.is_closed(),
        }
    }

    /// Gives back what it did not begin to send.
    async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, (String, Option<Request<Full<Bytes>>>)> {
        let ready = match self {
            Self::Http1(sender) => sender.ready().await,
            Self::Http2(sender) => sender.ready().await,
        };
        if let Err(gone) = ready {
            return Err((gone.to_string(), Some(request)));
        }
        let sent = match self {
            Self::Http1(sender) => sender.try_send_request(request).await,
            Self::Http2(sender) => sender.try_send_request(request).await,
        };
        sent.map_err(|mut failed| (failed.error().to_string(), failed.take_message()))
    }
}

/// Tasks of a connection stay on the one thread.
#[derive(Clone, Copy)]
struct Here;

impl<F: Future<Output: 'static> + 'static> hyper::rt::Executor<F> for Here {
    fn execute(&self, task: F) {
        tokio::task::spawn_local(task);
    }
}

impl Caller {
    pub async fn run(self, mut random: Random) {
        let mut connection = None;
        // A request without effects that was lost with something killed is sent once more, as any client would.
        let mut again = None;
        while !self.stop.get() {
            tokio::time::sleep(Duration::from_micros(random.within(5_000, 80_000))).await;
            while again.is_some() && self.ledger.borrow().is_down(self.entrance) {
                tokio::time::sleep(KNOCK).await;
            }
            let idempotent = again.is_some() || random.chance(70);
            let body = if idempotent { 0 } else { random.within(1, 20_000) };
            let id = self.ledger.borrow_mut().begin(self.entrance, idempotent, again);
            let asked = tokio::time::timeout(PATIENCE, self.ask(id, body as usize, &mut connection)).await;
            let wrong = match asked {
                Ok(Ok(())) => None,
                Ok(Err(why)) => Some(why),
                Err(_) => Some("no answer in time".to_owned()),
            };
            if wrong.is_some() {
                connection = None;
                // A caller that was turned away does not knock at once again.
                tokio::time::sleep(KNOCK).await;
            }
            again = match self.ledger.borrow_mut().end(id, wrong.as_deref()) {
                End::Excused(kill) if idempotent => Some(kill),
                _ => None,
            };
        }
    }

    async fn ask(&self, id: u64, body: usize, connection: &mut Option<Sender>) -> Result<(), String> {
        let kept = connection.take().filter(|sender| !sender.is_closed());
        let was_kept = kept.is_some();
        let mut sender = match kept {
            Some(sender) => sender,
            None => self.open(id).await?,
        };
        let method = if body == 0 { "GET" } else { "POST" };
        let is_http2 = matches!(sender, Sender::Http2(_));
        let whole = self.authorization.is_some() || is_http2;
        let uri = if whole { format!("http://catalog/{id}") } else { format!("/{id}") };
        let mut request = Request::builder().method(method).uri(uri).header("x-id", id);
        if !is_http2 {
            request = request.header("host", "catalog");
        }
        if let Some(authorization) = &self.authorization {
            request = request.header("proxy-authorization", authorization);
        }
        let request = request.body(Full::new(Bytes::from(vec![b'x'; body]))).map_err(|e| e.to_string())?;
        let answer = match sender.send(request).await {
            Ok(answer) => answer,
            // Whoever ends a kept connection in order says so, and what crosses with that goes on another, unsent as it is.
            Err((_, Some(unsent))) if was_kept => {
                self.ledger.borrow_mut().note(format_args!("request {id} goes on another connection"));
                sender = self.open(id).await?;
                sender.send(unsent).await.map_err(|(why, _)| why)?
            }
            Err((why, _)) => return Err(why),
        };
        let (head, body) = answer.into_parts();
        let text = body.collect().await.map_err(|e| e.to_string())?.to_bytes();
        // A tunnel is for one request: where the next one goes is drawn anew.
        *connection = Some(sender).filter(|_| self.tunnels.is_none());
        if head.status != StatusCode::OK {
            let why = head.headers.get("proxy-status").and_then(|v| v.to_str().ok()).unwrap_or_default();
            return Err(format!("status {} {why}", head.status.as_u16()));
        }
        if text != format!("answer to {id}").as_bytes() {
            return Err("somebody else's answer".to_owned());
        }
        Ok(())
    }

    async fn open(&self, id: u64) -> Result<Sender, String> {
        if let Some(peer) = &self.tunnels {
            let (stream, node, speaks) = peer.open().await?;
            // From here on it is with that node.
            self.ledger.borrow_mut().sent(id, node);
            return greet(TokioIo::new(stream), speaks == Speaks::Http2).await;
        }
        let wire = TokioIo::new(self.network.connect(self.node, self.address).await.map_err(|e| e.to_string())?);
        greet(wire, self.http2).await
    }
}

async fn greet(wire: impl hyper::rt::Read + hyper::rt::Write + Unpin + 'static, is_http2: bool) -> Result<Sender, String> {
    if is_http2 {
        let (sender, connection) = http2::handshake(Here, wire).await.map_err(|e| e.to_string())?;
        tokio::task::spawn_local(connection);
        return Ok(Sender::Http2(sender));
    }
    let (sender, connection) = http1::handshake(wire).await.map_err(|e| e.to_string())?;
    tokio::task::spawn_local(connection);
    Ok(Sender::Http1(sender))
}

/// Answers on its node until it is killed.
pub async fn serve(door: Arc<Door>, node: Node, speaks: Speaks, ledger: Rc<RefCell<Ledger>>, random: Random) {
    let random = Rc::new(RefCell::new(random));
    loop {
        let wire = door.next().await;
        tokio::task::spawn_local(answer(wire, node, speaks, ledger.clone(), random.clone()));
    }
}

async fn answer(wire: VirtualWire, node: Node, speaks: Speaks, ledger: Rc<RefCell<Ledger>>, random: Rc<RefCell<Random>>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let (ledger, random) = (ledger.clone(), random.clone());
        async move {
            let id: u64 = request.headers().get("x-id").and_then(|v| v.to_str().ok()?.parse().ok()).unwrap_or(0);
            ledger.borrow_mut().arrived(id, node);
            // A caller that is gone in the middle of its body hears nothing anyway.
            let _ = request.into_body().collect().await;
            let think = random.borrow_mut().within(2_000, 60_000);
            tokio::time::sleep(Duration::from_micros(think)).await;
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(format!("answer to {id}")))))
        }
    });
    // How a connection ends is its caller's business.
    let _ = match speaks {
        Speaks::Http1 => hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(wire), service).await,
        Speaks::Http2 => hyper::server::conn::http2::Builder::new(Here).serve_connection(TokioIo::new(wire), service).await,
    };
}
