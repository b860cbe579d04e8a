//! Bodies of one stream, each way. At most one piece is held on either.

use super::{Facing, code, head};
use crate::body::Length;
use crate::rt;
use crate::{Error, limits};
use ::h2::{RecvStream, SendStream};
use bytes::Bytes;
use http::HeaderMap;
use model::{Fault, HeaderBlock};
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, ready};
use std::time::Duration;

/// Streams under way on one connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Streams(Arc<AtomicUsize>);

impl Streams {
    pub fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
    pub fn begin(&self) -> Slot {
        self.0.fetch_add(1, Ordering::Relaxed);
        Slot(Arc::new(Taken(self.0.clone())))
    }
}

/// A stream is under way while anyone holds its slot.
#[derive(Debug, Clone)]
pub(super) struct Slot(#[expect(dead_code, reason = "held for its drop")] Arc<Taken>);

#[derive(Debug)]
struct Taken(Arc<AtomicUsize>);

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A body that is being received.
#[derive(Debug)]
pub struct BodyReader {
    pub(super) recv: RecvStream,
    /// Of the piece that was handed out last; given back to the sender's window when the next one is asked for.
    unreleased: usize,
    length: Length,
    ended: bool,
    trailers: Option<HeaderBlock>,
    pub(super) side: Facing,
    /// Between two pieces of an announced length.
    idle: Duration,
    _slot: Slot,
}

impl BodyReader {
    pub(super) fn new(recv: RecvStream, headers: &HeaderMap, side: Facing, slot: Slot) -> Self {
        let ended = recv.is_end_stream();
        let length = head::length(headers, ended);
        Self { recv, unreleased: 0, length, ended, trailers: None, side, idle: limits::BODY_IDLE, _slot: slot }
    }

    pub(super) fn patient(self, idle: Duration) -> Self {
        Self { idle, ..self }
    }

    pub fn length(&self) -> Length {
        self.length
    }

    pub fn is_finished(&self) -> bool {
        self.ended
    }

    pub fn trailers(&mut self) -> Option<HeaderBlock> {
        self.trailers.take()
    }

    /// # Errors
    /// If the sender reset the stream, broke the protocol or went away.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        if self.unreleased > 0 {
            // Fails only on a stream that is gone, which the next line tells better.
            let _ = self.recv.flow_control().release_capacity(std::mem::take(&mut self.unreleased));
        }
        while !self.ended {
            match rt::timeout(self.patience(), self.recv.data()).await.ok_or_else(|| self.late())? {
                Some(Ok(piece)) if piece.is_empty() => {}
                Some(Ok(piece)) => {
                    self.unreleased = piece.len();
                    return Ok(Some(piece));
                }
                Some(Err(e)) => return Err(self.side.error(&e)),
                None => {
                    let trailers = self.recv.trailers().await.map_err(|e| self.side.error(&e))?;
                    self.trailers = trailers.map(|fields| head::take_trailers(&fields, self.side)).transpose()?;
                    self.ended = true;
                }
            }
        }
        Ok(None)
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

/// A body that is being sent. Dropped before its end, it resets the stream: nobody may take a piece for the whole.
#[derive(Debug)]
pub struct BodyWriter {
    pub(super) send: SendStream<Bytes>,
    /// The last piece of an announced length, kept until it is known whether trailers follow, so that the end needs no frame of its own.
    held: Option<Bytes>,
    left: Option<u64>,
    pub(super) ended: bool,
    pub(super) side: Facing,
    /// For the receiver to open a window.
    patience: Duration,
    _slot: Slot,
}

impl BodyWriter {
    pub(super) fn new(send: SendStream<Bytes>, length: Length, side: Facing, slot: Slot) -> Self {
        let left = if let Length::Known(n) = length { Some(n) } else { None };
        let ended = matches!(length, Length::None | Length::Known(0));
        Self { send, held: None, left, ended, side, patience: limits::BODY_IDLE, _slot: slot }
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
        let mut fields = HeaderMap::new();
        head::put_fields(trailers, &mut fields)?;
        self.ended = true;
        self.send.send_trailers(fields).map_err(|e| self.side.error(&e))
    }

    async fn write(&mut self, mut piece: Bytes, last: bool) -> Result<(), Error> {
        while !piece.is_empty() {
            let room = rt::timeout(self.patience, self.room(piece.len())).await;
            let stalled = || Error::new(self.side.lost(), format!("receiver opened no window for {:?}", self.patience));
            let part = piece.split_to(room.ok_or_else(stalled)??);
            let end = last && piece.is_empty();
            self.send.send_data(part, end).map_err(|e| self.side.error(&e))?;
            self.ended = end;
        }
        if last && !self.ended {
            self.send.send_data(Bytes::new(), true).map_err(|e| self.side.error(&e))?;
            self.ended = true;
        }
        Ok(())
    }

    /// How much of `wanted` may be sent now; waits until it is something.
    async fn room(&mut self, wanted: usize) -> Result<usize, Error> {
        self.send.reserve_capacity(wanted);
        let room = poll_fn(|cx| {
            loop {
                if self.send.capacity() > 0 {
                    return Poll::Ready(Some(Ok(self.send.capacity())));
                }
                match ready!(self.send.poll_capacity(cx)) {
                    Some(Ok(0)) => {}
                    other => return Poll::Ready(other),
                }
            }
        });
        match room.await {
            Some(Ok(room)) => Ok(room.min(wanted)),
            Some(Err(e)) => Err(self.side.error(&e)),
            None => Err(self.reset_by_peer().await),
        }
    }

    /// The stream is closed for sending; says why.
    async fn reset_by_peer(&mut self) -> Error {
        match poll_fn(|cx| self.send.poll_reset(cx)).await {
            Ok(reason) => self.side.reset(reason.into()),
            Err(e) => self.side.error(&e),
        }
    }

    /// Waits until the receiver resets the stream, and says so; for as long as it does not, never ends.
    pub async fn gone(&mut self) -> Error {
        if self.ended {
            return std::future::pending().await;
        }
        self.reset_by_peer().await
    }

    /// Ends the stream with a code of RFC 9113, section 7.
    pub fn abort(&mut self, code: u32) {
        self.ended = true;
        self.send.send_reset(code.into());
    }
}

impl Drop for BodyWriter {
    fn drop(&mut self) {
        if !self.ended {
            let code = if self.side == Facing::Downstream { code::INTERNAL_ERROR } else { code::CANCEL };
            self.send.send_reset(code.into());
        }
    }
}
