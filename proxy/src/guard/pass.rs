//! A call's leave to go: its place among those under way, and its word in the breaker. Both are given back when it is dropped, however it ended.

use super::{Gate, Guard, Refused, Waiting, lock};
use model::traffic::{RequestLimits, RetryBudget, TrafficPolicy};
use routing::admission::{Entry, Ticket};
use routing::breaker::Admitted;
use routing::retry::Budget;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Instant;
use transport::rt;

pub struct Pass {
    turn: Turn,
    policy: Arc<TrafficPolicy>,
    admitted: Admitted,
    /// How the call ended; `None` where that says nothing of the service.
    pub failed: Option<bool>,
}

impl Pass {
    pub(super) fn new(turn: Turn, policy: Arc<TrafficPolicy>, admitted: Admitted) -> Self {
        Self { turn, policy, admitted, failed: None }
    }

    /// Whether it has to wait for its place.
    pub fn waits(&self) -> bool {
        self.turn.ticket.is_some()
    }

    /// Until its place is free.
    pub async fn placed(&mut self) {
        poll_fn(|cx| self.turn.poll(cx.waker())).await;
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.turn.guard.settled(&self.policy, self.admitted, self.failed, rt::now());
    }
}

/// A place under way, or in the queue while there is a ticket.
pub(super) struct Turn {
    guard: Arc<Guard>,
    ticket: Option<Ticket>,
}

impl Turn {
    pub(super) fn take(guard: &Arc<Guard>, policy: &TrafficPolicy, now: Instant) -> Result<Self, Refused> {
        let limits = policy.limits;
        let mut gate = lock(&guard.gate);
        gate.adopt(limits);
        // Who waits for a connection waits too.
        let pending_requests = limits.pending_requests.saturating_sub(gate.room.waiting());
        match gate.admission.enter(&RequestLimits { pending_requests, ..limits }) {
            Entry::Admitted => {
                gate.deposit(policy.retry_budget, now);
                Ok(Self { guard: guard.clone(), ticket: None })
            }
            Entry::Waits(ticket) => {
                gate.waiting.insert(ticket, Waiting::default());
                gate.deposit(policy.retry_budget, now);
                Ok(Self { guard: guard.clone(), ticket: Some(ticket) })
            }
            Entry::Overloaded { under_way, waiting } => {
                let (service, waiting) = (&guard.place.0, waiting + gate.room.waiting());
                let why = format!(
                    "overloaded: service {}/{} has {under_way} requests under way and {waiting} waiting, which is all that is allowed",
                    service.namespace, service.name
                );
                Err(Refused { cause: "pending_overflow", why })
            }
        }
    }

    fn poll(&mut self, waker: &Waker) -> Poll<()> {
        let Some(ticket) = self.ticket else { return Poll::Ready(()) };
        let mut gate = lock(&self.guard.gate);
        match gate.waiting.get_mut(&ticket) {
            Some(slot) if !slot.admitted => {
                slot.waker = Some(waker.clone());
                Poll::Pending
            }
            _ => {
                gate.waiting.remove(&ticket);
                self.ticket = None;
                Poll::Ready(())
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut gate = lock(&self.guard.gate);
        let admitted = match self.ticket {
            None => true,
            Some(ticket) => gate.waiting.remove(&ticket).is_some_and(|slot| slot.admitted),
        };
        match (admitted, self.ticket) {
            (false, Some(ticket)) => gate.admission.give_up(ticket),
            _ => {
                let limits = gate.limits;
                let next = gate.admission.leave(&limits);
                gate.wake(next);
            }
        }
    }
}

impl Gate {
    /// One more call, of whose kind a share may be tried again.
    fn deposit(&mut self, rule: RetryBudget, now: Instant) {
        let budget = self.budget.get_or_insert_with(|| Budget::new(rule, now));
        budget.adopt(rule, now);
        budget.deposit(now);
    }

    /// What a policy says of requests; where limits have grown, some can go.
    pub(super) fn adopt(&mut self, limits: RequestLimits) {
        if self.limits != limits {
            self.limits = limits;
            while self.let_one_go() {}
        }
    }

    /// After limits have grown; says whether another may go too.
    fn let_one_go(&mut self) -> bool {
        let limits = self.limits;
        let next = self.admission.admit_next(&limits);
        self.wake(next);
        next.is_some()
    }

    fn wake(&mut self, ticket: Option<Ticket>) {
        let Some(slot) = ticket.and_then(|ticket| self.waiting.get_mut(&ticket)) else { return };
        slot.admitted = true;
        if let Some(waker) = slot.waker.take() {
            waker.wake();
        }
    }
}
