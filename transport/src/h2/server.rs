//! The side that answers: a connection yields exchanges, and each goes its own way.

use super::body::{Slot, Streams};
use super::flood::{Flood, Who};
use super::io::Io;
use super::{BodyReader, BodyWriter, CLIENT_PREFACE, Facing, head};
use crate::body::Length;
use crate::rt::{self, Stream};
use crate::{Bounds, Error, limits};
use ::h2::server::{Builder, Connection, SendResponse};
use bytes::{Bytes, BytesMut};
use model::{Fault, RequestHead, ResponseHead};
use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

type Request = (http::Request<::h2::RecvStream>, SendResponse<Bytes>);

#[derive(Debug)]
pub struct Server {
    connection: Connection<Io, Bytes>,
    streams: Streams,
    flood: Rc<Cell<Option<Flood>>>,
    bounds: Bounds,
    draining: bool,
}

/// One request and the means to answer it.
#[derive(Debug)]
pub struct Exchange {
    pub head: RequestHead,
    pub body: BodyReader,
    pub responder: Responder,
}

impl Server {
    /// `read` is what came of the connection before, the client's preface included.
    ///
    /// # Errors
    /// If the client speaks something else or takes too long.
    pub async fn new(stream: Stream, read: BytesMut, who: Who) -> Result<Self, Error> {
        Self::bounded(stream, read, who, Bounds::default()).await
    }

    /// As [`Server::new`], with other bounds.
    ///
    /// # Errors
    /// As [`Server::new`].
    pub async fn bounded(stream: Stream, read: BytesMut, who: Who, bounds: Bounds) -> Result<Self, Error> {
        let io = Io::new(stream, read, who, CLIENT_PREFACE.len());
        let flood = io.flood();
        let mut builder = Builder::new();
        builder
            .max_concurrent_streams(bounds.streams)
            .initial_window_size(limits::H2_STREAM_WINDOW)
            .initial_connection_window_size(limits::H2_CONNECTION_WINDOW)
            .max_header_list_size(bounds.head_bytes as u32)
            .max_send_buffer_size(limits::H2_SEND_BUFFER)
            .max_concurrent_reset_streams(limits::H2_RESET_STREAMS)
            .reset_stream_duration(limits::H2_RESET_TIME)
            .max_pending_accept_reset_streams(limits::H2_PENDING_RESETS)
            .max_local_error_reset_streams(Some(limits::H2_ERROR_RESETS))
            .enable_connect_protocol();
        let shake = rt::timeout(limits::HANDSHAKE_TIME, builder.handshake(io)).await;
        let connection = shake.ok_or_else(|| Error::new(Fault::SlowRequest, "HTTP/2 preface took longer than 10 s"))?;
        let connection = connection.map_err(|e| Facing::Downstream.error(&e))?;
        Ok(Self { connection, streams: Streams::default(), flood, bounds, draining: false })
    }

    /// The next request; `None` when the connection is over. Must be polled all the while: it is what moves every stream's bytes.
    ///
    /// # Errors
    /// If the client breaks the protocol or goes away; streams under way have ended with it.
    pub async fn next(&mut self) -> Result<Option<Exchange>, Error> {
        loop {
            let next = rt::timeout(self.bounds.idle, poll_fn(|cx| self.poll_next(cx))).await;
            if let Some(flood) = self.flood.get() {
                return Err(self.end(flood).await);
            }
            match next {
                Some(None) => return Ok(None),
                Some(Some(Err(e))) => return Err(Facing::Downstream.error(&e)),
                Some(Some(Ok(request))) => {
                    if let Some(exchange) = self.exchange(request) {
                        return Ok(Some(exchange));
                    }
                }
                None if self.active() > 0 => {}
                // Idle, and was told so before: the client is not there to say goodbye.
                None if self.draining => return Ok(None),
                None => self.drain(),
            }
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Request, ::h2::Error>>> {
        let accepted = self.connection.poll_accept(cx);
        // What was read before it is let go with it.
        if self.flood.get().is_some() { Poll::Ready(None) } else { accepted }
    }

    /// Ends the connection and every stream on it.
    async fn end(&mut self, flood: Flood) -> Error {
        self.connection.abrupt_shutdown(::h2::Reason::ENHANCE_YOUR_CALM);
        // A peer that does not listen has nothing to be told.
        let _ = rt::timeout(limits::H2_GOODBYE, poll_fn(|cx| self.connection.poll_closed(cx))).await;
        Error::new(Fault::MalformedRequest, flood.why()).with_cause(flood.label())
    }

    /// Streams under way.
    pub fn active(&self) -> usize {
        self.streams.count()
    }

    /// Says GOAWAY; what is under way goes on, and then [`Server::next`] ends.
    pub fn drain(&mut self) {
        self.draining = true;
        self.connection.graceful_shutdown();
    }

    /// What cannot be understood is answered here with 400 (or 431), and the connection goes on.
    fn exchange(&self, (request, mut send): Request) -> Option<Exchange> {
        let (parts, recv) = request.into_parts();
        let mut into = RequestHead::default();
        if let Err(e) = head::take_request(&parts, &mut into) {
            let answer = head::put_response(&ResponseHead::with_status(e.fault.http_status()), Length::Known(0));
            // Where the answer cannot be sent the stream is gone already.
            drop(answer.map(|answer| send.send_response(answer, true)));
            return None;
        }
        let slot = self.streams.begin();
        let body = BodyReader::new(recv, &parts.headers, Facing::Downstream, slot.clone()).patient(self.bounds.body_idle);
        Some(Exchange { head: into, body, responder: Responder { send, slot, patience: self.bounds.body_idle } })
    }
}

/// Answers one request. Dropped without an answer, it resets the stream.
#[derive(Debug)]
pub struct Responder {
    send: SendResponse<Bytes>,
    slot: Slot,
    /// For the client to take something.
    patience: Duration,
}

impl Responder {
    /// An answer of class 1xx, but for 101, which HTTP/2 does not have.
    ///
    /// # Errors
    /// If the client is gone.
    pub fn inform(&mut self, head: &ResponseHead) -> Result<(), Error> {
        let answer = head::put_response(head, Length::None)?;
        self.send.send_informational(answer).map_err(|e| Facing::Downstream.error(&e))
    }

    /// Sends the head and gives the body that belongs to it. Where there is no body, nothing more needs to be done.
    ///
    /// # Errors
    /// If the client is gone.
    pub fn respond(mut self, head: &ResponseHead, length: Length) -> Result<BodyWriter, Error> {
        let answer = head::put_response(head, length)?;
        let ends = matches!(length, Length::None | Length::Known(0));
        let send = self.send.send_response(answer, ends).map_err(|e| Facing::Downstream.error(&e))?;
        Ok(BodyWriter::new(send, length, Facing::Downstream, self.slot).patient(self.patience))
    }

    /// Waits until the client gives up, and says so.
    pub async fn gone(&mut self) -> Error {
        match poll_fn(|cx| self.send.poll_reset(cx)).await {
            Ok(reason) => Facing::Downstream.reset(reason.into()),
            Err(e) => Facing::Downstream.error(&e),
        }
    }

    /// Ends the stream without an answer, with a code of RFC 9113, section 7.
    pub fn abort(mut self, code: u32) {
        self.send.send_reset(code.into());
    }
}

/// Serves a connection to its end, each exchange in a task of its own. Once `draining` ends, no new ones are taken.
///
/// # Errors
/// As [`Server::next`].
pub async fn serve<F>(mut server: Server, draining: impl Future<Output = ()>, handle: impl Fn(Exchange) -> F) -> Result<(), Error>
where
    F: Future<Output = ()> + 'static,
{
    let mut draining = pin!(draining);
    loop {
        let next = {
            let drained = server.draining;
            let mut next = pin!(server.next());
            poll_fn(|cx| match next.as_mut().poll(cx) {
                Poll::Ready(next) => Poll::Ready(Some(next)),
                Poll::Pending if drained => Poll::Pending,
                Poll::Pending => draining.as_mut().poll(cx).map(|()| None),
            })
            .await
        };
        match next {
            None => server.drain(),
            Some(Ok(Some(exchange))) => rt::spawn(handle(exchange)),
            Some(Ok(None)) => return Ok(()),
            Some(Err(e)) => return Err(e),
        }
    }
}
