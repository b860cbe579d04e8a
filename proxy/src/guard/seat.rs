//! Seats: how many connections this proxy has open to a service, over all its workers. Who finds none free waits, and rings at all workers for one that
//! lies idle in some pool. How a worker looks for one is its own affair; here nobody knows a socket.

use super::{Guard, Guards, OVERFLOW, Refused, Waiting, lock};
use crate::limits;
use model::Key;
use model::traffic::TrafficPolicy;
use routing::room::{Entry, Ticket};
use std::hash::{Hash, Hasher};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Poll, Waker};
use wire::handover::Word;

/// Whose connections those to an endpoint are counted among.
#[derive(Debug, Clone)]
pub struct Counted {
    pub guard: Arc<Guard>,
    pub endpoint: Arc<str>,
}

// A pool is asked by address; that one service's connections are no other's is all that is added here.
impl PartialEq for Counted {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.guard, &other.guard)
    }
}

impl Eq for Counted {}

impl Hash for Counted {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.guard).hash(state);
    }
}

/// Held from before a connection is dialled until it is closed.
#[derive(Debug)]
pub struct Seat(Counted);

impl Drop for Seat {
    fn drop(&mut self) {
        let guard = &self.0.guard;
        let mut gate = lock(&guard.gate);
        let next = gate.room.leave(&self.0.endpoint);
        gate.seat(next);
        gate.tell(Word::Gave, &self.0);
        guard.room_changed(&gate.room);
    }
}

/// One who waits for a seat.
pub struct Waits {
    counted: Counted,
    pub ticket: Ticket,
    /// Its wait is over, or it was handed a connection with its seat.
    over: bool,
}

impl Waits {
    /// Asks all workers for idle connections.
    pub fn ring(&self) {
        self.counted.guard.ring();
    }

    pub fn poll(&mut self, waker: &Waker) -> Poll<Seat> {
        let mut gate = lock(&self.counted.guard.gate);
        match gate.unseated.get_mut(&self.ticket) {
            Some(slot) if slot.admitted => {
                gate.unseated.remove(&self.ticket);
                self.over = true;
                Poll::Ready(Seat(self.counted.clone()))
            }
            Some(slot) => {
                slot.waker = Some(waker.clone());
                Poll::Pending
            }
            None => Poll::Pending,
        }
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let mut gate = lock(&self.counted.guard.gate);
        let seated = gate.unseated.remove(&self.ticket).is_some_and(|slot| slot.admitted);
        gate.room.give_up(self.ticket);
        self.counted.guard.room_changed(&gate.room);
        drop(gate);
        if seated {
            drop(Seat(self.counted.clone()));
        }
    }
}

impl super::Gate {
    pub(super) fn seat(&mut self, ticket: Option<Ticket>) {
        let Some(slot) = ticket.and_then(|ticket| self.unseated.get_mut(&ticket)) else { return };
        slot.admitted = true;
        if let Some(waker) = slot.waker.take() {
            waker.wake();
        }
    }
}

impl Counted {
    /// A seat, or a place among those who wait for one.
    ///
    /// # Errors
    /// If as many wait as may.
    pub fn seat(&self) -> Result<Result<Seat, Waits>, Refused> {
        let guard = &self.guard;
        let mut gate = lock(&guard.gate);
        let most = gate.limits.pending_requests.saturating_sub(gate.admission.waiting());
        let entry = gate.room.enter(&self.endpoint, most);
        match entry {
            Entry::Seated => {
                guard.room_changed(&gate.room);
                Ok(Ok(Seat(self.clone())))
            }
            Entry::Waits(ticket) => {
                gate.unseated.insert(ticket, Waiting::default());
                gate.tell(Word::Want, self);
                guard.room_changed(&gate.room);
                drop(gate);
                let help = "Times that a call found as many connections open as may be";
                guard.metrics.counter("organza_upstream_cx_overflow", help, &guard.labels()).add(1.0);
                Ok(Err(Waits { counted: self.clone(), ticket, over: false }))
            }
            Entry::Full => {
                let (open, waiting) = (gate.room.open(), gate.room.waiting() + gate.admission.waiting());
                drop(gate);
                guard.count("organza_upstream_rq_overflow", OVERFLOW, "connection_overflow");
                let service = &guard.place.0;
                let why = format!(
                    "overloaded: service {}/{} has {open} connections, which is all that is allowed, and {waiting} calls wait",
                    service.namespace, service.name
                );
                Err(Refused { cause: "connection_overflow", why })
            }
        }
    }

    /// For a connection that another process has.
    pub(super) fn adopted(&self) -> Seat {
        let mut gate = lock(&self.guard.gate);
        gate.room.adopt(&self.endpoint);
        self.guard.room_changed(&gate.room);
        Seat(self.clone())
    }

    /// Whether somebody gains by an idle connection there being closed.
    pub fn gains(&self) -> bool {
        self.guard.wanted() > 0 && lock(&self.guard.gate).room.gains(&self.endpoint)
    }
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Guard").field(&self.place).finish()
    }
}

impl Guard {
    /// How many idle connections somebody could gain by.
    pub fn wanted(&self) -> u32 {
        self.wanted.load(Ordering::Acquire)
    }

    /// Whether an open connection may go to this one who waits; its wait is over then, without a seat of its own.
    pub fn hand_over(&self, waits: Ticket) -> bool {
        let mut gate = lock(&self.gate);
        let handed = gate.room.hand_over(waits);
        if handed {
            gate.unseated.remove(&waits);
            self.room_changed(&gate.room);
        }
        handed
    }

    /// What a policy says of connections. Where there are too many, idle ones are closed.
    pub fn limit(self: &Arc<Self>, policy: &TrafficPolicy) {
        let mut gate = lock(&self.gate);
        gate.adopt(policy.limits);
        gate.by = policy.origin.as_ref().map(|origin| origin.object.to_string().into());
        if !gate.room.limit(policy.connections) {
            return;
        }
        if let Some(outbox) = &*lock(&self.bells.lease) {
            let told = self.lend(&mut gate, outbox);
            let _ = outbox.send(Word::Seats(told));
        }
        while let Some(next) = gate.room.seat_next() {
            gate.seat(Some(next));
        }
        self.room_changed(&gate.room);
        drop(gate);
        if self.wanted() > 0 {
            self.ring();
        }
    }

    /// The object that limits them.
    pub fn said_by(&self) -> Option<Arc<str>> {
        lock(&self.gate).by.clone()
    }

    /// Asks all workers for idle connections.
    pub fn ring(self: &Arc<Self>) {
        self.bells.ring(self);
    }

    /// To be called under the gate's lock, whenever the room is another.
    pub(super) fn room_changed(&self, room: &routing::room::Room) {
        self.connections.set(f64::from(room.open()));
        self.wanted.store(room.wanted(), Ordering::Release);
    }

    fn crowded(&self) -> Option<Crowded> {
        let gate = lock(&self.gate);
        let (room, limits) = (&gate.room, gate.room.limits());
        let told =
            || Crowded { service: self.place.0.clone(), open: room.open(), limit: limits.service.unwrap_or(0), waiting: room.waiting() };
        (room.is_full() || room.waiting() > 0).then(told)
    }
}

/// A service that has as many connections as it may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crowded {
    pub service: Key,
    pub open: u32,
    /// 0 where endpoints alone are limited.
    pub limit: u32,
    pub waiting: u32,
}

impl Guards {
    /// All services that have as many connections as they may, in a stable order.
    pub fn crowded(&self) -> Vec<Crowded> {
        let guards: Vec<_> = lock(&self.all).values().cloned().collect();
        let mut all: Vec<Crowded> = guards.iter().filter_map(|guard| guard.crowded()).collect();
        all.sort_by(|a, b| a.service.cmp(&b.service));
        all.truncate(limits::EJECTIONS_TOLD);
        all
    }

    /// Where a worker hears that somebody waits for a connection.
    pub fn bell(&self) -> Arc<Bell> {
        let bell = Arc::new(Bell::default());
        let mut all = lock(&self.bells.all);
        all.retain(|bell| bell.strong_count() > 0);
        all.push(Arc::downgrade(&bell));
        bell
    }
}

/// Those of all workers.
#[derive(Debug, Default)]
pub struct Bells {
    all: Mutex<Vec<Weak<Bell>>>,
    /// Of a process that has a successor: services that are limited from now on are counted there too.
    pub(super) lease: Mutex<Option<super::Outbox>>,
}

impl Bells {
    fn ring(&self, guard: &Arc<Guard>) {
        lock(&self.all).iter().filter_map(Weak::upgrade).for_each(|bell| bell.ring(guard));
    }
}

/// One worker's.
#[derive(Debug, Default)]
pub struct Bell(Mutex<Rung>);

#[derive(Debug, Default)]
struct Rung {
    guards: Vec<Arc<Guard>>,
    waker: Option<Waker>,
}

impl Bell {
    pub fn ring(&self, guard: &Arc<Guard>) {
        let mut rung = lock(&self.0);
        if !rung.guards.iter().any(|other| Arc::ptr_eq(other, guard)) {
            rung.guards.push(guard.clone());
        }
        if let Some(waker) = rung.waker.take() {
            waker.wake();
        }
    }

    /// For whom it was rung since.
    pub fn poll(&self, waker: &Waker) -> Poll<Vec<Arc<Guard>>> {
        let mut rung = lock(&self.0);
        if rung.guards.is_empty() {
            rung.waker = Some(waker.clone());
            return Poll::Pending;
        }
        Poll::Ready(std::mem::take(&mut rung.guards))
    }
}
