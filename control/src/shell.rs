//! The shell's clocks: the one place of this crate that reads them. Cores take `now` as an argument.

use std::time::{Instant, SystemTime};

/// Time of day.
pub fn wall() -> SystemTime {
    SystemTime::now()
}

/// Monotone time, for durations.
pub fn monotone() -> Instant {
    Instant::now()
}
