//! Which addresses are open, and who answers there. The rim says what it wants open; each worker gets a socket of the group and accepts for
//! itself. A door that is no longer wanted stops accepting; what came through it goes on.

mod room;

pub use room::Room;

use crate::http::{self, Client, Ingress};
use crate::inbound::{self, Application};
use crate::worker::Worker;
use crate::{datagrams, gateway, limits, outbound};
use model::Key;
use rustix::process::{Resource, getrlimit};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use telemetry::{Peer, Security};
use tokio::sync::{mpsc, watch};
use transport::{Listener, h1, rt};

/// Who answers at an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Door {
    /// A gateway's port; TLS where its listeners say so.
    Gateway { gateway: Key, port: u16 },
    /// The tunnel port of a workload.
    Inbound(ApplicationDoor),
    /// The application's `http_proxy`. `authorization` is the whole value of `Proxy-Authorization`.
    ExplicitProxy { authorization: Arc<str> },
    /// A listener for one service (`--upstream catalog=9001`).
    Named { host: String, port: u16 },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplicationDoor {
    pub workload: Key,
    pub host: std::net::IpAddr,
}

/// What a worker is handed.
pub enum Handed {
    Connections(Open),
    Datagrams(datagrams::Open),
}

/// Handed to a worker: a socket to accept on until told otherwise.
pub struct Open {
    pub door: Door,
    pub socket: rt::Bound,
    pub closed: watch::Receiver<bool>,
    /// Shared by all workers of this address.
    pub room: Arc<Room>,
}

/// The rim's view of what is open.
pub struct Doors {
    workers: Vec<mpsc::UnboundedSender<Handed>>,
    open: HashMap<SocketAddr, Opened>,
    /// Of a predecessor: taken by the doors that open at the same addresses.
    inherited: HashMap<SocketAddr, rt::Group>,
    /// Nobody accepts for now: connections wait in the sockets.
    parked: bool,
}

struct Opened {
    door: Door,
    /// Whole, for a successor; workers accept from copies.
    group: rt::Group,
    /// For the connections of all workers; outlives a handover that was not to be.
    room: Arc<Room>,
    close: watch::Sender<bool>,
}

impl Doors {
    pub fn new(workers: Vec<mpsc::UnboundedSender<Handed>>) -> Self {
        Self { workers, open: HashMap::new(), inherited: HashMap::new(), parked: false }
    }

    /// Opens with what a predecessor handed over, and parked until [`Doors::unpark`].
    pub fn inherit(&mut self, groups: Vec<rt::Group>) {
        self.inherited = groups.into_iter().map(|group| (group.address, group)).collect();
        self.parked = true;
    }

    /// Opens a door and says at which address it is; port 0 takes a free one.
    ///
    /// # Errors
    /// Those of `bind(2)`.
    pub fn open(&mut self, address: SocketAddr, door: Door) -> io::Result<SocketAddr> {
        let group = match self.inherited.remove(&address) {
            Some(group) => group,
            None => rt::Group::bind(address, self.workers.len())?,
        };
        let address = group.address;
        let room = Room::new(room::usual(getrlimit(Resource::Nofile).current), limits::HANDSHAKES);
        let opened = Opened { door, group, room, close: watch::Sender::new(false) };
        if !self.parked {
            self.hand_out(&opened)?;
        }
        self.open.insert(address, opened);
        Ok(address)
    }

    /// Has the workers accept from now on.
    fn hand_out(&self, opened: &Opened) -> io::Result<()> {
        for (worker, sockets) in self.workers.iter().zip(opened.group.shares(self.workers.len())?) {
            for socket in sockets {
                // A worker that is gone has been reported by its thread.
                let open = Open { door: opened.door.clone(), socket, closed: opened.close.subscribe(), room: opened.room.clone() };
                let _ = worker.send(Handed::Connections(open));
            }
        }
        Ok(())
    }

    /// Nobody accepts any more, and the sockets stay: what comes waits in them for whoever goes on.
    pub fn park(&mut self) {
        self.parked = true;
        for opened in self.open.values_mut() {
            let close = std::mem::replace(&mut opened.close, watch::Sender::new(false));
            // Without receivers there is no one who accepts.
            let _ = close.send(true);
        }
    }

    /// The workers accept again. What was inherited and not opened is closed.
    ///
    /// # Errors
    /// If descriptors have run out.
    pub fn unpark(&mut self) -> io::Result<()> {
        if !std::mem::take(&mut self.parked) {
            return Ok(());
        }
        self.inherited.clear();
        self.open.values().try_for_each(|opened| self.hand_out(opened))
    }

    /// What a successor may be given.
    pub fn groups(&self) -> impl Iterator<Item = (&Door, &rt::Group)> {
        self.open.values().map(|opened| (&opened.door, &opened.group))
    }

    pub fn is_open(&self, address: &SocketAddr) -> bool {
        self.open.contains_key(address)
    }

    pub fn close(&mut self, address: &SocketAddr) {
        if let Some(opened) = self.open.remove(address) {
            // Without receivers there is no one left to close it.
            let _ = opened.close.send(true);
        }
    }

    /// Stops accepting anywhere.
    pub fn close_all(&mut self) {
        let all: Vec<_> = self.open.keys().copied().collect();
        all.iter().for_each(|address| self.close(address));
    }

    pub fn addresses(&self) -> impl Iterator<Item = (&SocketAddr, &Door)> {
        self.open.iter().map(|(address, opened)| (address, &opened.door))
    }
}

/// A worker's life: accepts at every door it is handed until the rim is gone, then lets what is under way end.
pub async fn work(worker: Rc<Worker>, mut doors: mpsc::UnboundedReceiver<Handed>) {
    rt::spawn(judge_again(worker.clone()));
    while let Some(handed) = doors.recv().await {
        let worker = worker.clone();
        match handed {
            Handed::Datagrams(open) => rt::spawn(datagrams::serve(worker, open)),
            Handed::Connections(open) => rt::spawn(async move {
                match Listener::open(open.socket) {
                    Ok(listener) => accept(worker, listener, open.door, open.closed, open.room).await,
                    Err(e) => tracing::error!("a door does not open: {e}"),
                }
            }),
        }
    }
    let drained = async {
        while worker.shared.busy.load(std::sync::atomic::Ordering::Relaxed) > 0 {
            rt::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    rt::timeout(limits::DRAIN, drained).await;
}

/// Lets all that is under way be judged again when policies or trust change.
pub(crate) async fn judge_again(worker: Rc<Worker>) {
    let mut changes = worker.shared.access.subscribe();
    let trust = &worker.shared.credentials.trust;
    let mut known = trust.changes();
    while changes.changed().await.is_ok() {
        if trust.changes() != known {
            known = trust.changes();
            worker.doubt();
        }
        worker.again.changed();
    }
}

/// How often somebody looks whether there is room again.
const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_millis(5);

async fn accept(worker: Rc<Worker>, listener: Listener, door: Door, mut closed: watch::Receiver<bool>, room: Arc<Room>) {
    let answerer = Rc::new(Answerer::new(&worker, door, listener.address(), &room));
    loop {
        if room.is_full() {
            worker.full(listener.address());
        }
        while room.is_full() {
            rt::sleep(LOOK_AGAIN).await;
            if *closed.borrow() {
                return;
            }
        }
        let next = {
            let accepted = std::pin::pin!(listener.accept());
            let close = std::pin::pin!(closed.wait_for(|on| *on));
            match futures_util::future::select(accepted, close).await {
                futures_util::future::Either::Left((accepted, _)) => accepted,
                futures_util::future::Either::Right(_) => return,
            }
        };
        let (stream, address) = match next {
            Ok(accepted) => accepted,
            Err(e) => {
                tracing::warn!("accept: {e}");
                rt::sleep(std::time::Duration::from_millis(50)).await;
                continue;
            }
        };
        // Another worker may have brought the last one meanwhile. What is accepted is served even if the door closes.
        let seat = loop {
            match room.try_connection() {
                Some(seat) => break seat,
                None if *closed.borrow() => break room.connection(),
                None => rt::sleep(LOOK_AGAIN).await,
            }
        };
        let (worker, answerer) = (worker.clone(), answerer.clone());
        rt::spawn(async move {
            // From the first byte of its handshake: what came in before the door closed is let finish, and idle ones leave soon by themselves.
            let _busy = worker.busy();
            // What opened the connection is gone by then, and not looked at again with each request.
            if let Some(rest) = Box::pin(answerer.answer(worker.clone(), stream, address)).await {
                rest.await;
            }
            drop(seat);
        });
    }
}

/// What a door does with each connection.
enum Answerer {
    Gateway { gateway: Key, port: u16, tls: gateway::Tls },
    Inbound { config: Option<Arc<rustls::ServerConfig>>, application: Rc<Application>, room: Arc<Room> },
    ExplicitProxy { authorization: Arc<str> },
    Named { host: String, port: u16, address: Option<SocketAddr> },
}

impl Answerer {
    fn new(worker: &Worker, door: Door, address: Option<SocketAddr>, room: &Arc<Room>) -> Self {
        match door {
            Door::Gateway { gateway, port } => Self::Gateway { tls: gateway::Tls::new(&gateway, room.clone()), gateway, port },
            Door::Inbound(app) => {
                let config = inbound::config(worker).inspect_err(|e| tracing::error!("no mutual TLS: {e}")).ok();
                let application = Rc::new(Application { workload: app.workload, host: app.host });
                Self::Inbound { config, application, room: room.clone() }
            }
            Door::ExplicitProxy { authorization } => Self::ExplicitProxy { authorization },
            Door::Named { host, port } => Self::Named { host, port, address },
        }
    }

    /// What comes of a connection, and what is still to be done with it.
    async fn answer(&self, worker: Rc<Worker>, stream: transport::Stream, address: SocketAddr) -> Option<http::Serving> {
        match self {
            Self::Gateway { gateway, port, tls } => return gateway::serve(worker, stream, address, gateway.clone(), *port, tls).await,
            Self::Inbound { config: Some(config), application, room } => {
                Box::pin(inbound::serve(worker, stream, address, config.clone(), application.clone(), room)).await;
            }
            // Without mutual TLS nothing is let in.
            Self::Inbound { config: None, .. } => {}
            Self::ExplicitProxy { authorization } => {
                let ingress = Ingress::ExplicitProxy { authorization: authorization.clone() };
                let peer: Arc<Peer> = worker.shared.me.peer.clone();
                let client = Client::new(ingress, Some(address), peer, Security::Plain);
                return Some(http::serve(worker, h1::Connection::new(stream), client));
            }
            Self::Named { host, port, address: local } => Box::pin(outbound::named(worker, stream, address, *local, host, *port)).await,
        }
        None
    }
}

#[cfg(test)]
mod tests;
