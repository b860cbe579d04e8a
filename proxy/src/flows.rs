//! Single requests on their way to the control plane: those that failed, so that one can see why, those that are part of a trace that is recorded, and
//! those that a tap asked for. Bounded by what one report may hold; what is over is counted. A request that is told nobody costs one load and no lock.
//!
//! A flow is the access log's line of the record, and a record holds no header values, queries or bodies: what is not there cannot leak.

use crate::limits;
use arc_swap::ArcSwap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
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
    waiting: Mutex<Vec<v1::Flow>>,
    dropped: AtomicU64,
    context: Mutex<ContextCounts>,
}

#[derive(Debug, Default)]
struct Taps {
    all: Vec<Tap>,
    /// When they were told last.
    told: Option<Instant>,
}

/// With how many of the next report are left to it.
#[derive(Debug)]
struct Tap(v1::Tap, AtomicU64);

impl Flows {
    /// Looks at a finished request; `traced` if it is a span that is told.
    pub fn see(&self, record: &Record, traced: bool) {
        let failed = !record.is_success();
        let tapped = self.tapped.load(Ordering::Relaxed);
        if !failed && !tapped && !traced {
            return;
        }
        let taps = self.taps.load();
        let mut asked: Vec<u64> = Vec::new();
        let mut over = false;
        for Tap(tap, left) in taps.all.iter().filter(|_| tapped).filter(|Tap(tap, _)| matches(tap, record)) {
            let had = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
            match had {
                Ok(_) => asked.push(tap.id),
                Err(_) => over = true,
            }
        }
        if failed {
            asked.push(FAILURES);
        }
        if traced {
            asked.push(SPANS);
        }
        let found_no_room = !asked.is_empty() && !self.keep(record, asked);
        if over || found_no_room {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn keep(&self, record: &Record, mut taps: Vec<u64>) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let had = taps.len();
        for (kind, most) in [(FAILURES, limits::FAILURE_FLOWS), (SPANS, limits::SPAN_FLOWS)] {
            if taps.contains(&kind) && waiting.iter().filter(|flow| flow.taps.contains(&kind)).count() >= most {
                taps.retain(|tap| *tap != kind);
            }
        }
        if taps.is_empty() || waiting.len() >= limits::FLOWS {
            return false;
        }
        let whole = taps.len() == had;
        let mut line = String::with_capacity(512);
        access_log::write_line(access_log::Format::Json, record, &mut line);
        waiting.push(v1::Flow { line, taps });
        whole
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

    /// What the next report tells, and how many found no room in it.
    pub fn take(&self, now: Instant) -> (Vec<v1::Flow>, u64) {
        let taps = self.taps.load();
        let forgotten = taps.told.is_none_or(|told| now.saturating_duration_since(told) > limits::TAP_HOLDS);
        if forgotten && self.tapped.swap(false, Ordering::Relaxed) {
            self.taps.store(Default::default());
        }
        for Tap(tap, left) in &taps.all {
            left.store(tap.per_second.into(), Ordering::Relaxed);
        }
        let flows = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        (flows, self.dropped.swap(0, Ordering::Relaxed))
    }

    /// A report did not arrive: its flows are lost, and counted.
    pub fn lost(&self, flows: u64) {
        self.dropped.fetch_add(flows, Ordering::Relaxed);
    }

    /// What the control plane wants to see from now on; it holds until it says otherwise, or is silent for a while.
    pub fn tap(&self, taps: Vec<v1::Tap>, now: Instant) {
        let all: Vec<Tap> =
            taps.into_iter().take(limits::TAPS).map(|tap| Tap(tap.clone(), AtomicU64::new(tap.per_second.into()))).collect();
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
    is(&tap.source, &record.source.namespace, &record.source.workload)
        && destination
        && (tap.route.is_empty() || route())
        && (tap.status_from..=until).contains(&u32::from(record.status))
}

#[cfg(test)]
mod tests;
