//! One seed: a mesh comes up, callers call, things happen to it one after another, and at the end everything that was lost must be excused.

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

/// Things that happen in one seed.
const EVENTS: u64 = 8;
/// Callers at each entrance.
const CALLERS: Node = 3;
/// After the last event, to settle.
const SETTLE: Duration = Duration::from_secs(3);

#[derive(Debug, Clone, Copy)]
enum Happening {
    KillReplica,
    KillGateway,
    RestartReplica,
    Pause,
    Cut,
    Slow,
    Reset,
    Weights,
    ScaleUp,
    ScaleDown,
    ControlLoss,
    CutControl,
    ClockJump,
}

const ALL: &[Happening] = &[
    Happening::KillReplica,
    Happening::KillGateway,
    Happening::RestartReplica,
    Happening::Pause,
    Happening::Cut,
    Happening::Slow,
    Happening::Reset,
    Happening::Weights,
    Happening::ScaleUp,
    Happening::ScaleDown,
    Happening::ControlLoss,
    Happening::CutControl,
    Happening::ClockJump,
];

thread_local! {
    static NETWORK: RefCell<Option<Network>> = const { RefCell::new(None) };
}

fn control_wall() -> SystemTime {
    NETWORK.with_borrow(|network| network.as_ref().map_or(SystemTime::UNIX_EPOCH, |network| network.wall(CONTROL)))
}

/// Runs a seed to its end and says what happened.
pub fn run(seed: u64) -> Ledger {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().enable_io().start_paused(true).build().expect("a runtime");
    control::shell::tell_time_by(control_wall);
    LocalSet::new().block_on(&runtime, async move {
        let mut random = Random::new(seed);
        let epoch = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let network = Network::new(random.next(), epoch);
        NETWORK.set(Some(network.clone()));
        let ledger = Rc::new(RefCell::new(Ledger::default()));
        let mesh = Mesh::new(network, ledger.clone(), Random::new(random.next()));
        Run { mesh, ledger: ledger.clone(), random, stop: Rc::default(), next: REPLICAS + 4, callers: Vec::new() }.whole().await;
        ledger.take()
    })
}

struct Run {
    mesh: Mesh,
    ledger: Rc<RefCell<Ledger>>,
    random: Random,
    stop: Rc<Cell<bool>>,
    next: Node,
    callers: Vec<JoinHandle<()>>,
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
            let happening = *self.random.one_of(ALL);
            self.happen(happening).await;
            self.rest(200, 1_500).await;
        }
        self.renewals().await;
        tokio::time::sleep(SETTLE).await;
        self.stop.set(true);
        for caller in std::mem::take(&mut self.callers) {
            caller.await.expect("a caller panicked");
        }
    }

    fn call(&mut self) {
        let authorization = {
            use base64::Engine;
            format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("organza:{}", mesh::SECRET)))
        };
        for number in 0..CALLERS {
            let outside = Caller {
                network: self.mesh.network.clone(),
                ledger: self.ledger.clone(),
                stop: self.stop.clone(),
                node: 200 + number,
                address: SocketAddr::new(address(GATEWAY).into(), mesh::HTTP),
                entrance: GATEWAY,
                authorization: None,
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
    }

    /// Between so many milliseconds.
    async fn rest(&mut self, least: u64, most: u64) {
        tokio::time::sleep(Duration::from_millis(self.random.within(least, most))).await;
    }

    /// Waits for a moment at which requests of this kind are under way.
    async fn meet(&self, which: impl Fn(&Flight) -> bool) {
        for _ in 0..5_000 {
            if self.ledger.borrow().in_flight(&which) > 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// A replica that is answering somebody just now.
    async fn busy_replica(&mut self) -> Node {
        self.meet(|f| !f.seen.is_empty()).await;
        let busy: Vec<Node> = self.ledger.borrow().busy().into_iter().collect();
        *self.random.one_of(&busy)
    }

    fn event(&self, kind: &'static str, what: &str, touches: impl Fn(&Flight) -> bool) {
        self.ledger.borrow_mut().event(kind, what, touches);
    }

    async fn happen(&mut self, happening: Happening) {
        let replica = self.busy_replica().await;
        match happening {
            Happening::KillReplica => self.kill_replica(replica).await,
            Happening::KillGateway => self.kill_gateway().await,
            Happening::RestartReplica => {
                self.event("restart", &format!("proxy of node {replica} restarts"), |f| f.seen.contains(&replica));
                self.mesh.drain(replica).await;
                self.mesh.start(replica);
            }
            Happening::Pause => {
                self.event("pause", &format!("node {replica} stands still"), |f| f.seen.contains(&replica));
                self.mesh.pause(replica, true);
                self.rest(100, 2_000).await;
                self.mesh.pause(replica, false);
            }
            Happening::Cut => {
                let from = *self.random.one_of(&[GATEWAY, WEB]);
                self.meet(|f| f.entrance == from).await;
                self.event("partition", &format!("nodes {from} and {replica} do not hear each other"), |f| f.entrance == from);
                self.mesh.network.cut(from, replica, true);
                self.rest(100, 2_000).await;
                self.mesh.network.cut(from, replica, false);
            }
            Happening::Slow => {
                let by = self.random.within(5, 80);
                self.event("delay", &format!("node {replica} is {by} ms further away"), |_| true);
                self.mesh.network.slow(replica, Duration::from_millis(by));
                self.rest(500, 2_000).await;
                self.mesh.network.slow(replica, Duration::ZERO);
            }
            Happening::Reset => self.reset().await,
            Happening::Weights => {
                let v1 = self.random.within(0, 100) as u32;
                if self.mesh.is_controlled() {
                    self.event("weights", &format!("weights become {v1} and {}", 100 - v1), |_| true);
                    self.mesh.weigh(v1, 100 - v1);
                }
            }
            Happening::ScaleUp => {
                let (node, version) = (self.next, self.random.within(1, 2) as u8);
                self.next += 1;
                self.event("scale up", &format!("node {node} joins catalog-v{version}"), |_| true);
                self.mesh.replica(node, version);
            }
            Happening::ScaleDown => self.scale_down(replica).await,
            Happening::ControlLoss => {
                self.event("control-plane loss", "the control plane dies", |_| true);
                self.mesh.kill_control().await;
                self.rest(500, 8_000).await;
                self.mesh.start_control();
            }
            Happening::CutControl => {
                let from = *self.random.one_of(&[GATEWAY, WEB, replica]);
                self.event("control-plane partition", &format!("node {from} does not hear the control plane"), |_| true);
                self.mesh.network.cut(from, CONTROL, true);
                self.rest(500, 4_000).await;
                self.mesh.network.cut(from, CONTROL, false);
            }
            Happening::ClockJump => {
                let from = *self.random.one_of(&[GATEWAY, WEB, replica]);
                let seconds = self.random.within(0, 8) as i64 - 4;
                self.event("clock jump", &format!("the clock of node {from} is {seconds} s ahead"), |_| true);
                self.mesh.network.skew(from, seconds);
            }
        }
    }

    async fn kill_replica(&mut self, replica: Node) {
        let what = format!("node {replica} is killed");
        self.event("kill", &what, |f| f.seen.contains(&replica));
        // What has effects is not tried again by anyone; where it was, nobody else can tell.
        self.ledger.borrow_mut().kill(None, |f| f.seen.contains(&replica) || !f.idempotent);
        self.mesh.kill(replica).await;
        self.rest(100, 3_000).await;
        self.ledger.borrow_mut().note(format_args!("node {replica} starts"));
        self.mesh.start(replica);
        // Until it listens, it is none that counts.
        self.rest(200, 200).await;
    }

    async fn kill_gateway(&mut self) {
        self.meet(|f| f.entrance == GATEWAY).await;
        self.event("kill", "the gateway is killed", |f| f.entrance == GATEWAY);
        self.ledger.borrow_mut().kill(Some(GATEWAY), |f| f.entrance == GATEWAY);
        self.mesh.kill(GATEWAY).await;
        self.rest(50, 1_000).await;
        self.mesh.start(GATEWAY);
        self.rest(500, 500).await;
        self.ledger.borrow_mut().is_back(GATEWAY);
    }

    async fn reset(&mut self) {
        self.meet(|f| !f.seen.is_empty()).await;
        let ways = self.ledger.borrow().ways();
        let (from, to) = *self.random.one_of(&ways);
        let what = format!("a connection of nodes {from} and {to} is reset");
        self.event("connection loss", &what, |f| f.entrance == from && f.seen.contains(&to));
        self.ledger.borrow_mut().kill(None, |f| f.entrance == from && (f.seen.contains(&to) || !f.idempotent));
        let draw = self.random.next();
        self.mesh.network.reset_one(draw, from, to);
    }

    async fn scale_down(&mut self, replica: Node) {
        // Each version keeps two: one may die while the other restarts.
        if self.mesh.replicas().len() <= 4 || replica < REPLICAS + 4 {
            return;
        }
        self.event("scale down", &format!("node {replica} leaves"), |_| true);
        self.mesh.leave(replica).await;
    }

    /// Certificates are short-lived here: every proxy gets the next one while requests go on.
    async fn renewals(&mut self) {
        let before: Vec<_> = self.mesh.members.keys().map(|node| (*node, self.mesh.certified(*node))).collect();
        self.meet(|_| true).await;
        self.event("certificate rotation", "certificates are half over", |_| true);
        tokio::time::sleep(mesh::SVID_LIFE / 2 + Duration::from_secs(4)).await;
        for (node, certified) in before {
            if self.mesh.certified(node) <= certified {
                self.ledger.borrow_mut().violations.push(format!("node {node} did not renew its certificate"));
            }
        }
    }
}
