//! Moves a connection's bytes between its socket and [`Connection`]: everything that is there is read before anything is written, and what was decided
//! in one wake-up goes out in one write.

use super::conn::{Connection, End};
use super::output::SLICES;
use crate::limits;
use crate::rt::{self, Alarm, Doubt, Stream};
use bytes::BytesMut;
use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::AsyncWrite;

/// A connection that tasks of one thread share.
pub(super) type Link = Rc<RefCell<Connection>>;

/// Buffers that a thread keeps for whoever reads next: a connection that is idle holds none.
const SPARE: usize = 8;

thread_local! {
    static BUFFERS: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
}

#[derive(Debug)]
pub(super) struct Driver {
    link: Link,
    stream: Stream,
    read: BytesMut,
    /// What the next read asks for.
    most: usize,
    /// Something was written, and TLS may hold it back.
    unflushed: bool,
    silence: Silence,
}

/// How long nothing came after something was sent.
#[derive(Debug, Default)]
struct Silence {
    /// When the first word went out that nothing followed yet.
    since: Option<Instant>,
    doubt: Option<Doubt>,
    /// Questions to the proxy at the other end that nothing followed yet.
    asked: u32,
    alarm: Alarm,
    /// When it goes off, or later.
    set: Option<Instant>,
}

impl Silence {
    /// Nobody is doubted any more.
    fn end(&mut self, stream: &Stream) {
        (self.since, self.asked) = (None, 0);
        if let Some(doubt) = self.doubt.take() {
            self.set = None;
            doubt.end(stream);
        }
    }
}

/// An alarm that has so long to go need not be looked at: what the clock says may be older than its last reading, but not so old.
const FAR: Duration = Duration::from_millis(100);

impl Driver {
    /// `read` is what came of the connection before.
    pub fn new(link: Link, stream: Stream, read: BytesMut) -> Self {
        Self { link, stream, read, most: limits::READ_BUFFER, unflushed: false, silence: Silence::default() }
    }

    /// Moves what can be moved; ready once there are requests to be taken, or the connection has ended and said so.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let link = self.link.clone();
        let connection = &mut *link.borrow_mut();
        connection.moves();
        // What came before the first read, or is the beginning of a frame.
        if !self.read.is_empty() {
            connection.receive(&mut self.read, rt::now());
        }
        loop {
            if matches!(connection.end(), Some(End::Cut(_))) {
                return Poll::Ready(());
            }
            let listened = connection.listens();
            let read = self.poll_read(connection, cx);
            if connection.has_requests() {
                return Poll::Ready(());
            }
            if connection.is_over() {
                connection.leave();
            }
            let written = self.poll_write(connection, cx);
            if connection.end().is_some() && written.is_ready() {
                return Poll::Ready(());
            }
            // Who was not listened to because he read nothing may have read something now.
            if read.is_pending() && (listened || !connection.listens()) {
                if let Some(end) = self.given_up(connection, cx) {
                    connection.lost(end);
                    return Poll::Ready(());
                }
                self.rest();
                connection.await_stirring(cx);
                return Poll::Pending;
            }
        }
    }

    /// Pending where nothing can be read now.
    fn poll_read(&mut self, connection: &mut Connection, cx: &mut Context<'_>) -> Poll<()> {
        if !connection.listens() {
            return Poll::Pending;
        }
        if self.read.capacity() == 0 {
            self.read = BUFFERS.with_borrow_mut(Vec::pop).unwrap_or_default();
        }
        match self.stream.poll_recv(cx, &mut self.read, self.most) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(0)) => connection.lost(End::Closed),
            Poll::Ready(Ok(size)) => {
                self.heard(connection);
                self.most = if size > limits::READ_BUFFER / 2 { limits::BODY_BUFFER } else { limits::READ_BUFFER };
                connection.receive(&mut self.read, rt::now());
            }
            Poll::Ready(Err(e)) if rt::is_gone(&e) => connection.lost(End::Gone),
            Poll::Ready(Err(e)) => connection.lost(End::Lost(e.to_string())),
        }
        Poll::Ready(())
    }

    /// Ready once everything is out, or can no more be.
    fn poll_write(&mut self, connection: &mut Connection, cx: &mut Context<'_>) -> Poll<()> {
        while !connection.output.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = connection.output.slices(&mut slices);
            let size = match Pin::new(&mut self.stream).poll_write_vectored(cx, &slices[..count]) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(size)) if size > 0 => size,
                Poll::Ready(result) => {
                    let error = result.err().unwrap_or_else(|| io::ErrorKind::WriteZero.into());
                    connection.lost(End::Lost(error.to_string()));
                    return Poll::Ready(());
                }
            };
            self.unflushed = true;
            self.silence.since.get_or_insert_with(rt::now);
            connection.wrote(size);
        }
        if self.unflushed {
            match Pin::new(&mut self.stream).poll_flush(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(e)) => connection.lost(End::Lost(e.to_string())),
            }
        }
        Poll::Ready(())
    }

    fn heard(&mut self, connection: &mut Connection) {
        connection.silent = false;
        // After a question this may be no more than its answer: who waits for more goes on asking.
        if std::mem::take(&mut self.silence.asked) == 0 {
            self.silence.end(&self.stream);
        }
    }

    /// Whether the peer's machine has acknowledged nothing for too long while somebody waits, or the proxy there answers nothing, not even whether it is there. A peer that
    /// thinks, or reads slowly, is there all the same. Nothing begins meanwhile on a connection that seems to lead to nobody.
    fn given_up(&mut self, connection: &mut Connection, cx: &mut Context<'_>) -> Option<End> {
        if !connection.awaits() {
            // What went out then, a word of the protocol's own, needs no answer.
            self.silence.end(&self.stream);
        }
        let Silence { since, doubt, asked, alarm, set } = &mut self.silence;
        let since = (*since)?;
        // It may have gone off for a wait before this one, and is not set for this one then.
        if alarm.is_set() && set.is_some_and(|set| set.saturating_duration_since(rt::now()) > FAR) {
            return None;
        }
        let mut at = set.filter(|_| doubt.is_some()).unwrap_or(since + limits::UNACKNOWLEDGED);
        while alarm.poll(cx, at).is_ready() {
            let doubt = doubt.get_or_insert_with(|| Doubt::of(&self.stream));
            let silent = doubt.look(&self.stream);
            if silent >= limits::UNACKNOWLEDGED_EFFECT {
                return Some(End::Gone);
            }
            connection.silent = silent >= limits::UNACKNOWLEDGED || *asked > 0;
            at = rt::after(doubt.pause());
            if connection.of_proxy && silent.is_zero() {
                if *asked == limits::PROXY_QUESTIONS {
                    return Some(End::Still);
                }
                *asked += 1;
                at = rt::after(limits::PROXY_ANSWER);
                connection.knock();
                // It goes out when we are polled next.
                cx.waker().wake_by_ref();
            }
        }
        *set = Some(at);
        None
    }

    /// Nothing comes now.
    fn rest(&mut self) {
        if self.read.is_empty() && self.read.capacity() > 0 {
            let mut buffer = std::mem::take(&mut self.read);
            BUFFERS.with_borrow_mut(|buffers| {
                if buffers.len() < SPARE && buffer.try_reclaim(limits::READ_BUFFER) {
                    buffers.push(buffer);
                }
            });
        }
    }

    /// Ends our direction, so that the last word is not lost with the socket.
    pub async fn shutdown(&mut self) {
        // Who takes no more is not waited for.
        let _ = rt::timeout(limits::H2_GOODBYE, std::future::poll_fn(|cx| Pin::new(&mut self.stream).poll_shutdown(cx))).await;
    }
}

impl Drop for Driver {
    /// Nobody moves its bytes any more: whoever waits for a stream must hear of it.
    fn drop(&mut self) {
        self.link.borrow_mut().lost(End::Closed);
    }
}
