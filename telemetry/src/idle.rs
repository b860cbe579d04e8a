//! For how long nothing was counted in a cell, as who sweeps it sees it: by what was counted at two sweeps and the time between them. It knows no clock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Written by one worker alone.
#[derive(Debug, Default)]
pub(crate) struct Idle {
    /// What was counted when it was last swept.
    counted: AtomicU64,
    /// For how long that has been so.
    millis: AtomicU64,
}

impl Idle {
    /// For how long `counted` has been what it is, now that it is looked at after `elapsed`.
    pub fn after(&self, elapsed: Duration, counted: u64) -> Duration {
        if self.counted.swap(counted, Ordering::Relaxed) != counted {
            self.millis.store(0, Ordering::Relaxed);
            return Duration::ZERO;
        }
        let idle = Duration::from_millis(self.millis.load(Ordering::Relaxed)).saturating_add(elapsed);
        self.millis.store(u64::try_from(idle.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
        idle
    }
}
