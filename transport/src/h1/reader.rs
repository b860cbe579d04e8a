//! What comes in on a connection: heads, then bodies, in one buffer.

use super::body::BodyReader;
use super::framing::Framing;
use super::{head, request_framing, response_framing};
use crate::preface::{self, Preface};
use crate::rt::{self, Alarm, Recv};
use crate::{Bounds, Error, limits, spare};
use bytes::{Buf, Bytes, BytesMut};
use model::{Fault, Method, RequestHead, ResponseHead};
use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::Duration;

#[derive(Debug)]
pub struct Reader {
    recv: Recv,
    pub(super) buffer: BytesMut,
    pub(super) ended: bool,
    pub(super) bounds: Bounds,
    alarm: Alarm,
}

impl Reader {
    pub fn new(recv: Recv) -> Self {
        Self::with_read(recv, BytesMut::new())
    }

    /// Begins with bytes that were read before (to find out the protocol).
    pub fn with_read(recv: Recv, buffer: BytesMut) -> Self {
        Self { recv, buffer, ended: false, bounds: Bounds::default(), alarm: Alarm::default() }
    }

    pub fn recv(&self) -> &Recv {
        &self.recv
    }

    pub(super) fn into_parts(self) -> (Recv, BytesMut) {
        (self.recv, self.buffer)
    }

    /// Bytes that lie here unread: the next pipelined request, or what follows an upgrade.
    pub fn unread(&mut self) -> BytesMut {
        std::mem::take(&mut self.buffer)
    }

    pub(super) fn is_stale(&mut self) -> bool {
        !self.buffer.is_empty() || self.ended || self.recv.has_news(&mut self.buffer)
    }

    /// Reads more; `false` at the end of the stream.
    pub(super) async fn fill(&mut self, most: usize) -> std::io::Result<bool> {
        poll_fn(|cx| self.poll_fill(cx, most)).await
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>, most: usize) -> Poll<std::io::Result<bool>> {
        if self.ended {
            return Poll::Ready(Ok(false));
        }
        let read = ready!(self.recv.poll_recv(cx, &mut self.buffer, most));
        // Who looks again after an error waits for nothing: TLS says once that it is broken.
        self.ended = !matches!(read, Ok(1..));
        Poll::Ready(read.map(|read| read > 0))
    }

    /// As [`Reader::fill`], for no longer than `limit`; `None` where nothing came until then.
    pub(super) async fn fill_within(&mut self, most: usize, limit: Duration) -> Option<std::io::Result<bool>> {
        let mut until = None;
        poll_fn(|cx| match self.poll_fill(cx, most) {
            Poll::Ready(filled) => Poll::Ready(Some(filled)),
            Poll::Pending => {
                let until = *until.get_or_insert_with(|| rt::after(limit));
                self.alarm.poll(cx, until).map(|()| None)
            }
        })
        .await
    }

    /// As [`Reader::fill`]. Where nothing comes for a while the kernel is to find out whether the peer is there, for a machine that is gone says nothing; only then, for
    /// it costs system calls. One that acknowledges nothing for `patience` is given up.
    async fn fill_doubting(&mut self, patience: Duration) -> std::io::Result<bool> {
        if let Some(filled) = self.fill_within(limits::READ_BUFFER, limits::UNACKNOWLEDGED).await {
            return filled;
        }
        let mut doubt = self.recv.with(rt::Doubt::of);
        loop {
            if self.recv.with(|stream| doubt.look(stream)) >= patience {
                return Err(std::io::Error::new(std::io::ErrorKind::TimedOut, Error::gone()));
            }
            if let Some(filled) = self.fill_within(limits::READ_BUFFER, doubt.pause()).await {
                self.recv.with(|stream| doubt.end(stream));
                return filled;
            }
        }
    }

    /// Waits for the first byte of the next request of a connection that is kept alive, for so long; `false` where the caller is done.
    pub async fn begun(&mut self, idle: Duration) -> bool {
        if !self.buffer.is_empty() {
            return true;
        }
        self.give_back_memory();
        matches!(self.fill_within(limits::READ_BUFFER, idle).await, Some(Ok(true)))
    }

    /// The next request of a connection that is kept alive, its head in `into`; `None` where the caller is done. `idle` is how long to wait for its first
    /// byte.
    ///
    /// # Errors
    /// As [`Reader::head`].
    pub async fn request(&mut self, into: &mut RequestHead, idle: Duration) -> Result<Option<Framing>, Error> {
        match self.begun(idle).await {
            true => self.head(into).await.map(Some),
            false => Ok(None),
        }
    }

    /// The head of a request that has begun. The time until its last byte is bounded.
    ///
    /// # Errors
    /// What the request is refused for; the connection is then closed.
    pub async fn head(&mut self, into: &mut RequestHead) -> Result<Framing, Error> {
        let Bounds { head_time, head_bytes, .. } = self.bounds;
        let slow = || Error::new(Fault::SlowRequest, format!("head took longer than {head_time:?}"));
        let forgiven = self.forgive_empty_line();
        let Some(end) = head::find_end(&self.buffer, &mut 0, head_bytes)? else {
            // Hardly any comes in pieces.
            let end = Box::pin(rt::timeout(head_time, self.head_end(forgiven))).await.ok_or_else(slow)??;
            return match end {
                Some(end) => self.take_request(end, into),
                None => Err(Error::new(Fault::DownstreamClosed, "closed within a head")),
            };
        };
        self.take_request(end, into)
    }

    fn take_request(&mut self, end: usize, into: &mut RequestHead) -> Result<Framing, Error> {
        head::request(&self.buffer[..end], into)?;
        self.buffer.advance(end);
        request_framing(into)
    }

    /// An empty line before a request is forgiven (RFC 9112, section 2.2), one.
    fn forgive_empty_line(&mut self) -> bool {
        let is_there = self.buffer.starts_with(b"\r\n");
        if is_there {
            self.buffer.advance(2);
        }
        is_there
    }

    async fn head_end(&mut self, mut forgiven: bool) -> Result<Option<usize>, Error> {
        let (mut searched, mut begun) = (0, false);
        loop {
            // It may have come in two pieces.
            if !forgiven && self.forgive_empty_line() {
                (forgiven, searched) = (true, 0);
            }
            if let Some(end) = head::find_end(&self.buffer, &mut searched, self.bounds.head_bytes)? {
                return Ok(Some(end));
            }
            if !begun {
                begun = head::first_line(&self.buffer)?;
            }
            match self.fill(limits::READ_BUFFER).await {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                Err(e) => return Err(Error::new(Fault::DownstreamClosed, e.to_string())),
            }
        }
    }

    /// The next answer to a request with `method`, informational ones included, its head in `head`.
    ///
    /// # Errors
    /// If what came is no answer; [`Error::nothing_received`] where nothing came at all.
    pub async fn response(&mut self, into: &mut ResponseHead, method: &Method) -> Result<Framing, Error> {
        let mut searched = 0;
        loop {
            let found =
                head::find_end(&self.buffer, &mut searched, limits::HEAD_BYTES).map_err(|e| Error::new(Fault::UpstreamProtocol, e.why))?;
            if let Some(end) = found {
                head::response(&self.buffer[..end], into)?;
                self.buffer.advance(end);
                return response_framing(into, method);
            }
            let nothing = self.buffer.is_empty();
            // What has an effect is sent to nobody else, and to wait for it costs others less than a false alarm costs its caller.
            let patience = match method {
                Method::Get | Method::Head | Method::Options | Method::Trace => limits::UNACKNOWLEDGED,
                _ => limits::UNACKNOWLEDGED_EFFECT,
            };
            let filled = match nothing {
                true => self.fill_doubting(patience).await,
                false => self.fill(limits::READ_BUFFER).await,
            };
            let error = match filled {
                Ok(true) => continue,
                Ok(false) => Error { orderly: true, ..Error::new(Fault::UpstreamReset, "closed before it answered") },
                Err(e) => crate::tls::lost(&e),
            };
            return Err(if nothing { error.with_nothing_received() } else { error });
        }
    }

    /// The preface that the peer begins with. By HTTP/1 it comes with the first answer, and has as long as that: whoever waits bounds both.
    ///
    /// # Errors
    /// If something else comes, or the peer goes away.
    pub async fn preface<P: Preface>(&mut self) -> Result<P, Error> {
        let gone = |why: String| Error::new(Fault::UpstreamReset, why).with_nothing_received();
        loop {
            if let Some((size, message)) = preface::split(&self.buffer)? {
                let preface = P::decode(message)?;
                self.buffer.advance(size);
                return Ok(preface);
            }
            match self.fill_doubting(limits::UNACKNOWLEDGED_EFFECT).await {
                Ok(true) => {}
                Ok(false) => return Err(gone("closed within its preface".into())),
                Err(e) => return Err(crate::tls::lost(&e).with_nothing_received()),
            }
        }
    }

    /// What came and was not taken yet.
    pub fn so_far(&self) -> &[u8] {
        &self.buffer
    }

    /// Waits for more of it; `false` at the end.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn more(&mut self) -> std::io::Result<bool> {
        self.fill(limits::READ_BUFFER).await
    }

    /// Whether what comes begins with exactly these bytes; waits for no more of them than it takes to tell. Takes nothing.
    pub async fn begins_with(&mut self, expected: &[u8]) -> bool {
        loop {
            let seen = self.buffer.len().min(expected.len());
            if self.buffer[..seen] != expected[..seen] {
                return false;
            }
            if seen == expected.len() {
                return true;
            }
            if !self.fill(limits::READ_BUFFER).await.unwrap_or(false) {
                return false;
            }
        }
    }

    /// Ends once the peer has gone while nothing of it is awaited: at once where the connection broke, after [`limits::HALF_CLOSED`] where it
    /// ended in plain, for then one half of it may still be there. What comes meanwhile is kept for later, and ends the watch.
    pub async fn gone(&mut self) -> Error {
        let ended = match self.buffer.is_empty() {
            true => self.fill(limits::READ_BUFFER).await,
            false => Ok(true),
        };
        match ended {
            Ok(true) => std::future::pending().await,
            // Nobody closes one half of a TLS connection to say that a request is whole.
            Ok(false) if self.recv.with(|stream| stream.tls().is_some()) => {}
            Ok(false) => rt::sleep(limits::HALF_CLOSED).await,
            Err(e) => return Error::new(Fault::DownstreamClosed, e.to_string()),
        }
        Error::new(Fault::DownstreamClosed, "closed before it was answered")
    }

    /// What comes next, unread by us; empty at the end.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn piece(&mut self, most: usize) -> std::io::Result<Bytes> {
        if self.buffer.is_empty() {
            self.fill(most).await?;
        }
        Ok(self.buffer.split().freeze())
    }

    /// The body behind the head that was just read.
    pub fn body(&mut self, framing: Framing, fault: Fault) -> BodyReader<'_> {
        BodyReader::new(self, framing, fault)
    }

    /// Between requests a connection keeps no buffer.
    pub(super) fn give_back_memory(&mut self) {
        if self.buffer.is_empty() && self.buffer.capacity() > 0 {
            spare::keep_buffer(std::mem::take(&mut self.buffer));
        }
    }
}
