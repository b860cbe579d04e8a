//! Two connections made one: bytes carried both ways unread, each direction ended as its sender ends it.

use crate::h1::{Reader, Writer};
use crate::{Error, limits, rt};
use bytes::Bytes;
use model::Fault;
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

/// Carries until both directions have ended, or one of them breaks; then both end. What was read ahead goes first. What is carried, from the first side and to
/// it, is added up as it goes: who carries may be cut off at any moment, and what went is told all the same.
///
/// # Errors
/// If a direction broke instead of ending.
pub async fn splice(
    down: (&mut Reader, &mut Writer),
    up: (&mut Reader, &mut Writer),
    (from, to): (&mut u64, &mut u64),
) -> Result<(), Error> {
    let moved = Cell::new(0);
    {
        let mut there = pin!(copy(down.0, up.1, from, &moved, Fault::DownstreamClosed));
        let mut back = pin!(copy(up.0, down.1, to, &moved, Fault::UpstreamReset));
        let (mut there_done, mut back_done) = (false, false);
        poll_fn(|cx| {
            if !there_done && let Poll::Ready(result) = there.as_mut().poll(cx) {
                there_done = true;
                result?;
            }
            if !back_done && let Poll::Ready(result) = back.as_mut().poll(cx) {
                back_done = true;
                result?;
            }
            if there_done && back_done { Poll::Ready(Ok(())) } else { Poll::Pending }
        })
        .await
    }
}

/// `moved` counts the pieces of both directions: one may be silent for as long as the other is not.
async fn copy(from: &mut Reader, to: &mut Writer, count: &mut u64, moved: &Cell<u64>, fault: Fault) -> Result<(), Error> {
    let lost = |e: std::io::Error| Error::new(fault, e.to_string());
    to.flush().await.map_err(lost)?;
    let mut most = limits::READ_BUFFER;
    loop {
        let before = moved.get();
        let piece: Bytes = match rt::timeout(limits::TUNNEL_IDLE, from.piece(most)).await {
            Some(piece) => piece.map_err(lost)?,
            None if moved.get() == before => return Err(still(fault)),
            None => continue,
        };
        if piece.is_empty() {
            // The other side may have gone already, which its own direction tells.
            let _ = to.send_half().shutdown().await;
            return Ok(());
        }
        most = if piece.len() > limits::READ_BUFFER / 2 { limits::BODY_BUFFER } else { limits::READ_BUFFER };
        *count += piece.len() as u64;
        moved.set(moved.get().wrapping_add(1));
        let mut sending = pin!(to.send_half().send_bytes(piece));
        loop {
            let before = moved.get();
            match rt::timeout(limits::TUNNEL_IDLE, sending.as_mut()).await {
                Some(sent) => break sent.map_err(lost)?,
                // Its receiver takes nothing; where it has ended its own direction nobody else is left to notice.
                None if moved.get() == before => return Err(still(fault)),
                None => {}
            }
        }
    }
}

fn still(fault: Fault) -> Error {
    Error::new(fault, "nothing was carried either way for an hour")
}

#[cfg(test)]
mod tests;
