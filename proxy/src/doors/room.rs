//! What one listener holds at once, over all workers: connections, and among them TLS handshakes under way. Where there is no room new connections
//! wait in the kernel's queue, and who has one keeps it. It never knows whose they are.

use crate::limits;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Workers look before they accept; where two looked at once, what the second accepted waits in its hands until there is room.
#[derive(Debug)]
pub struct Room {
    connections: Seats,
    handshakes: Seats,
}

#[derive(Debug)]
struct Seats {
    /// Where nobody says another number.
    usual: usize,
    most: AtomicUsize,
    taken: AtomicUsize,
}

impl Seats {
    fn allow(&self, most: Option<usize>) {
        self.most.store(most.unwrap_or(self.usual), Ordering::Relaxed);
    }
}

/// Connections of one listener where nobody says how many: half of the files that this process may open, since most of them want a socket towards a
/// backend too, and [`limits::CONNECTIONS`] at most.
pub fn usual(files: Option<u64>) -> usize {
    let half = files.and_then(|files| usize::try_from(files / 2).ok());
    half.map_or(limits::CONNECTIONS, |half| half.min(limits::CONNECTIONS))
}

impl Room {
    pub fn new(connections: usize, handshakes: usize) -> Arc<Self> {
        let seats = |usual| Seats { usual, most: AtomicUsize::new(usual), taken: AtomicUsize::new(0) };
        Arc::new(Self { connections: seats(connections), handshakes: seats(handshakes) })
    }

    /// Changes how many there may be, or makes it as the proxy has it; who has a place keeps it.
    pub fn allow(&self, connections: Option<usize>, handshakes: Option<usize>) {
        self.connections.allow(connections);
        self.handshakes.allow(handshakes);
    }

    /// Whether the next connection has to wait.
    pub fn is_full(&self) -> bool {
        [&self.connections, &self.handshakes].iter().any(|seats| seats.taken.load(Ordering::Relaxed) >= seats.most.load(Ordering::Relaxed))
    }

    /// A connection, until it is dropped, however its task ends.
    pub fn connection(self: &Arc<Self>) -> Seat {
        Seat::take(self, |room| &room.connections)
    }

    /// The same, if there is room for it.
    pub fn try_connection(self: &Arc<Self>) -> Option<Seat> {
        let Seats { most, taken, .. } = &self.connections;
        let next = |count| (count < most.load(Ordering::Relaxed)).then_some(count + 1);
        taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).ok()?;
        Some(Seat { room: self.clone(), of: |room| &room.connections })
    }

    /// A handshake, likewise.
    pub fn handshake(self: &Arc<Self>) -> Seat {
        Seat::take(self, |room| &room.handshakes)
    }
}

#[derive(Debug)]
pub struct Seat {
    room: Arc<Room>,
    of: fn(&Room) -> &Seats,
}

impl Seat {
    fn take(room: &Arc<Room>, of: fn(&Room) -> &Seats) -> Self {
        of(room).taken.fetch_add(1, Ordering::Relaxed);
        Self { room: room.clone(), of }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        (self.of)(&self.room).taken.fetch_sub(1, Ordering::Relaxed);
    }
}
