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

/// When a process of this machine started, in the kernel's ticks since boot (`/proc/PID/stat`, field 22); `None` where there is none.
pub fn started(pid: i32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in brackets, and may hold anything.
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()
}
