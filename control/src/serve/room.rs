//! Who may be connected at once: each certificate has room for so many connections, of which the eldest ends for a new one, and all who show none
//! have room for so many and so long. It knows no socket.

use crate::limits;
use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

#[derive(Debug, Clone, Default)]
pub struct Room(Arc<Mutex<Places>>);

#[derive(Debug, Default)]
struct Places {
    /// Connections by the SHA-256 of their certificate, the eldest first, each with what ends it.
    members: HashMap<String, VecDeque<(u64, oneshot::Sender<()>)>>,
    strangers: usize,
    /// How many there were.
    count: u64,
    turned_away: TurnedAway,
}

/// How many connections ended for want of room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TurnedAway {
    pub members: u64,
    pub strangers: u64,
}

/// A connection's, until it is dropped.
#[derive(Debug)]
pub struct Place {
    room: Room,
    /// Its certificate, and its number among those of it.
    of: Option<(String, u64)>,
}

/// Comes when the connection is to end.
pub type End = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Room {
    fn places(&self) -> MutexGuard<'_, Places> {
        // What a panic leaves behind is a whole value.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For whoever has shown the certificate of this SHA-256, or none; `None` where there is no room.
    pub fn take(&self, sha256: Option<&str>) -> Option<(Place, End)> {
        let places = &mut *self.places();
        let Some(sha256) = sha256 else {
            if places.strangers >= limits::STRANGERS {
                places.turned_away.strangers += 1;
                return None;
            }
            places.strangers += 1;
            return Some((Place { room: self.clone(), of: None }, Box::pin(tokio::time::sleep(limits::STRANGER))));
        };
        places.count += 1;
        let (number, (ends, ended)) = (places.count, oneshot::channel());
        let of = places.members.entry(sha256.to_owned()).or_default();
        of.push_back((number, ends));
        if of.len() > limits::CONNECTIONS_OF_ONE
            && let Some((_, eldest)) = of.pop_front()
        {
            drop(eldest);
            places.turned_away.members += 1;
        }
        let end = async move { drop(ended.await) };
        Some((Place { room: self.clone(), of: Some((sha256.to_owned(), number)) }, Box::pin(end)))
    }

    pub fn turned_away(&self) -> TurnedAway {
        self.places().turned_away
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = self.room.places();
        let Some((sha256, number)) = &self.of else {
            places.strangers -= 1;
            return;
        };
        let Some(of) = places.members.get_mut(sha256) else { return };
        of.retain(|(other, _)| other != number);
        if of.is_empty() {
            places.members.remove(sha256);
        }
    }
}

#[cfg(test)]
mod tests;
