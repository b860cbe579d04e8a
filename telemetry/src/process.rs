//! What this process costs, as the kernel sees it: for those who tell of themselves. Reads proc(5), and knows nobody who asks.

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
    let spent = std::fs::read_to_string("/proc/self/stat").ok()?;
    read(&status, cpu_millis(&spent)?, descriptors.try_into().unwrap_or(u32::MAX))
}

/// `utime` and `stime` of proc_pid_stat(5), which count hundredths of a second on all that we run on. The name before them may hold anything.
fn cpu_millis(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some(ticks()?.saturating_add(ticks()?).saturating_mul(10))
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
