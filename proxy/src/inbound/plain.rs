//! What comes to a workload in plaintext, where `mtls: Permissive` lets it in: from callers of whom nothing is known but an address, by which they are
//! counted. They say no service, so that they reach the one port of the application that is called here; what they may ask there is judged as ever, by
//! rules that cannot know who they are (`decisions/0038`).

use super::{Application, begin};
use crate::access::{self, At, Standing, Time, again};
use crate::detect::{Found, detect};
use crate::http::{self, Client, Ingress, Stop};
use crate::l4;
use crate::snapshot::Snapshot;
use crate::upstream::UpstreamKey;
use crate::worker::Worker;
use bytes::BytesMut;
use model::{AppProtocol, Fault, Key, Kind};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use telemetry::{Outcome, Peer, Record, Security};
use transport::detect::Reads;
use transport::h1::{self, Reader, Writer};
use transport::preface::Framing;
use transport::{Error, Stream, limits, rt};

/// The first byte of each record of a handshake.
const HANDSHAKE: u8 = 0x16;

pub fn is_tls(read: &[u8]) -> bool {
    read.first() == Some(&HANDSHAKE)
}

/// Reads enough to tell TLS from all else. Whoever waits to be greeted says nothing, and is not let in.
///
/// # Errors
/// If nothing comes in time.
pub async fn told_apart(stream: Stream) -> Result<(Stream, BytesMut), Error> {
    let (mut recv, send) = stream.split();
    let mut read = BytesMut::new();
    match rt::timeout(limits::HANDSHAKE_TIME, recv.recv(&mut read, limits::READ_BUFFER)).await {
        Some(Ok(1..)) => {}
        Some(Ok(0)) => return Err(Error::new(Fault::DownstreamClosed, "closed without a word").with_cause("tls_closed")),
        Some(Err(e)) => return Err(Error::new(Fault::DownstreamClosed, e.to_string()).with_cause("tls_closed")),
        None => return Err(Error::new(Fault::SlowRequest, "the caller says nothing").with_cause("tls_handshake_timeout")),
    }
    let stream = recv.reunite(send).ok_or_else(|| Error::new(Fault::Internal, "halves of a connection were kept"))?;
    Ok((stream, read))
}

/// Where plaintext leads.
struct Leads {
    service: Key,
    port: u16,
    to: SocketAddr,
}

pub async fn serve(worker: Rc<Worker>, stream: Stream, read: BytesMut, address: SocketAddr, application: Rc<Application>) {
    let peer = Arc::new(Peer::claimed(&address.ip().to_canonical().to_string(), "", "", "", "", None));
    let snapshot = worker.snapshot();
    let leads = leads(&snapshot, &application);
    let standing = |to: &SocketAddr| {
        let at = At::Workload { workload: &application.workload, port: to.port() };
        Standing { address: Some(address), ..Standing::stranger(at) }
    };
    let mut record = begin(&worker, address, peer.clone());
    record.generation = snapshot.generation;
    let leads = match leads.and_then(|leads| access::plaintext(&worker, &snapshot, &standing(&leads.to)).map(|()| leads)) {
        Ok(leads) => leads,
        Err(stop) => return end(&worker, record, &stop),
    };
    let Leads { service, port, to } = leads;
    record.security = Security::Plain;
    record.dialled_service = snapshot.table.service(&service).map(|s| worker.destination(s));
    record.service_port = port;
    let (recv, send) = stream.split();
    let (mut reader, mut writer) = (Reader::with_read(recv, read), Writer::new(send));
    let judge = |time| access::stream(&worker, &worker.snapshot(), &standing(&to), time);
    let declared = snapshot.table.service(&service).and_then(|s| s.port(port)).map_or(AppProtocol::Detect, |p| p.protocol);
    let mut opened = None;
    let is_http = match declared {
        AppProtocol::Detect => {
            // The caller has spoken: who is heard first needs nobody opened. What is found to be HTTP is not counted as bytes.
            let dial = async || {
                judge(Time::Again)?;
                Ok(worker.connect(&UpstreamKey::plain(to, Framing::Tcp), true).await?)
            };
            // Where routes are, or a key or a token is demanded, nothing passes unread.
            let guarded = snapshot.table.has_requests_routed(&service, port) || access::proven(&worker, &snapshot, &standing(&to)).is_err();
            let reads = if guarded { Reads::HttpAlone } else { Reads::Anything };
            match detect(&mut reader, reads, dial).await {
                Ok(Found::Http) => true,
                Ok(Found::Opaque(up, _)) => {
                    opened = up;
                    false
                }
                Ok(Found::Nothing) => return,
                Err(stop) => return end(&worker, record, &stop),
            }
        }
        _ => l4::is_read(&snapshot, &service, port),
    };
    drop(snapshot);
    if is_http {
        let workload = application.workload.clone();
        let ingress = Ingress::Inbound { service, port, workload, application: to, shown: None };
        let client = Client::new(ingress, Some(address), peer, Security::Plain);
        // Between requests nobody else would see that Strict is back.
        let judge = || access::plaintext(&worker, &worker.snapshot(), &standing(&to));
        let served = http::serve(worker.clone(), h1::Connection { reader, writer }, client);
        if let Err(stop) = again::while_believed(&worker.again, judge, served).await {
            end(&worker, record, &stop);
        }
        return;
    }
    let open = async |record: &mut Record| {
        record.dry_run = judge(Time::First)?;
        record.endpoint = Some(to);
        match opened {
            Some(up) => Ok(*up),
            None => Ok(worker.connect(&UpstreamKey::plain(to, Framing::Tcp), true).await?),
        }
    };
    Box::pin(l4::connection(&worker, &mut reader, &mut writer, record, || judge(Time::Again).map(drop), open)).await;
}

/// The one port of the application that services lead to; by the first of them.
fn leads(snapshot: &Snapshot, application: &Application) -> Result<Leads, Stop> {
    let own = snapshot.endpoints_in(&application.workload.namespace);
    let mut ways: Vec<(Key, u16, u16)> = own
        .flat_map(|all| {
            let here = all.endpoints.iter().filter(|endpoint| endpoint.workload.as_ref() == Some(&application.workload));
            here.flat_map(|endpoint| endpoint.ports.iter().map(|(port, to)| (all.key.with_kind(Kind::Service), *port, *to)))
        })
        .collect();
    ways.sort();
    let no = |why: &str| Err(Stop::new(Fault::MisdirectedRequest, why));
    match &ways[..] {
        [] => no("no service leads to this workload, so that nothing of it is called in plaintext"),
        [(service, port, to), rest @ ..] if rest.iter().all(|(.., other)| other == to) => {
            Ok(Leads { service: service.clone(), port: *port, to: SocketAddr::new(application.host, *to) })
        }
        _ => no("several ports of the application are called here, and plaintext does not say which is meant"),
    }
}

fn end(worker: &Worker, mut record: Record, stop: &Stop) {
    record.outcome = Outcome::Failed(stop.fault);
    record.reason = Some(stop.why.as_str().into());
    access::note(&mut record, stop);
    worker.record(&record);
}
