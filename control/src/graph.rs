//! Who calls whom: edges as proxies report them, each report counted exactly once by its incarnation and sequence number; the last seconds and
//! the last hour of each ([`history`]), and the last two minutes as each process told them ([`workloads`]), in bounded memory. It knows no clock, no
//! service and no picture: what nodes these are is told by `api`.

mod dense;
pub mod history;
pub mod named;
pub mod read;
pub mod workloads;

use crate::heard::Heard;
use crate::limits;
use dense::Dense;
use hashbrown::Equivalent;
use history::{History, Totals};
use named::{Named, Unnamed};
use std::collections::{BTreeMap, HashSet};
use std::ops::Deref;
use std::sync::Arc;
use telemetry::{EdgeId, EdgeTotals, Reporter};
use workloads::Workloads;

type Seconds = History<1, { limits::RATE_SECONDS + 1 }>;
type Hour = History<{ limits::SLOT_SECONDS }, { limits::SLOTS }>;

#[derive(Debug)]
struct Edge {
    /// Elsewhere: nobody asks for it while the edge is counted.
    id: Box<EdgeId>,
    totals: Totals,
    seconds: Seconds,
    hour: Hour,
    /// When it was reported last.
    seen: u64,
    /// Whether its caller tells of the same calls, as it was when [`Graph::told`] was this.
    told_by_caller: (u64, bool),
}

impl Edge {
    fn new(id: EdgeId) -> Self {
        Self {
            id: id.into(),
            totals: Totals::default(),
            seconds: Seconds::default(),
            hour: Hour::default(),
            seen: 0,
            told_by_caller: (0, false),
        }
    }
}

/// Both ends of a call, without who reported it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Ends<N = Arc<str>>([N; 6]);

impl Equivalent<Ends> for Ends<&str> {
    fn equivalent(&self, kept: &Ends) -> bool {
        self.0.iter().zip(&kept.0).all(|(mine, theirs)| **mine == **theirs)
    }
}

fn ends<N: Deref<Target = str>>(id: &EdgeId<N>) -> Ends<&str> {
    let source = [&id.source_namespace, &id.source_workload, &id.source_version];
    let destination = [&id.destination_namespace, &id.destination_workload, &id.destination_version];
    Ends([source[0], source[1], source[2], destination[0], destination[1], destination[2]].map(|name| &**name))
}

type Map<K, V> = hashbrown::HashMap<K, V, foldhash::fast::RandomState>;

/// How many edges each end tells between the same two.
#[derive(Debug, Clone, Copy, Default)]
struct Words {
    of_caller: usize,
    of_callee: usize,
}

impl Words {
    fn of(&mut self, reporter: Reporter) -> &mut usize {
        match reporter {
            Reporter::Source | Reporter::Gateway => &mut self.of_caller,
            Reporter::Destination => &mut self.of_callee,
        }
    }

    /// Edges whose word counts.
    fn spoken(self) -> usize {
        if self.of_caller > 0 { self.of_caller } else { self.of_callee }
    }
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

    /// The same by slots, oldest first: who tells of a call in the slot after the other one did tells of the same call.
    fn by_slots(slots: BTreeMap<u64, Self>) -> impl Iterator<Item = (u64, u64)> {
        let mut before: Option<(u64, Self)> = None;
        slots.into_iter().map(move |(start, told)| {
            let alone = Self {
                by_callers: told.by_callers.saturating_sub(told.by_callees),
                by_callees: told.by_callees.saturating_sub(told.by_callers),
            };
            let earlier = before.filter(|(at, _)| at + limits::SLOT_SECONDS == start).map_or(Self::default(), |(_, alone)| alone);
            let late = Self { by_callers: alone.by_callers.min(earlier.by_callees), by_callees: alone.by_callees.min(earlier.by_callers) };
            before = Some((start, Self { by_callers: alone.by_callers - late.by_callers, by_callees: alone.by_callees - late.by_callees }));
            (start, told.calls() - late.by_callers - late.by_callees)
        })
    }
}

fn speaks<N: Deref<Target = str>>(words: &Map<Ends, Words>, id: &EdgeId<N>) -> bool {
    id.reporter != Reporter::Destination || words.get(&ends(id)).is_none_or(|words| words.of_caller == 0)
}

#[derive(Debug, Default)]
pub struct Graph {
    edges: Dense<Edge>,
    numbers: Map<EdgeId, u64>,
    /// The same by the bytes with which reports name them: those of the second before are not taken apart again.
    named: Map<Arc<[u8]>, u64>,
    /// Who tells of which calls ...
    words: Map<Ends, Words>,
    /// ... how often that changed: 0 before the first edge ...
    told: u64,
    /// ... and how many edges count by that.
    spoken: usize,
    workloads: Workloads,
    heard: Heard,
    /// Before this second no edge can have been silent for an hour.
    none_idle_before: u64,
    left_out: u64,
    /// Reports that were refused for a number that stood for nothing.
    unnamed: u64,
}

/// What was silent for so long, in seconds, makes room.
const HOUR: u64 = limits::SLOT_SECONDS * limits::SLOTS as u64;

/// When what is told was heard, and over how many seconds it came, both in seconds.
#[derive(Debug, Clone, Copy)]
pub struct Time {
    pub now: u64,
    pub over: u64,
}

impl From<u64> for Time {
    fn from(now: u64) -> Self {
        Self { now, over: 1 }
    }
}

/// One edge as it is told.
pub struct Told<'g> {
    pub id: &'g EdgeId,
    pub totals: Totals,
    /// Sum over the window, and the window's seconds.
    pub recent: EdgeTotals,
    pub seconds: f64,
    /// When something of it was reported last.
    pub seen: u64,
    hour: &'g Hour,
}

impl Told<'_> {
    /// Counts of the last ten seconds in which anything came.
    pub fn latest(&self) -> EdgeTotals {
        self.hour.latest()
    }
}

impl Graph {
    /// Counts the edges of a report, each by what names it there or by what its connection has `named`, told by its incarnation and sequence number, unless it
    /// was counted before, which is said.
    ///
    /// # Errors
    /// If a number was not named: then nothing is counted.
    pub fn hear<'a>(
        &mut self,
        proxy: &str,
        (incarnation, sequence): (u64, u64),
        edges: impl IntoIterator<Item = Option<read::Told<'a>>>,
        named: &mut Named,
        time: impl Into<Time>,
    ) -> Result<bool, Unnamed> {
        let Time { now, over } = time.into();
        let told: Vec<_> = edges.into_iter().collect();
        // Of a report that was counted before too: what it names is told by number after this.
        let known: Result<Vec<_>, _> = told.iter().map(|told| told.as_ref().map_or(Ok(None), |told| self.known(told, named))).collect();
        let known = known.inspect_err(|_| self.unnamed = self.unnamed.saturating_add(1))?;
        if !self.heard.is_news(proxy, incarnation, sequence, now) {
            return Ok(false);
        }
        // Thousands of edges are in no processor's cache: all that are known are asked for at once, and memory is not waited for one by one.
        for number in known.iter().flatten() {
            if let Some(edge) = self.edges.get_mut(*number) {
                edge.seen = edge.seen.max(now);
            }
        }
        let mut own = self.workloads.begin(proxy);
        // They are looked at where they lie: counts of an edge are two hundred bytes.
        for (told, known) in told.iter().zip(known) {
            let Some(told) = told else {
                self.left_out = self.left_out.saturating_add(1);
                continue;
            };
            let known = known.filter(|number| self.edges.get(*number).is_some());
            let Some(number) = known.or_else(|| self.find(told, named, now)) else { continue };
            let (Some(edge), counts) = (self.edges.get_mut(number), &told.counts) else { continue };
            edge.totals.add(counts);
            if over > 1 {
                edge.seconds.reach_back(now, over);
            }
            edge.seconds.add(counts, now);
            // What the caller reports is told; an hour of the callee's word on the same call would be kept for nobody, but for what it alone knows.
            if edge.told_by_caller.0 != self.told {
                edge.told_by_caller = (self.told, !speaks(&self.words, &edge.id));
            }
            if !edge.told_by_caller.1 {
                edge.hour.add(counts, now);
            } else if let Some(known) = counts.of_callee() {
                edge.hour.add(&known, now);
            }
            edge.seen = edge.seen.max(now);
            self.workloads.add(&mut own, number, counts, now);
        }
        self.workloads.end(proxy, own, now);
        Ok(true)
    }

    /// Where the edge was last, if it is known; what it is numbered is noted.
    fn known(&self, told: &read::Told<'_>, named: &mut Named) -> Result<Option<u64>, Unnamed> {
        if told.is_by_number() {
            return named.at(told.number);
        }
        let known = self.named.get_key_value(told.names);
        if told.number > 0 {
            // Those that tell of the same edge share its names.
            let names = known.map_or_else(|| named::kept(told.names).into(), |(names, _)| names.clone());
            named.put(told.number, names, known.map(|(_, number)| *number));
        }
        Ok(known.map(|(_, number)| *number))
    }

    /// Where the edge is, or is now that it is told.
    fn find(&mut self, told: &read::Told<'_>, named: &mut Named, now: u64) -> Option<u64> {
        // The number may have been given to another edge of this report since.
        let numbered = named.names(told.number).filter(|names| told.is_by_number() || **names == *named::kept(told.names));
        let is_numbered = numbered.is_some();
        let number = self.number(numbered.unwrap_or_else(|| named::kept(told.names).into()), now)?;
        if is_numbered {
            named.found(told.number, number);
        }
        Some(number)
    }

    /// The same of what a proxy counted, without a message.
    #[cfg(test)]
    pub fn report(&mut self, proxy: &str, delta: telemetry::EdgeDelta, now: u64) -> bool {
        let edges: Vec<_> = delta.edges.iter().map(|(id, counts)| read::written(id, counts)).collect();
        self.hear(proxy, (delta.incarnation, delta.sequence), read::edges(&edges), &mut Named::default(), now).unwrap()
    }

    /// The edge that is named so; `None` for what names none, and where there is no room for a new one.
    fn number(&mut self, names: Arc<[u8]>, now: u64) -> Option<u64> {
        if let Some(number) = self.named.get(&names) {
            return Some(*number);
        }
        if names.len() > limits::EDGE_NAMES {
            self.left_out = self.left_out.saturating_add(1);
            return None;
        }
        let id = read::id(&names)?;
        let number = match self.numbers.get(&id) {
            Some(number) => *number,
            None => self.begin(id.map(|name| Arc::from(*name)), now)?,
        };
        // One edge may be named in many ways, by who means harm.
        if self.named.len() >= limits::EDGES_NAMED {
            self.named.clear();
        }
        self.named.insert(names, number);
        Some(number)
    }

    /// Makes an edge that is new, where there is room.
    fn begin(&mut self, id: EdgeId, now: u64) -> Option<u64> {
        if !self.has_room(&id, now) {
            self.left_out = self.left_out.saturating_add(1);
            return None;
        }
        self.tell(&id, |words| *words += 1);
        let number = self.edges.insert(Edge::new(id.clone()));
        self.numbers.insert(id, number);
        Some(number)
    }

    /// Notes that one end tells of one edge more, or less.
    fn tell(&mut self, id: &EdgeId, change: impl FnOnce(&mut usize)) {
        let ends = Ends(ends(id).0.map(Arc::from));
        let words = self.words.entry(ends.clone()).or_default();
        let before = words.spoken();
        change(words.of(id.reporter));
        let after = *words;
        self.told += 1;
        self.spoken = self.spoken + after.spoken() - before;
        if after.of_caller + after.of_callee == 0 {
            self.words.remove(&ends);
        }
    }

    /// Whether this edge may be kept besides all others: so many whose word counts, and as many again.
    fn fits(&self, id: &EdgeId) -> bool {
        let mut words = self.words.get(&ends(id)).copied().unwrap_or_default();
        let before = words.spoken();
        *words.of(id.reporter) += 1;
        self.edges.len() < 2 * limits::EDGES && self.spoken + words.spoken() - before <= limits::EDGES
    }

    /// Whether one more edge may be kept; makes room by forgetting those of which nothing was heard for an hour, the eldest first.
    fn has_room(&mut self, id: &EdgeId, now: u64) -> bool {
        if self.fits(id) {
            return true;
        }
        if now < self.none_idle_before {
            return false;
        }
        let idle = self.edges.iter().filter(|(_, edge)| edge.seen + HOUR < now).map(|(number, edge)| (edge.seen, number));
        let mut idle: Vec<_> = idle.collect();
        idle.sort_unstable();
        for (_, number) in idle {
            let Some(gone) = self.edges.remove(number) else { continue };
            self.numbers.remove(&*gone.id);
            self.named.clear();
            self.tell(&gone.id, |words| *words -= 1);
            if self.fits(id) {
                return true;
            }
        }
        // Who tells of new ones without end is not let look through all of them each time.
        self.none_idle_before = self.edges.values().map(|edge| edge.seen + HOUR + 1).min().unwrap_or(0);
        false
    }

    /// Reports of edges that there was no room for.
    pub fn left_out(&self) -> u64 {
        self.left_out.saturating_add(self.workloads.left_out())
    }

    /// Reports that were refused, for they told an edge by a number that was not named.
    pub fn unnamed(&self) -> u64 {
        self.unnamed
    }

    /// Each call once, though both ends report it: the caller's word counts where there is one, since it saw what failed on the way. A caller
    /// that is not in the mesh says nothing, and then its callee's word is all there is. Over the last `seconds`.
    pub fn calls(&self, now: u64, seconds: u64) -> impl Iterator<Item = Told<'_>> {
        self.edges(now, seconds).filter(|told| self.speaks(told.id))
    }

    /// Whether this end's word is the one that counts.
    pub fn speaks<N: Deref<Target = str>>(&self, id: &EdgeId<N>) -> bool {
        speaks(&self.words, id)
    }

    /// Every edge, as each end reports it, in no order.
    pub fn edges(&self, now: u64, seconds: u64) -> impl Iterator<Item = Told<'_>> {
        self.edges.values().map(move |edge| {
            let is_short = seconds <= limits::RATE_SECONDS as u64;
            let recent = if is_short { edge.seconds.since(now, seconds) } else { edge.hour.since(now, seconds) };
            let (recent, passed) = recent.unwrap_or((EdgeTotals::default(), 1));
            Told { id: &edge.id, totals: edge.totals, recent, seconds: passed as f64, seen: edge.seen, hour: &edge.hour }
        })
    }

    /// Edges as this one process told them in the last two minutes, each call once.
    pub fn of_workload(&self, proxy: &str, now: u64) -> Vec<Told<'_>> {
        let told = |own: &workloads::Own| {
            let edge = self.edges.get(own.number())?;
            let (recent, passed) = own.recent(now);
            Some(Told { id: &edge.id, totals: own.totals(), recent, seconds: passed as f64, seen: own.seen(), hour: &edge.hour })
        };
        let mut all: Vec<_> = self.workloads.of(proxy, now).filter_map(told).collect();
        // Of who calls itself both ends are one process.
        let calls: HashSet<Ends<&str>> =
            all.iter().filter(|told| told.id.reporter != Reporter::Destination).map(|told| ends(told.id)).collect();
        all.retain(|told| told.id.reporter != Reporter::Destination || !calls.contains(&ends(told.id)));
        all
    }

    /// The last hour of the calls of which `pair` says between whom they are, added up by slots of ten seconds: (start of the slot, counts), oldest
    /// first. Denials are held against each other within a pair.
    pub fn history<P: Ord>(&self, from: u64, pair: impl Fn(&EdgeId) -> Option<P>) -> BTreeMap<u64, EdgeTotals> {
        let mut sums: BTreeMap<u64, EdgeTotals> = BTreeMap::new();
        let mut denied: BTreeMap<P, BTreeMap<u64, Denied>> = BTreeMap::new();
        for (edge, pair) in self.edges.values().filter_map(|edge| Some((edge, pair(&edge.id)?))) {
            let (speaks, denied) = (self.speaks(&edge.id), denied.entry(pair).or_default());
            for (start, mut counts) in edge.hour.points(from) {
                match std::mem::take(&mut counts.denied) {
                    0 => {}
                    some => denied.entry(start).or_default().add(edge.id.reporter, some),
                }
                let counts = if speaks { counts } else { EdgeTotals { retries: counts.retries, ..EdgeTotals::default() } };
                sums.entry(start).or_default().add(&counts);
            }
        }
        for (start, denied) in denied.into_values().flat_map(Denied::by_slots) {
            let sum = sums.entry(start).or_default();
            sum.denied = sum.denied.saturating_add(denied);
        }
        sums
    }

    /// Bytes that the edges hold on the heap, names apart.
    pub fn footprint(&self) -> usize {
        let one = |edge: &Edge| size_of::<Edge>() + size_of::<EdgeId>() + edge.seconds.footprint() + edge.hour.footprint();
        self.edges.values().map(one).sum::<usize>() + self.workloads.footprint()
    }
}

#[cfg(test)]
mod tests;
