//! What the examples that measure (`examples/*.rs` of several crates) have alike: what a piece of work took of this thread's processor, for the machine may
//! be busy, and what the process holds. Each takes it in by its path; it is no crate, so that none of them has to be built for it.
#![allow(dead_code, reason = "each example uses what it needs")]

use std::time::Duration;

pub fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let before = processor();
    let made = work();
    (made, processor().saturating_sub(before))
}

/// Time of the processor that this thread had.
pub fn processor() -> Duration {
    let said = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(said.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or(0))
}

/// Memory that the process holds, in bytes.
pub fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|text| text.trim().trim_end_matches("kB").trim().parse::<u64>().ok()).unwrap_or(0) * 1024
}
