//! Who calls whom: edges as proxies report them, each report counted exactly once by its incarnation and sequence number.

use crate::limits;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use telemetry::{EdgeDelta, EdgeId, EdgeTotals, Reporter};

#[derive(Debug, Default)]
struct Edge {
    totals: EdgeTotals,
    /// What came in each of the last seconds: (second, counts).
    recent: VecDeque<(u64, EdgeTotals)>,
}

#[derive(Debug, Default)]
pub struct Graph {
    edges: BTreeMap<EdgeId, Edge>,
    /// Incarnations of each proxy with their last sequence numbers, the latest to speak at the end: two processes of one name may report side by side.
    heard: HashMap<String, Vec<(u64, u64)>>,
}

/// One edge as it is told.
pub struct Told<'g> {
    pub id: &'g EdgeId,
    pub totals: &'g EdgeTotals,
    /// Sum over the window, and the window's seconds.
    pub recent: EdgeTotals,
    pub seconds: f64,
}

impl Graph {
    /// Counts a report unless it was counted before. `now` in seconds.
    pub fn report(&mut self, proxy: &str, delta: EdgeDelta, now: u64) {
        let heard = self.heard.entry(proxy.to_owned()).or_default();
        let known = heard.iter().position(|(incarnation, _)| *incarnation == delta.incarnation);
        if known.is_some_and(|at| delta.sequence <= heard[at].1) {
            return;
        }
        if let Some(at) = known {
            heard.remove(at);
        }
        heard.push((delta.incarnation, delta.sequence));
        if heard.len() > limits::INCARNATIONS {
            heard.remove(0);
        }
        for (id, counts) in delta.edges {
            if !self.edges.contains_key(&id) && self.edges.len() >= limits::EDGES {
                continue;
            }
            let edge = self.edges.entry(id).or_default();
            edge.totals.add(&counts);
            match edge.recent.back_mut() {
                Some((second, sum)) if *second == now => sum.add(&counts),
                _ => edge.recent.push_back((now, counts)),
            }
            while edge.recent.len() > limits::RATE_SECONDS + 1 {
                edge.recent.pop_front();
            }
        }
    }

    /// Each call once, though both ends report it: the caller's word counts where there is one, since it saw what failed on the way. A caller
    /// that is not in the mesh says nothing, and then its callee's word is all there is.
    pub fn calls(&self, now: u64) -> impl Iterator<Item = Told<'_>> {
        let ends = |id: &EdgeId| {
            let source = (id.source_namespace.clone(), id.source_workload.clone(), id.source_version.clone());
            (source, id.destination_namespace.clone(), id.destination_workload.clone(), id.destination_version.clone())
        };
        let callers: BTreeSet<_> = self.edges.keys().filter(|id| id.reporter == Reporter::Source).map(ends).collect();
        self.edges(now).filter(move |told| told.id.reporter == Reporter::Source || !callers.contains(&ends(told.id)))
    }

    pub fn edges(&self, now: u64) -> impl Iterator<Item = Told<'_>> {
        let window = limits::RATE_SECONDS as u64;
        self.edges.iter().map(move |(id, edge)| {
            let mut recent = EdgeTotals::default();
            let mut first = now;
            for (second, counts) in edge.recent.iter().filter(|(second, _)| *second + window > now) {
                first = first.min(*second);
                recent.add(counts);
            }
            Told { id, totals: &edge.totals, recent, seconds: (now - first + 1) as f64 }
        })
    }
}

#[cfg(test)]
mod tests;
