//! Bodies of one stream, each way. At most one piece is held on either.

use super::conn::Connection;
use super::driver::Link;
use super::streams::Place;
use super::{Facing, code};
use crate::body::Length;
use crate::rt;
use crate::{Error, limits};
use bytes::Bytes;
use model::{Fault, HeaderBlock};
use std::cell::RefMut;
use std::future::poll_fn;
use std::time::Duration;

/// A hold on one stream, which is under way while anyone has one.
#[derive(Debug)]
pub(super) struct Handle {
    link: Link,
    pub place: Place,
}

impl Handle {
    /// Of a stream that is held already for whom this is made.
    pub fn new(link: &Link, place: Place) -> Self {
        Self { link: link.clone(), place }
    }

    pub fn connection(&self) -> RefMut<'_, Connection> {
        self.link.borrow_mut()
    }
}

impl Clone for Handle {
    fn clone(&self) -> Self {
        self.connection().hold(self.place);
        Self { link: self.link.clone(), place: self.place }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.connection().release(self.place);
    }
}

/// A body that is being received.
#[derive(Debug)]
pub struct BodyReader {
    pub(super) handle: Handle,
    length: Length,
    ended: bool,
    side: Facing,
    /// Between two pieces of an announced length.
    idle: Duration,
}

impl BodyReader {
    pub(super) fn new(handle: Handle, side: Facing) -> Self {
        let length = handle.connection().incoming(handle.place);
        Self { handle, length, ended: length == Length::None, side, idle: limits::BODY_IDLE }
    }

    pub(super) fn patient(mut self, idle: Duration) -> Self {
        self.idle = idle;
        self
    }

    pub fn length(&self) -> Length {
        self.length
    }

    pub fn is_finished(&self) -> bool {
        self.ended
    }

    pub fn trailers(&mut self) -> Option<HeaderBlock> {
        self.handle.connection().trailers(self.handle.place)
    }

    /// # Errors
    /// If the sender reset the stream, broke the protocol or went away.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        if self.ended {
            return Ok(None);
        }
        let handle = &self.handle;
        let piece = rt::timeout(self.patience(), poll_fn(|cx| handle.connection().poll_piece(handle.place, cx))).await;
        let piece = piece.ok_or_else(|| self.late())??;
        self.ended = piece.is_none();
        Ok(piece)
    }

    /// A caller that announced a length has it; one that did not may talk and be silent for as long as an answer (gRPC).
    fn patience(&self) -> Duration {
        match (self.side, self.length) {
            (Facing::Downstream, Length::Known(_)) => self.idle,
            _ => limits::ANSWER_IDLE,
        }
    }

    fn late(&self) -> Error {
        match self.side {
            Facing::Downstream => Error::new(Fault::SlowRequest, "body stood still for too long"),
            Facing::Upstream => Error::new(Fault::BackendTimeout, "body stood still for an hour"),
        }
    }
}

impl Drop for BodyReader {
    fn drop(&mut self) {
        self.handle.connection().unread(self.handle.place);
    }
}

/// A body that is being sent. Dropped before its end, it resets the stream: nobody may take a piece for the whole.
#[derive(Debug)]
pub struct BodyWriter {
    pub(super) handle: Handle,
    /// The last piece of an announced length, kept until it is known whether trailers follow, so that the end needs no frame of its own.
    held: Option<Bytes>,
    left: Option<u64>,
    pub(super) ended: bool,
    side: Facing,
    /// For the receiver to open a window.
    patience: Duration,
}

impl BodyWriter {
    pub(super) fn new(handle: Handle, length: Length, side: Facing) -> Self {
        let left = if let Length::Known(n) = length { Some(n) } else { None };
        let ended = matches!(length, Length::None | Length::Known(0));
        Self { handle, held: None, left, ended, side, patience: limits::BODY_IDLE }
    }

    pub(super) fn patient(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// # Errors
    /// If the receiver reset the stream or went away, takes nothing for too long, or more comes than was announced.
    pub async fn send(&mut self, piece: Bytes) -> Result<(), Error> {
        if piece.is_empty() {
            return Ok(());
        }
        if self.ended {
            return Err(Error::new(Fault::Internal, "body is longer than announced"));
        }
        self.flush().await?;
        if let Some(left) = &mut self.left {
            let rest = left.checked_sub(piece.len() as u64);
            *left = rest.ok_or_else(|| Error::new(Fault::Internal, "body is longer than announced"))?;
            if *left == 0 {
                self.held = Some(piece);
                return Ok(());
            }
        }
        self.write(piece, false).await
    }

    /// # Errors
    /// As [`BodyWriter::send`].
    pub async fn flush(&mut self) -> Result<(), Error> {
        match self.held.take() {
            Some(piece) => self.write(piece, false).await,
            None => Ok(()),
        }
    }

    /// # Errors
    /// As [`BodyWriter::send`], and if less came than was announced.
    pub async fn finish(&mut self, trailers: Option<&HeaderBlock>) -> Result<(), Error> {
        if self.ended {
            return Ok(());
        }
        if self.left.is_some_and(|left| left > 0) {
            return Err(Error::new(Fault::Internal, "body is shorter than announced"));
        }
        let Some(trailers) = trailers.filter(|fields| !fields.is_empty()) else {
            let last = self.held.take().unwrap_or_default();
            return self.write(last, true).await;
        };
        self.flush().await?;
        self.end_with(trailers)
    }

    /// Ends a body of no announced length with trailers, for which no window need be open.
    ///
    /// # Errors
    /// If the receiver reset the stream or went away.
    pub fn end_with(&mut self, trailers: &HeaderBlock) -> Result<(), Error> {
        self.ended = true;
        self.handle.connection().send_trailers(self.handle.place, trailers)
    }

    async fn write(&mut self, mut piece: Bytes, last: bool) -> Result<(), Error> {
        let Handle { link, place } = &self.handle;
        while !piece.is_empty() {
            let room = rt::timeout(self.patience, poll_fn(|cx| link.borrow_mut().poll_room(*place, piece.len(), cx))).await;
            let stalled = || link.borrow_mut().stalled(*place, self.patience);
            let part = piece.split_to(room.ok_or_else(stalled)??);
            let end = last && piece.is_empty();
            link.borrow_mut().send(*place, part, end)?;
            self.ended = end;
        }
        if last && !self.ended {
            link.borrow_mut().send(*place, Bytes::new(), true)?;
            self.ended = true;
        }
        Ok(())
    }

    /// Waits until the receiver resets the stream, and says so; for as long as it does not, never ends.
    pub async fn gone(&mut self) -> Error {
        if self.ended {
            return std::future::pending().await;
        }
        poll_fn(|cx| self.handle.connection().poll_over(self.handle.place, cx)).await
    }

    /// Ends the stream with a code of RFC 9113, section 7.
    pub fn abort(&mut self, code: u32) {
        self.ended = true;
        self.handle.connection().reset(self.handle.place, code);
    }
}

impl Drop for BodyWriter {
    fn drop(&mut self) {
        if !self.ended {
            let code = if self.side == Facing::Downstream { code::INTERNAL_ERROR } else { code::CANCEL };
            self.handle.connection().reset(self.handle.place, code);
        }
    }
}
