//! The side that answers: a connection yields exchanges, and each goes its own way.

use super::body::Handle;
use super::conn::{Connection, End, WhenReset};
use super::driver::{Driver, Link};
use super::flood::Who;
use super::{BodyReader, BodyWriter, CLIENT_PREFACE, Facing, code};
use crate::body::Length;
use crate::rt::{self, Stream};
use crate::{Bounds, Error, limits};
use bytes::{Buf, BytesMut};
use model::{Fault, RequestHead, ResponseHead};
use std::cell::RefCell;
use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

pub struct Server {
    link: Link,
    driver: Driver,
    /// Ends when the connection was without a request for long.
    idle: Pin<Box<dyn Future<Output = ()>>>,
    /// Requests came since that was begun.
    asked: bool,
    bounds: Bounds,
    draining: bool,
}

/// One request and the means to answer it.
#[derive(Debug)]
pub struct Exchange {
    pub head: Box<RequestHead>,
    pub body: BodyReader,
    pub responder: Responder,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("link", &self.link).field("draining", &self.draining).finish_non_exhaustive()
    }
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
    pub async fn bounded(mut stream: Stream, mut read: BytesMut, who: Who, bounds: Bounds) -> Result<Self, Error> {
        let preface = rt::timeout(limits::HANDSHAKE_TIME, preface(&mut stream, &mut read)).await;
        preface.unwrap_or_else(|| Err(Error::new(Fault::SlowRequest, "HTTP/2 preface took longer than 10 s")))?;
        let link = Rc::new(RefCell::new(Connection::new(Facing::Downstream, who, bounds, rt::now())));
        let idle = Box::pin(rt::sleep(bounds.idle));
        Ok(Self { driver: Driver::new(link.clone(), stream, read), link, idle, asked: false, bounds, draining: false })
    }

    /// Has it told by name, as metrics have it, whenever a request is reset for what the client did.
    pub fn when_reset(&mut self, told: impl Fn(&'static str) + 'static) {
        self.link.borrow_mut().when_reset = Some(WhenReset(Box::new(told)));
    }

    /// The next request; `None` when the connection is over. Must be polled all the while: it is what moves every stream's bytes.
    ///
    /// # Errors
    /// If the client breaks the protocol or goes away; streams under way have ended with it.
    pub async fn next(&mut self) -> Result<Option<Exchange>, Error> {
        if let Some(exchange) = poll_fn(|cx| self.poll_next(cx)).await {
            return Ok(Some(exchange));
        }
        let end = self.link.borrow().end().cloned().unwrap_or(End::Closed);
        if matches!(end, End::Broken(..) | End::Flood(_)) {
            // A peer that does not listen has nothing to be told.
            let _ = rt::timeout(limits::H2_GOODBYE, poll_fn(|cx| self.driver.poll(cx))).await;
        }
        self.driver.shutdown().await;
        match end {
            End::Closed => Ok(None),
            end => Err(Facing::Downstream.ended(&end)),
        }
    }

    /// `None` at the connection's end, which may be still to be told to the client.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Exchange>> {
        loop {
            let asked = self.link.borrow_mut().take_request();
            if let Some((place, head)) = asked {
                self.asked = true;
                let handle = Handle::new(&self.link, place);
                let patience = self.bounds.body_idle;
                let body = BodyReader::new(handle.clone(), Facing::Downstream).patient(patience);
                return Poll::Ready(Some(Exchange { head, body, responder: Responder { handle, patience } }));
            }
            let moved = self.driver.poll(cx);
            if self.link.borrow().end().is_some() {
                return Poll::Ready(None);
            }
            if moved.is_ready() {
                continue;
            }
            if self.idle.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.idle = Box::pin(rt::sleep(self.bounds.idle));
            match self.active() {
                _ if std::mem::take(&mut self.asked) => {}
                1.. => {}
                // Idle, and was told so before: the client is not there to say goodbye.
                0 if self.draining => return Poll::Ready(None),
                0 => self.drain(),
            }
        }
    }

    /// Streams under way.
    pub fn active(&self) -> usize {
        self.link.borrow().streams.held()
    }

    /// Says GOAWAY; what is under way goes on, and then [`Server::next`] ends.
    pub fn drain(&mut self) {
        self.draining = true;
        self.link.borrow_mut().drain();
    }
}

/// Takes the client's preface off the connection.
async fn preface(stream: &mut Stream, read: &mut BytesMut) -> Result<(), Error> {
    loop {
        let size = read.len().min(CLIENT_PREFACE.len());
        if read[..size] != CLIENT_PREFACE[..size] {
            return Err(Facing::Downstream.broke(code::PROTOCOL_ERROR, "what came is no preface"));
        }
        if size == CLIENT_PREFACE.len() {
            read.advance(size);
            return Ok(());
        }
        let lost = |e: std::io::Error| Error::new(Fault::DownstreamClosed, format!("HTTP/2: {e}"));
        if poll_fn(|cx| stream.poll_recv(cx, read, limits::READ_BUFFER)).await.map_err(lost)? == 0 {
            return Err(Error::new(Fault::DownstreamClosed, "HTTP/2: connection closed within its preface"));
        }
    }
}

/// Answers one request. Dropped without an answer, it resets the stream.
#[derive(Debug)]
pub struct Responder {
    handle: Handle,
    /// For the client to take something.
    patience: Duration,
}

impl Responder {
    /// An answer of class 1xx, but for 101, which HTTP/2 does not have.
    ///
    /// # Errors
    /// If the client is gone.
    pub fn inform(&mut self, head: &ResponseHead) -> Result<(), Error> {
        self.handle.connection().inform(self.handle.place, head)
    }

    /// Sends the head and gives the body that belongs to it. Where there is no body, nothing more needs to be done.
    ///
    /// # Errors
    /// If the client is gone.
    pub fn respond(self, head: &ResponseHead, length: Length) -> Result<BodyWriter, Error> {
        self.handle.connection().respond(self.handle.place, head, length)?;
        Ok(BodyWriter::new(self.handle, length, Facing::Downstream).patient(self.patience))
    }

    /// Waits until the client gives up, and says so.
    pub async fn gone(&mut self) -> Error {
        poll_fn(|cx| self.handle.connection().poll_over(self.handle.place, cx)).await
    }

    /// Ends the stream without an answer, with a code of RFC 9113, section 7.
    pub fn abort(self, code: u32) {
        self.handle.connection().reset(self.handle.place, code);
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
            Some(Ok(Some(exchange))) => rt::spawn_made(|| handle(exchange)),
            Some(Ok(None)) => return Ok(()),
            Some(Err(e)) => return Err(e),
        }
    }
}
