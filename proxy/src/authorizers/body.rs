//! The body of a request that an authorizer is told: held whole, up to the limit that its object sets and to one for all that a proxy holds, and sent on
//! from there.

use crate::http::Stop;
use crate::http::down::{self, Downstream};
use crate::limits;
use crate::worker::Worker;
use bytes::{Bytes, BytesMut};
use model::{Fault, RequestHead, ResponseHead};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use transport::body::Length;

pub fn too_long(most: u32, by: &Arc<str>) -> Stop {
    let why = format!("the body is longer than the {most} bytes that the authorizer of {by} is told");
    Stop { by: Some(by.clone()), ..Stop::new(Fault::BodyTooLarge, why) }
}

/// Reads the body whole; `None` where there is none. One that is longer is never told in part, for what is decided on a part is not decided on the rest.
///
/// # Errors
/// If it is longer than `most`, breaks off, or there is no room for it.
pub async fn hold(
    worker: &Worker,
    down: &mut Downstream<'_>,
    head: &mut RequestHead,
    most: u32,
    by: &Arc<str>,
) -> Result<Option<Bytes>, Stop> {
    let bytes = most as usize;
    let expected = match down.from.length() {
        Length::None => return Ok(None),
        Length::Known(length) if length > bytes as u64 => return Err(too_long(most, by)),
        Length::Known(length) => length as usize,
        Length::Open => 0,
    };
    let no_room = || {
        let why = format!(
            "no room to hold the body for the authorizer of {by}: this proxy holds {} bytes of bodies at most",
            limits::BODIES_HELD
        );
        Stop { by: Some(by.clone()), ..Stop::new(Fault::Overflow, why) }
    };
    // Who only says that much will come has none of the room that others need: it is taken as bytes come.
    let mut room = Room::none(&worker.shared.bodies);
    if !room.fits(expected) {
        return Err(no_room());
    }
    if head.headers.remove("expect") {
        // The caller waits to be asked for it.
        down.to.inform(&mut ResponseHead::with_status(100), &head.method, head.version).await?;
    }
    let mut body = down.from.body();
    let mut whole = BytesMut::new();
    let held = loop {
        match body.chunk().await? {
            None => break Ok(()),
            Some(piece) if whole.len() + piece.len() > bytes => break Err(too_long(most, by)),
            Some(piece) if !room.grow(piece.len()) => break Err(no_room()),
            Some(piece) => whole.extend_from_slice(&piece),
        }
    };
    let left = down::left(body);
    down.from.put_back(left);
    held.map(|()| Some(Bytes::from_owner(Held { whole, _room: room })))
}

/// A body with its room, which is free again when nobody has the bytes any more.
struct Held {
    whole: BytesMut,
    _room: Room,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.whole
    }
}

struct Room {
    held: Arc<AtomicUsize>,
    bytes: usize,
}

impl Room {
    fn none(held: &Arc<AtomicUsize>) -> Self {
        Self { held: held.clone(), bytes: 0 }
    }

    /// Whether so much more would fit now.
    fn fits(&self, bytes: usize) -> bool {
        self.held.load(Ordering::Relaxed).checked_add(bytes).is_some_and(|sum| sum <= limits::BODIES_HELD)
    }

    /// Takes so much more, or nothing where it does not fit.
    fn grow(&mut self, bytes: usize) -> bool {
        let more = |held: usize| held.checked_add(bytes).filter(|sum| *sum <= limits::BODIES_HELD);
        let has_grown = self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok();
        if has_grown {
            self.bytes += bytes;
        }
        has_grown
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
