//! Who is there: what becomes of a registration while its proxy's stream is gone. Pure; times are arguments.
//!
//! A proxy that is gone for a moment is called no more, and is called again when it comes back: it keeps its place for as long as it can prove
//! who it is. It never knows a socket or the world.

use crate::limits;
use std::time::Duration;

/// What is known of an absent proxy.
#[derive(Debug, Clone, Copy)]
pub struct Absence {
    /// Since its stream ended, or since it registered where it never had one.
    pub gone: Duration,
    /// Whether it had a stream since this control plane started.
    pub seen: bool,
    /// Whether the process that registered it on this machine lives; `None` where it came from elsewhere.
    pub registrant: Option<bool>,
    /// End of the last certificate that it was given, in seconds since the Unix epoch.
    pub certified_until: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Callers go on trying it.
    Stays,
    /// Nobody is sent to it until it comes back.
    Withdrawn,
    /// It cannot come back.
    Forgotten,
}

/// `up` is how long this control plane runs, `now` the time of day in seconds.
pub fn judge(absence: &Absence, up: Duration, now: u64) -> Verdict {
    // After a start everybody is given time to come back; one that never came is still starting.
    let patience = if absence.seen { limits::GONE } else { limits::RETURN };
    if absence.gone <= patience || (!absence.seen && up <= limits::RETURN) {
        return Verdict::Stays;
    }
    match absence.registrant {
        Some(true) => Verdict::Withdrawn,
        Some(false) => Verdict::Forgotten,
        // A clock that is off by as much as we allow takes nobody's place.
        None if now > absence.certified_until.saturating_add(limits::CLOCK_SKEW.as_secs()) => Verdict::Forgotten,
        None => Verdict::Withdrawn,
    }
}

#[cfg(test)]
mod tests;
