//! How many connections a proxy may have open to a service and to each of its endpoints, and who waits where there are as many. Each connection has a
//! *seat* from before it is dialled until it is closed, so that there are never more. Waiting is in order; a seat that becomes free goes to whoever waits
//! longest and may have it. Of workers, pools and sockets this room knows nothing: whoever keeps an idle connection asks whether to close it or hand it over.

use crate::limits;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use model::traffic::ConnectionLimits;
use std::collections::VecDeque;
use std::sync::Arc;

/// One who waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    Seated,
    /// Seated when [`Room::leave`] or [`Room::seat_next`] names the ticket.
    Waits(Ticket),
    /// As many are open as may be, and too many wait.
    Full,
}

#[derive(Debug, Default)]
pub struct Room {
    limits: ConnectionLimits,
    open: u32,
    at: HashMap<Arc<str>, u32, FixedState>,
    waiting: VecDeque<(Ticket, Arc<str>)>,
    tickets: u64,
    /// Connections handed over past someone who waits longer, in a row.
    passed: u32,
    /// Its seats are counted by another room, which gives each further one and takes each back.
    lent: bool,
}

impl Room {
    /// A seat at an endpoint, or a place among at most `most` who wait.
    pub fn enter(&mut self, endpoint: &Arc<str>, most: u32) -> Entry {
        // Those before may wait for an endpoint that is full, and this one for none.
        if self.is_free(endpoint) && !self.waiting.iter().any(|(_, other)| self.is_free(other)) {
            self.sit(endpoint.clone());
            return Entry::Seated;
        }
        if self.waiting.len() >= most as usize {
            return Entry::Full;
        }
        self.tickets += 1;
        self.waiting.push_back((Ticket(self.tickets), endpoint.clone()));
        Entry::Waits(Ticket(self.tickets))
    }

    /// A connection was closed, or never opened; its seat goes to the one named.
    pub fn leave(&mut self, endpoint: &str) -> Option<Ticket> {
        self.stand(endpoint);
        self.seat_next()
    }

    fn stand(&mut self, endpoint: &str) {
        self.open = self.open.saturating_sub(1);
        let left = self.at.get_mut(endpoint).map(|open| {
            *open = open.saturating_sub(1);
            *open
        });
        if left == Some(0) {
            self.at.remove(endpoint);
        }
    }

    /// From now on another room counts: the connections that are open there, by endpoint. Where nothing is limited nobody needs to.
    pub fn lend(&mut self) -> Option<Vec<(Arc<str>, u32)>> {
        if self.lent || self.limits == ConnectionLimits::default() {
            return None;
        }
        self.lent = true;
        Some(self.at.iter().map(|(endpoint, open)| (endpoint.clone(), *open)).collect())
    }

    pub fn is_lent(&self) -> bool {
        self.lent
    }

    /// The other room is gone. Whoever can go now is named by [`Room::seat_next`].
    pub fn take_back(&mut self) {
        self.lent = false;
    }

    /// The other room gave a seat; `None`: nobody waits for it any more.
    pub fn granted(&mut self, endpoint: &str) -> Option<Ticket> {
        let first = self.waiting.iter().position(|(_, other)| **other == *endpoint)?;
        let (ticket, endpoint) = self.waiting.remove(first)?;
        self.sit(endpoint);
        Some(ticket)
    }

    /// A connection that another room had before.
    pub fn adopt(&mut self, endpoint: &Arc<str>) {
        self.sit(endpoint.clone());
    }

    /// One that waited waits no more. If it was seated meanwhile, the caller has to [`Room::leave`] instead.
    pub fn give_up(&mut self, ticket: Ticket) {
        self.waiting.retain(|(other, _)| *other != ticket);
    }

    /// Other limits; whether they were others. Whoever can go now is named by [`Room::seat_next`], one a call.
    pub fn limit(&mut self, limits: ConnectionLimits) -> bool {
        let other = self.limits != limits;
        self.limits = limits;
        other
    }

    /// Seats the first of those who wait that may have a seat.
    pub fn seat_next(&mut self) -> Option<Ticket> {
        let first = self.waiting.iter().position(|(_, endpoint)| self.is_free(endpoint))?;
        let (ticket, endpoint) = self.waiting.remove(first)?;
        self.sit(endpoint);
        self.passed = 0;
        Some(ticket)
    }

    /// Whether an open connection may go, as it is, to this one who waits, past all others. Where it may, its wait is over. Not without end, or the
    /// others would wait for ever.
    pub fn hand_over(&mut self, ticket: Ticket) -> bool {
        let Some(place) = self.waiting.iter().position(|(other, _)| *other == ticket) else { return false };
        if self.is_over() {
            return false;
        }
        self.passed = if place == 0 { 0 } else { self.passed + 1 };
        if self.passed > limits::HANDED_OVER {
            self.passed = 0;
            return false;
        }
        self.waiting.remove(place);
        true
    }

    /// Whether somebody gains by an idle connection to this endpoint being closed: one who waits, or a limit that was lowered.
    pub fn gains(&self, endpoint: &str) -> bool {
        let full = |other: &str| self.limits.endpoint.is_some_and(|limit| self.at.get(other).is_some_and(|open| *open >= limit.max(1)));
        self.lent
            || self.is_over()
            || self.limits.endpoint.is_some_and(|limit| self.at.get(endpoint).is_some_and(|open| *open > limit.max(1)))
            || self.waiting.iter().any(|(_, other)| **other == *endpoint || !full(other))
    }

    /// How many idle connections somebody could gain by at most.
    pub fn wanted(&self) -> u32 {
        if self.lent {
            return self.waiting() + self.open;
        }
        let over = self.limits.service.map_or(0, |limit| self.open.saturating_sub(limit.max(1)));
        let at = self.limits.endpoint.map_or(0, |limit| self.at.values().map(|open| open.saturating_sub(limit.max(1))).sum());
        self.waiting() + over.max(at)
    }

    pub fn open(&self) -> u32 {
        self.open
    }

    pub fn waiting(&self) -> u32 {
        self.waiting.len() as u32
    }

    pub fn limits(&self) -> ConnectionLimits {
        self.limits
    }

    /// As many are open as may be.
    pub fn is_full(&self) -> bool {
        self.lent || self.limits.service.is_some_and(|limit| self.open >= limit.max(1))
    }

    fn is_over(&self) -> bool {
        !self.lent && self.limits.service.is_some_and(|limit| self.open > limit.max(1))
    }

    fn is_free(&self, endpoint: &str) -> bool {
        let at = self.at.get(endpoint).copied().unwrap_or(0);
        !self.is_full() && self.limits.endpoint.is_none_or(|limit| at < limit.max(1))
    }

    fn sit(&mut self, endpoint: Arc<str>) {
        self.open += 1;
        *self.at.entry(endpoint).or_default() += 1;
    }
}

#[cfg(test)]
mod tests;
