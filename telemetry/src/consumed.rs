//! What consumers asked of which API, and how that ended: counted by the proxy that read the key, and sent with the edges. It knows consumers by their names
//! and never sees a key.

use crate::{Record, limits};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Who, and what.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConsumedId {
    /// `namespace/name`.
    pub consumer: Arc<str>,
    /// `HTTPRoute shop/orders` at a gateway, `Service shop/orders` beside a workload.
    pub api: Arc<str>,
}

/// How often, since a beginning or between two moments.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ConsumedCounts {
    pub requests: u64,
    /// Of those: policies of access or limits did not let them through.
    pub refused: u64,
    /// Of the rest: answered with a 4xx.
    pub client_errors: u64,
    /// Of the rest: answered with a 5xx, or not at all.
    pub failures: u64,
}

impl ConsumedCounts {
    /// One request, as it ended.
    pub fn of(record: &Record) -> Self {
        let (refused, status) = (record.is_denied(), record.status);
        Self {
            requests: 1,
            refused: u64::from(refused),
            client_errors: u64::from(!refused && (400..500).contains(&status)),
            failures: u64::from(!refused && !(100..500).contains(&status)),
        }
    }

    pub fn since(&self, earlier: &Self) -> Self {
        self.with(earlier, u64::saturating_sub)
    }

    /// What a stranger reports may be any number: sums stop at the highest.
    pub fn add(&mut self, more: &Self) {
        *self = self.with(more, u64::saturating_add);
    }

    fn with(&self, other: &Self, each: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            requests: each(self.requests, other.requests),
            refused: each(self.refused, other.refused),
            client_errors: each(self.client_errors, other.client_errors),
            failures: each(self.failures, other.failures),
        }
    }
}

/// Counted in by all workers.
#[derive(Debug, Default)]
pub struct ConsumedCells([AtomicU64; 4]);

impl ConsumedCells {
    pub fn observe(&self, record: &Record) {
        let ConsumedCounts { requests, refused, client_errors, failures } = ConsumedCounts::of(record);
        for (cell, by) in self.0.iter().zip([requests, refused, client_errors, failures]).filter(|(_, by)| *by > 0) {
            cell.fetch_add(by, Ordering::Relaxed);
        }
    }

    fn counts(&self) -> ConsumedCounts {
        let [requests, refused, client_errors, failures] = self.0.each_ref().map(|cell| cell.load(Ordering::Relaxed));
        ConsumedCounts { requests, refused, client_errors, failures }
    }
}

type Held = BTreeMap<ConsumedId, Arc<ConsumedCells>>;

/// Those of all workers.
#[derive(Debug, Default)]
pub(crate) struct Consumed(Mutex<Held>);

impl Consumed {
    fn held(&self) -> MutexGuard<'_, Held> {
        // Each change is whole: a panic elsewhere leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The cells of one consumer and API, where there is room for them; ask once.
    pub fn cells(&self, consumer: &Arc<str>, api: &Arc<str>) -> Option<Arc<ConsumedCells>> {
        let mut all = self.held();
        let id = ConsumedId { consumer: consumer.clone(), api: api.clone() };
        if all.len() >= limits::CONSUMED && !all.contains_key(&id) {
            return None;
        }
        Some(all.entry(id).or_default().clone())
    }

    /// Forgets cells that no worker counts in any more, where all that they count was told. Who asks for them meanwhile waits, and has new ones.
    pub fn forget(&self, mut is_told: impl FnMut(&ConsumedId, &ConsumedCounts) -> bool) {
        self.held().retain(|id, cells| Arc::get_mut(cells).is_none_or(|cells| !is_told(id, &cells.counts())));
    }

    pub fn totals(&self) -> BTreeMap<ConsumedId, ConsumedCounts> {
        self.held().iter().map(|(id, cells)| (id.clone(), cells.counts())).collect()
    }
}

#[cfg(test)]
mod tests;
