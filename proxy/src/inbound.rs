//! What other proxies of the mesh bring: mutual TLS first, then who was dialled, then the application's own protocol to the application on this
//! machine; from meshes that speak HBONE, bytes. Who shows no SVID does not get past the handshake, unless plaintext is let in here (`mtls: Permissive`, in [`plain`]); a service that this workload does not back is refused by name.

mod hbone;
mod plain;

use crate::access::{self, At, Standing, Time, again};
use crate::doors::Room;
use crate::http::{self, Client, Ingress, Stop};
use crate::l4;
use crate::shown::Shown;
use crate::snapshot::Snapshot;
use crate::upstream::UpstreamKey;
use crate::worker::{Stage, Worker};
use bytes::BytesMut;
use identity::{ClientAuth, alpn};
use model::{Fault, Key, Method, SpiffeId};
use rustls::ServerConfig;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use telemetry::{Outcome, Peer, Protocol, Record, Reporter, Security};
use transport::h1::{self, Reader, Writer};
use transport::preface::{Framing, Hello, Preface, Welcome, read};
use transport::{Bounds, Stream, h2, rt, tls};

/// The workload behind this proxy.
#[derive(Debug, Clone)]
pub struct Application {
    /// Key of the workload, by which endpoints name it.
    pub workload: Key,
    /// Where the application listens.
    pub host: IpAddr,
}

/// TLS as the tunnel port speaks it.
///
/// # Errors
/// If the configuration cannot be made.
pub fn config(worker: &Worker) -> Result<Arc<ServerConfig>, identity::Error> {
    identity::server_config(
        &worker.shared.credentials,
        ClientAuth::Required,
        &[alpn::ORGANZA_TRUNK, alpn::ORGANZA, alpn::H2],
        Arc::new(rt::Here::now()),
    )
}

/// One connection, from its first byte.
pub async fn serve(
    worker: Rc<Worker>,
    stream: Stream,
    address: SocketAddr,
    config: Arc<ServerConfig>,
    application: Rc<Application>,
    room: &Arc<Room>,
) {
    let shaking = room.handshake();
    let changes = worker.shared.credentials.trust.changes();
    let accepted = match worker.snapshot().access.engine().is_ever_permissive(&application.workload.namespace) {
        false => tls::accept(stream, config).await,
        true => match plain::told_apart(stream).await {
            Ok((stream, read)) if plain::is_tls(&read) => tls::accept_read(stream, &read, config, transport::limits::HANDSHAKE_TIME).await,
            Ok((stream, read)) => {
                drop(shaking);
                return Box::pin(plain::serve(worker, stream, read, address, application)).await;
            }
            Err(error) => Err(error),
        },
    };
    let stream = match accepted {
        Ok(stream) => stream,
        Err(error) => {
            worker.ended(&error);
            if error.cause == Some(tls::NO_TLS) {
                return strict(&worker, address, &application);
            }
            return refused(&worker, address, None, error.fault, &error.why);
        }
    };
    drop(shaking);
    let proof = tls::proof(&stream).unwrap_or_default();
    let shown = proof.peer.and_then(|identity| Shown::new(&worker, identity, tls::chain(&stream), changes));
    let Some(shown) = shown.map(Rc::new) else {
        return refused(&worker, address, None, Fault::Unauthenticated, "the peer showed no SPIFFE identity");
    };
    let believed = {
        let (worker, shown, room) = (worker.clone(), shown.clone(), room.clone());
        async move {
            match proof.alpn.as_deref() {
                Some(alpn::ORGANZA_TRUNK) => Box::pin(trunk(worker, stream, address, shown, application, room)).await,
                Some(alpn::ORGANZA) => Box::pin(organza(worker, stream, address, shown, application)).await,
                Some(alpn::H2) => Box::pin(hbone::serve(worker, stream, address, shown, application)).await,
                _ => {
                    let why = "the peer speaks neither organza/1, organza/2 nor HBONE";
                    refused(&worker, address, Some(&shown.identity), Fault::UnrecognisedProtocol, why);
                }
            }
        }
    };
    if let Err(stop) = again::while_believed(&worker.again, || shown.still(&worker), believed).await {
        refused(&worker, address, Some(&shown.identity), stop.fault, &stop.why);
    }
}

/// Streams of which each is what a connection of `organza/1` is.
async fn trunk(worker: Rc<Worker>, stream: Stream, address: SocketAddr, shown: Rc<Shown>, application: Rc<Application>, room: Arc<Room>) {
    let identity = shown.identity.clone();
    let one = |exchange: h2::Exchange| {
        let (worker, shown, application, room) = (worker.clone(), shown.clone(), application.clone(), room.clone());
        async move {
            // Each wants a socket towards the application, as a connection of its own would. Who is refused dials, and waits at the door.
            if room.is_full() {
                return exchange.responder.abort(h2::code::REFUSED_STREAM);
            }
            let _seat = room.connection();
            if exchange.head.method != Method::Connect || exchange.head.protocol.is_some() {
                return transport::hbone::refuse(exchange, 405);
            }
            // A peer that is gone needs no stream.
            if let Ok(stream) = transport::hbone::accept(exchange) {
                Box::pin(organza(worker, stream, address, shown, application)).await;
            }
        }
    };
    streams(&worker, stream, Bounds::trunk(), address, &identity, one).await;
}

/// Serves HTTP/2 to a member of the mesh until it ends or the proxy drains.
async fn streams<F: Future<Output = ()> + 'static>(
    worker: &Rc<Worker>,
    stream: Stream,
    bounds: Bounds,
    address: SocketAddr,
    identity: &SpiffeId,
    one: impl Fn(h2::Exchange) -> F,
) {
    let mut stages = worker.shared.stage.subscribe();
    let drained = async {
        // Without a sender the process ends anyway.
        let _ = stages.wait_for(|stage| *stage != Stage::Serving).await;
        rt::sleep(crate::limits::DRAIN_GRACE).await;
    };
    let served = match h2::Server::bounded(stream, BytesMut::new(), h2::Who::Member, bounds).await {
        Ok(mut server) => {
            worker.watch_resets(&mut server);
            h2::serve(server, drained, one).await
        }
        Err(error) => Err(error),
    };
    if let Err(error) = served
        && error.fault != Fault::DownstreamClosed
    {
        worker.ended(&error);
        refused(worker, address, Some(identity), error.fault, &error.why);
    }
}

async fn organza(worker: Rc<Worker>, mut stream: Stream, address: SocketAddr, shown: Rc<Shown>, application: Rc<Application>) {
    let identity = &shown.identity;
    let mut buffer = BytesMut::new();
    let hello: Hello = match read(&mut stream, &mut buffer).await {
        Ok(hello) => hello,
        Err(error) => return refused(&worker, address, Some(identity), error.fault, &error.why),
    };
    let (recv, send) = stream.split();
    let (mut reader, mut writer) = (Reader::with_read(recv, buffer), Writer::new(send));
    let standing = |target: &SocketAddr| {
        let at = At::Workload { workload: &application.workload, port: target.port() };
        Standing { identity: Some(identity), address: Some(address), ..Standing::stranger(at) }
    };
    let snapshot = worker.snapshot();
    // Requests are judged one by one; of bytes nothing more will be known.
    let allowed = |target: SocketAddr| match hello.framing {
        Framing::Tcp => access::stream(&worker, &snapshot, &standing(&target), Time::First).map(|dry_run| (target, dry_run)),
        Framing::Http1 | Framing::Http2 => Ok((target, None)),
    };
    let judged = backed(&snapshot, &application, &hello).and_then(allowed);
    let (target, dry_run) = match judged {
        Ok((target, dry_run)) => (Ok(target), dry_run),
        Err(stop) => (Err(stop), None),
    };
    let generation = snapshot.generation;
    drop(snapshot);
    // Bytes have no answer that could say it later: the application is reached before the caller is welcome.
    let opened = match (&target, hello.framing) {
        (Ok(target), Framing::Tcp) => Some(worker.connect(&UpstreamKey::plain(*target, Framing::Tcp), true).await),
        _ => None,
    };
    let welcome = match (&target, &opened) {
        (Err(stop), _) => Welcome::Refused(stop.fault),
        (_, Some(Err(error))) => Welcome::Refused(error.fault),
        _ => Welcome::Accepted(worker.shared.me.metadata.clone()),
    };
    let Ok(welcome) = welcome.encode() else { return };
    // Goes out with the first answer, or at once where nothing else would carry it.
    writer.hold_first(&welcome);
    let own = &hello.source;
    let peer = Arc::new(Peer::claimed(&own.workload, &own.namespace, &own.app, &own.version, &own.cluster, Some(identity)));
    match (target, hello.framing) {
        (Err(stop), _) => {
            // A peer that is gone already needs no refusal.
            let _ = writer.flush().await;
            stopped(&worker, address, peer, &stop, &hello);
        }
        (Ok(target), framing @ (Framing::Http1 | Framing::Http2)) => {
            let workload = application.workload.clone();
            let ingress = Ingress::Inbound {
                service: hello.service,
                port: hello.service_port,
                workload,
                application: target,
                shown: Some(shown.clone()),
            };
            let client = Client::new(ingress, Some(address), peer, Security::MutualTls);
            if framing == Framing::Http1 {
                return http::serve(worker, h1::Connection { reader, writer }, client).await;
            }
            // A peer that is gone needs no welcome.
            if writer.flush().await.is_ok()
                && let Some((stream, read)) = (h1::Connection { reader, writer }).into_parts()
            {
                Box::pin(http::serve_h2(worker, stream, read, client)).await;
            }
        }
        (Ok(target), Framing::Tcp) => {
            if writer.flush().await.is_err() {
                return;
            }
            let mut record = begin(&worker, address, peer);
            record.security = Security::MutualTls;
            (record.dry_run, record.generation) = (dry_run, generation);
            record.dialled_service = worker.snapshot().table.service(&hello.service).map(|s| worker.destination(s));
            record.service_port = hello.service_port;
            let open = async |record: &mut Record| {
                record.endpoint = Some(target);
                let lost = || transport::Error::new(Fault::Internal, "a connection was asked for and not opened");
                Ok(opened.ok_or_else(lost)??)
            };
            let judge = || {
                shown.still(&worker)?;
                access::stream(&worker, &worker.snapshot(), &standing(&target), Time::Again).map(drop)
            };
            Box::pin(l4::connection(&worker, &mut reader, &mut writer, record, judge, open)).await;
        }
    }
}

/// Where the dialled service's port leads on this machine; only for services that this workload backs.
fn backed(snapshot: &Snapshot, application: &Application, hello: &Hello) -> Result<SocketAddr, Stop> {
    let no = |why: String| Stop::new(Fault::MisdirectedRequest, why);
    let endpoints = snapshot.endpoints_of(&hello.service);
    let own = endpoints.and_then(|e| e.endpoints.iter().find(|e| e.workload.as_ref() == Some(&application.workload)));
    let own = own.ok_or_else(|| no(format!("this workload does not back {}", hello.service)))?;
    let port = own.target_port(hello.service_port);
    let port = port.ok_or_else(|| no(format!("{} has no port {} here", hello.service, hello.service_port)))?;
    Ok(SocketAddr::new(application.host, port))
}

fn begin(worker: &Worker, address: SocketAddr, peer: Arc<Peer>) -> Record {
    let mut record = Record::begin(rt::wall(), Reporter::Destination, peer, worker.shared.me.peer.clone());
    record.protocol = Protocol::Tcp;
    record.source_address = Some(address);
    record
}

/// Records a connection that goes no further.
fn stopped(worker: &Worker, address: SocketAddr, peer: Arc<Peer>, stop: &Stop, hello: &Hello) {
    let mut record = begin(worker, address, peer);
    // A service that this workload does not back is none of its own.
    if matches!(stop.fault, Fault::AccessDenied | Fault::Unauthenticated) {
        record.dialled_service = worker.snapshot().table.service(&hello.service).map(|s| worker.destination(s));
        record.service_port = hello.service_port;
    }
    record.security = Security::MutualTls;
    record.outcome = Outcome::Failed(stop.fault);
    record.reason = Some(stop.why.as_str().into());
    access::note(&mut record, stop);
    worker.record(&record);
}

/// Records a caller in plaintext where none is let in.
fn strict(worker: &Worker, address: SocketAddr, application: &Application) {
    let snapshot = worker.snapshot();
    let settings = snapshot.access.engine().settings(&application.workload.namespace).map(|settings| settings.origin.object.to_string());
    let by = settings.map_or_else(String::new, |by| format!(" of {by}"));
    refused(worker, address, None, Fault::Unauthenticated, &format!("the caller speaks no TLS, and mtls: Strict{by} holds here"));
}

fn refused(worker: &Worker, address: SocketAddr, identity: Option<&SpiffeId>, fault: Fault, why: &str) {
    let peer = Peer::claimed("", "", "", "", "", identity);
    let mut record = begin(worker, address, Arc::new(peer));
    record.outcome = Outcome::Failed(fault);
    record.reason = Some(why.into());
    worker.record(&record);
}
