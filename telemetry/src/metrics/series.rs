//! The cells of one label set on one worker.

use super::{Pair, Sum};
use crate::histogram::bump;
use crate::idle::Idle;
use crate::{Record, limits};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// Istio's bounds for `istio_request_duration_milliseconds`.
pub const DURATION_BOUNDS_MS: [f64; 19] = [
    0.5,
    1.0,
    5.0,
    10.0,
    25.0,
    50.0,
    100.0,
    250.0,
    500.0,
    1000.0,
    2500.0,
    5000.0,
    10_000.0,
    30_000.0,
    60_000.0,
    300_000.0,
    600_000.0,
    1_800_000.0,
    3_600_000.0,
];

/// Envoy's bounds for sizes, as Istio has them.
pub const SIZE_BOUNDS: [f64; 8] = [1.0, 10.0, 100.0, 1000.0, 10_000.0, 100_000.0, 1_000_000.0, 10_000_000.0];

/// How a request ended, as labels tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Ending {
    pub status: u16,
    pub grpc: Option<u8>,
    pub flags: &'static str,
}

impl Ending {
    pub fn of(record: &Record) -> Self {
        match record.protocol {
            // TCP's families carry flags but no code.
            protocol if protocol.is_opaque() && record.fault().is_none() => Self::default(),
            _ => Self { status: record.status, grpc: record.grpc_status, flags: record.response_flags() },
        }
    }
}

/// A request of a bucket whose trace is recorded: what leads from a figure to one of those that it is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Example {
    pub trace_id: [u8; 16],
    pub span_id: [u8; 8],
    pub micros: u64,
    pub at: SystemTime,
}

#[derive(Debug)]
pub struct Series {
    pub pair: Pair,
    pub ending: Ending,
    pub requests: AtomicU64,
    /// Tries beyond the first.
    retries: AtomicU64,
    pub opened: AtomicU64,
    closed: AtomicU64,
    request_bytes: AtomicU64,
    response_bytes: AtomicU64,
    duration_micros: AtomicU64,
    duration: [AtomicU64; DURATION_BOUNDS_MS.len() + 1],
    request_size: [AtomicU64; SIZE_BOUNDS.len() + 1],
    response_size: [AtomicU64; SIZE_BOUNDS.len() + 1],
    /// The last of each bucket of the duration. Taken for those alone whose trace is recorded.
    examples: Mutex<Vec<(usize, Example)>>,
    idle: Idle,
}

impl Series {
    pub fn new(pair: Pair, ending: Ending) -> Self {
        Self {
            pair,
            ending,
            requests: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            opened: AtomicU64::new(0),
            closed: AtomicU64::new(0),
            request_bytes: AtomicU64::new(0),
            response_bytes: AtomicU64::new(0),
            duration_micros: AtomicU64::new(0),
            duration: [const { AtomicU64::new(0) }; DURATION_BOUNDS_MS.len() + 1],
            request_size: [const { AtomicU64::new(0) }; SIZE_BOUNDS.len() + 1],
            response_size: [const { AtomicU64::new(0) }; SIZE_BOUNDS.len() + 1],
            examples: Mutex::default(),
            idle: Idle::default(),
        }
    }

    /// Opaque connections, opened and closed.
    pub fn connections(&self) -> (u64, u64) {
        (self.opened.load(Ordering::Relaxed), self.closed.load(Ordering::Relaxed))
    }

    /// Whether nothing was counted for too long, now that it is looked at after `elapsed`.
    pub fn is_idle(&self, elapsed: Duration) -> bool {
        let (opened, closed) = self.connections();
        let counted = self.requests.load(Ordering::Relaxed) + opened + closed;
        self.idle.after(elapsed, counted) >= limits::SERIES_IDLE
    }

    fn exemplify(&self, record: &Record, bucket: usize, micros: u64) {
        let Some(trace) = record.trace.filter(|trace| trace.context.sampled) else { return };
        let at = record.started.checked_add(record.duration).unwrap_or(record.started);
        let span_id = trace.server.unwrap_or(trace.context.span_id);
        let example = Example { trace_id: trace.context.trace_id, span_id, micros, at };
        let mut all = self.examples.lock().unwrap_or_else(PoisonError::into_inner);
        match all.iter_mut().find(|(of, _)| *of == bucket) {
            Some((_, last)) => *last = example,
            None => all.push((bucket, example)),
        }
    }

    pub fn observe(&self, record: &Record) {
        bump(&self.request_bytes, record.request_bytes);
        bump(&self.response_bytes, record.response_bytes);
        if record.attempt > 1 {
            bump(&self.retries, u64::from(record.attempt - 1));
        }
        if record.protocol.is_opaque() {
            bump(&self.closed, 1);
            return;
        }
        bump(&self.requests, 1);
        let micros = u64::try_from(record.duration.as_micros()).unwrap_or(u64::MAX);
        bump(&self.duration_micros, micros);
        let bucket = place(&DURATION_BOUNDS_MS, micros as f64 / 1000.0);
        bump(&self.duration[bucket], 1);
        self.exemplify(record, bucket, micros);
        bump(&self.request_size[place(&SIZE_BOUNDS, record.request_bytes as f64)], 1);
        bump(&self.response_size[place(&SIZE_BOUNDS, record.response_bytes as f64)], 1);
    }

    pub fn add_to(&self, sum: &mut Sum) {
        let read = |cell: &AtomicU64| cell.load(Ordering::Relaxed);
        sum.requests += read(&self.requests);
        sum.retries += read(&self.retries);
        sum.opened += read(&self.opened);
        sum.closed += read(&self.closed);
        sum.request_bytes += read(&self.request_bytes);
        sum.response_bytes += read(&self.response_bytes);
        sum.duration_micros += read(&self.duration_micros);
        add(&mut sum.duration, &self.duration);
        add(&mut sum.request_size, &self.request_size);
        add(&mut sum.response_size, &self.response_size);
        for (bucket, example) in self.examples.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let last = sum.examples.entry(*bucket).or_insert(*example);
            if last.at < example.at {
                *last = *example;
            }
        }
    }
}

fn add(sum: &mut Vec<u64>, cells: &[AtomicU64]) {
    sum.resize(cells.len(), 0);
    sum.iter_mut().zip(cells).for_each(|(a, b)| *a += b.load(Ordering::Relaxed));
}

fn place(bounds: &[f64], value: f64) -> usize {
    bounds.iter().position(|bound| value <= *bound).unwrap_or(bounds.len())
}
