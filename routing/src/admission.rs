//! How many calls to a service may be under way, and how many may wait for their turn; beyond both a call is refused at once. Waiting is in order,
//! and a place that becomes free goes to whoever waited longest. It never knows what waits or how it is woken.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use model::traffic::RequestLimits;
use std::collections::VecDeque;
use std::sync::Arc;

/// One who waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    Admitted,
    /// Admitted when [`Admission::leave`] or [`Admission::admit_next`] names the ticket.
    Waits(Ticket),
    /// Too many are under way, and too many wait.
    Overloaded {
        under_way: u32,
        waiting: u32,
    },
}

#[derive(Debug, Default)]
pub struct Admission {
    under_way: u32,
    waiting: VecDeque<Ticket>,
    next: u64,
}

impl Admission {
    pub fn enter(&mut self, limits: &RequestLimits) -> Entry {
        if self.under_way < limits.parallel_requests && self.waiting.is_empty() {
            self.under_way += 1;
            return Entry::Admitted;
        }
        if self.waiting.len() >= limits.pending_requests as usize {
            return Entry::Overloaded { under_way: self.under_way, waiting: self.waiting.len() as u32 };
        }
        self.next += 1;
        self.waiting.push_back(Ticket(self.next));
        Entry::Waits(Ticket(self.next))
    }

    /// One that was admitted has ended; its place goes to the one named.
    pub fn leave(&mut self, limits: &RequestLimits) -> Option<Ticket> {
        self.under_way = self.under_way.saturating_sub(1);
        self.admit_next(limits)
    }

    /// One that waited waits no more. If it was admitted meanwhile, the caller has to [`Admission::leave`] instead.
    pub fn give_up(&mut self, ticket: Ticket) {
        self.waiting.retain(|other| *other != ticket);
    }

    /// The limits may have grown: whoever can go now, one a call.
    pub fn admit_next(&mut self, limits: &RequestLimits) -> Option<Ticket> {
        if self.under_way >= limits.parallel_requests {
            return None;
        }
        let first = self.waiting.pop_front()?;
        self.under_way += 1;
        Some(first)
    }

    pub fn under_way(&self) -> u32 {
        self.under_way
    }

    pub fn waiting(&self) -> u32 {
        self.waiting.len() as u32
    }
}

/// Requests under way at each endpoint, where a policy limits them: one that is slow fills up and is passed over, and the rest of the service's places
/// are left to the others.
#[derive(Debug, Default)]
pub struct Occupied(HashMap<Arc<str>, u32, FixedState>);

impl Occupied {
    /// Takes a place at an endpoint, unless `limit` are taken.
    pub fn take(&mut self, endpoint: &Arc<str>, limit: u32) -> bool {
        let taken = self.0.entry(endpoint.clone()).or_default();
        let free = *taken < limit.max(1);
        *taken += u32::from(free);
        free
    }

    /// Gives back a place that was taken.
    pub fn give(&mut self, endpoint: &str) {
        let left = self.0.get_mut(endpoint).map(|taken| {
            *taken = taken.saturating_sub(1);
            *taken
        });
        // Endpoints come and go: what is free is not remembered.
        if left == Some(0) {
            self.0.remove(endpoint);
        }
    }

    pub fn is_full(&self, endpoint: &str, limit: u32) -> bool {
        self.0.get(endpoint).is_some_and(|taken| *taken >= limit.max(1))
    }
}

#[cfg(test)]
mod tests;
