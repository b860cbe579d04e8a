//! What each process told of its own edges in the last two minutes. The graph draws replicas of a workload together; here one that fails among many is
//! seen. Bounded for each process and for all: what finds no room is counted. It knows edges by their numbers in the graph, and no names of theirs.

use super::history::{History, Packed, Totals};
use crate::limits;
use std::collections::HashMap;
use telemetry::EdgeTotals;

/// An edge as one process tells it.
#[derive(Debug)]
pub struct Own {
    number: u64,
    totals: Totals,
    recent: History<{ limits::WORKLOAD_SLOT_SECONDS }, { limits::WORKLOAD_SLOTS }>,
    seen: u64,
}

/// Edges of one process, while it tells of them.
pub struct OfOne {
    /// Ascending by number.
    edges: Vec<Own>,
    /// Where the one stands that is likely to be told next: each report tells them in the order of the one before.
    next: usize,
}

#[derive(Debug, Default)]
pub struct Workloads {
    by_proxy: HashMap<String, Vec<Own>>,
    held: usize,
    /// When those that were silent were let go last.
    swept: u64,
    left_out: u64,
}

/// How long they are kept, in seconds.
const KEPT: u64 = limits::WORKLOAD_SLOT_SECONDS * limits::WORKLOAD_SLOTS as u64;

impl Own {
    fn new(number: u64) -> Self {
        Self { number, totals: Totals::default(), recent: History::default(), seen: 0 }
    }

    fn add(&mut self, packed: &Packed, now: u64) {
        self.totals.add(packed);
        self.recent.add(packed, now);
        self.seen = self.seen.max(now);
    }

    pub fn number(&self) -> u64 {
        self.number
    }

    /// Since it is remembered.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Of the last two minutes, and over how many seconds.
    pub fn recent(&self, now: u64) -> (EdgeTotals, u64) {
        self.recent.since(now, KEPT).unwrap_or((EdgeTotals::default(), 1))
    }

    pub fn seen(&self) -> u64 {
        self.seen
    }
}

impl Workloads {
    /// Takes out what one process told, to be added to.
    pub fn begin(&mut self, proxy: &str) -> OfOne {
        let edges = self.by_proxy.get_mut(proxy).map(std::mem::take).unwrap_or_default();
        self.held -= edges.len();
        OfOne { edges, next: 0 }
    }

    /// Counts in the edge of that number.
    pub fn add(&mut self, OfOne { edges, next }: &mut OfOne, number: u64, packed: &Packed, now: u64) {
        let is_at = |at: usize| edges.get(at).is_some_and(|one| one.number == number);
        let at = if is_at(*next) { *next } else { edges.partition_point(|one| one.number < number) };
        if !is_at(at) {
            if edges.len() >= limits::WORKLOAD_EDGES_OF_ONE || self.held + edges.len() >= limits::WORKLOAD_EDGES {
                self.left_out = self.left_out.saturating_add(1);
                return;
            }
            edges.insert(at, Own::new(number));
        }
        edges[at].add(packed, now);
        *next = at + 1;
    }

    /// Puts back what [`Self::begin`] took out.
    pub fn end(&mut self, proxy: &str, OfOne { edges, .. }: OfOne, now: u64) {
        if !edges.is_empty() {
            self.held += edges.len();
            match self.by_proxy.get_mut(proxy) {
                Some(place) => *place = edges,
                None => _ = self.by_proxy.insert(proxy.to_owned(), edges),
            }
        }
        if self.swept + limits::WORKLOAD_SLOT_SECONDS <= now {
            self.swept = now;
            self.sweep(now);
        }
    }

    fn sweep(&mut self, now: u64) {
        self.by_proxy.retain(|_, own| {
            own.retain(|one| one.seen + KEPT > now);
            !own.is_empty()
        });
        self.held = self.by_proxy.values().map(Vec::len).sum();
    }

    /// What this process told, as far as it is of the last two minutes.
    pub fn of(&self, proxy: &str, now: u64) -> impl Iterator<Item = &Own> {
        self.by_proxy.get(proxy).into_iter().flatten().filter(move |one| one.seen + KEPT > now)
    }

    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Bytes on the heap, names apart.
    pub fn footprint(&self) -> usize {
        let own = |own: &Vec<Own>| own.capacity() * size_of::<Own>() + own.iter().map(|one| one.recent.footprint()).sum::<usize>();
        self.by_proxy.values().map(own).sum()
    }
}

#[cfg(test)]
mod tests;
