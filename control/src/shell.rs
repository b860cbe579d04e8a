//! The shell's clocks: the one place of this crate that reads them. Cores take `now` as an argument.

use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;
use std::cell::Cell;
use std::time::{Instant, SystemTime};

thread_local! {
    static WALL: Cell<fn() -> SystemTime> = const { Cell::new(SystemTime::now) };
}

/// Time of day.
pub fn wall() -> SystemTime {
    WALL.get()()
}

/// From now on `wall` tells this thread the time of day: a mesh on virtual time has a day of its own.
pub fn tell_time_by(wall: fn() -> SystemTime) {
    WALL.set(wall);
}

/// Monotone time, for durations; virtual where the runtime's is.
pub fn monotone() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// [`wall`], for TLS.
#[derive(Debug)]
pub struct Clock;

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        wall().duration_since(SystemTime::UNIX_EPOCH).ok().map(UnixTime::since_unix_epoch)
    }
}

/// When a process of this machine started, in the kernel's ticks since boot (`/proc/PID/stat`, field 22); `None` where there is none.
pub fn started(pid: i32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in brackets, and may hold anything.
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()
}
