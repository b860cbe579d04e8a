//! Calls seen, for seven days: what called sides reported, by service and caller, kept in the store. Bounded in every direction; paths of one caller that are
//! too many fold into what they begin with, so that nobody's scanning makes the paths of others coarser. It knows no clock and opens nothing.

mod fold;

use crate::limits;
use crate::store::Txn;
use serde::{Deserialize, Serialize, Serializer};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use telemetry::{CallCounts, Protocol};

/// What was called: a service or, where none leads there, a workload.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Called {
    pub namespace: String,
    pub service: String,
    pub workload: String,
}

/// How, by one caller.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Call {
    pub port: u16,
    /// `http`, `grpc`, `tcp`.
    pub protocol: String,
    /// Empty for bytes, as is the path.
    pub method: String,
    pub path: String,
}

/// How often and when, day by day.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    first: u64,
    last: u64,
    /// When it was last let through; in what an older release kept it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_allowed: Option<u64>,
    /// Number of the day since 1970, allowed, denied; ascending.
    days: Vec<(u64, u64, u64)>,
}

const DAY: u64 = 24 * 3600;

impl Seen {
    fn add(&mut self, counts: &CallCounts, now: u64) {
        // What an older release kept says it by `last` alone, which moves now.
        self.last_allowed = self.last_allowed();
        if self.days.is_empty() {
            self.first = now;
        }
        self.last = self.last.max(now);
        if counts.allowed > 0 {
            self.last_allowed = self.last_allowed.max(Some(now));
        }
        let day = now / DAY;
        match self.days.last_mut() {
            // A clock that goes back adds to the latest day.
            Some((known, allowed, denied)) if *known >= day => {
                *allowed = allowed.saturating_add(counts.allowed);
                *denied = denied.saturating_add(counts.denied);
            }
            _ => self.days.push((day, counts.allowed, counts.denied)),
        }
        self.forget(now);
    }

    fn merge(&mut self, other: &Self) {
        self.first = if self.days.is_empty() { other.first } else { self.first.min(other.first) };
        self.last = self.last.max(other.last);
        self.last_allowed = self.last_allowed().max(other.last_allowed());
        let mut days: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
        for (day, allowed, denied) in self.days.iter().chain(&other.days) {
            let sum = days.entry(*day).or_default();
            *sum = (sum.0.saturating_add(*allowed), sum.1.saturating_add(*denied));
        }
        self.days = days.into_iter().map(|(day, (allowed, denied))| (day, allowed, denied)).collect();
    }

    fn forget(&mut self, now: u64) {
        let oldest = (now / DAY).saturating_sub(limits::CALL_DAYS - 1);
        self.days.retain(|(day, ..)| *day >= oldest);
    }

    /// `None` where it never was. What is not said was not later than the last time that it was seen.
    fn last_allowed(&self) -> Option<u64> {
        self.last_allowed.or_else(|| (self.counts().allowed > 0).then_some(self.last))
    }

    fn counts(&self) -> CallCounts {
        let sum = |of: fn(&(u64, u64, u64)) -> u64| self.days.iter().map(of).fold(0, u64::saturating_add);
        CallCounts { allowed: sum(|day| day.1), denied: sum(|day| day.2) }
    }
}

/// A call as a report has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reported {
    pub called: Called,
    source: String,
    call: Call,
    counts: CallCounts,
}

type Of = BTreeMap<Call, Seen>;

/// As it lies in the store, one value for each that was called. Written several times a second in a busy mesh: from where it is.
#[derive(Serialize, Deserialize)]
struct Kept<'c> {
    source: Cow<'c, str>,
    call: Cow<'c, Call>,
    seen: Cow<'c, Seen>,
}

#[derive(Debug, Default)]
pub struct Calls {
    all: BTreeMap<Called, BTreeMap<String, Of>>,
    kinds: usize,
    left_out: u64,
    /// What each proxy found no room for: the process that says it, and how many.
    left_out_by: BTreeMap<String, (u64, u64)>,
    unsaved: BTreeSet<Called>,
    /// When what is too old was looked for last.
    swept: u64,
}

/// One kind of call as it is told.
pub struct Told<'c> {
    pub called: &'c Called,
    pub source: &'c str,
    pub call: &'c Call,
    pub counts: CallCounts,
    pub first: u64,
    pub last: u64,
    pub last_allowed: Option<u64>,
}

const PREFIX: &str = "calls/";

/// One kind of call, as it is stored, is about as long: what is written of a hundred of them is not moved eight times for want of room.
const KEPT_BYTES: usize = 256;

impl Called {
    fn key(&self) -> String {
        format!("{PREFIX}{}/{}/{}", self.namespace, self.service, self.workload)
    }

    fn of_key(key: &str) -> Option<Self> {
        let mut parts = key.strip_prefix(PREFIX)?.split('/').map(str::to_owned);
        Some(Self { namespace: parts.next()?, service: parts.next()?, workload: parts.next()? })
    }
}

impl Calls {
    /// What the store has under `calls/`.
    pub fn load(kept: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        let mut calls = Self::default();
        for (key, value) in kept {
            let (Some(called), Ok(all)) = (Called::of_key(&key), serde_json::from_slice::<Vec<Kept<'_>>>(&value)) else { continue };
            for Kept { source, call, seen } in all {
                if calls.kinds < limits::CALLS {
                    calls.kinds += 1;
                    calls
                        .all
                        .entry(called.clone())
                        .or_default()
                        .entry(source.into_owned())
                        .or_default()
                        .insert(call.into_owned(), seen.into_owned());
                }
            }
        }
        calls
    }

    /// Counts what one report told. Whether it was told before, and by whom it may be told, is the caller's to know. What makes no sense is nobody's.
    pub fn report(&mut self, told: &[Reported], now: u64) {
        for of_one in told.chunk_by(|a, b| a.called == b.called) {
            // Most were seen before, as they are: those need not be looked at more closely, nor placed.
            let mut sources = self.all.get_mut(&of_one[0].called);
            let mut new = Vec::new();
            for by_one in of_one.chunk_by(|a, b| a.source == b.source) {
                let mut of = sources.as_deref_mut().and_then(|sources| sources.get_mut(&by_one[0].source));
                for one in by_one {
                    match of.as_deref_mut().and_then(|of| known(of, one)) {
                        Some(seen) => seen.add(&one.counts, now),
                        None => new.push(one),
                    }
                }
            }
            let mut changed = new.len() < of_one.len();
            for one in new.into_iter().filter(|one| one.is_whole()) {
                match self.place(&one.called, &one.source, one.call.clone(), one.counts.allowed > 0) {
                    Some(seen) => {
                        seen.add(&one.counts, now);
                        changed = true;
                    }
                    None => self.left_out = self.left_out.saturating_add(one.counts.allowed.saturating_add(one.counts.denied)),
                }
            }
            if changed {
                self.unsaved.insert(of_one[0].called.clone());
            }
        }
    }

    /// Where a call is counted, which is made where it is new and there is room.
    fn place(&mut self, called: &Called, source: &str, call: Call, allowed: bool) -> Option<&mut Seen> {
        // Else each name that somebody invents would leave an empty place behind.
        if self.kinds >= limits::CALLS && !self.all.contains_key(called) {
            return None;
        }
        let sources = self.all.entry(called.clone()).or_default();
        if !sources.contains_key(source) {
            let gone = make_room(sources, source, allowed)?;
            self.kinds = self.kinds.saturating_sub(gone.len());
            let counts = gone.values().map(|seen| seen.counts().denied);
            self.left_out = self.left_out.saturating_add(counts.fold(0, u64::saturating_add));
        }
        let of = sources.entry(source.to_owned()).or_default();
        let before = of.len();
        let call = fold::placed(of, call, allowed);
        // Folding makes many kinds one.
        self.kinds = (self.kinds + of.len()).saturating_sub(before);
        if !of.contains_key(&call) {
            if self.kinds >= limits::CALLS {
                return None;
            }
            self.kinds += 1;
        }
        Some(of.entry(call).or_default())
    }

    /// Forgets what is older than a week, now and then, and says what is to be stored since this was last asked.
    pub fn sweep(&mut self, now: u64) -> Txn {
        if now.abs_diff(self.swept) >= limits::CALLS_SAVE {
            self.swept = now;
            self.forget(now);
        }
        let mut txn = Txn::default();
        for called in std::mem::take(&mut self.unsaved) {
            match self.all.get(&called) {
                None => txn.delete.push(called.key()),
                Some(sources) => {
                    let kept = sources.iter().flat_map(|(source, of)| of.iter().map(|(call, seen)| kept(source, call, seen)));
                    let mut value = Vec::with_capacity(KEPT_BYTES * sources.values().map(BTreeMap::len).sum::<usize>());
                    serde_json::Serializer::new(&mut value).collect_seq(kept).unwrap_or_default();
                    txn.put.push((called.key(), value));
                }
            }
        }
        txn
    }

    fn forget(&mut self, now: u64) {
        let oldest = now.saturating_sub(limits::CALL_DAYS * DAY);
        for (called, sources) in &mut self.all {
            let many = |sources: &BTreeMap<String, Of>| -> usize { sources.values().map(BTreeMap::len).sum() };
            let before = many(sources);
            for of in sources.values_mut() {
                of.retain(|_, seen| seen.last >= oldest);
                of.values_mut().for_each(|seen| seen.forget(now));
            }
            sources.retain(|_, of| !of.is_empty());
            if before != many(sources) {
                self.unsaved.insert(called.clone());
            }
        }
        self.all.retain(|_, sources| !sources.is_empty());
        self.kinds = self.all.values().flat_map(BTreeMap::values).map(BTreeMap::len).sum();
    }

    /// All of the last week.
    pub fn told(&self) -> impl Iterator<Item = Told<'_>> {
        self.all.iter().flat_map(|(called, sources)| {
            sources.iter().flat_map(move |(source, of)| {
                of.iter().map(move |(call, seen)| {
                    let (counts, last_allowed) = (seen.counts(), seen.last_allowed());
                    Told { called, source, call, counts, first: seen.first, last: seen.last, last_allowed }
                })
            })
        })
    }

    /// Calls that there was no room for, since the control plane started.
    pub fn left_out(&self) -> u64 {
        self.left_out.saturating_add(self.left_out_by.values().map(|(_, count)| count).sum())
    }

    /// What a process of a proxy had no room for since it began.
    pub fn left_out_by(&mut self, proxy: &str, incarnation: u64, count: u64) {
        if count == 0 || self.left_out_by.len() >= limits::CALLS && !self.left_out_by.contains_key(proxy) {
            return;
        }
        let known = self.left_out_by.entry(proxy.to_owned()).or_insert((incarnation, 0));
        if known.0 != incarnation {
            self.left_out = self.left_out.saturating_add(known.1);
        }
        *known = (incarnation, count);
    }
}

/// Room for one more caller, and what went for it: who was let through takes the place of who never was, the longest silent first. `None` where there is
/// none.
fn make_room(sources: &mut BTreeMap<String, Of>, source: &str, allowed: bool) -> Option<Of> {
    let by_address = || sources.keys().filter(|known| is_address(known)).count();
    let is_narrow = is_address(source) && by_address() >= limits::CALLERS_BY_ADDRESS;
    if !is_narrow && sources.len() < limits::CALLERS {
        return Some(Of::new());
    }
    if !allowed {
        return None;
    }
    let only_knocked = |of: &Of| of.values().all(|seen| seen.counts().allowed == 0);
    let may_go = sources.iter().filter(|(known, of)| (!is_narrow || is_address(known)) && only_knocked(of));
    let goes = may_go.min_by_key(|(_, of)| of.values().map(|seen| seen.last).max()).map(|(known, _)| known.clone())?;
    sources.remove(&goes)
}

/// A caller in plaintext, of whom nothing else is known.
fn is_address(source: &str) -> bool {
    source.parse::<IpAddr>().is_ok()
}

fn kept<'c>(source: &'c str, call: &'c Call, seen: &'c Seen) -> Kept<'c> {
    Kept { source: source.into(), call: Cow::Borrowed(call), seen: Cow::Borrowed(seen) }
}

/// Where a call is counted that was seen before and is counted there still: what is let through for the first time may find another place.
fn known<'s>(of: &'s mut Of, one: &Reported) -> Option<&'s mut Seen> {
    let seen = of.get_mut(&one.call)?;
    let is_as_before = one.counts.allowed == 0 || one.call.path.is_empty() || seen.counts().allowed > 0;
    is_as_before.then_some(seen)
}

/// A call of a report; whether it makes sense is asked where it is new.
pub fn read(call: wire::v1::Call) -> Option<Reported> {
    let wire::v1::Call { source, namespace, service, workload, port, protocol, method, path, allowed, denied } = call;
    Some(Reported {
        called: Called { namespace, service, workload },
        source,
        call: Call { port: u16::try_from(port).ok()?, protocol, method, path },
        counts: CallCounts { allowed, denied },
    })
}

impl Reported {
    fn is_whole(&self) -> bool {
        let Self { called: Called { namespace, service, workload }, source, call, .. } = self;
        let name = |text: &String| text.len() <= model::limits::HOSTNAME_BYTES && !text.contains('/');
        [Protocol::Http, Protocol::Grpc, Protocol::Tcp].iter().any(|protocol| protocol.as_str() == call.protocol)
            && [namespace, service, workload].into_iter().all(name)
            && !namespace.is_empty()
            && service.is_empty() != workload.is_empty()
            && (source.is_empty() || model::SpiffeId::parse(source).is_ok() || is_address(source))
            && (call.method.is_empty() || model::Method::parse(&call.method).is_some())
            && (call.path.is_empty() || call.path.len() <= limits::CALL_PATH && model::access::PathTemplate::parse(&call.path).is_ok())
    }
}

#[cfg(test)]
mod tests;
