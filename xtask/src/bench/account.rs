//! What a process and the machine used, as the kernel accounts for it. Reads `/proc` alone, and judges nothing.

use std::fs;
use std::path::PathBuf;

/// Of a second.
pub const TICKS: f64 = 100.0;

/// Of some processes together.
#[derive(Debug, Default, Clone, Copy)]
pub struct Account {
    /// Nanoseconds on a processor, all threads.
    pub cpu_ns: f64,
    pub user_ticks: f64,
    pub system_ticks: f64,
    pub memory_kb: f64,
}

pub fn of(processes: &[u32]) -> Account {
    let total = |read: &dyn Fn(u32) -> f64| processes.iter().map(|process| read(*process)).sum();
    Account {
        cpu_ns: total(&schedstat),
        user_ticks: total(&|process| ticks(process, 13)),
        system_ticks: total(&|process| ticks(process, 14)),
        memory_kb: total(&memory),
    }
}

fn schedstat(process: u32) -> f64 {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let read = |path: PathBuf| fs::read_to_string(path.join("schedstat")).ok()?.split_whitespace().next()?.parse::<f64>().ok();
    tasks.filter_map(|task| read(task.path())).sum()
}

fn ticks(process: u32, field: usize) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The second field is the name in brackets and may hold spaces: count from its end.
    stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(field - 2)?.parse().ok()).unwrap_or(0.0)
}

fn memory(process: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    status.lines().find_map(|l| l.strip_prefix("VmRSS:")?.trim().strip_suffix("kB")?.trim().parse().ok()).unwrap_or(0.0)
}

/// Microseconds that all processors of the machine were busy: client, backend, interrupts and whatever else ran, so that work which was only moved
/// elsewhere is seen. A tick is 10 ms.
pub fn machine_us() -> f64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields: Vec<f64> = stat.lines().next().unwrap_or_default().split_whitespace().skip(1).filter_map(|n| n.parse().ok()).collect();
    // user nice system idle iowait irq softirq: without idle and iowait, and without what other guests took.
    fields.iter().enumerate().filter(|(i, _)| matches!(i, 0..=2 | 5 | 6)).map(|(_, ticks)| ticks * 10_000.0).sum()
}
