//! One seed: a mesh comes up, callers call, things happen to it one after another, and at the end everything that was lost must be excused. What
//! can happen is in `happening`.

use crate::happening;
use crate::ledger::{Flight, Ledger};
use crate::mesh::{self, CONTROL, GATEWAY, Mesh, REPLICAS, WEB, loopback};
use crate::network::{Network, Node, address};
use crate::random::Random;
use crate::traffic::Caller;
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, SystemTime};
use tokio::task::{JoinHandle, LocalSet};
use tokio::time::Instant;

/// Things that happen in one seed.
const EVENTS: u64 = 8;
/// Callers at each entrance.
const CALLERS: Node = 3;
/// Callers at the peer that speaks HBONE.
const TUNNELLING: usize = 1;
/// After the last event, to settle.
const SETTLE: Duration = Duration::from_secs(3);
/// Longest that the rest of a rotation takes: what the old root signed ends, and a renewal before that.
pub const ROTATION: Duration = mesh::SVID_LIFE.saturating_mul(2);

thread_local! {
    static NETWORK: RefCell<Option<Network>> = const { RefCell::new(None) };
}

fn control_wall() -> SystemTime {
    NETWORK.with_borrow(|network| network.as_ref().map_or(SystemTime::UNIX_EPOCH, |network| network.wall(CONTROL)))
}

/// Plays something on a mesh of this seed, on virtual time.
pub fn world<T>(seed: u64, play: impl AsyncFnOnce(Mesh, Random) -> T) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().enable_io().start_paused(true).build().expect("a runtime");
    control::shell::tell_time_by(control_wall);
    LocalSet::new().block_on(&runtime, async move {
        let mut random = Random::new(seed);
        let epoch = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let network = Network::new(random.next(), epoch);
        NETWORK.set(Some(network.clone()));
        let mesh = Mesh::new(network, Rc::default(), Random::new(random.next()));
        play(mesh, random).await
    })
}

/// Runs a seed to its end and says what happened.
pub fn run(seed: u64) -> Ledger {
    world(seed, async |mesh, random| {
        let ledger = mesh.ledger.clone();
        Run { mesh, ledger: ledger.clone(), random, stop: Rc::default(), next: REPLICAS + 4, callers: Vec::new(), old_root: None }
            .whole()
            .await;
        ledger.take()
    })
}

pub struct Run {
    pub mesh: Mesh,
    pub ledger: Rc<RefCell<Ledger>>,
    pub random: Random,
    stop: Rc<Cell<bool>>,
    /// The next node's number.
    pub next: Node,
    callers: Vec<JoinHandle<()>>,
    /// The root that a rotation is to replace.
    pub old_root: Option<String>,
}

impl Run {
    async fn whole(mut self) {
        self.mesh.start_control();
        self.mesh.gateway();
        self.mesh.web();
        for (node, version) in [(0, 1), (1, 1), (2, 2), (3, 2)] {
            self.mesh.replica(REPLICAS + node, version);
        }
        // What is being set up has promised nothing yet.
        self.rest(2_000, 2_000).await;
        self.call();
        self.rest(500, 1_000).await;
        for _ in 0..EVENTS {
            let happening = *self.random.one_of(happening::ALL);
            happening.happen(&mut self).await;
            self.rest(200, 1_500).await;
        }
        self.renewals().await;
        for who in self.mesh.misknown() {
            self.violation(format!("the control plane takes a proxy for another: {who}"));
        }
        self.rotated().await;
        tokio::time::sleep(SETTLE).await;
        self.stop.set(true);
        for caller in std::mem::take(&mut self.callers) {
            caller.await.expect("a caller panicked");
        }
    }

    fn call(&mut self) {
        let authorization = mesh::authorization();
        for number in 0..CALLERS {
            let outside = Caller {
                network: self.mesh.network.clone(),
                ledger: self.ledger.clone(),
                stop: self.stop.clone(),
                node: 200 + number,
                address: SocketAddr::new(address(GATEWAY).into(), mesh::HTTP),
                entrance: GATEWAY,
                // Each third at either entrance.
                http2: number == 0,
                authorization: None,
                tunnels: None,
            };
            let inside = Caller {
                node: WEB,
                address: loopback(mesh::OUTBOUND),
                entrance: WEB,
                authorization: Some(authorization.clone()),
                ..outside.clone()
            };
            for caller in [outside, inside] {
                self.callers.push(tokio::task::spawn_local(caller.run(Random::new(self.random.next()))));
            }
        }
        let peer = Rc::new(self.mesh.peer());
        for _ in 0..TUNNELLING {
            let caller = Caller {
                network: self.mesh.network.clone(),
                ledger: self.ledger.clone(),
                stop: self.stop.clone(),
                node: mesh::PEER,
                // Not asked: it chooses for itself.
                address: SocketAddr::new(address(mesh::PEER).into(), 0),
                entrance: mesh::PEER,
                http2: false,
                authorization: None,
                tunnels: Some(peer.clone()),
            };
            self.callers.push(tokio::task::spawn_local(caller.run(Random::new(self.random.next()))));
        }
    }

    /// Between so many milliseconds.
    pub async fn rest(&mut self, least: u64, most: u64) {
        tokio::time::sleep(Duration::from_millis(self.random.within(least, most))).await;
    }

    /// Waits for a moment at which requests of this kind are under way.
    pub async fn meet(&self, which: impl Fn(&Flight) -> bool) {
        for _ in 0..5_000 {
            if self.ledger.borrow().in_flight(&which) > 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// A replica that is answering somebody just now.
    pub async fn busy_replica(&mut self) -> Node {
        self.meet(|f| !f.seen.is_empty()).await;
        let busy: Vec<Node> = self.ledger.borrow().busy().into_iter().collect();
        *self.random.one_of(&busy)
    }

    pub fn event(&self, kind: &'static str, what: &str, touches: impl Fn(&Flight) -> bool) {
        self.ledger.borrow_mut().event(kind, what, touches);
    }

    /// Certificates are short-lived here: every proxy gets the next one while requests go on.
    async fn renewals(&mut self) {
        let before: Vec<_> = self.mesh.members.keys().map(|node| (*node, self.mesh.certified(*node))).collect();
        self.meet(|_| true).await;
        self.event("certificate renewal", "certificates are half over", |_| true);
        tokio::time::sleep(mesh::SVID_LIFE / 2 + Duration::from_secs(4)).await;
        for (node, certified) in before {
            if self.mesh.certified(node) <= certified {
                self.violation(format!("node {node} did not renew its certificate"));
            }
        }
    }

    /// A rotation of the root that began comes to its end: every proxy believes the new root, it signs, and the old one is dropped.
    async fn rotated(&mut self) {
        let Some(old) = self.old_root.take() else { return };
        let begun = Instant::now();
        while self.mesh.roots().contains(&old) {
            if begun.elapsed() > ROTATION {
                return self.violation("the old root is still believed");
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        self.ledger.borrow_mut().note("the old root is believed no more");
    }

    pub fn violation(&self, what: impl Into<String>) {
        self.ledger.borrow_mut().violations.push(what.into());
    }
}
