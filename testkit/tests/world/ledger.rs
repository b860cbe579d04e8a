//! What happened: one line for each thing that anyone could see, with its time. No keys, nonces or lengths of what is encrypted are in it, so the
//! same seed gives the same lines at the same times. And who was where when something was killed, by which losses are judged.

use crate::network::Node;
use std::collections::{BTreeMap, BTreeSet};
use tokio::time::Instant;

/// A request, from its caller's first byte to the end of its answer.
#[derive(Debug, Clone)]
pub struct Flight {
    pub entrance: Node,
    pub idempotent: bool,
    /// Nodes whose application it reached, or to which it was sent through a tunnel.
    pub seen: BTreeSet<Node>,
    /// The kill that cost its caller the try before.
    again_after: Option<usize>,
}

impl Flight {
    /// Whether this node carries it or answers it.
    pub fn is_at(&self, node: Node) -> bool {
        self.entrance == node || self.seen.contains(&node)
    }
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Answered,
    /// By this kill.
    Excused(usize),
    Unexcused,
}

/// Something that may cost requests, and which.
#[derive(Debug)]
struct Kill {
    excused: BTreeSet<u64>,
    /// New calls to this entrance are lost too until it is back.
    down: Option<Node>,
}

#[derive(Default)]
pub struct Ledger {
    begun: Option<Instant>,
    /// Of equal width up to their words, so that their order is that of time.
    pub lines: Vec<String>,
    flights: BTreeMap<u64, Flight>,
    last: u64,
    kills: Vec<Kill>,
    pub answered: u64,
    pub lost: u64,
    /// Requests that were lost with something killed and that their callers sent again.
    pub again: u64,
    /// Events by kind.
    pub events: BTreeMap<&'static str, u64>,
    pub violations: Vec<String>,
}

impl Ledger {
    /// Of a world that did not come to its end.
    pub fn broken(why: &str) -> Self {
        Self { violations: vec![why.to_owned()], ..Self::default() }
    }

    /// Nodes whose application is at work.
    pub fn busy(&self) -> BTreeSet<Node> {
        self.flights.values().flat_map(|flight| flight.seen.iter().copied()).collect()
    }

    pub fn note(&mut self, what: impl std::fmt::Display) {
        let begun = *self.begun.get_or_insert_with(Instant::now);
        self.lines.push(format!("{:>11} {what}", begun.elapsed().as_micros()));
    }

    /// `again_after`: the kill with which the same request was lost before; that one excuses nothing any more.
    pub fn begin(&mut self, entrance: Node, idempotent: bool, again_after: Option<usize>) -> u64 {
        self.last += 1;
        self.flights.insert(self.last, Flight { entrance, idempotent, seen: BTreeSet::new(), again_after });
        for kill in self.kills.iter_mut().filter(|kill| kill.down == Some(entrance)) {
            kill.excused.insert(self.last);
        }
        let (id, kind) = (self.last, if idempotent { "GET" } else { "POST" });
        self.again += u64::from(again_after.is_some());
        let again = if again_after.is_some() { ", once more" } else { "" };
        self.note(format_args!("request {id} begins at node {entrance}, {kind}{again}"));
        id
    }

    /// Whether this entrance is killed and not back yet.
    pub fn is_down(&self, entrance: Node) -> bool {
        self.kills.iter().any(|kill| kill.down == Some(entrance))
    }

    /// By one that chose the node itself; nobody else will try it elsewhere.
    pub fn sent(&mut self, id: u64, node: Node) {
        if let Some(flight) = self.flights.get_mut(&id) {
            flight.seen.insert(node);
        }
        self.note(format_args!("request {id} is in a tunnel to node {node}"));
    }

    pub fn arrived(&mut self, id: u64, node: Node) {
        if let Some(flight) = self.flights.get_mut(&id) {
            flight.seen.insert(node);
        }
        self.note(format_args!("request {id} is at node {node}"));
    }

    /// `None`: answered as it should be.
    pub fn end(&mut self, id: u64, wrong: Option<&str>) -> End {
        let before = self.flights.remove(&id).and_then(|flight| flight.again_after);
        let Some(wrong) = wrong else {
            self.answered += 1;
            self.note(format_args!("request {id} is answered"));
            return End::Answered;
        };
        self.note(format_args!("request {id} is lost: {wrong}"));
        match self.kills.iter().rposition(|kill| kill.excused.contains(&id)) {
            Some(kill) if before == Some(kill) => {
                self.violations.push(format!("request {id} is the second that one kill cost the same caller: {wrong}"));
                End::Unexcused
            }
            Some(kill) => {
                self.lost += 1;
                End::Excused(kill)
            }
            None => {
                self.violations.push(format!("request {id} is lost and nothing excuses it: {wrong}"));
                End::Unexcused
            }
        }
    }

    /// Where a request went in and where it is.
    pub fn ways(&self) -> Vec<(Node, Node)> {
        self.flights.values().flat_map(|flight| flight.seen.iter().map(|to| (flight.entrance, *to))).collect()
    }

    pub fn in_flight(&self, which: impl Fn(&Flight) -> bool) -> usize {
        self.flights.values().filter(|flight| which(flight)).count()
    }

    /// Something is about to be done to the mesh; it must find requests under way.
    pub fn event(&mut self, kind: &'static str, what: &str, touches: impl Fn(&Flight) -> bool) {
        let found = self.in_flight(touches);
        self.note(format_args!("{what}, {found} requests under way"));
        *self.events.entry(kind).or_default() += 1;
        if found == 0 {
            self.violations.push(format!("{what}: it found no request under way, so it shows nothing"));
        }
    }

    /// What is under way and `inside` may be lost by what comes now.
    pub fn kill(&mut self, down: Option<Node>, inside: impl Fn(&Flight) -> bool) {
        let excused = self.flights.iter().filter(|(_, flight)| inside(flight)).map(|(id, _)| *id).collect();
        self.kills.push(Kill { excused, down });
    }

    /// An entrance is there again.
    pub fn is_back(&mut self, entrance: Node) {
        self.kills.iter_mut().filter(|kill| kill.down == Some(entrance)).for_each(|kill| kill.down = None);
    }

    /// FNV-1a over all lines.
    pub fn digest(&self) -> u64 {
        let bytes = self.lines.iter().flat_map(|line| line.bytes().chain([b'\n']));
        bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }
}
