//! The request path: read head · prepare · plan · filter · forward · answer · record. Each phase is a function; a request is read against one
//! snapshot from beginning to end.

mod admit;
mod answer;
mod clerk;
mod connect;
pub(crate) mod down;
pub(crate) mod exchange;
mod forward;
mod inquiry;
mod judged;
pub(crate) mod mark;
pub(crate) mod plan;
mod prepare;
mod reach;
mod sticky;
mod tries;

pub(crate) use connect::no_tunnel;
pub(crate) use forward::{Load, unpicked};
pub(crate) use plan::resolve as plan_resolve;
pub(crate) use prepare::{end_hop, forget_origin, regular_path};

use crate::access;
use crate::gateway::Vouched;
use crate::limits;
use crate::shown::Shown;
use crate::worker::{Stage, Worker};
use bytes::{Bytes, BytesMut};
use down::{Downstream, Sink};
use futures_util::future::{Either, select};
use model::{Fault, Key, RequestHead, ResponseHead};
use std::cell::{Cell, OnceCell};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use telemetry::{Outcome, Peer, Protocol, Record, Reporter, Security};
use tokio::sync::{Notify, watch};
use transport::h1::{self, Reader, Writer};
use transport::{Bounds, Error, Stream, h2, rt, spare};

/// Where requests of a connection came in, and what that means for them.
#[derive(Debug)]
pub enum Ingress {
    /// Strangers at a gateway's listener.
    Gateway { gateway: Key, port: u16, tls: Option<Secured> },
    /// The application calls one service by a listener of its own.
    Service { service: Key, port: u16 },
    /// The application calls anything by `http_proxy`; the host of each request says what. The secret guards the listener.
    ExplicitProxy { authorization: Arc<str> },
    /// Another proxy calls the application behind this one or, where nothing is shown, somebody in plaintext.
    Inbound { service: Key, port: u16, workload: Key, application: SocketAddr, shown: Option<Rc<Shown>> },
}

/// What the TLS handshake of a stranger told.
#[derive(Debug)]
pub struct Secured {
    /// The name that was asked for.
    pub sni: Option<String>,
    /// The certificate that was required and shown.
    pub vouched: Option<Rc<Vouched>>,
}

/// One connection as requests see it.
#[derive(Debug)]
pub struct Client {
    pub ingress: Ingress,
    pub address: Option<SocketAddr>,
    /// The address as text, once it was needed.
    forwarded_for: OnceCell<Box<str>>,
    /// Who calls, as labels name them.
    pub peer: Arc<Peer>,
    /// How this hop is protected.
    pub security: Security,
    bounds: Bounds,
    /// That the connection may carry.
    requests: Option<u32>,
}

impl Client {
    pub fn new(ingress: Ingress, address: Option<SocketAddr>, peer: Arc<Peer>, security: Security) -> Self {
        Self { ingress, address, forwarded_for: OnceCell::new(), peer, security, bounds: Bounds::default(), requests: None }
    }

    /// Of a listener with limits of its own.
    #[must_use]
    pub fn bounded(self, bounds: Bounds, requests: Option<u32>) -> Self {
        Self { bounds, requests, ..self }
    }

    /// Members of the mesh are told why; strangers are not.
    pub fn is_member(&self) -> bool {
        !matches!(self.ingress, Ingress::Gateway { .. } | Ingress::Inbound { shown: None, .. })
    }

    fn reporter(&self) -> Reporter {
        match self.ingress {
            Ingress::Gateway { .. } => Reporter::Gateway,
            Ingress::Service { .. } | Ingress::ExplicitProxy { .. } => Reporter::Source,
            Ingress::Inbound { .. } => Reporter::Destination,
        }
    }
}

/// What becomes of the connection after a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum After {
    Keep,
    /// The tunnel that was asked for carries HTTP to this service, which is read.
    Switch {
        service: Key,
        port: u16,
    },
    Close,
    /// Close without a word: what was asked may have been done, and the peer must not take it for a goodbye.
    Abort,
    /// Close, but the caller is still sending: read on for a moment, so that the answer is not lost in a reset.
    Linger,
}

/// What a proxy that is about to end says to a peer on a connection that lies idle. The peer finds bytes where none should be and uses it no more; whose
/// request crosses with this reads an interim answer before the answer (RFC 9110, section 15.2).
const LEAVING: &[u8] = b"HTTP/1.1 100 Continue\r\nConnection: close\r\n\r\n";

/// A connection of HTTP/1, and what is known of it.
pub(crate) struct Served {
    worker: Rc<Worker>,
    connection: h1::Connection,
    client: Client,
    /// Requests that it brought.
    carried: u32,
}

/// A connection that is served until it ends.
pub(crate) type Serving = Pin<Box<dyn Future<Output = ()>>>;

/// Serves a connection until it ends or the proxy drains. Callers that begin with HTTP/2's preface are taken at their word.
///
/// A connection that is idle holds what it needs to be idle; a request is served by a clerk, of whom a thread has as many as serve at once, and what
/// comes once in a connection's life is a box of its own. It is one block, and uses what it was given where it lies: an `async fn` would keep room for its
/// arguments and for what they are moved to.
pub fn serve(worker: Rc<Worker>, connection: h1::Connection, client: Client) -> Serving {
    let mut served = Box::new(Served { worker, connection, client, carried: 0 });
    Box::pin(async move {
        let (mut first, mut told) = (true, false);
        let mut stage = served.worker.shared.stage();
        // One watch for the whole connection: to begin and end one for each request costs more than to read it.
        let mut moved_on = pin!(moved_on(served.worker.shared.stage.subscribe(), stage));
        loop {
            // A draining proxy still answers what arrives in the moment in which its peers learn of it, and closes each connection after that.
            // One that has a successor is in no hurry: who is idle now may send its last request at any moment, and must not meet a closing door.
            let idle = if stage == Stage::Ending { limits::DRAIN_GRACE } else { served.client.bounds.idle };
            let inward = matches!(served.client.ingress, Ingress::Inbound { .. });
            if stage == Stage::Ending && inward && served.connection.reader.so_far().is_empty() && !told {
                told = true;
                served.connection.writer.hold_first(LEAVING);
                // A peer that is gone shows in the next read.
                let _ = Box::pin(served.connection.writer.flush()).await;
            }
            let begun = match select(pin!(served.connection.reader.begun(idle)), moved_on.as_mut()).await {
                Either::Left((begun, _)) => begun,
                Either::Right((now, _)) => {
                    stage = now;
                    moved_on.set(self::moved_on(served.worker.shared.stage.subscribe(), stage));
                    continue;
                }
            };
            if !begun {
                let Served { worker, connection, client, .. } = &mut *served;
                return Box::pin(goodbye(worker, connection, client)).await;
            }
            if std::mem::take(&mut first) {
                match Box::pin(begins_h2(&mut served.connection.reader, served.client.bounds.head_time)).await {
                    Ok(false) => {}
                    Ok(true) => {
                        let Served { worker, connection, client, .. } = *served;
                        let Some((stream, read)) = connection.into_parts() else { return };
                        return Box::pin(serve_h2(worker, stream, read, client)).await;
                    }
                    Err(slow) => {
                        let Served { worker, connection, client, .. } = &mut *served;
                        Box::pin(refuse_head(worker, &mut connection.writer, client, &slow)).await;
                        return Box::pin(linger(connection, limits::EARLY_ANSWER_TIME)).await;
                    }
                }
            }
            served.carried += 1;
            let after;
            (served, after) = clerk::carry(served).await;
            match after {
                After::Keep => {}
                After::Switch { service, port } => {
                    served.client.ingress = Ingress::Service { service, port };
                    first = true;
                }
                After::Close => return drop(served.connection.writer.send_half().shutdown().await),
                After::Abort => return,
                After::Linger => return Box::pin(linger(&mut served.connection, limits::EARLY_ANSWER_TIME)).await,
            }
        }
    })
}

/// One request of a connection, from the first bytes of its head.
async fn carry(served: &mut Served) -> After {
    let Served { worker, connection: h1::Connection { reader, writer }, client, carried } = served;
    let mut head = spare::request();
    let after = match reader.head(&mut head).await {
        Ok(framing) => {
            let _busy = worker.busy();
            let last = worker.shared.is_draining() || client.requests.is_some_and(|most| *carried >= most);
            let mut down = Downstream::h1(reader, writer, framing, rt::now(), last);
            one(worker, &mut down, &mut head, client).await
        }
        Err(error) => {
            Box::pin(refuse_head(worker, writer, client, &error)).await;
            After::Linger
        }
    };
    spare::keep_request(head);
    after
}

/// The stage of the proxy's life that follows upon `stage`; none does on the last.
async fn moved_on(mut stages: watch::Receiver<Stage>, stage: Stage) -> Stage {
    if stage != Stage::Ending
        && let Ok(now) = stages.wait_for(|now| *now != stage).await
    {
        return *now;
    }
    std::future::pending().await
}

/// Nobody asks any more. A peer's request may cross with this, and it tries that again elsewhere if it hears the close and not a reset.
async fn goodbye(worker: &Worker, connection: &mut h1::Connection, client: &Client) {
    match client.ingress {
        Ingress::Inbound { .. } => {
            let _busy = worker.busy();
            linger(connection, limits::DRAIN_GOODBYE).await;
        }
        // Whatever fails here, the connection is at its end.
        _ => drop(connection.writer.send_half().shutdown().await),
    }
}

/// Whether a caller who has begun to speak speaks HTTP/2. Who stops within that is as slow as one who stops within any head.
async fn begins_h2(reader: &mut Reader, head_time: Duration) -> Result<bool, Error> {
    let slow = || Error::new(Fault::SlowRequest, format!("head took longer than {head_time:?}"));
    rt::timeout(head_time, reader.begins_with(h2::CLIENT_PREFACE)).await.ok_or_else(slow)
}

/// Serves an HTTP/2 connection; `read` is what came of it already. Each request is a task of its own.
pub async fn serve_h2(worker: Rc<Worker>, stream: Stream, read: BytesMut, client: Client) {
    let client = Rc::new(client);
    let mut stages = worker.shared.stage.subscribe();
    let (carried, spent) = (Cell::new(0), Notify::new());
    let drained = async {
        let stage = pin!(async {
            // Without a sender the process ends anyway.
            let _ = stages.wait_for(|stage| *stage != Stage::Serving).await;
            rt::sleep(limits::DRAIN_GRACE).await;
        });
        select(stage, pin!(spent.notified())).await;
    };
    let exchange = |exchange: h2::Exchange| {
        carried.set(carried.get() + 1);
        if client.requests == Some(carried.get()) {
            spent.notify_one();
        }
        let (worker, client) = (worker.clone(), client.clone());
        async move {
            let _busy = worker.busy();
            let h2::Exchange { mut head, body, responder } = exchange;
            one(&worker, &mut Downstream::h2(body, responder, rt::now()), &mut head, &client).await;
            spare::keep_request(head);
        }
    };
    let who = if client.is_member() { h2::Who::Member } else { h2::Who::Stranger };
    let served = match h2::Server::bounded(stream, read, who, client.bounds).await {
        Ok(mut server) => {
            worker.watch_resets(&mut server);
            h2::serve(server, drained, exchange).await
        }
        Err(error) => Err(error),
    };
    if let Err(error) = served
        && error.fault != Fault::DownstreamClosed
    {
        worker.ended(&error);
        let mut record = begin(&worker, &client);
        record.outcome = Outcome::Failed(error.fault);
        record.reason = Some(error.why.as_ref().into());
        worker.record(&record);
    }
}

async fn linger(connection: &mut h1::Connection, time: Duration) {
    // Whatever fails here, the connection is at its end.
    let _ = connection.writer.send_half().shutdown().await;
    let read_on = async { while connection.reader.piece(transport::limits::READ_BUFFER).await.is_ok_and(|piece| !piece.is_empty()) {} };
    rt::timeout(time, read_on).await;
}

/// Answers what could not even be read.
async fn refuse_head(worker: &Worker, writer: &mut Writer, client: &Client, error: &Error) {
    let mut record = begin(worker, client);
    record.outcome = Outcome::Failed(error.fault);
    record.reason = Some(error.why.as_ref().into());
    if error.fault != Fault::DownstreamClosed {
        record.status = error.fault.http_status();
        let head = RequestHead::default();
        let told = Some(&*error.why).filter(|_| client.is_member());
        let refusal = answer::Refusal { fault: error.fault, why: told, fields: &[] };
        answer::refusal(worker, &mut Sink::H1(writer), client, &head, &refusal, &mut true).await;
    }
    worker.record(&record);
}

pub(crate) fn begin(worker: &Worker, client: &Client) -> Record {
    let me = &worker.shared.me.peer;
    let (source, destination) = match client.ingress {
        Ingress::Inbound { .. } => (client.peer.clone(), me.clone()),
        _ => (me.clone(), worker.unknown()),
    };
    let mut record = Record::begin(rt::wall(), client.reporter(), source, destination);
    record.source_address = client.address;
    record.security = client.security;
    if let Ingress::Inbound { port, .. } = client.ingress {
        record.service_port = port;
    }
    record
}

/// One request, from its head to its record.
async fn one(worker: &Rc<Worker>, down: &mut Downstream<'_>, head: &mut RequestHead, client: &Client) -> After {
    let started = down.started;
    let mut record = begin(worker, client);
    record.method = head.method.clone();
    [record.authority, record.path, record.request_id] = worker.words.take();
    record.authority.push_str(head.authority());
    record.path.push_str(head.path());
    if head.is_grpc() {
        record.protocol = Protocol::Grpc;
    }
    let after = match forward::request(worker, down, head, client, &mut record).await {
        Ok(after) => after,
        Err(stop) => Box::pin(stop_here(worker, down, head, client, &mut record, stop)).await,
    };
    finish(worker, &mut record, started);
    after
}

/// Why a request ends here, with a whole sentence for operators.
#[derive(Debug)]
pub struct Stop {
    pub fault: Fault,
    pub why: String,
    /// The object that caused it, and which of its rules.
    pub by: Option<Arc<str>>,
    pub rule: Option<Arc<str>>,
    /// Fields of the answer that say more of it.
    pub fields: Vec<(&'static str, Box<str>)>,
    /// Callers are told no more of it than strangers are.
    pub secret: bool,
    /// What the caller gets in place of our own words.
    pub instead: Option<Box<(ResponseHead, Bytes)>>,
    /// The answer has begun: nothing can be said any more but by closing.
    pub begun: bool,
    /// Generation of the configuration that judged; 0 where none did.
    pub generation: u64,
}

impl Stop {
    pub fn new(fault: Fault, why: impl Into<String>) -> Self {
        Self { fault, why: why.into(), by: None, rule: None, fields: Vec::new(), secret: false, instead: None, begun: false, generation: 0 }
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::new(error.fault, error.why)
    }
}

async fn stop_here(
    worker: &Worker,
    down: &mut Downstream<'_>,
    head: &RequestHead,
    client: &Client,
    record: &mut Record,
    stop: Stop,
) -> After {
    record.outcome = Outcome::Failed(stop.fault);
    record.reason = Some(stop.why.as_str().into());
    access::note(record, &stop);
    if stop.begun && !record.protocol.is_opaque() {
        // Who was cut off in the middle of a try wrote nothing down. What is opaque is written down as it goes.
        (record.request_bytes, record.response_bytes) = (down.sent, down.given.bytes);
        record.status = down.given.status.unwrap_or_default();
    }
    if stop.begun || stop.fault == Fault::DownstreamClosed {
        return After::Abort;
    }
    record.status = stop.fault.http_status();
    if head.is_grpc() {
        // What the caller gets: gRPC tells its own status in a good answer.
        record.status = 200;
        record.grpc_status = Some(stop.fault.grpc_status());
    }
    let has_body = down.from.has_body();
    // Who is at fault for the message itself cannot be trusted to frame the next one.
    let mistrusted = stop.fault.blame() == model::Blame::Downstream && stop.fault != Fault::DeadlineExceeded;
    let mut close = down.close || has_body || mistrusted;
    match stop.instead {
        Some(instead) => answer::instead(&mut down.to, head, *instead, record, &mut close).await,
        None => {
            let told = Some(&*stop.why).filter(|_| client.is_member() && !stop.secret);
            let refusal = answer::Refusal { fault: stop.fault, why: told, fields: &stop.fields };
            answer::refusal(worker, &mut down.to, client, head, &refusal, &mut close).await;
        }
    }
    match (close, has_body) {
        (true, true) => After::Linger,
        (true, false) => After::Close,
        (false, _) => After::Keep,
    }
}

fn finish(worker: &Worker, record: &mut Record, started: Instant) {
    record.duration = rt::now().saturating_duration_since(started);
    worker.record(record);
    let Record { authority, path, request_id, .. } = record;
    worker.words.give_emptied([authority, path, request_id].map(std::mem::take));
}

#[cfg(test)]
mod tests;
