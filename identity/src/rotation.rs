//! When to ask for the next certificate: at half life with jitter, so that a mesh started at once does not renew at once, and early enough
//! that a control plane that is away for an hour is not noticed. A state machine: `now` and randomness are arguments.

use crate::limits;
use std::time::{Duration, SystemTime};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing to do until then.
    Wait(SystemTime),
    /// Ask for a certificate now.
    Ask,
}

/// `draw` is uniform in `0..=u32::MAX`.
#[derive(Debug, Clone)]
pub struct Rotation {
    due: SystemTime,
    failures: u32,
}

impl Rotation {
    /// For a process that has no certificate yet.
    pub fn start(now: SystemTime) -> Self {
        Self { due: now, failures: 0 }
    }

    pub fn holding(signed: SystemTime, not_after: SystemTime, draw: u32) -> Self {
        let mut this = Self::start(signed);
        this.issued(signed, not_after, draw);
        this
    }

    pub fn poll(&self, now: SystemTime) -> Step {
        match now >= self.due {
            true => Step::Ask,
            false => Step::Wait(self.due),
        }
    }

    pub fn due(&self) -> SystemTime {
        self.due
    }

    /// A certificate came: the next is due at half of its life, up to a tenth of it earlier.
    pub fn issued(&mut self, signed: SystemTime, not_after: SystemTime, draw: u32) {
        let life = not_after.duration_since(signed).unwrap_or_default();
        let jitter = life.mul_f64(0.1 * f64::from(draw) / f64::from(u32::MAX));
        self.due = signed + (life / 2).saturating_sub(jitter);
        self.failures = 0;
    }

    /// Asking failed: again after a pause that doubles, with full jitter above the shortest.
    pub fn failed(&mut self, now: SystemTime, draw: u32) {
        let ceiling = limits::RENEW_PAUSE_MIN.saturating_mul(1 << self.failures.min(16)).min(limits::RENEW_PAUSE_MAX);
        let spread = ceiling.saturating_sub(limits::RENEW_PAUSE_MIN).mul_f64(f64::from(draw) / f64::from(u32::MAX));
        self.failures = self.failures.saturating_add(1);
        self.due = now + limits::RENEW_PAUSE_MIN + spread;
    }

    /// Another root signs: ask soon, spread over a twentieth of the certificate's life (a minute at most), so that a mesh does not ask at once.
    pub fn ask_soon(&mut self, now: SystemTime, life: Duration, draw: u32) {
        let spread = (life / 20).min(limits::ROOT_SPREAD);
        self.due = self.due.min(now + spread.mul_f64(f64::from(draw) / f64::from(u32::MAX)));
    }

    pub fn pause_after_failure(&self, now: SystemTime) -> Duration {
        self.due.duration_since(now).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
