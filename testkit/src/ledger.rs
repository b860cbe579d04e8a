//! What became of each request: how many ended how, and of those that were lost when and with which answer. Shared by the connections of one
//! counter; never knows what was sent.

use crate::Tally;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Losses that are remembered one by one; further ones are counted alone.
const REMEMBERED: usize = 1000;

/// One request or stream that did not end as it should.
#[derive(Debug, Clone)]
pub struct Loss {
    pub began: Instant,
    pub ended: Instant,
    /// Status and `Proxy-Status`, or the error.
    pub answer: String,
}

#[derive(Clone, Default)]
pub(crate) struct Ledger(Arc<Mutex<(Tally, Vec<Loss>)>>);

impl Ledger {
    fn lock(&self) -> MutexGuard<'_, (Tally, Vec<Loss>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `ending` is what is counted (`200` is whole), `detail` what else a loss is told with.
    pub fn count(&self, began: Instant, ending: String, detail: &str) {
        let mut entries = self.lock();
        if ending != "200" && entries.1.len() < REMEMBERED {
            let answer = if detail.is_empty() { ending.clone() } else { format!("{ending}, {detail}") };
            entries.1.push(Loss { began, ended: Instant::now(), answer });
        }
        entries.0.count(ending);
    }

    pub fn tally(&self) -> Tally {
        self.lock().0.clone()
    }

    pub fn losses(&self) -> Vec<Loss> {
        self.lock().1.clone()
    }
}
