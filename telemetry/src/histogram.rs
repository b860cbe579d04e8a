//! Latency in cells that one worker writes and anyone may read: log-linear, four steps to each doubling, so that a quantile read from it is at
//! most an eighth off, in a fixed 800 bytes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Steps within one doubling.
const STEPS: usize = 4;
/// From 1 µs to about 67 s; what is longer counts in the last cell.
pub const CELLS: usize = 26 * STEPS;

/// A read-out that can be added up and subtracted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram(pub Box<[u64; CELLS]>);

impl Default for Histogram {
    fn default() -> Self {
        Self(Box::new([0; CELLS]))
    }
}

pub(crate) fn cell(duration: Duration) -> usize {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX).max(1);
    let doubling = micros.ilog2() as usize;
    // The two bits below the highest one are the step.
    let step = if doubling >= 2 { (micros >> (doubling - 2)) as usize & 3 } else { ((micros << (2 - doubling)) as usize) & 3 };
    (doubling * STEPS + step).min(CELLS - 1)
}

/// Upper bound of a cell, in microseconds.
pub fn upper_micros(cell: usize) -> u64 {
    let (doubling, step) = (cell / STEPS, cell % STEPS);
    ((1u64 << doubling) * (STEPS + step + 1) as u64).div_ceil(STEPS as u64)
}

impl Histogram {
    pub fn count(&self) -> u64 {
        self.0.iter().fold(0, |sum, n| sum.saturating_add(*n))
    }

    pub fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0.iter()).for_each(|(a, b)| *a = a.saturating_add(*b));
    }

    /// What came since `earlier`. Cells never fall, but for a restart: then the whole of `self` came since.
    pub fn since(&self, earlier: &Self) -> Self {
        let restarted = self.0.iter().zip(earlier.0.iter()).any(|(a, b)| a < b);
        let mut out = self.clone();
        if !restarted {
            out.0.iter_mut().zip(earlier.0.iter()).for_each(|(a, b)| *a -= b);
        }
        out
    }

    pub fn record(&mut self, duration: Duration) {
        self.0[cell(duration)] += 1;
    }

    /// The value below which the share `q` (0 to 1) lies; `None` where nothing was counted.
    pub fn quantile(&self, q: f64) -> Option<Duration> {
        let wanted = (self.count() as f64 * q).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (i, n) in self.0.iter().enumerate() {
            seen = n.saturating_add(seen);
            if seen >= wanted && *n > 0 {
                return Some(Duration::from_micros(upper_micros(i)));
            }
        }
        None
    }

    /// `(cell, count)` of those that are not zero: how it travels.
    pub fn sparse(&self) -> impl Iterator<Item = (u32, u64)> {
        self.0.iter().enumerate().filter(|(_, n)| **n > 0).map(|(i, n)| (i as u32, *n))
    }

    pub fn from_sparse(cells: impl IntoIterator<Item = (u32, u64)>) -> Self {
        let mut this = Self::default();
        for (i, n) in cells {
            if let Some(cell) = this.0.get_mut(i as usize) {
                *cell = cell.saturating_add(n);
            }
        }
        this
    }
}

/// The cells themselves. One writer, so a load and a store do; readers may see a count late, never wrong.
#[derive(Debug)]
pub(crate) struct Cells(Box<[AtomicU64; CELLS]>);

impl Default for Cells {
    fn default() -> Self {
        Self(Box::new([const { AtomicU64::new(0) }; CELLS]))
    }
}

impl Cells {
    pub fn record(&self, duration: Duration) {
        bump(&self.0[cell(duration)], 1);
    }
    pub fn add_to(&self, sum: &mut Histogram) {
        sum.0.iter_mut().zip(self.0.iter()).for_each(|(a, b)| *a += b.load(Ordering::Relaxed));
    }
}

/// Adds without a locked instruction: each cell has one writing thread.
pub(crate) fn bump(cell: &AtomicU64, by: u64) {
    cell.store(cell.load(Ordering::Relaxed).wrapping_add(by), Ordering::Relaxed);
}

#[cfg(test)]
mod tests;
