//! Datagrams of strangers at a gateway's UDP listeners. Who sends first is led to an endpoint by the listener's UDPRoute, and what comes later from the same address goes the same way
//! until it has been quiet for a while: a *session*. Each has a socket of its own towards its endpoint, so that answers find their way and the network's word that
//! nobody listens there is heard. Datagrams are carried plainly, whoever the endpoint is, and never held: what cannot be sent at once is dropped and counted.
//!
//! The rim says which ports are open ([`Ports`]); of each a worker reads from sockets of its own ([`serve`]). Never knows what a datagram says.

mod lead;
mod ports;
mod session;

pub use ports::Ports;

use crate::l4::listener::Knock;
use crate::limits;
use crate::snapshot::Snapshot;
use crate::worker::Worker;
use model::{FrontLimits, Key, Listener};
use session::Session;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use telemetry::Gauge;
use tokio::sync::{mpsc, watch};
use transport::rt::{self, Datagrams};

/// What the rim wants of the workers that read from a port's sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    Serve,
    /// Nothing is read: what comes waits in the sockets. Answers go on.
    Park,
    /// The process ends: sessions go on until they are quiet, and none begins.
    End,
    /// All sessions are given up, for a successor to go on with.
    Give,
}

/// A port of a gateway, over all workers.
pub struct Port {
    gateway: Key,
    number: u16,
    taken: AtomicUsize,
    sessions: Gauge,
}

/// A session's place among those that a port may have.
struct Seat(Arc<Port>);

impl Port {
    fn seat(self: &Arc<Self>, most: usize) -> Option<Seat> {
        let before = self.taken.fetch_add(1, Ordering::Relaxed);
        let seat = Seat(self.clone());
        self.sessions.set((before + 1) as f64);
        // Dropped again where it is one too many.
        (before < most).then_some(seat)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let before = self.0.taken.fetch_sub(1, Ordering::Relaxed);
        self.0.sessions.set(before.saturating_sub(1) as f64);
    }
}

/// A session between two processes.
pub struct Given {
    pub told: wire::handover::Session,
    /// Leads to its endpoint.
    pub socket: OwnedFd,
}

/// Handed to a worker: a socket of a port's group.
pub struct Open {
    port: Arc<Port>,
    /// In the group.
    place: u32,
    socket: UdpSocket,
    orders: watch::Receiver<Order>,
    given: mpsc::UnboundedSender<Vec<Given>>,
    /// Of a predecessor.
    sessions: Vec<Given>,
}

/// One socket of a port, with the sessions that came by it.
struct Hall {
    worker: Rc<Worker>,
    port: Arc<Port>,
    place: u32,
    socket: Datagrams,
    /// By client. Strangers choose these keys, so the hasher is seeded.
    sessions: RefCell<HashMap<SocketAddr, Rc<Session>>>,
    /// For answers.
    buffer: RefCell<Vec<u8>>,
    /// The listener of a generation.
    listener: RefCell<Option<(u64, Arc<Listener>)>>,
    dropped: RefCell<HashMap<&'static str, Gauge>>,
    /// No session begins any more.
    ending: Cell<bool>,
}

/// Reads from a socket until the port is closed.
pub async fn serve(worker: Rc<Worker>, open: Open) {
    let Open { port, place, socket, mut orders, given, sessions } = open;
    let socket = match Datagrams::open(socket) {
        Ok(socket) => socket,
        Err(e) => return tracing::error!("a port for datagrams does not open: {e}"),
    };
    let hall = Rc::new(Hall {
        worker,
        port,
        place,
        socket,
        sessions: RefCell::default(),
        buffer: RefCell::new(room()),
        listener: RefCell::default(),
        dropped: RefCell::default(),
        ending: Cell::new(false),
    });
    sessions.into_iter().for_each(|given| hall.go_on(given));
    let mut buffer = room();
    loop {
        let order = *orders.borrow_and_update();
        match order {
            Order::Give => {
                // Who does not wait for them any more has given up.
                let _ = given.send(hall.give());
                return;
            }
            Order::End => hall.end(),
            Order::Serve | Order::Park => {}
        }
        let heard = async {
            match order {
                Order::Park => std::future::pending().await,
                _ => hall.socket.readable().await,
            }
        };
        match futures_util::future::select(pin!(heard), pin!(orders.changed())).await {
            futures_util::future::Either::Left((Ok(()), _)) => {
                hall.read(&mut buffer);
                rt::turn().await;
            }
            futures_util::future::Either::Right((Ok(()), _)) => {}
            _ => break,
        }
    }
    hall.sessions.borrow().values().for_each(|session| session.stop(None));
}

/// For the longest datagram there is.
fn room() -> Vec<u8> {
    vec![0; 64 * 1024]
}

impl Hall {
    /// What has come, as much as is this socket's turn.
    fn read(self: &Rc<Self>, buffer: &mut [u8]) {
        for _ in 0..limits::DATAGRAMS_AT_ONCE {
            match self.socket.try_recv_from(buffer) {
                Ok((length, client)) => self.take(client, &buffer[..length]),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(e) => tracing::debug!("datagrams: {e}"),
            }
        }
    }

    /// One datagram of a client.
    fn take(self: &Rc<Self>, client: SocketAddr, bytes: &[u8]) {
        let snapshot = self.worker.snapshot();
        let Some(listener) = self.listener(&snapshot) else { return self.dropped("no_listener") };
        if bytes.len() > longest(&listener.front.limits) {
            return self.dropped("too_large");
        }
        let known = self.sessions.borrow().get(&client).cloned();
        let known = known.filter(|session| {
            let holds = session.holds(&snapshot, &listener);
            if !holds {
                session.stop(None);
            }
            holds
        });
        if let Some(session) = known.or_else(|| self.open(client, listener, &snapshot)) {
            session.send(self, bytes);
        }
    }

    fn open(self: &Rc<Self>, client: SocketAddr, listener: Arc<Listener>, snapshot: &Snapshot) -> Option<Rc<Session>> {
        if self.ending.get() {
            self.dropped("draining");
            return None;
        }
        let Some(seat) = self.port.seat(most(&listener.front.limits)) else {
            self.dropped("sessions_full");
            return None;
        };
        let knock = Knock { address: client, listener, sni: None };
        match Session::open(&self.worker, snapshot, knock) {
            Ok(session) => Some(self.keep(session, seat)),
            Err(fault) => {
                self.dropped(fault.label());
                None
            }
        }
    }

    fn keep(self: &Rc<Self>, session: Session, seat: Seat) -> Rc<Session> {
        let session = Rc::new(session);
        self.sessions.borrow_mut().insert(session.client(), session.clone());
        let (hall, kept) = (self.clone(), session.clone());
        rt::spawn(async move {
            let _busy = hall.worker.busy();
            kept.carry(&hall).await;
            hall.forget(&kept);
            drop(seat);
        });
        session
    }

    fn forget(&self, session: &Rc<Session>) {
        let mut sessions = self.sessions.borrow_mut();
        // Another may have begun under its address.
        if sessions.get(&session.client()).is_some_and(|known| Rc::ptr_eq(known, session)) {
            sessions.remove(&session.client());
        }
    }

    fn listener(&self, snapshot: &Snapshot) -> Option<Arc<Listener>> {
        let mut known = self.listener.borrow_mut();
        if let Some((_, listener)) = known.as_ref().filter(|(generation, _)| *generation == snapshot.generation) {
            return Some(listener.clone());
        }
        let found = snapshot.table.datagram_listener(&self.port.gateway, self.port.number).cloned();
        *known = found.clone().map(|listener| (snapshot.generation, listener));
        found
    }

    fn dropped(&self, cause: &'static str) {
        let counted = |cause| {
            let port = self.port.number.to_string();
            let labels = [("gateway", &*self.port.gateway.name), ("port", &port), ("cause", cause)];
            self.worker.shared.metrics.counter("organza_datagrams_dropped", "Datagrams that went nowhere, by why", &labels)
        };
        self.dropped.borrow_mut().entry(cause).or_insert_with(|| counted(cause)).add(1.0);
    }

    fn end(&self) {
        self.ending.set(true);
        self.sessions.borrow().values().for_each(|session| session.look());
    }

    fn give(&self) -> Vec<Given> {
        let give = |(_, session): (SocketAddr, Rc<Session>)| session.give(self.port.number, self.place);
        std::mem::take(&mut *self.sessions.borrow_mut()).into_iter().filter_map(give).collect()
    }

    /// A predecessor's session; one that leads to what is no longer there ends.
    fn go_on(self: &Rc<Self>, given: Given) {
        let snapshot = self.worker.snapshot();
        let Some(listener) = self.listener(&snapshot) else { return };
        let Some(seat) = self.port.seat(most(&listener.front.limits)) else { return };
        if let Some(session) = Session::adopt(&self.worker, &snapshot, listener, given) {
            self.keep(session, seat);
        }
    }
}

fn longest(limits: &FrontLimits) -> usize {
    limits.datagram_bytes.map_or(limits::DATAGRAM_BYTES, |most| most as usize)
}

fn most(limits: &FrontLimits) -> usize {
    limits.sessions.map_or(limits::SESSIONS, |most| most as usize)
}

#[cfg(test)]
pub(crate) mod tests;
