//! What an edge counted, in slots of time: the last seconds one by one, the last hour by ten. A slot is less than a hundred bytes, for thousands of
//! edges have 360 of them; what is mostly zero is kept sparse and loses nothing. It knows no clock and no edge.

use smallvec::SmallVec;
use std::collections::VecDeque;
use std::ops::Deref;
use telemetry::histogram::CELLS;
use telemetry::{EdgeTotals, Histogram};
use wire::edge::Counts;

/// Counts of one report, with cells as a slot holds them: made once for all that they are added to. A cell that does not fit stops at the highest: in one
/// report of one edge none does that is not invented.
#[derive(Debug, Default)]
pub struct Packed {
    requests: u64,
    request_bytes: u64,
    response_bytes: u64,
    /// In the order of [`rare_mut`].
    rare: [u64; 6],
    /// Cells that are not zero, ascending: the number in the highest eight bits, the count below. Behind those of the latencies stand the counts that most
    /// slots have none of.
    cells: SmallVec<[u32; 24]>,
}

/// What is known since the beginning, and not only of a while.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    pub opened: u64,
    pub requests: u64,
    pub failures: u64,
    pub retries: u64,
}

impl Totals {
    pub fn add(&mut self, counts: &Packed) {
        let [failures, _, _, _, retries, opened] = counts.rare;
        let mine = [&mut self.opened, &mut self.requests, &mut self.failures, &mut self.retries];
        mine.into_iter().zip([opened, counts.requests, failures, retries]).for_each(|(mine, more)| *mine = mine.saturating_add(more));
    }
}

/// With cells as small as they are where it is one of many.
#[derive(Debug)]
struct Slot<C = Box<[u32]>> {
    /// When it began, in seconds.
    start: u32,
    requests: u32,
    request_bytes: u64,
    response_bytes: u64,
    cells: C,
}

/// Of the slot that is added to: beside it, for what lies elsewhere has left the processor's cache when the next report comes.
type Cells = SmallVec<[u32; 12]>;

/// A report may be so late, in seconds, before its edge is taken to be silent.
const LATE: u64 = 2;

const COUNT_BITS: u32 = 24;
const COUNT_MAX: u64 = (1 << COUNT_BITS) - 1;

/// Where those begin that are no latencies; they stand in the order of [`rare_mut`].
const RARE: u32 = 200;

fn rare_mut(counts: &mut EdgeTotals) -> [&mut u64; 6] {
    [&mut counts.failures, &mut counts.client_errors, &mut counts.denied, &mut counts.faults, &mut counts.retries, &mut counts.opened]
}

fn packed(cell: u32, count: u64) -> u32 {
    cell << COUNT_BITS | count.min(COUNT_MAX) as u32
}

fn unpacked(cells: &[u32]) -> impl Iterator<Item = (u32, u64)> {
    cells.iter().map(|packed| (packed >> COUNT_BITS, u64::from(*packed) & COUNT_MAX))
}

/// Adds cells to such as there are already; says whether all were there.
fn added_in_place(cells: &mut [u32], more: &[u32]) -> bool {
    let mut at = 0;
    // Nothing is added before it is sure that all can be.
    let all_there = unpacked(more).all(|(cell, _)| {
        at += cells[at..].iter().take_while(|known| **known >> COUNT_BITS < cell).count();
        cells.get(at).is_some_and(|known| known >> COUNT_BITS == cell)
    });
    if all_there {
        let mut known = cells.iter_mut();
        for (cell, count) in unpacked(more) {
            if let Some(mine) = known.find(|known| **known >> COUNT_BITS == cell) {
                *mine = packed(cell, (u64::from(*mine) & COUNT_MAX) + count);
            }
        }
    }
    all_there
}

/// Both, cell by cell; each ascends.
fn merged(cells: &[u32], more: &[u32]) -> Cells {
    let mut out = Cells::new();
    let mut known = unpacked(cells).peekable();
    for (cell, count) in unpacked(more) {
        while let Some((before, had)) = known.next_if(|(known, _)| *known < cell) {
            out.push(packed(before, had));
        }
        let had = known.next_if(|(known, _)| *known == cell).map_or(0, |(_, had)| had);
        out.push(packed(cell, count + had));
    }
    out.extend(known.map(|(cell, had)| packed(cell, had)));
    out
}

/// As many as a slot holds.
fn few(requests: u64) -> u32 {
    u32::try_from(requests).unwrap_or(u32::MAX)
}

impl Packed {
    /// What a report tells of one edge. Latencies are told ascending and once each; what a stranger tells otherwise is put in order.
    pub fn read(edge: &Counts<'_>) -> Self {
        let told = edge.latency_cells.clone().zip(edge.latency_counts.clone());
        let told = told.filter(|(cell, count)| *cell < CELLS as u64 && *count > 0).map(|(cell, count)| (cell as u32, count));
        let mut latency: SmallVec<[u32; 24]> = told.clone().map(|(cell, count)| packed(cell, count)).collect();
        if !latency.is_sorted_by(|a, b| a >> COUNT_BITS < b >> COUNT_BITS) {
            latency = Histogram::from_sparse(told).sparse().map(|(cell, count)| packed(cell, count)).collect();
        }
        Self {
            requests: edge.requests,
            request_bytes: edge.request_bytes,
            response_bytes: edge.response_bytes,
            rare: [edge.failures, edge.client_errors, edge.denied, edge.faults, edge.retries, edge.opened],
            cells: latency,
        }
        .with_rare_cells()
    }

    #[cfg(test)]
    pub fn of(counts: &EdgeTotals) -> Self {
        Self::read(&wire::edge::counts(&wire::edge::encode(&written(counts))).unwrap())
    }

    fn with_rare_cells(mut self) -> Self {
        self.cells.extend(self.rare.into_iter().zip(RARE..).filter(|(count, _)| *count > 0).map(|(count, cell)| packed(cell, count)));
        self
    }

    /// What the caller cannot tell of a call: whom policy refused at its end, and what its end tried again. `None` where there is neither.
    pub fn of_callee(&self) -> Option<Self> {
        let [_, _, denied, _, retries, _] = self.rare;
        let told = Self { rare: [0, 0, denied, 0, retries, 0], ..Self::default() };
        (denied > 0 || retries > 0).then(|| told.with_rare_cells())
    }
}

impl Slot<Cells> {
    fn begin(start: u64, counts: &Packed) -> Self {
        Self {
            start: u32::try_from(start).unwrap_or(u32::MAX),
            requests: few(counts.requests),
            request_bytes: counts.request_bytes,
            response_bytes: counts.response_bytes,
            cells: Cells::from_slice(&counts.cells),
        }
    }

    fn add(&mut self, counts: &Packed) {
        self.requests = self.requests.saturating_add(few(counts.requests));
        self.request_bytes = self.request_bytes.saturating_add(counts.request_bytes);
        self.response_bytes = self.response_bytes.saturating_add(counts.response_bytes);
        if !added_in_place(&mut self.cells, &counts.cells) {
            self.cells = merged(&self.cells, &counts.cells);
        }
    }
}

impl<C: Deref<Target = [u32]>> Slot<C> {
    fn start(&self) -> u64 {
        self.start.into()
    }

    /// The same with cells as `cells` makes them.
    fn with<'s, D>(&'s self, cells: impl FnOnce(&'s [u32]) -> D) -> Slot<D> {
        let Self { start, requests, request_bytes, response_bytes, .. } = *self;
        Slot { start, requests, request_bytes, response_bytes, cells: cells(&self.cells) }
    }

    fn add_to(&self, sum: &mut EdgeTotals) {
        let add = |mine: &mut u64, more: u64| *mine = mine.saturating_add(more);
        add(&mut sum.requests, self.requests.into());
        add(&mut sum.request_bytes, self.request_bytes);
        add(&mut sum.response_bytes, self.response_bytes);
        // Cell by cell: an hour of thousands of edges is added up while somebody looks.
        for (cell, count) in unpacked(&self.cells) {
            match cell.checked_sub(RARE) {
                Some(at) => rare_mut(sum).into_iter().nth(at as usize).into_iter().for_each(|mine| add(mine, count)),
                None => sum.latency.0.get_mut(cell as usize).into_iter().for_each(|mine| add(mine, count)),
            }
        }
    }

    fn totals(&self) -> EdgeTotals {
        let mut sum = EdgeTotals::default();
        self.add_to(&mut sum);
        sum
    }
}

/// Slots of `STEP` seconds, at most `KEEP` of them; such without traffic are not there.
#[derive(Debug, Default)]
pub struct History<const STEP: u64, const KEEP: usize> {
    /// Those that are over, oldest first.
    over: VecDeque<Slot>,
    latest: Option<Slot<Cells>>,
}

impl<const STEP: u64, const KEEP: usize> History<STEP, KEEP> {
    /// Counts what came at `now`. A clock that goes back adds to the latest slot.
    pub fn add(&mut self, counts: &Packed, now: u64) {
        let start = now - now % STEP;
        if let Some(latest) = self.latest.as_mut().filter(|latest| latest.start() >= start) {
            return latest.add(counts);
        }
        let before = self.latest.replace(Slot::begin(start, counts));
        let oldest = start.saturating_sub(STEP * KEEP as u64);
        while self.over.front().is_some_and(|slot| slot.start() <= oldest) {
            self.over.pop_front();
        }
        let Some(before) = before.filter(|slot| slot.start() > oldest) else { return };
        if self.over.len() == self.over.capacity() {
            // Not twice as many: half of an hour's memory would lie empty.
            self.over.reserve_exact((KEEP / 15).max(4));
        }
        self.over.push_back(before.with(|cells| cells.into()));
    }

    /// What is added at `now` came over so many seconds until then: what is looked at later reaches back as far, for else it would be taken for that of one.
    pub fn reach_back(&mut self, now: u64, seconds: u64) {
        let from = now.saturating_sub(seconds.clamp(1, STEP * KEEP as u64) - 1);
        let start = from - from % STEP;
        if self.latest.as_ref().is_none_or(|latest| latest.start() < start) {
            return self.add(&Packed::default(), from);
        }
        let at = self.over.partition_point(|slot| slot.start() < start);
        let known = self.slots().nth(at).is_some_and(|slot| slot.start() == start);
        if !known {
            self.over.insert(at, Slot::begin(start, &Packed::default()).with(|cells| cells.into()));
        }
    }

    fn slots(&self) -> impl DoubleEndedIterator<Item = Slot<&[u32]>> {
        self.over.iter().map(|slot| slot.with(|cells| cells)).chain(self.latest.iter().map(|slot| slot.with(|cells| cells)))
    }

    /// The sum of what came in the `seconds` before `now`, and over how many seconds it came.
    ///
    /// A second of which nothing was told yet is not counted while the one before was: reports come once a second, and a rate would fall by one of
    /// them each time that it is looked at just before the next.
    pub fn since(&self, now: u64, seconds: u64) -> Option<(EdgeTotals, u64)> {
        let mut sum = EdgeTotals::default();
        let mut first = None;
        // `now` may be a moment that is over: what came later is nothing to it.
        let until = || self.slots().rev().skip_while(|slot| slot.start() > now);
        for slot in until().take_while(|slot| slot.start() + seconds > now) {
            slot.add_to(&mut sum);
            first = Some(slot.start());
        }
        let latest = until().next().map_or(now, |slot| slot.start() + STEP - 1);
        let end = if latest < now && latest + LATE >= now { latest } else { now };
        first.map(|first| (sum, (end.saturating_sub(first) + 1).clamp(1, seconds.max(1))))
    }

    /// Counts of the latest slot in which somebody was answered, whenever it was; of the latest where nobody ever was.
    pub fn latest(&self) -> EdgeTotals {
        let answered = self.slots().rev().find(|slot| unpacked(slot.cells).any(|(cell, _)| cell < RARE));
        answered.or_else(|| self.slots().next_back()).map_or_else(EdgeTotals::default, |slot| slot.totals())
    }

    /// Slots that began at `from` or later, oldest first.
    pub fn points(&self, from: u64) -> impl Iterator<Item = (u64, EdgeTotals)> {
        self.slots().filter(move |slot| slot.start() >= from).map(|slot| (slot.start(), slot.totals()))
    }

    /// Bytes on the heap.
    pub fn footprint(&self) -> usize {
        let latencies: usize = self.over.iter().map(|slot| size_of_val(&*slot.cells)).sum();
        let spilled = self.latest.as_ref().filter(|slot| slot.cells.spilled()).map_or(0, |slot| slot.cells.capacity() * size_of::<u32>());
        self.over.capacity() * size_of::<Slot>() + latencies + spilled
    }
}

/// As a proxy writes it, names apart.
#[cfg(test)]
pub fn written(counts: &EdgeTotals) -> wire::v1::Edge {
    let EdgeTotals { opened, requests, failures, client_errors, denied, faults, retries, request_bytes, response_bytes, latency } =
        counts.clone();
    let (latency_cells, latency_counts) = latency.sparse().unzip();
    wire::v1::Edge {
        opened,
        requests,
        failures,
        client_errors,
        denied,
        faults,
        retries,
        request_bytes,
        response_bytes,
        latency_cells,
        latency_counts,
        ..Default::default()
    }
}

#[cfg(test)]
mod tests;
