//! What can happen to a mesh while requests go on, and what of it may cost any.

use crate::mesh::{CONTROL, GATEWAY, PEER, REPLICAS, WEB};
use crate::network::Node;
use crate::scenario::Run;
use crate::stream::Road;
use crate::wish::Policy;
use std::time::Duration;

#[derive(Debug, Clone, Copy)]
pub enum Happening {
    KillReplica,
    KillGateway,
    RestartReplica,
    Upgrade,
    Pause,
    PauseProxy,
    Cut,
    CutOneWay,
    Slow,
    Loss,
    Reorder,
    Reset,
    Weights,
    Policy,
    ScaleUp,
    ScaleDown,
    ControlLoss,
    CutControl,
    ClockJump,
    RootRotation,
}

pub const ALL: &[Happening] = &[
    Happening::KillReplica,
    Happening::KillGateway,
    Happening::RestartReplica,
    Happening::Upgrade,
    Happening::Pause,
    Happening::PauseProxy,
    Happening::Cut,
    Happening::CutOneWay,
    Happening::Slow,
    Happening::Loss,
    Happening::Reorder,
    Happening::Reset,
    Happening::Weights,
    Happening::Policy,
    Happening::ScaleUp,
    Happening::ScaleDown,
    Happening::ControlLoss,
    Happening::CutControl,
    Happening::ClockJump,
    Happening::RootRotation,
];

impl Happening {
    pub async fn happen(self, run: &mut Run) {
        match self {
            Self::KillReplica => kill_replica(run).await,
            Self::KillGateway => kill_gateway(run).await,
            Self::RestartReplica => {
                let replica = run.busy_replica().await;
                run.event("restart", &format!("proxy of node {replica} restarts"), |f| f.seen.contains(&replica));
                run.mesh.drain(replica).await;
                run.mesh.start(replica);
            }
            Self::Upgrade => upgrade(run).await,
            Self::Pause => {
                let replica = run.busy_replica().await;
                pause(run, replica, true).await;
            }
            Self::PauseProxy => {
                let busy = run.busy_replica().await;
                let node = *run.random.one_of(&[GATEWAY, WEB, busy]);
                pause(run, node, false).await;
            }
            Self::Cut | Self::CutOneWay => cut(run, matches!(self, Self::CutOneWay)).await,
            Self::Slow | Self::Loss | Self::Reorder => road(run, self).await,
            Self::Reset => reset(run).await,
            Self::Weights => {
                let v1 = run.random.within(0, 100) as u32;
                run.meet(|_| true).await;
                run.event("weights", &format!("weights become {v1} and {}", 100 - v1), |_| true);
                run.mesh.edit(|wish| wish.weights = (v1, 100 - v1));
            }
            Self::Policy => {
                let policy = run.random.chance(80).then(|| Policy::draw(&mut run.random));
                run.meet(|_| true).await;
                run.event("policy", &format!("the policy becomes {policy:?}"), |_| true);
                run.mesh.edit(|wish| wish.policy = policy);
            }
            Self::ScaleUp => scale_up(run).await,
            Self::ScaleDown => scale_down(run).await,
            Self::ControlLoss => {
                run.meet(|_| true).await;
                run.event("control-plane loss", "the control plane dies", |_| true);
                run.mesh.kill_control().await;
                run.rest(500, 8_000).await;
                run.mesh.start_control();
            }
            Self::CutControl => {
                let from = anyone(run).await;
                run.event("control-plane partition", &format!("node {from} does not hear the control plane"), |f| f.is_at(from));
                run.mesh.network.part(from, CONTROL, true);
                run.rest(500, 4_000).await;
                run.mesh.network.part(from, CONTROL, false);
            }
            Self::ClockJump => {
                let node = if run.random.chance(20) { CONTROL } else { anyone(run).await };
                let ahead = run.random.within(1, 4) as i64;
                let seconds = if run.random.chance(50) { ahead } else { -ahead };
                run.meet(|_| true).await;
                run.event("clock jump", &format!("the clock of node {node} is {seconds} s ahead"), |f| node == CONTROL || f.is_at(node));
                run.mesh.network.skew(node, seconds);
            }
            Self::RootRotation => {
                let roots = run.mesh.roots();
                run.meet(|_| true).await;
                if run.mesh.rotate() {
                    run.event("root rotation", "the root is to be replaced", |_| true);
                    run.old_root = roots.into_iter().next();
                }
            }
        }
    }
}

/// A proxy through which something goes just now.
async fn anyone(run: &mut Run) -> Node {
    let busy = run.busy_replica().await;
    let node = *run.random.one_of(&[GATEWAY, WEB, busy]);
    run.meet(|f| f.is_at(node)).await;
    node
}

async fn kill_replica(run: &mut Run) {
    let replica = run.busy_replica().await;
    let what = format!("node {replica} is killed");
    run.event("kill", &what, |f| f.seen.contains(&replica));
    // What has effects is not tried again by anyone; where it was, nobody else can tell.
    run.ledger.borrow_mut().kill(None, |f| f.seen.contains(&replica) || !f.idempotent);
    run.mesh.kill(replica).await;
    run.rest(100, 3_000).await;
    run.ledger.borrow_mut().note(format_args!("node {replica} starts"));
    run.mesh.start(replica);
    // Until it listens, it is none that counts.
    run.rest(200, 200).await;
}

async fn kill_gateway(run: &mut Run) {
    run.meet(|f| f.entrance == GATEWAY).await;
    run.event("kill", "the gateway is killed", |f| f.entrance == GATEWAY);
    run.ledger.borrow_mut().kill(Some(GATEWAY), |f| f.entrance == GATEWAY);
    run.mesh.kill(GATEWAY).await;
    run.rest(50, 1_000).await;
    run.mesh.start(GATEWAY);
    run.rest(500, 500).await;
    run.ledger.borrow_mut().is_back(GATEWAY);
}

/// A proxy is replaced by a process of the next release, which costs nobody anything.
async fn upgrade(run: &mut Run) {
    let node = anyone(run).await;
    run.event("hot restart", &format!("the proxy of node {node} hands its doors over"), |f| f.is_at(node));
    match run.mesh.upgrade(node).await {
        Ok(()) => run.ledger.borrow_mut().note(format_args!("node {node} has a successor, and {} before it", run.mesh.elders(node))),
        Err(why) => run.violation(why),
    }
}

async fn pause(run: &mut Run, node: Node, whole: bool) {
    run.meet(|f| f.is_at(node)).await;
    let (kind, what) = if whole { ("pause", "node") } else { ("proxy pause", "the proxy of node") };
    run.event(kind, &format!("{what} {node} stands still"), |f| f.is_at(node));
    run.mesh.pause(node, whole, true);
    run.rest(100, 2_000).await;
    run.mesh.pause(node, whole, false);
}

async fn cut(run: &mut Run, one_way: bool) {
    let replica = run.busy_replica().await;
    let caller = *run.random.one_of(&[GATEWAY, WEB]);
    run.meet(|f| f.entrance == caller).await;
    if !one_way {
        run.event("partition", &format!("nodes {caller} and {replica} do not hear each other"), |f| f.entrance == caller);
        run.mesh.network.part(caller, replica, true);
        run.rest(100, 2_000).await;
        return run.mesh.network.part(caller, replica, false);
    }
    let (from, to) = if run.random.chance(50) { (caller, replica) } else { (replica, caller) };
    run.event("one-way partition", &format!("node {to} does not hear node {from}"), |f| f.entrance == caller);
    run.mesh.network.cut(from, to, true);
    run.rest(100, 2_000).await;
    run.mesh.network.cut(from, to, false);
}

/// The way to a replica or an entrance gets longer, loses pieces or lets them overtake each other.
async fn road(run: &mut Run, how: Happening) {
    let node = anyone(run).await;
    let (kind, what, road) = match how {
        Happening::Loss => {
            let loss = run.random.within(1, 20);
            ("loss", format!("node {node} loses {loss} % of what it sends and receives"), Road { loss, ..Road::default() })
        }
        Happening::Reorder => {
            let reorder = run.random.within(5, 50);
            ("reorder", format!("{reorder} % of what node {node} sends and receives is overtaken"), Road { reorder, ..Road::default() })
        }
        _ => {
            let by = run.random.within(5, 80);
            ("delay", format!("node {node} is {by} ms further away"), Road { longer: Duration::from_millis(by), ..Road::default() })
        }
    };
    run.event(kind, &what, |f| f.is_at(node));
    run.mesh.network.road(node, road);
    run.rest(500, 2_000).await;
    run.mesh.network.road(node, Road::default());
}

async fn reset(run: &mut Run) {
    run.meet(|f| !f.seen.is_empty()).await;
    let ways = run.ledger.borrow().ways();
    let (from, to) = *run.random.one_of(&ways);
    let what = format!("a connection of nodes {from} and {to} is reset");
    let kind = if from == PEER { "tunnel loss" } else { "connection loss" };
    run.event(kind, &what, |f| f.entrance == from && f.seen.contains(&to));
    run.ledger.borrow_mut().kill(None, |f| f.entrance == from && (f.seen.contains(&to) || !f.idempotent));
    let draw = run.random.next();
    run.mesh.network.reset_one(draw, from, to);
}

async fn scale_up(run: &mut Run) {
    let (node, version) = (run.next, run.random.within(1, 2) as u8);
    if node == REPLICAS + MOST {
        return;
    }
    run.next += 1;
    run.meet(|_| true).await;
    run.event("scale up", &format!("node {node} joins catalog-v{version}"), |_| true);
    run.mesh.replica(node, version);
}

/// Nodes that a seed may use up.
const MOST: Node = 100;

/// One that is answering somebody leaves; where nobody can be spared, somebody joins first.
async fn scale_down(run: &mut Run) {
    if run.mesh.spare().is_empty() {
        scale_up(run).await;
        run.rest(1_000, 2_000).await;
    }
    let spare = run.mesh.spare();
    run.meet(|f| f.seen.iter().any(|node| spare.contains(node))).await;
    let busy: Vec<Node> = run.ledger.borrow().busy().into_iter().filter(|node| spare.contains(node)).collect();
    // Weights may send nothing there.
    let Some(node) = busy.first().copied() else { return };
    run.event("scale down", &format!("node {node} leaves"), |f| f.seen.contains(&node));
    run.mesh.leave(node).await;
}
