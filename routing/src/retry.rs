//! Whether a request is tried again, and when. One state per request; a budget per backend service keeps retries from becoming the load that
//! brings a service down. Neither knows how a request is sent.

use crate::limits;
use model::traffic::RetryBudget;
use model::{Fault, Retry, Timeouts};
use std::time::{Duration, Instant};

/// How one try ended badly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// An answer came, with this status.
    Status(u16),
    /// Nothing of the request was sent: the connection was refused, timed out, or a pooled one proved closed.
    Unsent(Fault),
    /// Some of it was sent, and no answer came.
    Sent(Fault),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// No rule asks for this failure to be tried again.
    NotRetryable,
    /// Part of the body is gone and cannot be sent twice.
    BodySpent,
    AttemptsSpent,
    BudgetSpent,
    /// The request's time would be over before the next try.
    TimeSpent,
    /// Everyone left asked for more patience than there is ([`limits::RETRY_AFTER_LONGEST`]).
    AskedToWait,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    RetryAfter(Duration),
    GiveUp(Why),
}

pub struct RetryState<'r> {
    policy: Option<&'r Retry>,
    timeouts: Timeouts,
    idempotent: bool,
    /// Of the whole request, and what it is called when it passes.
    deadline: Option<(Instant, Fault)>,
    retries: u32,
}

impl<'r> RetryState<'r> {
    pub fn new(policy: Option<&'r Retry>, timeouts: Timeouts, idempotent: bool, now: Instant) -> Self {
        let deadline = timeouts.request.and_then(|limit| now.checked_add(limit)).map(|at| (at, Fault::RequestTimeout));
        Self { policy, timeouts, idempotent, deadline, retries: 0 }
    }

    /// The caller waits no longer than until then, whatever the route allows.
    pub fn no_later(mut self, caller: Option<Instant>) -> Self {
        let caller = caller.map(|at| (at, Fault::DeadlineExceeded));
        self.deadline = sooner(caller, self.deadline);
        self
    }

    /// Tries after the first, so far.
    pub fn retries(&self) -> u32 {
        self.retries
    }

    /// When the whole request has taken too long, and whose patience it was.
    pub fn deadline(&self) -> Option<(Instant, Fault)> {
        self.deadline
    }

    /// When a try that begins now has taken too long, and what that is called: the backend's timeout or, where it comes sooner, the request's or
    /// its caller's.
    pub fn attempt_deadline(&self, now: Instant) -> Option<(Instant, Fault)> {
        let backend = self.timeouts.backend_request.and_then(|limit| now.checked_add(limit)).map(|at| (at, Fault::BackendTimeout));
        sooner(backend, self.deadline)
    }

    /// Whether the rule, or its absence, lets such a failure be tried again at all.
    pub fn may_try(&self, failure: Failure) -> bool {
        self.allowed(failure).is_some()
    }

    /// `resendable`: whether the whole body can be sent again. `asked`: how long everyone who could be tried next wants to be left alone; zero where
    /// one does not. `draw` is uniform over all of `u32`.
    pub fn on_failure(
        &mut self,
        failure: Failure,
        resendable: bool,
        asked: Duration,
        budget: &mut Budget,
        now: Instant,
        draw: u32,
    ) -> Next {
        let Some(allowed) = self.allowed(failure) else { return Next::GiveUp(Why::NotRetryable) };
        if !resendable {
            return Next::GiveUp(Why::BodySpent);
        }
        if self.retries >= allowed {
            return Next::GiveUp(Why::AttemptsSpent);
        }
        if asked > limits::RETRY_AFTER_LONGEST {
            return Next::GiveUp(Why::AskedToWait);
        }
        let pause = self.pause(failure, draw).max(asked);
        if self.deadline.is_some_and(|(deadline, _)| now.checked_add(pause).is_none_or(|then| then >= deadline)) {
            return Next::GiveUp(Why::TimeSpent);
        }
        if !budget.withdraw(now) {
            return Next::GiveUp(Why::BudgetSpent);
        }
        self.retries += 1;
        Next::RetryAfter(pause)
    }

    /// How many retries this kind of failure may have; `None` where it may not be retried at all.
    fn allowed(&self, failure: Failure) -> Option<u32> {
        match (failure, self.policy) {
            // The user named these codes and so answers for methods that are not idempotent.
            (Failure::Status(code), Some(policy)) => policy.codes.contains(&code).then_some(policy.attempts),
            (Failure::Status(_) | Failure::Sent(_), None) => None,
            (Failure::Sent(Fault::RequestTimeout | Fault::DeadlineExceeded | Fault::DownstreamClosed), _) => None,
            (Failure::Sent(_), Some(policy)) => self.idempotent.then_some(policy.attempts),
            (Failure::Unsent(_), policy) => Some(policy.map_or(limits::UNSENT_RETRIES, |policy| policy.attempts)),
        }
    }

    /// Exponential, with full jitter. The first retry of what was never sent goes at once: it meets another endpoint.
    fn pause(&self, failure: Failure, draw: u32) -> Duration {
        if self.retries == 0 && matches!(failure, Failure::Unsent(_)) {
            return Duration::ZERO;
        }
        let base = self.policy.map_or(limits::BACKOFF_DEFAULT, |policy| policy.backoff);
        let most = base.saturating_mul(1 << self.retries.min(16)).min(limits::BACKOFF_LONGEST.max(base));
        // Never shorter than the rule's backoff, which Gateway API calls a minimum; the jitter covers what lies above it.
        let span = most.saturating_mul(2).min(limits::BACKOFF_LONGEST.max(base)).saturating_sub(base);
        base + span.mul_f64(f64::from(draw) / f64::from(u32::MAX))
    }
}

/// The one that comes first; the second of two at the same moment.
fn sooner(a: Option<(Instant, Fault)>, b: Option<(Instant, Fault)>) -> Option<(Instant, Fault)> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if a.0 < b.0 { a } else { b }),
        (a, b) => a.or(b),
    }
}

/// Retries allowed towards one service: a share of requests, and a few each second whatever their number. One for a proxy and a service, whatever
/// the number of workers.
#[derive(Debug, Clone)]
pub struct Budget {
    rule: RetryBudget,
    /// Thousandths of a retry.
    balance: u64,
    per_second: u64,
    last: Instant,
}

const RETRY: u64 = 1000;

impl Budget {
    /// A full one.
    pub fn new(rule: RetryBudget, now: Instant) -> Self {
        let per_second = u64::from(rule.min_count) * RETRY * 1000 / (rule.min_interval.as_millis() as u64).max(1);
        let mut budget = Self { rule, balance: 0, per_second, last: now };
        budget.balance = budget.most();
        budget
    }

    /// Takes another rule, where it is another; the budget is full again then.
    pub fn adopt(&mut self, rule: RetryBudget, now: Instant) {
        if self.rule != rule {
            *self = Self::new(rule, now);
        }
    }

    /// A first try was sent.
    pub fn deposit(&mut self, now: Instant) {
        self.refill(now);
        self.add(RETRY * u64::from(self.rule.percent) / 100);
    }

    fn withdraw(&mut self, now: Instant) -> bool {
        self.refill(now);
        match self.balance.checked_sub(RETRY) {
            Some(rest) => {
                self.balance = rest;
                true
            }
            None => false,
        }
    }

    fn refill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.last).min(self.rule.interval).as_millis() as u64;
        let earned = elapsed * self.per_second / 1000;
        // Time too short to earn anything is not lost.
        if earned > 0 {
            self.last = now;
            self.add(earned);
        }
    }

    fn add(&mut self, amount: u64) {
        self.balance = (self.balance + amount).min(self.most());
    }

    /// What is not used is kept for an interval.
    fn most(&self) -> u64 {
        (self.per_second * self.rule.interval.as_millis() as u64 / 1000).max(RETRY)
    }
}

#[cfg(test)]
mod tests;
