//! HBONE, as ztunnel speaks it: CONNECT over HTTP/2 over mutual TLS, one stream a connection, bytes inside. The authority is a stranger's word: it
//! leads to this workload's own addresses and ports, and to nothing else.

use super::{Application, begin};
use crate::access::{self, At, Standing, again};
use crate::http::Stop;
use crate::l4;
use crate::shown::Shown;
use crate::snapshot::Snapshot;
use crate::upstream::UpstreamKey;
use crate::worker::Worker;
use model::{Fault, Key};
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use telemetry::{Outcome, Peer, Security};
use transport::hbone::{self, Target};
use transport::preface::Framing;
use transport::{Bounds, Stream, h1, h2, rt};

pub async fn serve(worker: Rc<Worker>, stream: Stream, address: SocketAddr, shown: Rc<Shown>, application: Rc<Application>) {
    let identity = shown.identity.clone();
    let one = |exchange| {
        let (worker, shown, application) = (worker.clone(), shown.clone(), application.clone());
        async move { tunnel(&worker, exchange, address, &shown, &application).await }
    };
    super::streams(&worker, stream, Bounds::default(), address, &identity, one).await;
}

/// One tunnel, from its head to its record.
async fn tunnel(worker: &Rc<Worker>, exchange: h2::Exchange, address: SocketAddr, shown: &Shown, application: &Application) {
    let identity = &shown.identity;
    let _busy = worker.busy();
    let started = rt::now();
    let own = hbone::read_baggage(&exchange.head.headers);
    let peer = Peer::claimed(&own.workload, &own.namespace, &own.app, &own.version, &own.cluster, Some(identity));
    let mut record = begin(worker, address, Arc::new(peer));
    record.security = Security::MutualTls;
    record.authority.push_str(exchange.head.authority());
    let snapshot = worker.snapshot();
    record.generation = snapshot.generation;
    let target = hbone::target(&exchange.head).map_err(Stop::from);
    let leads = target.and_then(|target| leads(&snapshot, application, &worker.shared.me.namespace, &target));
    let standing = |port: u16| {
        let at = At::Workload { workload: &application.workload, port };
        Standing { identity: Some(identity), address: Some(address), ..Standing::stranger(at) }
    };
    let judged = leads.and_then(|leads| Ok((access::stream(worker, &snapshot, &standing(leads.to.port()), access::Time::First)?, leads)));
    let result = match judged {
        Err(stop) => {
            let status = if stop.fault == Fault::MisdirectedRequest { 404 } else { stop.fault.http_status() };
            hbone::refuse(exchange, status);
            Err(stop)
        }
        Ok((dry_run, Leads { to, service, port })) => {
            record.dry_run = dry_run;
            record.endpoint = Some(to);
            let dialled = service.as_ref().and_then(|key| snapshot.table.service(key));
            record.dialled_service = dialled.map(|s| worker.destination(s));
            record.service_port = port;
            match worker.connect(&UpstreamKey::plain(to, Framing::Tcp), true).await {
                Err(error) => {
                    hbone::refuse(exchange, error.fault.http_status());
                    Err(Stop::from(error))
                }
                Ok(up) => match hbone::accept(exchange) {
                    Err(error) => Err(Stop::from(error)),
                    Ok(stream) => {
                        let mut caller = h1::Connection::new(stream);
                        let judge = || {
                            shown.still(worker)?;
                            access::stream(worker, &worker.snapshot(), &standing(to.port()), access::Time::Again).map(drop)
                        };
                        let carried = pin!(l4::carry(worker, &mut caller.reader, &mut caller.writer, up, &mut record));
                        again::while_allowed(&worker.again, judge, carried).await
                    }
                },
            }
        }
    };
    if let Err(stop) = result {
        record.outcome = Outcome::Failed(stop.fault);
        record.reason = Some(stop.why.as_str().into());
        access::note(&mut record, &stop);
    }
    record.duration = rt::now().saturating_duration_since(started);
    worker.record(&record);
}

struct Leads {
    to: SocketAddr,
    service: Option<Key>,
    /// The service's own; where there is none, the application's.
    port: u16,
}

/// Where an authority leads on this machine.
fn leads(snapshot: &Snapshot, application: &Application, namespace: &str, target: &Target) -> Result<Leads, Stop> {
    let no = |why: String| Stop::new(Fault::MisdirectedRequest, why);
    let workload = snapshot.workloads.get(&application.workload);
    let workload = workload.ok_or_else(|| no(format!("workload {} is not known yet", application.workload)))?;
    let backed = |service: &Key| {
        let endpoints = snapshot.endpoints_of(service)?;
        endpoints.endpoints.iter().find(|e| e.workload.as_ref() == Some(&application.workload))
    };
    let here = |to: u16, service, port| Leads { to: SocketAddr::new(application.host, to), service, port };
    let by_service = |key: &Key, port: u16| {
        let own = backed(key).ok_or_else(|| no(format!("this workload does not back {key}")))?;
        let to = own.target_port(port).ok_or_else(|| no(format!("{key} has no port {port} here")))?;
        Ok(here(to, Some(key.clone()), port))
    };
    match target {
        Target::Name(host, port) => {
            let service = snapshot.table.service_by_host(host, namespace);
            by_service(&service.ok_or_else(|| no(format!("{host} is no service of this workload")))?.key, *port)
        }
        Target::Address(address) => {
            let (ip, port) = (address.ip().to_canonical(), address.port());
            let is_own = |own: &IpAddr| own.to_canonical() == ip;
            if workload.addresses.iter().any(is_own) {
                let leads_here = |key: &Key| backed(key)?.ports.iter().find(|(_, to)| *to == port).map(|(own, _)| *own);
                let service = workload.services.iter().find_map(|key| leads_here(key).map(|own| (key.clone(), own)));
                return match service {
                    Some((key, own)) => Ok(here(port, Some(key), own)),
                    None if workload.ports.iter().any(|p| p.number == port) => Ok(here(port, None, port)),
                    None => Err(no(format!("this workload has no port {port}"))),
                };
            }
            let service = workload.services.iter().find(|key| snapshot.table.service(key).is_some_and(|s| s.addresses.iter().any(is_own)));
            by_service(service.ok_or_else(|| no(format!("{address} is no address of this workload")))?, port)
        }
    }
}
