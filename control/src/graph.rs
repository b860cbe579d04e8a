//! Who calls whom: edges as proxies report them, each report counted exactly once by its incarnation and sequence number; the last seconds and
//! the last hour of each ([`history`]), in bounded memory. It knows no clock, no service and no picture: what nodes these are is told by `api`.

pub mod history;

use crate::heard::Heard;
use crate::limits;
use history::History;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use telemetry::{EdgeDelta, EdgeId, EdgeTotals, Reporter};

#[derive(Debug)]
struct Edge {
    totals: EdgeTotals,
    seconds: History,
    hour: History,
    /// When it was reported last.
    seen: u64,
}

impl Edge {
    fn new() -> Self {
        Self {
            totals: EdgeTotals::default(),
            seconds: History::new(1, limits::RATE_SECONDS + 1),
            hour: History::new(limits::SLOT_SECONDS, limits::SLOTS),
            seen: 0,
        }
    }
}

/// Both ends of a call, without who reported it.
type Ends = [Arc<str>; 6];

fn ends(id: &EdgeId) -> Ends {
    let source = [&id.source_namespace, &id.source_workload, &id.source_version];
    let destination = [&id.destination_namespace, &id.destination_workload, &id.destination_version];
    [source[0], source[1], source[2], destination[0], destination[1], destination[2]].map(Arc::clone)
}

/// What the caller cannot tell of a call: whom policy refused at its end, and what its end tried again.
fn of_callee(counts: &EdgeTotals) -> EdgeTotals {
    EdgeTotals { denied: counts.denied, retries: counts.retries, ..EdgeTotals::default() }
}

/// How many of some calls were denied, as each end counts them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Denied {
    by_callers: u64,
    by_callees: u64,
}

impl Denied {
    pub fn add(&mut self, reporter: Reporter, denied: u64) {
        let mine = if reporter == Reporter::Destination { &mut self.by_callees } else { &mut self.by_callers };
        *mine = mine.saturating_add(denied);
    }

    /// Who refuses a call is at its end, and its caller may see no more than a 403. Where both know, they tell of the same calls: the larger number counts.
    pub fn calls(&self) -> u64 {
        self.by_callers.max(self.by_callees)
    }
}

#[derive(Debug, Default)]
pub struct Graph {
    edges: BTreeMap<EdgeId, Edge>,
    /// Calls whose caller reports them.
    callers: HashSet<Ends>,
    heard: Heard,
    left_out: u64,
}

/// One edge as it is told.
pub struct Told<'g> {
    pub id: &'g EdgeId,
    pub totals: &'g EdgeTotals,
    /// Sum over the window, and the window's seconds.
    pub recent: EdgeTotals,
    pub seconds: f64,
    /// When something of it was reported last.
    pub seen: u64,
}

impl Graph {
    /// Counts the edges of a report unless it was counted before, which is said. `now` in seconds.
    pub fn report(&mut self, proxy: &str, delta: EdgeDelta, now: u64) -> bool {
        if !self.heard.is_news(proxy, delta.incarnation, delta.sequence, now) {
            return false;
        }
        for (id, counts) in delta.edges {
            // What the caller reports is told; an hour of the callee's word on the same call would be kept for nobody, but for what it alone knows.
            let told_by_caller = id.reporter == Reporter::Destination && self.callers.contains(&ends(&id));
            let Some(edge) = self.known(id, now) else { continue };
            edge.totals.add(&counts);
            edge.seconds.add(&counts, now);
            let kept = if told_by_caller { of_callee(&counts) } else { counts };
            if kept != EdgeTotals::default() {
                edge.hour.add(&kept, now);
            }
            edge.seen = edge.seen.max(now);
        }
        true
    }

    /// The edge, which is made where it is new and there is room.
    fn known(&mut self, id: EdgeId, now: u64) -> Option<&mut Edge> {
        if !self.edges.contains_key(&id) {
            if !self.has_room(now) {
                self.left_out = self.left_out.saturating_add(1);
                return None;
            }
            if id.reporter == Reporter::Source {
                self.callers.insert(ends(&id));
            }
        }
        Some(self.edges.entry(id).or_insert_with(Edge::new))
    }

    /// Whether one more edge may be kept; makes room by forgetting one of which nothing was heard for an hour.
    fn has_room(&mut self, now: u64) -> bool {
        if self.edges.len() < limits::EDGES {
            return true;
        }
        let hour = limits::SLOT_SECONDS * limits::SLOTS as u64;
        let idle = self.edges.iter().filter(|(_, edge)| edge.seen + hour < now).min_by_key(|(_, edge)| edge.seen).map(|(id, _)| id.clone());
        let Some(idle) = idle else { return false };
        self.edges.remove(&idle);
        if idle.reporter == Reporter::Source {
            let gone = ends(&idle);
            let others = self.edges.keys().any(|id| id.reporter == Reporter::Source && ends(id) == gone);
            if !others {
                self.callers.remove(&gone);
            }
        }
        true
    }

    /// Reports of edges that there was no room for.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Each call once, though both ends report it: the caller's word counts where there is one, since it saw what failed on the way. A caller
    /// that is not in the mesh says nothing, and then its callee's word is all there is. Over the last `seconds`.
    pub fn calls(&self, now: u64, seconds: u64) -> impl Iterator<Item = Told<'_>> {
        self.edges(now, seconds).filter(|told| self.speaks(told.id))
    }

    /// Whether this end's word is the one that counts.
    pub fn speaks(&self, id: &EdgeId) -> bool {
        id.reporter == Reporter::Source || !self.callers.contains(&ends(id))
    }

    /// Every edge, as each end reports it.
    pub fn edges(&self, now: u64, seconds: u64) -> impl Iterator<Item = Told<'_>> {
        self.edges.iter().map(move |(id, edge)| {
            let history = if seconds <= limits::RATE_SECONDS as u64 { &edge.seconds } else { &edge.hour };
            let (recent, passed) = history.since(now, seconds).unwrap_or((EdgeTotals::default(), 1));
            Told { id, totals: &edge.totals, recent, seconds: passed as f64, seen: edge.seen }
        })
    }

    /// The last hour of the calls of which `pair` says between whom they are, added up by slots of ten seconds: (start of the slot, counts), oldest
    /// first. Denials are held against each other within a pair.
    pub fn history<P: Ord>(&self, from: u64, pair: impl Fn(&EdgeId) -> Option<P>) -> BTreeMap<u64, EdgeTotals> {
        let mut sums: BTreeMap<u64, EdgeTotals> = BTreeMap::new();
        let mut denied: BTreeMap<P, BTreeMap<u64, Denied>> = BTreeMap::new();
        for (id, edge, pair) in self.edges.iter().filter_map(|(id, edge)| Some((id, edge, pair(id)?))) {
            let (speaks, denied) = (self.speaks(id), denied.entry(pair).or_default());
            for (start, mut counts) in edge.hour.points(from) {
                match std::mem::take(&mut counts.denied) {
                    0 => {}
                    some => denied.entry(start).or_default().add(id.reporter, some),
                }
                let counts = if speaks { counts } else { EdgeTotals { retries: counts.retries, ..EdgeTotals::default() } };
                sums.entry(start).or_default().add(&counts);
            }
        }
        for (start, denied) in denied.into_values().flatten() {
            let sum = sums.entry(start).or_default();
            sum.denied = sum.denied.saturating_add(denied.calls());
        }
        sums
    }

    /// Bytes that the edges hold on the heap, names apart.
    pub fn footprint(&self) -> usize {
        let one = |edge: &Edge| size_of::<Edge>() + size_of_val(&*edge.totals.latency.0) + edge.seconds.footprint() + edge.hour.footprint();
        self.edges.values().map(one).sum()
    }
}

#[cfg(test)]
mod tests;
