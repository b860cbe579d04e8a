//! Whether a new trace is recorded. A decision that came with the request is never asked here: it holds.

use std::time::{Duration, Instant};

/// How many new traces are recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sampling {
    /// One in a hundred, and one a second (of each worker of a proxy) in any case: who calls rarely is seen, who calls often costs little.
    #[default]
    Adaptive,
    /// So many of 100,000.
    Share(u32),
}

/// Of all.
pub const WHOLE: u32 = 100_000;

/// What one worker remembers.
#[derive(Debug, Default)]
pub struct Sampler {
    last: Option<Instant>,
}

impl Sampler {
    /// `draw` is uniform over all of `u32`.
    pub fn decide(&mut self, sampling: Sampling, draw: u32, now: Instant) -> bool {
        let share = match sampling {
            Sampling::Adaptive => WHOLE / 100,
            Sampling::Share(share) => share,
        };
        let drawn = ((u64::from(draw) * u64::from(WHOLE)) >> 32) < u64::from(share);
        let due = || self.last.is_none_or(|last| now.saturating_duration_since(last) >= Duration::from_secs(1));
        let chosen = drawn || (sampling == Sampling::Adaptive && due());
        if chosen {
            self.last = Some(now);
        }
        chosen
    }
}

#[cfg(test)]
mod tests;
