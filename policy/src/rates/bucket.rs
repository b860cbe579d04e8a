//! Buckets of tokens, as the time at which each is full again: one number, which says how many tokens are missing and needs nobody to fill it. So what
//! is full is as good as forgotten, and many threads may take from one bucket: each taking is one step, and exact.

use crate::limits;
use model::rate::RateLimit;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// What one request costs, and what a bucket holds, in nanoseconds of filling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    token: u64,
    full: u64,
}

impl Price {
    pub fn of(limit: &RateLimit) -> Self {
        // Rounded up: never more than was allowed.
        let token = nanos(limit.window).div_ceil(u64::from(limit.requests.max(1))).max(1);
        Self { token, full: token.saturating_mul(u64::from(limit.burst.max(1))) }
    }

    /// When a bucket that is full again at `full_at` is so once a token more is missing.
    fn step(self, full_at: u64, now: u64) -> Result<u64, u64> {
        let next = full_at.max(now).saturating_add(self.token);
        let missing = next - now;
        if missing > self.full { Err(missing - self.full) } else { Ok(next) }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The buckets of one limit.
#[derive(Debug, Default)]
pub struct Buckets {
    /// When something was first taken: times are counted from there.
    origin: OnceLock<Instant>,
    /// Of all, where nobody is told apart; else of those for whom there was no place.
    common: AtomicU64,
    apart: Mutex<Apart>,
}

/// Ordered, not hashed: strangers choose what stands in it.
#[derive(Debug, Default)]
struct Apart {
    full_at: BTreeMap<Box<[u8]>, u64>,
    /// No earlier are places looked for again.
    sweep_at: u64,
}

impl Buckets {
    /// # Errors
    /// How long until there is a token.
    pub fn take(&self, who: &[u8], price: Price, now: Instant) -> Result<(), Duration> {
        let now = nanos(now.saturating_duration_since(*self.origin.get_or_init(|| now)));
        let taken = if who.is_empty() { self.take_common(price, now) } else { self.take_apart(who, price, now) };
        taken.map_err(Duration::from_nanos)
    }

    fn take_common(&self, price: Price, now: u64) -> Result<(), u64> {
        let mut full_at = self.common.load(Ordering::Relaxed);
        loop {
            let next = price.step(full_at, now)?;
            match self.common.compare_exchange_weak(full_at, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(other) => full_at = other,
            }
        }
    }

    fn take_apart(&self, who: &[u8], price: Price, now: u64) -> Result<(), u64> {
        let mut apart = self.apart();
        if let Some(full_at) = apart.full_at.get_mut(who) {
            *full_at = price.step(*full_at, now)?;
            return Ok(());
        }
        if apart.has_place(now) {
            let next = price.step(0, now)?;
            apart.full_at.insert(who.into(), next);
            return Ok(());
        }
        drop(apart);
        self.take_common(price, now)
    }

    /// Undoes a taking.
    pub fn give_back(&self, who: &[u8], price: Price) {
        let mut apart = self.apart();
        match apart.full_at.get_mut(who) {
            Some(full_at) if !who.is_empty() => *full_at = full_at.saturating_sub(price.token),
            _ => {
                let less = |full_at: u64| Some(full_at.saturating_sub(price.token));
                // It never refuses.
                let _ = self.common.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
            }
        }
    }

    fn apart(&self) -> MutexGuard<'_, Apart> {
        // Each change under this lock is whole before anything can panic.
        self.apart.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Apart {
    /// Whether one more can be told apart. Whose bucket is full again is as one who never came.
    fn has_place(&mut self, now: u64) -> bool {
        if self.full_at.len() >= limits::RATE_KEYS && now >= self.sweep_at {
            self.full_at.retain(|_, full_at| *full_at > now);
            self.sweep_at = now.saturating_add(nanos(limits::RATE_SWEEP));
        }
        self.full_at.len() < limits::RATE_KEYS
    }
}

#[cfg(test)]
mod tests;
