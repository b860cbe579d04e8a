//! Single requests on their way to the control plane: those that failed, so that one can see why, those that are part of a trace that is recorded, and
//! those that a tap asked for. Bounded by what one report may hold; what is over is counted. A request that is told nobody costs one load and no lock.
//!
//! A flow is the access log's line of the record, and a record holds no header values, queries or bodies: what is not there cannot leak.

use crate::limits;
use arc_swap::ArcSwap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use telemetry::{Record, access_log};
use wire::v1;

/// The tap that nobody opened: of failures.
const FAILURES: u64 = 0;
/// And that of spans.
const SPANS: u64 = u64::MAX;

/// What programs do with the traces that they are called with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ContextCounts {
    /// Requests to the program; each has a trace.
    pub served: u64,
    /// Its own calls, with a trace and without one.
    pub passed_on: u64,
    pub dropped: u64,
}

/// What waits for the next report, and what it is chosen by.
#[derive(Debug, Default)]
pub struct Flows {
    tapped: AtomicBool,
    taps: ArcSwap<Taps>,
    waiting: Mutex<Waiting>,
    dropped: AtomicU64,
    context: Mutex<ContextCounts>,
}

#[derive(Debug, Default)]
struct Waiting {
    flows: Vec<v1::Flow>,
    /// How many of them are there because they failed, and how many are spans.
    failures: usize,
    spans: usize,
}

#[derive(Debug, Default)]
struct Taps {
    all: Vec<Arc<Tap>>,
    /// When they were told last.
    told: Option<Instant>,
}

#[derive(Debug)]
struct Tap {
    wanted: v1::Tap,
    /// How many of the next report are left to it.
    left: AtomicU64,
    /// How many were too many for it since the last one.
    dropped: AtomicU64,
}

impl Tap {
    fn new(wanted: v1::Tap) -> Self {
        Self { left: AtomicU64::new(wanted.per_second.into()), dropped: AtomicU64::new(0), wanted }
    }

    /// Whether it is told one more.
    fn admits(&self) -> bool {
        let admitted = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
        if !admitted {
            self.miss(1);
        }
        admitted
    }

    fn miss(&self, flows: u64) {
        self.dropped.fetch_add(flows, Ordering::Relaxed);
    }
}

/// What a report does not tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Missing {
    pub flows: u64,
    /// Of them what each tap lacks, by its number.
    pub taps: Vec<(u64, u64)>,
}

impl Missing {
    /// What is missing where the report that has these is lost, too.
    pub fn and(mut self, flows: &[v1::Flow]) -> Self {
        self.flows += flows.len() as u64;
        for (id, missing) in &mut self.taps {
            *missing += flows.iter().filter(|flow| flow.taps.contains(id)).count() as u64;
        }
        self
    }

    /// What is missing where the report is not lost, but these are.
    pub fn only(&self, flows: &[v1::Flow]) -> Self {
        let taps = self.taps.iter().map(|(id, _)| (*id, 0)).collect();
        Self { flows: 0, taps }.and(flows)
    }
}

impl Flows {
    /// Looks at a finished request; `traced` if it is a span that is told.
    pub fn see(&self, line: &access_log::Once<'_>, traced: bool) {
        let record = line.record;
        let failed = !record.is_success();
        let tapped = self.tapped.load(Ordering::Relaxed);
        if !failed && !tapped && !traced {
            return;
        }
        let taps = self.taps.load();
        let mut asked: Vec<u64> = Vec::new();
        let mut over = false;
        for tap in taps.all.iter().filter(|_| tapped).filter(|tap| matches(&tap.wanted, record)) {
            match tap.admits() {
                true => asked.push(tap.wanted.id),
                false => over = true,
            }
        }
        if failed {
            asked.push(FAILURES);
        }
        if traced {
            asked.push(SPANS);
        }
        let lacking = if asked.is_empty() { asked } else { self.keep(line, asked) };
        taps.all.iter().filter(|tap| lacking.contains(&tap.wanted.id)).for_each(|tap| tap.miss(1));
        if over || !lacking.is_empty() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Keeps it for these, as far as there is room; for whom there is none is said.
    fn keep(&self, line: &access_log::Once<'_>, mut taps: Vec<u64>) -> Vec<u64> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.flows.len() >= limits::FLOWS {
            return taps;
        }
        let mut lacking = Vec::new();
        let Waiting { flows, failures, spans } = &mut *waiting;
        for (kind, had, most) in [(FAILURES, failures, limits::FAILURE_FLOWS), (SPANS, spans, limits::SPAN_FLOWS)] {
            match taps.contains(&kind) {
                true if *had >= most => {
                    taps.retain(|tap| *tap != kind);
                    lacking.push(kind);
                }
                true => *had += 1,
                false => {}
            }
        }
        if !taps.is_empty() {
            flows.push(v1::Flow { line: line.json().to_owned(), taps });
        }
        lacking
    }

    /// What a worker saw since it was last asked.
    pub fn count_context(&self, seen: ContextCounts) {
        if seen == ContextCounts::default() {
            return;
        }
        let mut all = self.context.lock().unwrap_or_else(PoisonError::into_inner);
        all.served += seen.served;
        all.passed_on += seen.passed_on;
        all.dropped += seen.dropped;
    }

    /// What was seen since this was last asked.
    pub fn take_context(&self) -> ContextCounts {
        std::mem::take(&mut *self.context.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What the next report tells, and what found no room in it.
    pub fn take(&self, now: Instant) -> (Vec<v1::Flow>, Missing) {
        let taps = self.taps.load();
        let forgotten = taps.told.is_none_or(|told| now.saturating_duration_since(told) > limits::TAP_HOLDS);
        if forgotten && self.tapped.swap(false, Ordering::Relaxed) {
            self.taps.store(Default::default());
        }
        let Waiting { flows, .. } = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        let missing = |tap: &Arc<Tap>| {
            tap.left.store(tap.wanted.per_second.into(), Ordering::Relaxed);
            (tap.wanted.id, tap.dropped.swap(0, Ordering::Relaxed))
        };
        let taps = taps.all.iter().map(missing).collect();
        (flows, Missing { flows: self.dropped.swap(0, Ordering::Relaxed), taps })
    }

    /// A report did not arrive: what was in it is lost, and counted; what it said was missing is told again.
    pub fn lost(&self, missing: &Missing) {
        self.dropped.fetch_add(missing.flows, Ordering::Relaxed);
        for tap in &self.taps.load().all {
            let of_tap = missing.taps.iter().filter(|(id, _)| *id == tap.wanted.id);
            tap.miss(of_tap.map(|(_, flows)| flows).sum());
        }
    }

    /// What the control plane wants to see from now on; it holds until it says otherwise, or is silent for a while.
    pub fn tap(&self, taps: Vec<v1::Tap>, now: Instant) {
        let before = self.taps.load();
        // One that goes on counts on.
        let known = |wanted: v1::Tap| {
            let same = before.all.iter().find(|tap| tap.wanted == wanted).cloned();
            same.unwrap_or_else(|| Arc::new(Tap::new(wanted)))
        };
        let all: Vec<_> = taps.into_iter().take(limits::TAPS).map(known).collect();
        self.tapped.store(!all.is_empty(), Ordering::Relaxed);
        self.taps.store(Taps { all, told: Some(now) }.into());
    }
}

fn matches(tap: &v1::Tap, record: &Record) -> bool {
    let is = |wanted: &str, namespace: &str, name: &str| match wanted.split_once('/') {
        Some((space, wanted)) => space == namespace && wanted == name,
        None => wanted.is_empty() || wanted == name,
    };
    let service = record.dialled_service.as_deref();
    let destination = is(&tap.destination, &record.destination.namespace, &record.destination.workload)
        || service.is_some_and(|service| is(&tap.destination, &service.namespace, &service.name));
    let route = || {
        record.decided().is_some_and(|decided| is(&tap.route, &decided.route.origin.object.namespace, &decided.route.origin.object.name))
    };
    let until = if tap.status_to == 0 { u32::MAX } else { tap.status_to };
    let source = &record.source;
    (is(&tap.source, &source.namespace, &source.workload) || is(&tap.source, &source.namespace, &source.app))
        && destination
        && (tap.route.is_empty() || route())
        && (tap.status_from..=until).contains(&u32::from(record.status))
}

#[cfg(test)]
mod tests;
