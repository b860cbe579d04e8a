//! What each process told of its own edges in the last two minutes. The graph draws replicas of a workload together; here one that fails among many is
//! seen. Bounded for each process and for all: what finds no room is counted. It knows edges by their numbers in the graph, and no names of theirs.

use super::history::{History, Packed};
use crate::limits;
use std::collections::HashMap;
use telemetry::EdgeTotals;

/// An edge as one process tells it.
#[derive(Debug)]
pub struct Own {
    number: u64,
    opened: u64,
    requests: u64,
    failures: u64,
    recent: History,
    seen: u64,
}

/// Edges of one process, ascending by number.
pub type OfOne = Vec<Own>;

#[derive(Debug, Default)]
pub struct Workloads {
    by_proxy: HashMap<String, OfOne>,
    held: usize,
    /// When those that were silent were let go last.
    swept: u64,
    left_out: u64,
}

/// How long they are kept, in seconds.
const KEPT: u64 = limits::WORKLOAD_SLOT_SECONDS * limits::WORKLOAD_SLOTS as u64;

impl Own {
    fn new(number: u64) -> Self {
        let recent = History::new(limits::WORKLOAD_SLOT_SECONDS, limits::WORKLOAD_SLOTS);
        Self { number, opened: 0, requests: 0, failures: 0, recent, seen: 0 }
    }

    fn add(&mut self, packed: &Packed, now: u64) {
        self.opened = self.opened.saturating_add(packed.opened());
        self.requests = self.requests.saturating_add(packed.requests);
        self.failures = self.failures.saturating_add(packed.failures());
        self.recent.add(packed, now);
        self.seen = self.seen.max(now);
    }

    pub fn number(&self) -> u64 {
        self.number
    }

    /// Since it is remembered; without latencies.
    pub fn totals(&self) -> EdgeTotals {
        EdgeTotals { opened: self.opened, requests: self.requests, failures: self.failures, ..EdgeTotals::default() }
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
        let own = self.by_proxy.get_mut(proxy).map(std::mem::take).unwrap_or_default();
        self.held -= own.len();
        own
    }

    /// Counts in the edge of that number.
    pub fn add(&mut self, own: &mut OfOne, number: u64, packed: &Packed, now: u64) {
        let at = own.partition_point(|one| one.number < number);
        if own.get(at).is_none_or(|one| one.number != number) {
            if own.len() >= limits::WORKLOAD_EDGES_OF_ONE || self.held + own.len() >= limits::WORKLOAD_EDGES {
                self.left_out = self.left_out.saturating_add(1);
                return;
            }
            own.insert(at, Own::new(number));
        }
        own[at].add(packed, now);
    }

    /// Puts back what [`Self::begin`] took out.
    pub fn end(&mut self, proxy: &str, own: OfOne, now: u64) {
        if !own.is_empty() {
            self.held += own.len();
            match self.by_proxy.get_mut(proxy) {
                Some(place) => *place = own,
                None => _ = self.by_proxy.insert(proxy.to_owned(), own),
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
        let own = |own: &OfOne| own.capacity() * size_of::<Own>() + own.iter().map(|one| one.recent.footprint()).sum::<usize>();
        self.by_proxy.values().map(own).sum()
    }
}

#[cfg(test)]
mod tests;
