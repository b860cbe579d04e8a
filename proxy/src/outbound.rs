//! Listeners for one service on loopback (`--upstream catalog=9001`): for programs that know no proxies. They serve their owner alone: the
//! connecting socket's user is looked up and must be ours.

mod owner;

use crate::detect::{Found, detect};
use crate::http::{self, Client, Ingress, Stop, plan_resolve};
use crate::l4;
use crate::worker::Worker;
use model::{AppProtocol, Fault};
use std::net::SocketAddr;
use std::rc::Rc;
use telemetry::{Outcome, Record, Reporter, Security};
use transport::detect::Reads;
use transport::h1::{self, Reader, Writer};
use transport::{Stream, rt};

/// One connection at such a listener.
pub async fn named(worker: Rc<Worker>, stream: Stream, address: SocketAddr, local: Option<SocketAddr>, host: &str, port: u16) {
    let mut record = Record::begin(rt::wall(), Reporter::Source, worker.shared.me.peer.clone(), worker.unknown());
    record.source_address = Some(address);
    let fail = |mut record: Record, stop: Stop| {
        record.outcome = Outcome::Failed(stop.fault);
        record.reason = Some(stop.why.as_str().into());
        worker.record(&record);
    };
    if local.is_none_or(|local| !is_ours(address, local)) {
        return fail(record, Stop::new(Fault::Unauthenticated, "another user's program called; this listener serves its owner alone"));
    }
    if let Err(stop) = plan_resolve(&worker, host).await {
        return fail(record, stop);
    }
    let snapshot = worker.snapshot();
    let Some(service) = snapshot.table.service_by_host(host, &worker.shared.me.namespace).map(|s| s.key.clone()) else {
        return fail(record, Stop::new(Fault::NoSuchService, format!("{host} is no service of this mesh")));
    };
    let (recv, send) = stream.split();
    let (mut reader, mut writer) = (Reader::new(recv), Writer::new(send));
    let declared = snapshot.table.service(&service).and_then(|s| s.port(port)).map_or(AppProtocol::Detect, |p| p.protocol);
    let mut opened = None;
    let read = match declared {
        AppProtocol::Detect => {
            let place = (service.clone(), port);
            let reads = if snapshot.table.has_requests_routed(&service, port) { Reads::HttpAlone } else { Reads::Anything };
            let dial = async || l4::to_service(&worker, &worker.snapshot(), &service, port, &mut record).await;
            let greets = reads == Reads::Anything && worker.server_first.borrow().knows(&place, rt::now());
            match if greets { Ok(Found::Opaque(None, false)) } else { detect(&mut reader, reads, dial).await } {
                Ok(Found::Http) => true,
                Ok(Found::Opaque(up, server_first)) => {
                    if server_first {
                        worker.server_first.borrow_mut().learn(place, rt::now());
                    }
                    opened = up;
                    false
                }
                Ok(Found::Nothing) => return,
                Err(stop) => return fail(record, stop),
            }
        }
        _ => l4::is_read(&snapshot, &service, port),
    };
    if read {
        let peer = worker.shared.me.peer.clone();
        let client = Client::new(Ingress::Service { service, port }, Some(address), peer, Security::Plain);
        return http::serve(worker, h1::Connection { reader, writer }, client).await;
    }
    let open = async |record: &mut Record| match opened {
        Some(up) => Ok(*up),
        None => l4::to_service(&worker, &worker.snapshot(), &service, port, record).await,
    };
    // The proxy beside the workload that is called judges.
    Box::pin(l4::connection(&worker, &mut reader, &mut writer, record, || Ok(()), open)).await;
}

/// Whether the socket at the other end of this loopback connection is our user's.
fn is_ours(peer: SocketAddr, local: SocketAddr) -> bool {
    let mine = std::fs::metadata("/proc/self").map(|m| std::os::unix::fs::MetadataExt::uid(&m));
    matches!((owner::of(peer, local), mine), (Some(owner), Ok(mine)) if owner == mine)
}

#[cfg(test)]
mod tests;
