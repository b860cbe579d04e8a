//! Strangers' opaque connections at a gateway's listeners of protocol TCP and TLS: by TCPRoute and TLSRoute to the backend that the weights draw.
//! Who reads server names and shows certificates is [`crate::gateway`]; here TLS is either done with or left to the backend.

use super::decided;
use crate::access::{self, At, Standing, Time};
use crate::http::{Stop, plan};
use crate::snapshot::Snapshot;
use crate::upstream::Upstream;
use crate::worker::Worker;
use model::{Key, Listener, ListenerProtocol};
use routing::{Caller, Entry};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use telemetry::{Outcome, Protocol, Record, Reporter};
use transport::{h1, rt};

/// A connection that found its listener.
pub struct Knock {
    pub address: SocketAddr,
    pub listener: Arc<Listener>,
    pub sni: Option<Arc<str>>,
}

/// Carries the connection to its end.
pub async fn carry(worker: &Rc<Worker>, connection: h1::Connection, knock: Knock) {
    let h1::Connection { mut reader, mut writer } = connection;
    let mut record = begin(worker, knock.address, knock.sni.as_deref());
    record.listener = Some(knock.listener.clone());
    let open = async |record: &mut Record| to_backend(worker, &worker.snapshot(), &knock, record).await;
    super::connection(worker, &mut reader, &mut writer, record, || judge(worker, &worker.snapshot(), &knock), open).await;
}

async fn to_backend(worker: &Rc<Worker>, snapshot: &Snapshot, knock: &Knock, record: &mut Record) -> Result<Upstream, Stop> {
    record.generation = snapshot.generation;
    let entry = Entry::Listener(knock.listener.key.clone());
    let decision = snapshot.table.connect(&entry, knock.sni.as_deref(), &Caller::default()).map_err(|r| plan::refused(&r))?;
    record.dry_run = judge_by(worker, snapshot, knock, decision.route_key(), Time::First)?;
    let sealed = knock.listener.protocol == ListenerProtocol::TlsPassthrough;
    decided(worker, snapshot, &decision, sealed, record).await
}

/// Judges a connection that is under way; where its route is gone, that is the route's affair.
pub fn judge(worker: &Worker, snapshot: &Snapshot, knock: &Knock) -> Result<(), Stop> {
    let entry = Entry::Listener(knock.listener.key.clone());
    match snapshot.table.connect(&entry, knock.sni.as_deref(), &Caller::default()) {
        Ok(decision) => judge_by(worker, snapshot, knock, decision.route_key(), Time::Again).map(drop),
        Err(_) => Ok(()),
    }
}

pub fn judge_by(worker: &Worker, snapshot: &Snapshot, knock: &Knock, route: &Key, time: Time) -> Result<Option<Arc<str>>, Stop> {
    let at = At::Gateway { listener: &knock.listener, route };
    let standing = Standing { address: Some(knock.address), server_name: knock.sni.as_deref(), ..Standing::stranger(at) };
    access::stream(worker, snapshot, &standing, time)
}

/// Records a connection that no listener takes; dropping it is all the answer there is.
pub fn refuse(worker: &Worker, address: SocketAddr, sni: Option<&str>, stop: Stop) {
    let mut record = begin(worker, address, sni);
    record.outcome = Outcome::Failed(stop.fault);
    record.reason = Some(stop.why.as_str().into());
    worker.record(&record);
}

pub fn begin(worker: &Worker, address: SocketAddr, sni: Option<&str>) -> Record {
    let mut record = Record::begin(rt::wall(), Reporter::Gateway, worker.shared.me.peer.clone(), worker.unknown());
    record.protocol = Protocol::Tcp;
    record.source_address = Some(address);
    record.sni = sni.map(Arc::from);
    record
}
