//! One client and the endpoint that it is led to. Where the network says that nobody listens there, another endpoint is picked, and what the first one cannot
//! have heard is sent again. It ends when nothing came either way for a while, and is recorded as a connection is.

use super::lead::{self, Led};
use super::{Given, Hall, longest};
use crate::access::{self, again};
use crate::http::{Stop, plan};
use crate::l4::listener::{self, Knock};
use crate::limits;
use crate::snapshot::Snapshot;
use crate::worker::Worker;
use futures_util::future::select;
use model::{Backend, Fault, Key, Listener, ServiceRef};
use routing::balance::EndpointId;
use routing::eject::Ended;
use smallvec::SmallVec;
use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use telemetry::{Outcome, Protocol, Record};
use tokio::sync::Notify;
use transport::rt::{self, Datagrams};

pub struct Session {
    knock: Knock,
    to: ServiceRef,
    way: RefCell<Way>,
    record: RefCell<Record>,
    began: Instant,
    /// When something came last, either way.
    heard: Cell<Instant>,
    asked: Cell<u64>,
    answered: Cell<u64>,
    /// The generation by which it was last seen to lead where it does.
    seen: Cell<u64>,
    /// What the network said of what was sent, until it is acted on.
    failed: Cell<Option<Fault>>,
    over: Cell<bool>,
    wake: Notify,
}

/// Where it leads now.
struct Way {
    led: Led,
    /// Who was found not to listen, since somebody was heard.
    tried: SmallVec<[EndpointId; 2]>,
    /// The last datagram, while the endpoint has not been heard: it may be that it reached nobody.
    unheard: Option<Box<[u8]>>,
    heard: bool,
}

impl Way {
    fn to(led: Led) -> Self {
        Self { led, tried: SmallVec::new(), unheard: None, heard: false }
    }
}

impl Session {
    /// # Errors
    /// What keeps the client from being led anywhere, which is recorded here.
    pub fn open(worker: &Worker, snapshot: &Snapshot, knock: Knock) -> Result<Self, Fault> {
        let mut record = begin(worker, &knock);
        let led = lead::service(worker, snapshot, &knock, &mut record)
            .and_then(|to| Ok((lead::endpoint(worker, snapshot, &to, &[], &mut record)?, to)));
        match led {
            Ok((led, to)) => Ok(Self::new(knock, to, led, record, snapshot)),
            Err(stop) => {
                let fault = stop.fault;
                refuse(&mut record, stop);
                worker.record(&record);
                Err(fault)
            }
        }
    }

    fn new(knock: Knock, to: ServiceRef, led: Led, record: Record, snapshot: &Snapshot) -> Self {
        let now = rt::now();
        Self {
            knock,
            to,
            way: RefCell::new(Way::to(led)),
            record: RefCell::new(record),
            began: now,
            heard: Cell::new(now),
            asked: Cell::new(0),
            answered: Cell::new(0),
            seen: Cell::new(snapshot.generation),
            failed: Cell::new(None),
            over: Cell::new(false),
            wake: Notify::new(),
        }
    }

    /// One of a predecessor; `None` where it leads to what is not there any more.
    pub fn adopt(worker: &Worker, snapshot: &Snapshot, listener: Arc<Listener>, given: Given) -> Option<Self> {
        let Given { told, socket } = given;
        let socket = Rc::new(Datagrams::adopt(socket).ok()?);
        let knock = Knock { address: told.client, listener, sni: None };
        let key = Key::parse(&told.service)?;
        let mut record = begin(worker, &knock);
        record.generation = snapshot.generation;
        let decision = lead::decision(snapshot, &knock.listener.key).ok()?;
        let led = |backend: &Backend| matches!(backend, Backend::Service(to) if to.service == key && to.port == told.service_port);
        let share = decision.split().iter().find(|share| led(&share.backend))?;
        let Backend::Service(to) = &*share.backend else { return None };
        if !lead::leads(snapshot, &knock.listener, to, &told.endpoint, socket.peer()) {
            return None;
        }
        record.way = plan::way(&decision);
        if let Some(decided) = record.decided_mut() {
            decided.backend = Some(share.index);
        }
        record.dialled_service = snapshot.table.service(&key).map(|service| worker.destination(service));
        record.endpoint = socket.peer();
        let set = snapshot.endpoints_of(&key)?;
        record.destination = worker.peer(snapshot, set.endpoints.iter().find(|endpoint| *endpoint.id == *told.endpoint)?);
        let led = Led { endpoint: told.endpoint.as_str().into(), id: None, socket };
        let session = Self::new(knock, to.clone(), led, record, snapshot);
        session.asked.set(told.asked);
        session.answered.set(told.answered);
        if told.answered > 0 {
            session.hear(worker, snapshot);
        }
        Some(session)
    }

    pub fn client(&self) -> SocketAddr {
        self.knock.address
    }

    /// Whether it still leads where it may; looked at once for each generation.
    pub fn holds(&self, snapshot: &Snapshot, listener: &Listener) -> bool {
        if self.over.get() {
            return false;
        }
        if self.seen.replace(snapshot.generation) == snapshot.generation {
            return true;
        }
        let way = self.way.borrow();
        listener.key == self.knock.listener.key && lead::leads(snapshot, listener, &self.to, &way.led.endpoint, way.led.socket.peer())
    }

    /// Sends on what the client said.
    pub fn send(&self, hall: &Hall, bytes: &[u8]) {
        self.heard.set(rt::now());
        let way = &mut *self.way.borrow_mut();
        let sent = way.led.socket.try_send(bytes);
        let fault = sent.as_ref().err().and_then(failure);
        if !way.heard || fault.is_some() {
            way.unheard = (bytes.len() <= limits::DATAGRAM_KEPT).then(|| bytes.into());
        }
        match (sent, fault) {
            (_, Some(fault)) => {
                self.failed.set(Some(fault));
                self.look();
            }
            (Err(e), None) => hall.dropped(unsent(&e, "endpoint_full")),
            (Ok(_), None) => {}
        }
        self.asked.set(self.asked.get() + 1);
        self.record.borrow_mut().request_bytes += bytes.len() as u64;
    }

    /// Has it look around.
    pub fn look(&self) {
        self.wake.notify_one();
    }

    /// Ends it in order.
    pub fn stop(&self, why: Option<&str>) {
        self.over.set(true);
        if let Some(why) = why {
            self.record.borrow_mut().reason = Some(why.into());
        }
        self.look();
    }

    /// Ends it here, for another process to go on with; `None` where it is over, or descriptors have run out.
    pub fn give(&self, port: u16, place: u32) -> Option<Given> {
        if self.over.get() {
            return None;
        }
        self.stop(Some("goes on in the process that succeeds"));
        let way = self.way.borrow();
        let socket = way.led.socket.descriptor().ok()?;
        let told = wire::handover::Session {
            port,
            socket: place,
            client: self.client(),
            service: self.to.service.to_string(),
            service_port: self.to.port,
            endpoint: way.led.endpoint.to_string(),
            asked: self.asked.get(),
            answered: self.answered.get(),
        };
        Some(Given { told, socket })
    }

    /// Its life: answers are carried until it is quiet for too long, or over, or denied, or nobody answers.
    pub async fn carry(&self, hall: &Hall) {
        let worker = &hall.worker;
        let judge = || listener::judge(worker, &worker.snapshot(), &self.knock);
        let result = again::while_allowed(&worker.again, judge, pin!(self.live(hall))).await;
        self.over.set(true);
        let record = &mut *self.record.borrow_mut();
        match result {
            Ok(()) => {
                if !self.way.borrow().heard {
                    worker.opened(record);
                }
                record.outcome = Outcome::Answered(0);
            }
            Err(stop) => refuse(record, stop),
        }
        record.duration = rt::now().saturating_duration_since(self.began);
        worker.record(record);
    }

    async fn live(&self, hall: &Hall) -> Result<(), Stop> {
        while !self.over.get() {
            let idle = idle(self.knock.listener.front.limits.session_idle, self.asked.get(), self.answered.get());
            let idle = if hall.ending.get() { idle.min(limits::SESSION_QUIET) } else { idle };
            let left = idle.saturating_sub(rt::now().saturating_duration_since(self.heard.get()));
            if left.is_zero() {
                return Ok(());
            }
            let socket = self.way.borrow().led.socket.clone();
            let came = async { drop(select(pin!(socket.readable()), pin!(self.wake.notified())).await) };
            if rt::timeout(left, came).await.is_none() {
                continue;
            }
            let told = self.answer(hall, &socket).or(self.failed.take());
            if let Some(fault) = told.filter(|_| !self.over.get()) {
                self.failed.set(None);
                self.lead_on(hall, fault)?;
            }
            rt::turn().await;
        }
        Ok(())
    }

    /// Carries what the endpoint said, as much as is its turn; or says what the network told of it.
    fn answer(&self, hall: &Hall, socket: &Datagrams) -> Option<Fault> {
        let buffer = &mut *hall.buffer.borrow_mut();
        for _ in 0..limits::DATAGRAMS_AT_ONCE {
            let length = match socket.try_recv(buffer) {
                Ok(length) => length,
                Err(e) => return failure(&e),
            };
            if !self.way.borrow().heard {
                self.hear(&hall.worker, &hall.worker.snapshot());
            }
            self.heard.set(rt::now());
            self.answered.set(self.answered.get() + 1);
            if length > longest(&self.knock.listener.front.limits) {
                hall.dropped("too_large");
            } else if let Err(e) = hall.socket.try_send_to(&buffer[..length], self.client()) {
                hall.dropped(unsent(&e, "client_full"));
            } else {
                self.record.borrow_mut().response_bytes += length as u64;
            }
        }
        None
    }

    /// The endpoint is there.
    fn hear(&self, worker: &Worker, snapshot: &Snapshot) {
        let way = &mut *self.way.borrow_mut();
        (way.heard, way.unheard) = (true, None);
        way.tried.clear();
        self.learn(worker, snapshot, &way.led.endpoint, Ended::Answered(200));
        worker.opened(&self.record.borrow());
    }

    fn learn(&self, worker: &Worker, snapshot: &Snapshot, endpoint: &Arc<str>, ended: Ended) {
        if let Some(service) = snapshot.table.service(&self.to.service) {
            worker.balancers.borrow_mut().learnt(service, &self.to, endpoint, ended, rt::now());
        }
    }

    /// Leads to another endpoint of the same service, and says there again what nobody can have heard.
    fn lead_on(&self, hall: &Hall, fault: Fault) -> Result<(), Stop> {
        let (worker, snapshot) = (&hall.worker, hall.worker.snapshot());
        let way = &mut *self.way.borrow_mut();
        let record = &mut *self.record.borrow_mut();
        self.learn(worker, &snapshot, &way.led.endpoint, Ended::of_failure(fault));
        let gone = || {
            Stop::new(fault, format!("nobody takes datagrams at {}", way.led.socket.peer().map_or_else(String::new, |at| at.to_string())))
        };
        way.tried.extend(way.led.id);
        if way.tried.len() > routing::limits::UNSENT_RETRIES as usize {
            return Err(gone());
        }
        let led = lead::endpoint(worker, &snapshot, &self.to, &way.tried, record)?;
        if led.id.is_some_and(|id| way.tried.contains(&id)) || led.endpoint == way.led.endpoint {
            return Err(gone());
        }
        record.attempt += 1;
        way.led = led;
        way.heard = false;
        if let Some(Err(e)) = way.unheard.as_deref().map(|bytes| way.led.socket.try_send(bytes)) {
            hall.dropped(unsent(&e, "endpoint_full"));
        }
        Ok(())
    }
}

fn begin(worker: &Worker, knock: &Knock) -> Record {
    let mut record = listener::begin(worker, knock.address, None);
    record.protocol = Protocol::Udp;
    record.listener = Some(knock.listener.clone());
    record
}

fn refuse(record: &mut Record, stop: Stop) {
    record.outcome = Outcome::Failed(stop.fault);
    record.reason = Some(stop.why.as_str().into());
    access::note(record, &stop);
}

/// How long nothing may come. One question and its answer are all that most clients ever say; who set a time meant it.
fn idle(said: Option<Duration>, asked: u64, answered: u64) -> Duration {
    said.unwrap_or(if (asked, answered) == (1, 1) { limits::SESSION_ANSWERED } else { limits::SESSION_IDLE })
}

/// What the network said of an endpoint, where that is what went wrong.
fn failure(error: &io::Error) -> Option<Fault> {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Some(Fault::ConnectRefused),
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => Some(Fault::ConnectFailed),
        _ => None,
    }
}

fn unsent(error: &io::Error, full: &'static str) -> &'static str {
    match error.kind() {
        io::ErrorKind::WouldBlock => full,
        // EMSGSIZE has no kind.
        _ if error.raw_os_error() == Some(rustix::io::Errno::MSGSIZE.raw_os_error()) => "too_large",
        _ => "not_sent",
    }
}

#[cfg(test)]
mod tests;
