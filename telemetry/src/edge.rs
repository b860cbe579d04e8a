//! Edges of the service graph: who calls whom, how much, how fast, how well. Counted beside the metrics, sent to the control plane as
//! differences each second. A difference carries the proxy's incarnation and a sequence number and is repeated until it is acknowledged, so
//! that the receiver counts each exactly once.

use crate::calls::{CallCounts, CallId};
use crate::consumed::{ConsumedCounts, ConsumedId};
use crate::histogram::{Cells, bump};
use crate::metrics::Pair;
use crate::verdicts::VerdictId;
use crate::{Histogram, Metrics, Protocol, Record, Reporter, Security};
use hashbrown::Equivalent;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What tells edges apart. Names are kept, or borrowed from where they were read: then an edge that is known is found without a copy of any.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EdgeId<N = Arc<str>> {
    pub reporter: Reporter,
    pub source_namespace: N,
    pub source_workload: N,
    pub source_version: N,
    /// The service that was dialled; empty where none is known.
    pub service_namespace: N,
    pub service: N,
    pub destination_namespace: N,
    /// Empty where nothing was sent to anybody; `security` then says nothing of a call.
    pub destination_workload: N,
    pub destination_version: N,
    pub protocol: Protocol,
    pub security: Security,
}

impl<N> EdgeId<N> {
    /// The same with each name as `name` makes it.
    pub fn map<'a, M>(&'a self, name: impl Fn(&'a N) -> M) -> EdgeId<M> {
        EdgeId {
            reporter: self.reporter,
            source_namespace: name(&self.source_namespace),
            source_workload: name(&self.source_workload),
            source_version: name(&self.source_version),
            service_namespace: name(&self.service_namespace),
            service: name(&self.service),
            destination_namespace: name(&self.destination_namespace),
            destination_workload: name(&self.destination_workload),
            destination_version: name(&self.destination_version),
            protocol: self.protocol,
            security: self.security,
        }
    }
}

/// What is borrowed hashes as what is kept.
impl Equivalent<EdgeId> for EdgeId<&str> {
    fn equivalent(&self, kept: &EdgeId) -> bool {
        *self == kept.map(|name| &**name)
    }
}

impl EdgeId {
    pub(crate) fn of(pair: &Pair) -> Self {
        let empty: Arc<str> = "".into();
        // Who was chosen is meant, though nobody was reached.
        let is_nobody = !pair.sent && pair.destination.is_unknown();
        Self {
            reporter: pair.reporter,
            source_namespace: pair.source.namespace.clone(),
            source_workload: pair.source.workload.clone(),
            source_version: pair.source.version.clone(),
            service_namespace: pair.service.as_ref().map_or_else(|| empty.clone(), |s| s.namespace.clone()),
            service: pair.service.as_ref().map_or_else(|| empty.clone(), |s| s.name.clone()),
            destination_namespace: pair.destination.namespace.clone(),
            destination_workload: if is_nobody { empty.clone() } else { pair.destination.workload.clone() },
            destination_version: pair.destination.version.clone(),
            protocol: pair.protocol,
            security: pair.security,
        }
    }

    /// Where everything over the budget is counted.
    pub(crate) fn other(id: &Self) -> Self {
        let other: Arc<str> = "other".into();
        id.map(|_| other.clone())
    }
}

#[derive(Debug)]
pub(crate) struct EdgeCells {
    pub id: EdgeId,
    pub opened: AtomicU64,
    requests: AtomicU64,
    failures: AtomicU64,
    client_errors: AtomicU64,
    denied: AtomicU64,
    faults: AtomicU64,
    retries: AtomicU64,
    request_bytes: AtomicU64,
    response_bytes: AtomicU64,
    latency: Cells,
}

impl EdgeCells {
    pub fn new(id: EdgeId) -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            id,
            opened: zero(),
            requests: zero(),
            failures: zero(),
            client_errors: zero(),
            denied: zero(),
            faults: zero(),
            retries: zero(),
            request_bytes: zero(),
            response_bytes: zero(),
            latency: Cells::default(),
        }
    }

    pub fn observe(&self, record: &Record) {
        bump(&self.requests, 1);
        bump(&self.failures, u64::from(!record.is_success()));
        bump(&self.client_errors, u64::from((400..500).contains(&record.status)));
        bump(&self.denied, u64::from(record.is_denied()));
        bump(&self.faults, u64::from(record.is_faulted()));
        bump(&self.retries, u64::from(record.attempt.saturating_sub(1)));
        bump(&self.request_bytes, record.request_bytes);
        bump(&self.response_bytes, record.response_bytes);
        self.latency.record(record.duration);
    }

    pub fn add_to(&self, sum: &mut EdgeTotals) {
        let read = |cell: &AtomicU64| cell.load(Ordering::Relaxed);
        sum.opened += read(&self.opened);
        sum.requests += read(&self.requests);
        sum.failures += read(&self.failures);
        sum.client_errors += read(&self.client_errors);
        sum.denied += read(&self.denied);
        sum.faults += read(&self.faults);
        sum.retries += read(&self.retries);
        sum.request_bytes += read(&self.request_bytes);
        sum.response_bytes += read(&self.response_bytes);
        self.latency.add_to(&mut sum.latency);
    }
}

/// Counts of one edge, since a beginning or between two moments.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EdgeTotals {
    /// Opaque connections opened.
    pub opened: u64,
    /// Requests, or opaque connections that ended.
    pub requests: u64,
    /// No success: a fault of whoever it was, a 5xx, or for gRPC a status that means failure of the server.
    pub failures: u64,
    /// Of all requests: answered with a 4xx, by whoever it was.
    pub client_errors: u64,
    /// Of the failures: refused by policy.
    pub denied: u64,
    /// Of the failures: Organza answered or ended it itself, and neither policy nor the caller wanted that.
    pub faults: u64,
    /// Tries beyond the first: each of them means that the one before it failed.
    pub retries: u64,
    pub request_bytes: u64,
    pub response_bytes: u64,
    pub latency: Histogram,
}

impl EdgeTotals {
    /// What a stranger reports may be any number: sums stop at the highest instead of wrapping.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.counts_mut().into_iter().zip(other.counts()) {
            *mine = mine.saturating_add(theirs);
        }
        self.latency.add(&other.latency);
    }

    /// What came since `earlier`; the cells of one process never fall.
    pub fn since(&self, earlier: &Self) -> Self {
        let mut out = Self { latency: self.latency.since(&earlier.latency), ..self.clone() };
        for (mine, theirs) in out.counts_mut().into_iter().zip(earlier.counts()) {
            *mine = mine.saturating_sub(theirs);
        }
        out
    }

    fn counts(&self) -> [u64; 9] {
        let Self { opened, requests, failures, client_errors, denied, faults, retries, request_bytes, response_bytes, latency: _ } = *self;
        [opened, requests, failures, client_errors, denied, faults, retries, request_bytes, response_bytes]
    }

    fn counts_mut(&mut self) -> [&mut u64; 9] {
        let Self { opened, requests, failures, client_errors, denied, faults, retries, request_bytes, response_bytes, latency: _ } = self;
        [opened, requests, failures, client_errors, denied, faults, retries, request_bytes, response_bytes]
    }
}

/// One message to the control plane: all that came since the last acknowledged one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EdgeDelta {
    /// Drawn when the process started; a receiver that sees another one begins anew.
    pub incarnation: u64,
    pub sequence: u64,
    pub edges: Vec<(EdgeId, EdgeTotals)>,
    /// Not in each: they change with every request, and nobody waits for them.
    pub calls: Vec<(CallId, CallCounts)>,
    /// Likewise.
    pub consumed: Vec<(ConsumedId, ConsumedCounts)>,
    pub verdicts: Vec<(VerdictId, u64)>,
}

/// The sender's side. One delta is under way at a time; until it is acknowledged it is repeated as it was.
#[derive(Debug)]
pub struct EdgeTracker {
    incarnation: u64,
    sequence: u64,
    acknowledged: Told,
    under_way: Option<(EdgeDelta, Told)>,
}

/// Totals at some moment.
#[derive(Debug, Clone, Default)]
struct Told {
    edges: BTreeMap<EdgeId, EdgeTotals>,
    calls: BTreeMap<CallId, CallCounts>,
    consumed: BTreeMap<ConsumedId, ConsumedCounts>,
    verdicts: BTreeMap<VerdictId, u64>,
}

impl EdgeTracker {
    pub fn new(incarnation: u64) -> Self {
        Self { incarnation, sequence: 0, acknowledged: Told::default(), under_way: None }
    }

    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// What to send now: the unacknowledged delta again, or a new one; `None` where nothing happened.
    pub fn poll(&mut self, metrics: &Metrics, with_calls: bool) -> Option<EdgeDelta> {
        if let Some((delta, _)) = &self.under_way {
            return Some(delta.clone());
        }
        // Before the sums: what is in them is all that these will ever say.
        let retired = metrics.retired_edges();
        let mut edges = metrics.edges();
        self.forget(&retired, &mut edges, metrics);
        let calls = if with_calls { self.calls(metrics) } else { self.acknowledged.calls.clone() };
        let consumed = if with_calls { self.consumed(metrics) } else { self.acknowledged.consumed.clone() };
        let before = &self.acknowledged;
        let now = Told { edges, calls, consumed, verdicts: metrics.verdicts() };
        let none = EdgeTotals::default();
        let changed = now.edges.iter().map(|(id, totals)| (id.clone(), totals.since(before.edges.get(id).unwrap_or(&none))));
        let edges: Vec<_> = changed.filter(|(_, delta)| *delta != none).collect();
        let never = CallCounts::default();
        let called = now.calls.iter().map(|(id, counts)| (id.clone(), counts.since(before.calls.get(id).unwrap_or(&never))));
        let calls: Vec<_> = called.filter(|(_, delta)| *delta != never).collect();
        let nothing = ConsumedCounts::default();
        let asked = now.consumed.iter().map(|(id, counts)| (id.clone(), counts.since(before.consumed.get(id).unwrap_or(&nothing))));
        let consumed: Vec<_> = asked.filter(|(_, delta)| *delta != nothing).collect();
        let decided =
            now.verdicts.iter().map(|(id, count)| (id.clone(), count.saturating_sub(before.verdicts.get(id).copied().unwrap_or(0))));
        let verdicts: Vec<_> = decided.filter(|(_, count)| *count > 0).collect();
        if edges.is_empty() && calls.is_empty() && consumed.is_empty() && verdicts.is_empty() {
            return None;
        }
        self.sequence += 1;
        let delta = EdgeDelta { incarnation: self.incarnation, sequence: self.sequence, edges, calls, consumed, verdicts };
        self.under_way = Some((delta.clone(), now));
        Some(delta)
    }

    /// Lets cells go that nobody counts in any more, where all that they count was acknowledged; the sums of their edges are smaller from now on.
    fn forget(&mut self, retired: &[Arc<EdgeCells>], now: &mut BTreeMap<EdgeId, EdgeTotals>, metrics: &Metrics) {
        for cells in retired {
            let Some(told) = told(&self.acknowledged.edges, now, &cells.id) else { continue };
            let mut gone = EdgeTotals::default();
            cells.add_to(&mut gone);
            lessen([&mut self.acknowledged.edges, now], &cells.id, told.since(&gone));
            metrics.forget_edge(cells);
        }
    }

    /// What was called until now, less what was told and is let go: likewise.
    fn calls(&mut self, metrics: &Metrics) -> BTreeMap<CallId, CallCounts> {
        let retired = metrics.retired_calls();
        let mut now = metrics.calls();
        let mut gone = Vec::new();
        for cells in retired {
            let Some(told) = told(&self.acknowledged.calls, &now, &cells.id) else { continue };
            lessen([&mut self.acknowledged.calls, &mut now], &cells.id, told.since(&cells.counts()));
            gone.push(cells);
        }
        metrics.forget_calls(&gone);
        now
    }

    /// What consumers asked until now, less what was told and is let go: likewise.
    fn consumed(&mut self, metrics: &Metrics) -> BTreeMap<ConsumedId, ConsumedCounts> {
        let known = &mut self.acknowledged.consumed;
        metrics.forget_consumed(|id, counts| {
            let is_told = known.get(id).copied().unwrap_or_default() == *counts;
            if is_told {
                known.remove(id);
            }
            is_told
        });
        metrics.consumption()
    }

    pub fn acknowledged(&mut self, sequence: u64) {
        if self.under_way.as_ref().is_some_and(|(delta, _)| delta.sequence == sequence)
            && let Some((_, totals)) = self.under_way.take()
        {
            self.acknowledged = totals;
        }
    }
}

/// What was acknowledged of it, where that is all there is.
fn told<K: Ord, V: PartialEq + Clone>(acknowledged: &BTreeMap<K, V>, now: &BTreeMap<K, V>, id: &K) -> Option<V> {
    acknowledged.get(id).filter(|told| now.get(id) == Some(*told)).cloned()
}

/// What is left of it, in both.
fn lessen<K: Ord + Clone, V: PartialEq + Default + Clone>(sums: [&mut BTreeMap<K, V>; 2], id: &K, left: V) {
    for sums in sums {
        match left == V::default() {
            true => _ = sums.remove(id),
            false => _ = sums.insert(id.clone(), left.clone()),
        }
    }
}
