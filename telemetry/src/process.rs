//! What this process costs, as the kernel sees it: for those who tell of themselves. Reads proc(5), and knows nobody who asks.

use rustix::time::{ClockId, clock_gettime};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// Of all threads, since it started.
    pub cpu_millis: u64,
    pub resident_bytes: u64,
    pub threads: u32,
    pub descriptors: u32,
}

/// Of this process, now.
pub fn look() -> Option<Process> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let descriptors = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    let cpu_millis = spent.tv_sec.unsigned_abs().saturating_mul(1000).saturating_add(spent.tv_nsec.unsigned_abs() / 1_000_000);
    read(&status, cpu_millis, descriptors.try_into().unwrap_or(u32::MAX))
}

/// `VmRSS` and `Threads` of proc(5).
fn read(status: &str, cpu_millis: u64, descriptors: u32) -> Option<Process> {
    let number = |name: &str| {
        let rest = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        rest.split_ascii_whitespace().next()?.parse::<u64>().ok()
    };
    let resident_bytes = number("VmRSS")?.saturating_mul(1024);
    Some(Process { cpu_millis, resident_bytes, threads: number("Threads")?.try_into().unwrap_or(u32::MAX), descriptors })
}

#[cfg(test)]
mod tests;
