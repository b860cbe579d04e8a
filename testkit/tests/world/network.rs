//! A network in memory: nodes with addresses, streams that are delayed, held (one way too), made lossy and reset, never reordered within. Each stream draws from a source
//! of its own, so that what one of them carries moves no other; nothing depends on how many bytes a write has, for signatures differ in length.

use crate::random::Random;
use crate::stream::{Pipe, Road, VirtualWire, pipe};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};
use tokio::time::Instant;
use transport::rt::{Accept, Connecting, Machine, Wire};

/// A node's number, which is the last part of its address.
pub type Node = u8;

pub fn address(node: Node) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, node)
}

/// One way between two nodes.
const LATENCY: (u64, u64) = (100, 900);
/// The same within a node.
const WITHIN: (u64, u64) = (5, 30);
/// A lost opening is sent again after this time.
const RETRANSMIT: Duration = Duration::from_millis(500);

pub struct Connection {
    pub client: Node,
    pub server: Node,
    pipes: [Arc<Mutex<Pipe>>; 2],
}

#[derive(Default)]
struct State {
    random: Random,
    doors: BTreeMap<(Node, u16), Weak<Door>>,
    connections: Vec<Connection>,
    /// From, to: what is sent does not arrive.
    cut: BTreeSet<(Node, Node)>,
    roads: BTreeMap<Node, Road>,
    skew: BTreeMap<Node, i64>,
    last_port: u16,
    seeds: u64,
}

impl State {
    /// The way between two nodes; what stays within one takes none.
    fn road(&self, a: Node, b: Node) -> Road {
        let of = |node: &Node| self.roads.get(node).copied().unwrap_or_default();
        if a == b { Road::default() } else { of(&a).and(of(&b)) }
    }

    fn is_cut(&self, a: Node, b: Node) -> bool {
        self.cut.contains(&(a, b)) || self.cut.contains(&(b, a))
    }
}

#[derive(Clone)]
pub struct Network {
    state: Arc<Mutex<State>>,
    begun: Instant,
    epoch: SystemTime,
}

impl Network {
    pub fn new(seed: u64, epoch: SystemTime) -> Self {
        let state = State { random: Random::new(seed), last_port: 32_768, ..State::default() };
        Self { state: Arc::new(Mutex::new(state)), begun: Instant::now(), epoch }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn node(&self, node: Node) -> Arc<dyn Machine> {
        Arc::new(Place { network: self.clone(), node })
    }

    /// The day as this node's clock tells it.
    pub fn wall(&self, node: Node) -> SystemTime {
        let true_time = self.epoch + self.begun.elapsed();
        match self.lock().skew.get(&node).copied().unwrap_or(0) {
            ahead @ 0.. => true_time + Duration::from_secs(ahead.unsigned_abs()),
            behind => true_time - Duration::from_secs(behind.unsigned_abs()),
        }
    }

    /// From now on this node's clock is so many seconds ahead of the true time.
    pub fn skew(&self, node: Node, seconds: i64) {
        self.lock().skew.insert(node, seconds);
    }

    /// How what a node sends and receives fares from now on, also on streams that are open.
    pub fn road(&self, node: Node, road: Road) {
        let mut state = self.lock();
        state.roads.insert(node, road);
        for c in state.connections.iter().filter(|c| c.client == node || c.server == node) {
            let road = state.road(c.client, c.server);
            c.pipes.iter().for_each(|pipe| Pipe::take(pipe, road));
        }
    }

    /// What one node sends does not reach another until it is mended; then what was held arrives.
    pub fn cut(&self, from: Node, to: Node, cut: bool) {
        let mut state = self.lock();
        match cut {
            true => _ = state.cut.insert((from, to)),
            false => _ = state.cut.remove(&(from, to)),
        }
        for c in &state.connections {
            if (c.client, c.server) == (from, to) {
                Pipe::hold(&c.pipes[0], cut);
            } else if (c.server, c.client) == (from, to) {
                Pipe::hold(&c.pipes[1], cut);
            }
        }
    }

    /// Nothing goes between two nodes, either way.
    pub fn part(&self, a: Node, b: Node, cut: bool) {
        self.cut(a, b, cut);
        self.cut(b, a, cut);
    }

    /// Every stream of a process that died: the kernel tells the other side.
    pub fn sever(&self, node: Node) {
        let mut state = self.lock();
        state.doors.retain(|(at, _), _| *at != node);
        let of = |c: &&Connection| c.client == node || c.server == node;
        state.connections.iter().filter(of).flat_map(|c| &c.pipes).for_each(Pipe::reset);
    }

    /// Resets one of the streams from a node to another.
    pub fn reset_one(&self, draw: u64, from: Node, to: Node) {
        let mut state = self.lock();
        state.connections.retain(|c| c.pipes.iter().all(|p| !Pipe::is_over(p)));
        let open: Vec<_> = state.connections.iter().filter(|c| c.client == from && c.server == to).collect();
        if let Some(one) = open.get(usize::try_from(draw % open.len().max(1) as u64).unwrap_or(0)) {
            one.pipes.iter().for_each(Pipe::reset);
        }
    }

    /// Port 0 takes a free one. A node has one door of a port, whatever address it was opened at; it is known by that, as a socket is.
    pub fn listen(&self, node: Node, at: SocketAddr) -> io::Result<Arc<Door>> {
        let mut state = self.lock();
        if state.doors.get(&(node, at.port())).is_some_and(|door| door.strong_count() > 0) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let port = match at.port() {
            0 => {
                state.last_port += 1;
                state.last_port
            }
            port => port,
        };
        // A file without a name or content: nothing is asked of it but which one it is.
        let token = File::from(OwnedFd::from(std::io::pipe()?.0));
        let door = Arc::new(Door { address: SocketAddr::new(at.ip(), port), token, waiting: Mutex::default() });
        state.doors.insert((node, port), Arc::downgrade(&door));
        Ok(door)
    }

    /// The listening socket for which a descriptor stands, in whatever process of the node.
    fn adopt(&self, node: Node, descriptor: OwnedFd) -> io::Result<Arc<Door>> {
        let wanted = number(&File::from(descriptor))?;
        let state = self.lock();
        let mut own = state.doors.iter().filter(|((at, _), _)| *at == node).filter_map(|(_, door)| door.upgrade());
        let is_it = |door: &Arc<Door>| number(&door.token).is_ok_and(|number| number == wanted);
        own.find(is_it).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it stands for no listening socket of this node"))
    }

    /// A stream from a node to an address; loopback is the node itself.
    pub async fn connect(&self, from: Node, to: SocketAddr) -> io::Result<VirtualWire> {
        let server = match to.ip() {
            IpAddr::V4(ip) if ip.is_loopback() || ip.is_unspecified() => from,
            IpAddr::V4(ip) => ip.octets()[3],
            IpAddr::V6(_) => return Err(io::ErrorKind::NetworkUnreachable.into()),
        };
        let (mut random, latency, road) = {
            let mut state = self.lock();
            let mut random = Random::new(state.random.next());
            let (least, most) = if from == server { WITHIN } else { LATENCY };
            let latency = Duration::from_micros(random.within(least, most));
            (random, latency, state.road(from, server))
        };
        let there = latency + road.delay(&mut random, RETRANSMIT);
        tokio::time::sleep(there + latency + road.delay(&mut random, RETRANSMIT)).await;
        // Where one of the two cannot hear the other, nothing is opened.
        while self.lock().is_cut(from, server) {
            tokio::time::sleep(RETRANSMIT).await;
        }
        let mut state = self.lock();
        let door = state.doors.get(&(server, to.port())).and_then(Weak::upgrade).ok_or(io::ErrorKind::ConnectionRefused)?;
        state.last_port = state.last_port.checked_add(1).unwrap_or(32_768);
        let local = SocketAddr::new(if from == server { to.ip() } else { address(from).into() }, state.last_port);
        let road = state.road(from, server);
        let pipes = [(); 2].map(|()| pipe(latency, road, Random::new(random.next())));
        let client = VirtualWire::new(local, to, pipes[1].clone(), pipes[0].clone());
        let other = VirtualWire::new(to, local, pipes[0].clone(), pipes[1].clone());
        if state.connections.len() % 64 == 63 {
            state.connections.retain(|c| c.pipes.iter().all(|p| !Pipe::is_over(p)));
        }
        state.connections.push(Connection { client: from, server, pipes });
        drop(state);
        door.put(other);
        Ok(client)
    }
}

#[derive(Clone)]
struct Place {
    network: Network,
    node: Node,
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "node {}", self.node)
    }
}

impl Machine for Place {
    fn connect(&self, to: SocketAddr) -> Connecting {
        let this = self.clone();
        Box::pin(async move { this.network.connect(this.node, to).await.map(|wire| Box::new(wire) as Box<dyn Wire>) })
    }
    fn bind(&self, at: SocketAddr) -> io::Result<Arc<dyn Accept>> {
        self.network.listen(self.node, at).map(|door| door as Arc<dyn Accept>)
    }
    fn adopt(&self, descriptor: OwnedFd) -> io::Result<Arc<dyn Accept>> {
        self.network.adopt(self.node, descriptor).map(|door| door as Arc<dyn Accept>)
    }
    fn wall(&self) -> SystemTime {
        self.network.wall(self.node)
    }
    fn seed(&self) -> u64 {
        let mut state = self.network.lock();
        state.seeds += 1;
        Random::new(state.seeds ^ (u64::from(self.node) << 32)).next()
    }
}

/// By which the kernel tells open files apart, whatever their descriptors.
fn number(file: &File) -> io::Result<(u64, u64)> {
    file.metadata().map(|about| (about.dev(), about.ino()))
}

/// A listening socket.
#[derive(Debug)]
pub struct Door {
    address: SocketAddr,
    /// What the kernel carries from process to process in its stead.
    token: File,
    waiting: Mutex<(VecDeque<VirtualWire>, Vec<Waker>)>,
}

impl Door {
    fn put(&self, wire: VirtualWire) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.0.push_back(wire);
        waiting.1.drain(..).for_each(Waker::wake);
    }

    pub fn poll_next(&self, cx: &mut Context<'_>) -> Poll<VirtualWire> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        match waiting.0.pop_front() {
            Some(wire) => Poll::Ready(wire),
            None => {
                waiting.1.push(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    pub async fn next(&self) -> VirtualWire {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }
}

impl Accept for Door {
    fn address(&self) -> SocketAddr {
        self.address
    }
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.token.as_fd()
    }
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Box<dyn Wire>>> {
        self.poll_next(cx).map(|wire| Ok(Box::new(wire) as Box<dyn Wire>))
    }
}
