//! What numbers stand for on one connection (`decisions/0067`): its proxy names an edge once, and tells it by number from then on. A number stands for the names
//! as they were written, so whatever would come of an edge that is named in full comes of it; beside them it is remembered where the graph had it last. It knows
//! nothing of edges.

use crate::limits;
use std::sync::Arc;
use wire::limits::EDGE_NUMBERS;

/// By number, from 1 on. Gone with its connection.
#[derive(Debug, Default)]
pub struct Named {
    known: Vec<Option<Known>>,
    /// Of all their names, also those that are shared.
    bytes: usize,
}

#[derive(Debug, Clone)]
struct Known {
    names: Arc<[u8]>,
    at: Option<u64>,
}

/// A number that stands for nothing on this connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unnamed(pub u64);

/// The part of names that is kept: of those that are too long as much as shows that.
pub fn kept(names: &[u8]) -> &[u8] {
    names.get(..limits::EDGE_NAMES + 1).unwrap_or(names)
}

impl Named {
    fn known(&self, number: u64) -> Option<&Known> {
        self.known.get(place(number)?)?.as_ref()
    }

    /// From now on the number stands for this. One that is higher than any may be stands for nothing, nor does one for which there is no room.
    pub fn put(&mut self, number: u64, names: Arc<[u8]>, at: Option<u64>) {
        let Some(place) = place(number).filter(|place| *place < EDGE_NUMBERS) else { return };
        if self.known.len() <= place {
            self.known.resize(place + 1, None);
        }
        let before = self.known[place].take();
        self.bytes -= before.map_or(0, |known| known.names.len());
        if self.bytes + names.len() <= limits::NAMED_BYTES {
            self.bytes += names.len();
            self.known[place] = Some(Known { names, at });
        }
    }

    /// Where the graph had it last, if anywhere.
    pub fn at(&self, number: u64) -> Result<Option<u64>, Unnamed> {
        self.known(number).map(|known| known.at).ok_or(Unnamed(number))
    }

    pub fn names(&self, number: u64) -> Option<Arc<[u8]>> {
        self.known(number).map(|known| known.names.clone())
    }

    /// The graph has it there now.
    pub fn found(&mut self, number: u64, at: u64) {
        if let Some(Some(known)) = place(number).and_then(|place| self.known.get_mut(place)) {
            known.at = Some(at);
        }
    }
}

fn place(number: u64) -> Option<usize> {
    usize::try_from(number).ok()?.checked_sub(1)
}

#[cfg(test)]
mod tests;
