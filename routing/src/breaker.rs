//! The circuit breaker of a whole service: closed, open, half-open. Where too large a share of calls fails it opens, and calls are refused at once;
//! after a while a few are let through, and their success closes it. It never sees a request, a clock or an endpoint.

use model::traffic::Breaker as Policy;
use std::time::Instant;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    Open {
        since: Instant,
    },
    /// Requests let through and successes so far; a lost one is made up for by time.
    HalfOpen {
        since: Instant,
        sent: u32,
        succeeded: u32,
    },
}

/// Whether a call may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admitted {
    Yes,
    /// It is one of those that try whether the service is back.
    AsTrial,
    No {
        /// When calls are tried again.
        until: Instant,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Opened { percent: u8, requests: u32 },
    Closed,
}

#[derive(Debug)]
pub struct Breaker {
    state: State,
    began: Option<Instant>,
    requests: u32,
    failed: u32,
    /// What opened it last.
    reason: (u8, u32),
}

impl Default for Breaker {
    fn default() -> Self {
        Self { state: State::Closed, began: None, requests: 0, failed: 0, reason: (0, 0) }
    }
}

impl Breaker {
    pub fn admit(&mut self, policy: &Policy, now: Instant) -> Admitted {
        match self.state {
            State::Closed => Admitted::Yes,
            State::Open { since } => {
                let until = since + policy.open_time;
                if now < until {
                    return Admitted::No { until };
                }
                self.state = State::HalfOpen { since: now, sent: 1, succeeded: 0 };
                Admitted::AsTrial
            }
            State::HalfOpen { since, sent, succeeded } => {
                let until = since + policy.open_time;
                if sent < policy.half_open_requests.max(1) {
                    self.state = State::HalfOpen { since, sent: sent + 1, succeeded };
                    return Admitted::AsTrial;
                }
                if now < until {
                    return Admitted::No { until };
                }
                // None of them came back in time: others are let through.
                self.state = State::HalfOpen { since: now, sent: 1, succeeded };
                Admitted::AsTrial
            }
        }
    }

    /// `failed` is `None` where the caller went away: that says nothing, and a trial's place is free again.
    pub fn observe(&mut self, policy: &Policy, admitted: Admitted, failed: Option<bool>, now: Instant) -> Option<Change> {
        match (self.state, admitted, failed) {
            (State::Closed, Admitted::Yes, Some(failed)) => self.count(policy, failed, now),
            (State::HalfOpen { .. }, Admitted::AsTrial, Some(true)) => {
                self.state = State::Open { since: now };
                Some(Change::Opened { percent: self.reason.0, requests: self.reason.1 })
            }
            (State::HalfOpen { since, sent, succeeded }, Admitted::AsTrial, Some(false)) => {
                if succeeded + 1 < policy.half_open_requests.max(1) {
                    self.state = State::HalfOpen { since, sent, succeeded: succeeded + 1 };
                    return None;
                }
                *self = Self::default();
                Some(Change::Closed)
            }
            (State::HalfOpen { since, sent, succeeded }, Admitted::AsTrial, None) => {
                self.state = State::HalfOpen { since, sent: sent.saturating_sub(1), succeeded };
                None
            }
            // What was sent before it opened says nothing of now.
            _ => None,
        }
    }

    fn count(&mut self, policy: &Policy, failed: bool, now: Instant) -> Option<Change> {
        let began = *self.began.get_or_insert(now);
        if now.saturating_duration_since(began) >= policy.interval {
            (self.began, self.requests, self.failed) = (Some(now), 0, 0);
        }
        self.requests += 1;
        self.failed += u32::from(failed);
        let percent = (u64::from(self.failed) * 100 / u64::from(self.requests)) as u8;
        if self.requests < policy.minimum_requests.max(1) || percent < policy.failure_percentage {
            return None;
        }
        let reason = (percent, self.requests);
        *self = Self { state: State::Open { since: now }, reason, ..Self::default() };
        Some(Change::Opened { percent: reason.0, requests: reason.1 })
    }

    /// Whether some requests are let through to try the service.
    pub fn is_half_open(&self) -> bool {
        matches!(self.state, State::HalfOpen { .. })
    }

    /// Since when it is not closed, and what opened it: percent failed of how many requests.
    pub fn open(&self) -> Option<(Instant, u8, u32)> {
        match self.state {
            State::Closed => None,
            State::Open { since } | State::HalfOpen { since, .. } => Some((since, self.reason.0, self.reason.1)),
        }
    }
}

#[cfg(test)]
mod tests;
