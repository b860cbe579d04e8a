//! From a listener to an endpoint: the route draws a backend, the balancer picks who answers for it, and a socket leads there.

use crate::access::Time;
use crate::http::{Stop, plan, unpicked};
use crate::l4::listener::{self, Knock};
use crate::pick::{Called, Tried};
use crate::snapshot::Snapshot;
use crate::worker::Worker;
use model::{Backend, Fault, Key, Listener, ServiceRef};
use routing::balance::EndpointId;
use routing::eject::Ended;
use routing::{Caller, Decision, Entry};
use smallvec::SmallVec;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use telemetry::Record;
use transport::rt::{self, Datagrams};

/// An endpoint, and the socket that leads there.
pub struct Led {
    pub endpoint: Arc<str>,
    /// Among those of its service, where this process picked it.
    pub id: Option<EndpointId>,
    pub socket: Rc<Datagrams>,
}

pub fn decision<'t>(snapshot: &'t Snapshot, listener: &Key) -> Result<Decision<'t>, Stop> {
    let entry = Entry::Listener(listener.clone());
    snapshot.table.connect(&entry, None, &Caller::default()).map_err(|refusal| plan::refused(&refusal))
}

/// The service that a new session is led to, noted in the record.
pub fn service(worker: &Worker, snapshot: &Snapshot, knock: &Knock, record: &mut Record) -> Result<ServiceRef, Stop> {
    record.generation = snapshot.generation;
    let decision = decision(snapshot, &knock.listener.key)?;
    record.dry_run = listener::judge_by(worker, snapshot, knock, decision.route_key(), Time::First)?;
    record.way = plan::way(&decision);
    let backend = plan::draw(&decision, record, None, worker.draw32())?;
    match &*backend.backend {
        Backend::Service(to) => Ok(to.clone()),
        Backend::External(host) => {
            Err(Stop::new(Fault::InvalidBackend, format!("datagrams are led to Services alone, and not to {host:?}")))
        }
        Backend::Invalid { message, .. } => Err(Stop::new(Fault::InvalidBackend, message.to_string())),
    }
}

/// An endpoint of the service; where it is one that was `tried` already there is no other.
pub fn endpoint(worker: &Worker, snapshot: &Snapshot, to: &ServiceRef, tried: &[EndpointId], record: &mut Record) -> Result<Led, Stop> {
    let called = Called::to(snapshot, to);
    let called = called.ok_or_else(|| Stop::new(Fault::NoSuchService, format!("service {} is not known here", to.service)))?;
    let service = called.service;
    record.dialled_service = Some(worker.destination(service));
    let mut tried: SmallVec<[EndpointId; 4]> = SmallVec::from_slice(tried);
    let (picked, number) = loop {
        let with = Tried { at: &tried, unreached: !tried.is_empty(), ..Tried::default() };
        let picked = worker.pick(snapshot, &called, to, with, None).map_err(|nobody| unpicked(snapshot, service, to, nobody))?;
        worker.balancers.borrow_mut().begun(&picked, rt::now());
        match picked.endpoint.datagram_port(to.port) {
            Some(number) => break (picked, number),
            // Not every endpoint has every port of its service.
            None if !tried.contains(&picked.id) => tried.push(picked.id),
            None => return Err(Stop::new(Fault::NoEndpoint, "no endpoint has such a port for datagrams")),
        }
    };
    let address = SocketAddr::new(picked.endpoint.address, number);
    record.destination = worker.peer(snapshot, picked.endpoint);
    record.endpoint = Some(address);
    let socket = Datagrams::connect(address).map_err(|e| {
        let fault = unled(&e);
        worker.balancers.borrow_mut().learnt(service, to, &picked.endpoint.id, Ended::of_failure(fault), rt::now());
        Stop::new(fault, format!("{address}: {e}"))
    })?;
    Ok(Led { endpoint: picked.endpoint.id.clone(), id: Some(picked.id), socket: Rc::new(socket) })
}

/// Who is to blame where no socket leads to an endpoint.
fn unled(error: &io::Error) -> Fault {
    match error.kind() {
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => Fault::ConnectFailed,
        // Descriptors or ports have run out.
        _ => Fault::Overloaded,
    }
}

/// Whether a route still leads from the listener to this endpoint of this service. One that only takes no new work keeps what it has.
pub fn leads(snapshot: &Snapshot, listener: &Listener, to: &ServiceRef, endpoint: &str, address: Option<SocketAddr>) -> bool {
    let Ok(decision) = decision(snapshot, &listener.key) else { return false };
    if !decision.split().iter().any(|share| matches!(&*share.backend, Backend::Service(other) if other == to)) {
        return false;
    }
    let Some(set) = snapshot.endpoints_of(&to.service) else { return false };
    let found = set.endpoints.iter().find(|known| *known.id == *endpoint && known.health != model::Health::Unhealthy);
    let at = found.and_then(|known| Some(SocketAddr::new(known.address, known.datagram_port(to.port)?)));
    at.is_some() && at == address
}
