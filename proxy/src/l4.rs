//! The opaque path: connections that are carried unread, to a service or to a host outside. The same identities are checked as for requests; what
//! is recorded is who, where, how long and how much.

pub mod listener;

use crate::access::{self, again};
use crate::http::{Stop, plan, unpicked};
use crate::pick::{self, Called};
use crate::snapshot::Snapshot;
use crate::upstream::{self, Upstream, UpstreamKey};
use crate::worker::Worker;
use model::backend::ExternalName;
use model::{AppProtocol, Backend, Blame, Fault, Hostname, Key};
use routing::eject::Ended;
use routing::{Caller, Decision, Entry};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;
use telemetry::{Destination, Outcome, Protocol, Record, Way};
use transport::h1::{Reader, Writer};
use transport::preface::Framing;
use transport::{Error, rt, tunnel};

/// Whether calls to this port are read as HTTP: it says that it speaks it, or layer-7 routes hang on it. Such a port never falls back to TCP.
pub fn is_read(snapshot: &Snapshot, service: &Key, port: u16) -> bool {
    let declared = snapshot.table.service(service).and_then(|s| s.port(port)).map_or(AppProtocol::Detect, |p| p.protocol);
    match declared {
        AppProtocol::Http | AppProtocol::Http2 | AppProtocol::Grpc => true,
        AppProtocol::Tcp | AppProtocol::Tls | AppProtocol::Udp => false,
        AppProtocol::Detect => snapshot.table.has_requests_routed(service, port),
    }
}

/// A connection to an endpoint of the service, by a TCPRoute where one hangs on it. Endpoints that cannot be reached are passed over: nothing was
/// sent yet.
pub async fn to_service(worker: &Rc<Worker>, snapshot: &Snapshot, key: &Key, port: u16, record: &mut Record) -> Result<Upstream, Stop> {
    (record.protocol, record.generation) = (Protocol::Tcp, snapshot.generation);
    let entry = Entry::Service { service: key.clone(), port };
    let caller = Caller::in_namespace(&worker.shared.me.namespace);
    let decision = snapshot.table.connect(&entry, None, &caller).map_err(|r| plan::refused(&r))?;
    let service = snapshot.table.service(key);
    record.dialled_service = service.map(|s| worker.destination(s));
    // Who calls a port of the application's own TLS speaks that itself.
    let sealed = service.and_then(|s| s.port(port)).is_some_and(|port| port.protocol == AppProtocol::Tls);
    decided(worker, snapshot, &decision, sealed, record).await
}

/// A connection to the backend that the weights draw; a backend that is broken keeps its share, and refuses. `sealed`: the bytes are the caller's own
/// TLS.
async fn decided(
    worker: &Rc<Worker>,
    snapshot: &Snapshot,
    decision: &Decision<'_>,
    sealed: bool,
    record: &mut Record,
) -> Result<Upstream, Stop> {
    record.way = plan::way(decision);
    let backend = plan::draw(decision, record, None, worker.draw32())?;
    match &*backend.backend {
        Backend::Service(to) => endpoint(worker, snapshot, to, sealed, record).await,
        Backend::External(host) => {
            let way = worker.external(snapshot, host, Framing::Tcp).await?;
            record.security = way.security();
            record.endpoint = Some(way.address);
            Ok(worker.connect(&way, true).await?)
        }
        Backend::Invalid { message, .. } => Err(Stop::new(Fault::InvalidBackend, message.to_string())),
    }
}

async fn endpoint(
    worker: &Rc<Worker>,
    snapshot: &Snapshot,
    to: &model::ServiceRef,
    sealed: bool,
    record: &mut Record,
) -> Result<Upstream, Stop> {
    let called = Called::to(snapshot, to);
    let called = called.ok_or_else(|| Stop::new(Fault::NoSuchService, format!("service {} is not known here", to.service)))?;
    let service = called.service;
    // A stranger at a gateway dials no service: the one that it is led to is meant.
    record.dialled_service.get_or_insert_with(|| worker.destination(service));
    let mut tried = Vec::new();
    loop {
        let picked = worker.pick(snapshot, &called, to, pick::Tried { at: &tried, unreached: true, ..pick::Tried::default() }, None);
        let picked = picked.map_err(|nobody| unpicked(snapshot, service, to, nobody))?;
        record.destination = worker.peer(snapshot, picked.endpoint);
        let way = match sealed {
            true => UpstreamKey::sealed(service, picked.endpoint, to.port),
            false => UpstreamKey::endpoint(snapshot, service, picked.endpoint, to.port, Framing::Tcp),
        };
        let way = way.map(|way| way.counted(picked.counted()).told(service, to.port, record.source_address));
        let result = open(worker, way, record).await;
        let refused = |error: &Error| error.cause == Some(upstream::REFUSED);
        // What a connection carries is nobody's business here: that it was opened is all there is to say.
        let ended = match &result {
            Ok(_) => Ended::Answered(200),
            Err(error) if refused(error) => Ended::Cancelled,
            Err(error) => Ended::of_failure(error.fault),
        };
        worker.balancers.borrow_mut().ended(&picked, ended, None, rt::now());
        match result {
            Ok(up) => return Ok(up),
            Err(error) if error.fault.blame() == Blame::Policy => return Err(error.into()),
            Err(error) if refused(&error) => return Err(Stop { by: picked.said_by(), ..Stop::from(error) }),
            Err(error) if tried.contains(&picked.id) || tried.len() >= routing::limits::UNSENT_RETRIES as usize => return Err(error.into()),
            Err(_) => {
                tried.push(picked.id);
                record.attempt += 1;
            }
        }
    }
}

async fn open(worker: &Rc<Worker>, way: Result<UpstreamKey, Error>, record: &mut Record) -> Result<Upstream, Error> {
    let way = way?;
    record.security = way.security();
    record.endpoint = Some(way.address);
    let mut up = worker.connect(&way, true).await?;
    if std::mem::take(&mut up.owes_welcome) {
        // The peer's word is awaited before anything is promised to the caller.
        up.pooled.connection.writer.flush().await.map_err(|e| Error::new(Fault::UpstreamReset, e.to_string()))?;
        let late = || Error::new(Fault::ConnectTimeout, "no preface within 10 s").with_nothing_received();
        let welcome = upstream::welcome(&mut up.pooled.connection.reader);
        rt::timeout(transport::limits::PREFACE_TIME, welcome).await.unwrap_or_else(|| Err(late()))?;
    }
    Ok(up)
}

/// A connection to a host that the mesh does not know.
pub async fn to_outside(worker: &Rc<Worker>, host: &str, port: u16, record: &mut Record) -> Result<Upstream, Stop> {
    record.protocol = Protocol::Tcp;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let name = match bare.parse() {
        Ok(address) => ExternalName::Address(address),
        Err(_) => ExternalName::Dns(Hostname::parse(host).map_err(|e| Stop::new(Fault::NoSuchService, format!("host {host:?} {e}")))?),
    };
    let text: Arc<str> = host.into();
    record.dialled_service = Some(Arc::new(Destination { host: text.clone(), name: text, namespace: "unknown".into() }));
    record.way = Way::Outside;
    let snapshot = worker.snapshot();
    record.generation = snapshot.generation;
    access::egress(worker, &snapshot, host)?;
    drop(snapshot);
    let address = worker.outside(&name, port).await?;
    record.endpoint = Some(address);
    Ok(worker.connect(&UpstreamKey::plain(address, Framing::Tcp), true).await?)
}

/// Carries bytes both ways until both sides have ended.
pub async fn carry(
    worker: &Rc<Worker>,
    reader: &mut Reader,
    writer: &mut Writer,
    mut up: Upstream,
    record: &mut Record,
) -> Result<(), Stop> {
    worker.opened(record);
    // As it goes, for who is cut off comes no further.
    let carried = (&mut record.request_bytes, &mut record.response_bytes);
    let connection = &mut up.pooled.connection;
    let ends = tunnel::splice((reader, writer), (&mut connection.reader, &mut connection.writer), carried).await;
    if let upstream::Via::Organza { service, port, .. } = &up.pooled.key.via {
        worker.trunks.borrow_mut().carried(service, *port, record.request_bytes + record.response_bytes);
    }
    record.outcome = Outcome::Answered(0);
    record.status = 0;
    ends.map_err(Stop::from)
}

/// A whole opaque connection: opened, carried while `judge` allows it, recorded.
pub async fn connection(
    worker: &Rc<Worker>,
    reader: &mut Reader,
    writer: &mut Writer,
    mut record: Record,
    judge: impl Fn() -> Result<(), Stop>,
    open: impl AsyncFnOnce(&mut Record) -> Result<Upstream, Stop>,
) {
    let _busy = worker.busy();
    let started: Instant = rt::now();
    record.protocol = Protocol::Tcp;
    let result = match open(&mut record).await {
        Ok(up) => again::while_allowed(&worker.again, judge, pin!(carry(worker, reader, writer, up, &mut record))).await,
        Err(stop) => Err(stop),
    };
    if let Err(stop) = result {
        record.outcome = Outcome::Failed(stop.fault);
        record.reason = Some(stop.why.as_str().into());
        access::note(&mut record, &stop);
    }
    record.duration = rt::now().saturating_duration_since(started);
    worker.record(&record);
}
