//! Applications: those that call, one request after another on connections that they keep, and those that answer after a while. Callers never
//! try again by themselves: what the mesh loses is seen.

use crate::ledger::Ledger;
use crate::network::{Door, Network, Node};
use crate::random::Random;
use crate::stream::VirtualWire;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
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

#[derive(Clone)]
pub struct Caller {
    pub network: Network,
    pub ledger: Rc<RefCell<Ledger>>,
    pub stop: Rc<Cell<bool>>,
    /// Where it stands, where it calls, and which node's proxy that is.
    pub node: Node,
    pub address: SocketAddr,
    pub entrance: Node,
    /// Of requests to an explicit proxy.
    pub authorization: Option<String>,
}

type Sender = SendRequest<Full<Bytes>>;

impl Caller {
    pub async fn run(self, mut random: Random) {
        let mut connection = None;
        while !self.stop.get() {
            tokio::time::sleep(Duration::from_micros(random.within(5_000, 80_000))).await;
            let idempotent = random.chance(70);
            let body = if idempotent { 0 } else { random.within(1, 20_000) };
            let id = self.ledger.borrow_mut().begin(self.entrance, idempotent);
            let asked = tokio::time::timeout(PATIENCE, self.ask(id, body as usize, &mut connection)).await;
            let wrong = match asked {
                Ok(Ok(())) => None,
                Ok(Err(why)) => Some(why),
                Err(_) => Some("no answer in time".to_owned()),
            };
            if wrong.is_some() {
                connection = None;
                // A caller that was turned away does not knock at once again.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            self.ledger.borrow_mut().end(id, wrong.as_deref());
        }
    }

    async fn ask(&self, id: u64, body: usize, connection: &mut Option<Sender>) -> Result<(), String> {
        let mut sender = match connection.take().filter(|sender| !sender.is_closed()) {
            Some(sender) => sender,
            None => self.open().await?,
        };
        let method = if body == 0 { "GET" } else { "POST" };
        let uri = if self.authorization.is_some() { format!("http://catalog/{id}") } else { format!("/{id}") };
        let mut request = Request::builder().method(method).uri(uri).header("host", "catalog").header("x-id", id);
        if let Some(authorization) = &self.authorization {
            request = request.header("proxy-authorization", authorization);
        }
        let request = request.body(Full::new(Bytes::from(vec![b'x'; body]))).map_err(|e| e.to_string())?;
        sender.ready().await.map_err(|e| e.to_string())?;
        let (head, body) = sender.send_request(request).await.map_err(|e| e.to_string())?.into_parts();
        let text = body.collect().await.map_err(|e| e.to_string())?.to_bytes();
        if head.status != StatusCode::OK {
            let why = head.headers.get("proxy-status").and_then(|v| v.to_str().ok()).unwrap_or_default();
            *connection = Some(sender);
            return Err(format!("status {} {why}", head.status.as_u16()));
        }
        if text != format!("answer to {id}").as_bytes() {
            return Err("somebody else's answer".to_owned());
        }
        *connection = Some(sender);
        Ok(())
    }

    async fn open(&self) -> Result<Sender, String> {
        let wire = self.network.connect(self.node, self.address).await.map_err(|e| e.to_string())?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(wire)).await.map_err(|e| e.to_string())?;
        tokio::task::spawn_local(connection);
        Ok(sender)
    }
}

/// Answers on its node until it is killed.
pub async fn serve(door: Arc<Door>, node: Node, ledger: Rc<RefCell<Ledger>>, random: Random) {
    let random = Rc::new(RefCell::new(random));
    loop {
        let wire = door.next().await;
        tokio::task::spawn_local(answer(wire, node, ledger.clone(), random.clone()));
    }
}

async fn answer(wire: VirtualWire, node: Node, ledger: Rc<RefCell<Ledger>>, random: Rc<RefCell<Random>>) {
    let service = service_fn(move |request: Request<hyper::body::Incoming>| {
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
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(wire), service).await;
}
