//! Seats of two processes of one proxy: while the elder's connections end, the younger counts them among its own, so that both have no more than one
//! may. The elder gives back what it does not need and asks for each further one. How words travel is the handover's affair.

use super::seat::{Counted, Seat, Waits};
use super::{DEFAULTS, Gate, Guard, Guards, lock};
use crate::worker::Shared;
use model::Key;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::mpsc::UnboundedSender;
use wire::handover::{self, Word};

pub type Outbox = UnboundedSender<Word>;

impl Counted {
    fn named(&self) -> handover::Seat {
        let (service, port) = &self.guard.place;
        handover::Seat { service: service.to_string(), port: *port, endpoint: self.endpoint.to_string() }
    }
}

impl Gate {
    /// Tells the process that counts for this one, where one does.
    pub(super) fn tell(&self, word: fn(handover::Seat) -> Word, of: &Counted) {
        if let Some(outbox) = &self.lent {
            // One that is gone counts no more, and this gate is told so.
            let _ = outbox.send(word(of.named()));
        }
    }
}

impl Guard {
    /// From now on another process counts; says which connections there are.
    pub(super) fn lend(self: &Arc<Self>, gate: &mut Gate, outbox: &Outbox) -> Vec<handover::Seats> {
        let Some(open) = gate.room.lend() else { return Vec::new() };
        gate.lent = Some(outbox.clone());
        let named = |endpoint| Counted { guard: self.clone(), endpoint }.named();
        open.into_iter().map(|(endpoint, open)| handover::Seats { seat: named(endpoint), open }).collect()
    }
}

impl Guards {
    fn everybody(&self) -> Vec<Arc<Guard>> {
        lock(&self.all).values().cloned().collect()
    }

    /// Has another process count from now on; what it is to count first, and then what is said to `outbox`.
    pub fn lend(&self, outbox: Outbox) -> Vec<handover::Seats> {
        *lock(&self.bells.lease) = Some(outbox.clone());
        let mut all = Vec::new();
        for guard in self.everybody() {
            let mut gate = lock(&guard.gate);
            all.append(&mut guard.lend(&mut gate, &outbox));
            guard.room_changed(&gate.room);
            drop(gate);
            if guard.wanted() > 0 {
                guard.ring();
            }
        }
        all
    }

    /// The other process gave a seat.
    pub fn granted(&self, seat: handover::Seat) {
        let guard = self.everybody().into_iter().find(|guard| guard.place.0.to_string() == seat.service && guard.place.1 == seat.port);
        let Some(guard) = guard else { return };
        let mut gate = lock(&guard.gate);
        match gate.room.granted(&seat.endpoint) {
            Some(ticket) => gate.seat(Some(ticket)),
            None => gate.tell(Word::Gave, &Counted { guard: guard.clone(), endpoint: seat.endpoint.into() }),
        }
        guard.room_changed(&gate.room);
    }

    /// The other process is gone: this one counts for itself again.
    pub fn take_back(&self) {
        *lock(&self.bells.lease) = None;
        for guard in self.everybody() {
            let mut gate = lock(&guard.gate);
            gate.lent = None;
            gate.room.take_back();
            while let Some(next) = gate.room.seat_next() {
                gate.seat(Some(next));
            }
            guard.room_changed(&gate.room);
        }
    }
}

/// What a predecessor has, counted here.
#[derive(Default)]
pub struct Held(HashMap<handover::Seat, Vec<Seat>>);

impl Held {
    /// Connections that the predecessor had before: there may be more than a limit allows until some have ended.
    pub fn adopt(&mut self, shared: &Shared, told: Vec<handover::Seats>) {
        for handover::Seats { seat, open } in told {
            let Some(counted) = counted(shared, &seat) else { continue };
            let held = self.0.entry(seat).or_default();
            (0..open).for_each(|_| held.push(counted.adopted()));
        }
    }

    /// One more, at once or when it is free; `None` where too many wait.
    pub fn want(shared: &Shared, seat: &handover::Seat) -> Option<Result<Seat, Waits>> {
        counted(shared, seat)?.seat().ok()
    }

    pub fn keep(&mut self, named: handover::Seat, seat: Seat) {
        self.0.entry(named).or_default().push(seat);
    }

    pub fn gave(&mut self, seat: &handover::Seat) {
        self.0.get_mut(seat).and_then(Vec::pop);
    }
}

/// With the limits that hold here, though nobody may have called it here yet.
fn counted(shared: &Shared, seat: &handover::Seat) -> Option<Counted> {
    let place = (Key::parse(&seat.service)?, seat.port);
    let guard = shared.guards.of(&place, &shared.metrics);
    let snapshot = shared.snapshot.load();
    let service = snapshot.table.service(&place.0);
    let policy = service.and_then(|service| service.policies.iter().find(|at| at.port == seat.port)).map(|at| &at.policy);
    guard.limit(policy.unwrap_or(&DEFAULTS));
    Some(Counted { guard, endpoint: seat.endpoint.as_str().into() })
}
