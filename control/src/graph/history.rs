//! What an edge counted, in slots of time: the last seconds one by one, the last hour by ten. A slot is some hundred bytes, for thousands of
//! edges have 360 of them; its latencies are kept sparse and lose nothing. It knows no clock and no edge.

use std::collections::VecDeque;
use telemetry::EdgeTotals;

/// Counts of one slot. What does not fit stops at the highest: in ten seconds of one edge nothing does that is not invented.
#[derive(Debug, Default)]
struct Slot {
    /// When it began, in seconds.
    start: u64,
    requests: u32,
    failures: u32,
    client_errors: u32,
    denied: u32,
    faults: u32,
    retries: u32,
    opened: u32,
    request_bytes: u64,
    response_bytes: u64,
    /// Cells that are not zero, ascending: the number in the highest eight bits, the count below.
    latency: Box<[u32]>,
}

/// A report may be so late, in seconds, before its edge is taken to be silent.
const LATE: u64 = 2;

const COUNT_BITS: u32 = 24;
const COUNT_MAX: u64 = (1 << COUNT_BITS) - 1;

/// Both, cell by cell; each ascends.
fn merged(cells: &[u32], more: impl Iterator<Item = (u32, u64)>) -> Box<[u32]> {
    let mut out = Vec::with_capacity(cells.len() + 8);
    let mut put = |cell: u32, count: u64| out.push(cell << COUNT_BITS | count.min(COUNT_MAX) as u32);
    let mut known = unpacked(cells).peekable();
    for (cell, count) in more {
        while let Some((before, had)) = known.next_if(|(known, _)| *known < cell) {
            put(before, had);
        }
        let had = known.next_if(|(known, _)| *known == cell).map_or(0, |(_, had)| had);
        put(cell, count.saturating_add(had));
    }
    known.for_each(|(cell, had)| put(cell, had));
    out.into_boxed_slice()
}

fn unpacked(cells: &[u32]) -> impl Iterator<Item = (u32, u64)> {
    cells.iter().map(|packed| (packed >> COUNT_BITS, u64::from(*packed) & COUNT_MAX))
}

impl Slot {
    fn add(&mut self, counts: &EdgeTotals) {
        let sum = |mine: &mut u32, more: u64| *mine = mine.saturating_add(u32::try_from(more).unwrap_or(u32::MAX));
        sum(&mut self.requests, counts.requests);
        sum(&mut self.failures, counts.failures);
        sum(&mut self.client_errors, counts.client_errors);
        sum(&mut self.denied, counts.denied);
        sum(&mut self.faults, counts.faults);
        sum(&mut self.retries, counts.retries);
        sum(&mut self.opened, counts.opened);
        self.request_bytes = self.request_bytes.saturating_add(counts.request_bytes);
        self.response_bytes = self.response_bytes.saturating_add(counts.response_bytes);
        self.latency = merged(&self.latency, counts.latency.sparse());
    }

    fn add_to(&self, sum: &mut EdgeTotals) {
        let add = |mine: &mut u64, more: u64| *mine = mine.saturating_add(more);
        add(&mut sum.opened, self.opened.into());
        add(&mut sum.requests, self.requests.into());
        add(&mut sum.failures, self.failures.into());
        add(&mut sum.client_errors, self.client_errors.into());
        add(&mut sum.denied, self.denied.into());
        add(&mut sum.faults, self.faults.into());
        add(&mut sum.retries, self.retries.into());
        add(&mut sum.request_bytes, self.request_bytes);
        add(&mut sum.response_bytes, self.response_bytes);
        // Cell by cell: an hour of thousands of edges is added up while somebody looks.
        for (cell, count) in unpacked(&self.latency) {
            if let Some(mine) = sum.latency.0.get_mut(cell as usize) {
                add(mine, count);
            }
        }
    }

    fn totals(&self) -> EdgeTotals {
        let mut sum = EdgeTotals::default();
        self.add_to(&mut sum);
        sum
    }
}

/// Slots of `step` seconds, at most `keep` of them; such without traffic are not there.
#[derive(Debug)]
pub struct History {
    step: u64,
    keep: usize,
    slots: VecDeque<Slot>,
}

impl History {
    pub fn new(step: u64, keep: usize) -> Self {
        Self { step: step.max(1), keep: keep.max(1), slots: VecDeque::new() }
    }

    /// Counts what came at `now`. A clock that goes back adds to the latest slot.
    pub fn add(&mut self, counts: &EdgeTotals, now: u64) {
        let start = now - now % self.step;
        if self.slots.back().is_none_or(|latest| latest.start < start) {
            let oldest = start.saturating_sub(self.step * self.keep as u64);
            while self.slots.front().is_some_and(|slot| slot.start <= oldest) {
                self.slots.pop_front();
            }
            if self.slots.len() == self.slots.capacity() {
                // Not twice as many: half of an hour's memory would lie empty.
                self.slots.reserve_exact((self.keep / 15).max(4));
            }
            self.slots.push_back(Slot { start, ..Slot::default() });
        }
        if let Some(latest) = self.slots.back_mut() {
            latest.add(counts);
        }
    }

    /// The sum of what came in the `seconds` before `now`, and over how many seconds it came.
    ///
    /// A second of which nothing was told yet is not counted while the one before was: reports come once a second, and a rate would fall by one of
    /// them each time that it is looked at just before the next.
    pub fn since(&self, now: u64, seconds: u64) -> Option<(EdgeTotals, u64)> {
        let mut sum = EdgeTotals::default();
        let mut first = None;
        // `now` may be a moment that is over: what came later is nothing to it.
        let until = || self.slots.iter().rev().skip_while(|slot| slot.start > now);
        for slot in until().take_while(|slot| slot.start + seconds > now) {
            slot.add_to(&mut sum);
            first = Some(slot.start);
        }
        let latest = until().next().map_or(now, |slot| slot.start + self.step - 1);
        let end = if latest < now && latest + LATE >= now { latest } else { now };
        first.map(|first| (sum, (end.saturating_sub(first) + 1).clamp(1, seconds.max(1))))
    }

    /// Slots that began at `from` or later, oldest first.
    pub fn points(&self, from: u64) -> impl Iterator<Item = (u64, EdgeTotals)> {
        self.slots.iter().filter(move |slot| slot.start >= from).map(|slot| (slot.start, slot.totals()))
    }

    /// Bytes on the heap.
    pub fn footprint(&self) -> usize {
        let latencies: usize = self.slots.iter().map(|slot| size_of_val(&*slot.latency)).sum();
        self.slots.capacity() * size_of::<Slot>() + latencies
    }
}

#[cfg(test)]
mod tests;
