//! What one listener holds at once, over all workers: connections, and among them TLS handshakes under way. Where there is no room new connections
//! wait in the kernel's queue, and who has one keeps it. It never knows whose they are.

use crate::limits;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Workers look before they accept, so that each may bring one more than the limit where they look at once.
#[derive(Debug)]
pub struct Room {
    connections: Seats,
    handshakes: Seats,
}

#[derive(Debug)]
struct Seats {
    most: AtomicUsize,
    taken: AtomicUsize,
}

impl Room {
    pub fn new(connections: usize, handshakes: usize) -> Arc<Self> {
        let seats = |most| Seats { most: AtomicUsize::new(most), taken: AtomicUsize::new(0) };
        Arc::new(Self { connections: seats(connections), handshakes: seats(handshakes) })
    }

    /// Changes how many there may be, or makes it as the proxy has it; who has a place keeps it.
    pub fn allow(&self, connections: Option<usize>, handshakes: Option<usize>) {
        self.connections.most.store(connections.unwrap_or(limits::CONNECTIONS), Ordering::Relaxed);
        self.handshakes.most.store(handshakes.unwrap_or(limits::HANDSHAKES), Ordering::Relaxed);
    }

    /// Whether the next connection has to wait.
    pub fn is_full(&self) -> bool {
        [&self.connections, &self.handshakes].iter().any(|seats| seats.taken.load(Ordering::Relaxed) >= seats.most.load(Ordering::Relaxed))
    }

    /// A connection, until it is dropped, however its task ends.
    pub fn connection(self: &Arc<Self>) -> Seat {
        Seat::take(self, |room| &room.connections)
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
