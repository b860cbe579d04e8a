//! The side that asks: one connection for many requests, as many at once as the server allows.

use super::body::{Slot, Streams};
use super::flood::Who;
use super::io::Io;
use super::{BodyReader, BodyWriter, Facing, code, head};
use crate::body::Length;
use crate::rt::{self, Stream};
use crate::{Error, limits};
use ::h2::client::{Builder, ResponseFuture, SendRequest};
use bytes::{Bytes, BytesMut};
use model::{Fault, RequestHead, ResponseHead};
use std::cell::Cell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

/// A handle of a connection; clones are handles of the same. The connection ends when the last one and the last stream are gone.
#[derive(Debug, Clone)]
pub struct Client {
    send: SendRequest<Bytes>,
    closed: Rc<Cell<bool>>,
    streams: Streams,
}

impl Client {
    /// `read` is what came of the connection before.
    ///
    /// # Errors
    /// If the connection cannot be written to.
    pub async fn new(stream: Stream, read: BytesMut) -> Result<Self, Error> {
        let mut builder = Builder::new();
        builder
            .enable_push(false)
            .initial_max_send_streams(limits::H2_STREAMS as usize)
            .initial_window_size(limits::H2_STREAM_WINDOW)
            .initial_connection_window_size(limits::H2_CONNECTION_WINDOW)
            .max_header_list_size(limits::HEAD_BYTES as u32)
            .max_send_buffer_size(limits::H2_SEND_BUFFER)
            .max_concurrent_reset_streams(limits::H2_RESET_STREAMS)
            .reset_stream_duration(limits::H2_RESET_TIME)
            .max_local_error_reset_streams(Some(limits::H2_ERROR_RESETS));
        let io = Io::new(stream, read, Who::Member, 0);
        let flood = io.flood();
        let shake = rt::timeout(limits::HANDSHAKE_TIME, builder.handshake(io)).await;
        let late = || Error::new(Fault::ConnectTimeout, "HTTP/2 preface took longer than 10 s").with_nothing_received();
        let (send, mut connection) = shake.ok_or_else(late)?.map_err(|e| Facing::Upstream.error(&e).with_nothing_received())?;
        let closed = Rc::new(Cell::new(false));
        let tell = closed.clone();
        rt::spawn(async move {
            // Every stream learns of the error by itself; of a server that floods, by the connection's being dropped.
            poll_fn(|cx| {
                let over = Pin::new(&mut connection).poll(cx).map(drop);
                if flood.get().is_some() { Poll::Ready(()) } else { over }
            })
            .await;
            drop(connection);
            tell.set(true);
        });
        Ok(Self { send, closed, streams: Streams::default() })
    }

    /// Whether new requests can be sent: the connection stands and the server has not said GOAWAY.
    pub fn is_usable(&self) -> bool {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        !self.closed.get() && !matches!(self.send.clone().poll_ready(&mut cx), Poll::Ready(Err(_)))
    }

    /// Requests under way.
    pub fn active(&self) -> usize {
        self.streams.count()
    }

    /// Whether one more request may go out at once.
    pub fn has_room(&self) -> bool {
        self.active() < self.send.current_max_send_streams().min(limits::H2_STREAMS as usize)
    }

    /// Whether the server takes upgrades as extended CONNECT (RFC 8441). Known once its settings have come.
    pub fn takes_upgrades(&self) -> bool {
        self.send.is_extended_connect_protocol_enabled()
    }

    /// Sends a head and gives the body that belongs to it, and the answer to come.
    ///
    /// # Errors
    /// [`Error::is_unprocessed`] where the connection takes no more requests, so that another can be used.
    pub fn request(&self, head: &RequestHead, length: Length) -> Result<(BodyWriter, Answer), Error> {
        if !self.has_room() {
            let mut error = Error::new(Fault::Overflow, "server takes no more streams on this connection").with_nothing_received();
            error.reset = Some(code::REFUSED_STREAM);
            return Err(error);
        }
        if head.protocol.is_some() && !self.takes_upgrades() {
            return Err(Error::new(Fault::UpstreamProtocol, "server takes no extended CONNECT").with_nothing_received());
        }
        let request = head::put_request(head, length)?;
        let slot = self.streams.begin();
        let ends = matches!(length, Length::None | Length::Known(0));
        let sent = self.send.clone().send_request(request, ends);
        let (response, send) = sent.map_err(|e| {
            let mut error = Facing::Upstream.error(&e).with_nothing_received();
            // Not a byte of it went out.
            error.reset = Some(code::REFUSED_STREAM);
            error
        })?;
        let body = BodyWriter::new(send, length, Facing::Upstream, slot.clone());
        Ok((body, Answer { response, informed: 0, slot }))
    }
}

/// An answer to come. Dropped before it came, it cancels the request.
#[derive(Debug)]
pub struct Answer {
    response: ResponseFuture,
    informed: usize,
    slot: Slot,
}

impl Answer {
    /// The next head; `None` for its body where it is informational, and another head follows.
    ///
    /// # Errors
    /// If the server resets the stream or goes away; [`Error::nothing_received`] is set.
    pub async fn head(&mut self, into: &mut ResponseHead) -> Result<Option<BodyReader>, Error> {
        enum Came {
            Informational(http::Response<()>),
            Final(http::Response<::h2::RecvStream>),
        }
        let came = poll_fn(|cx| {
            if let Poll::Ready(Some(told)) = self.response.poll_informational(cx) {
                return Poll::Ready(told.map(Came::Informational));
            }
            std::pin::Pin::new(&mut self.response).poll(cx).map_ok(Came::Final)
        });
        match came.await.map_err(|e| Facing::Upstream.error(&e).with_nothing_received())? {
            Came::Informational(response) => {
                self.informed += 1;
                if self.informed > limits::INFORMATIONAL {
                    return Err(Facing::Upstream.malformed("too many informational answers"));
                }
                head::take_response(response.status(), response.headers(), into)?;
                Ok(None)
            }
            Came::Final(response) => {
                let (parts, recv) = response.into_parts();
                head::take_response(parts.status, &parts.headers, into)?;
                Ok(Some(BodyReader::new(recv, &parts.headers, Facing::Upstream, self.slot.clone())))
            }
        }
    }
}
