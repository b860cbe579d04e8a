//! A connection whose first bytes were read already, to find out what it speaks. What comes is counted, and then rid of what ends nothing; where it
//! is a flood nothing more is read, and the connection's owner ends it.

use super::flood::{Flood, Watch, Who};
use super::sieve::Sieve;
use crate::rt::{self, Stream};
use bytes::{Buf, BytesMut};
use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

#[derive(Debug)]
pub(super) struct Io {
    pub read: BytesMut,
    pub stream: Stream,
    sieve: Option<Sieve>,
    watch: Watch,
    flood: Rc<Cell<Option<Flood>>>,
}

impl Io {
    /// `preface`: bytes before the first frame. The sieve begins behind them.
    pub fn new(stream: Stream, read: BytesMut, who: Who, preface: usize) -> Self {
        let sieve = (preface == 0).then(Sieve::default);
        Self { read, stream, sieve, watch: Watch::new(who, preface, rt::now()), flood: Rc::default() }
    }

    /// Tells of the flood that made reading stop.
    pub fn flood(&self) -> Rc<Cell<Option<Flood>>> {
        self.flood.clone()
    }

    fn poll_source(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.flood.get().is_some() {
            return Poll::Pending;
        }
        let start = buffer.filled().len();
        let polled = self.poll_uncounted(cx, buffer);
        if let Err(flood) = self.watch.read(&buffer.filled()[start..], rt::now) {
            self.flood.set(Some(flood));
            buffer.set_filled(start);
            return Poll::Pending;
        }
        polled
    }

    fn count(&mut self, written: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(bytes)) = written {
            self.watch.wrote(*bytes);
        }
    }

    fn poll_uncounted(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.read.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let size = self.read.len().min(buffer.remaining());
        buffer.put_slice(&self.read[..size]);
        self.read.advance(size);
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Io {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let Some(mut sieve) = this.sieve.take() else { return this.poll_source(cx, buffer) };
        let polled = poll_sifted(&mut sieve, buffer, |buffer| this.poll_source(cx, buffer));
        this.sieve = Some(sieve);
        polled
    }
}

fn poll_sifted(
    sieve: &mut Sieve,
    buffer: &mut ReadBuf<'_>,
    mut source: impl FnMut(&mut ReadBuf<'_>) -> Poll<io::Result<()>>,
) -> Poll<io::Result<()>> {
    let start = buffer.filled().len();
    loop {
        let held = sieve.held().len();
        if buffer.remaining() <= held {
            let size = buffer.remaining();
            buffer.put_slice(&sieve.held()[..size]);
            sieve.give(size);
            return Poll::Ready(Ok(()));
        }
        buffer.put_slice(sieve.held());
        match source(buffer) {
            Poll::Ready(Ok(())) => {}
            other => {
                buffer.set_filled(start);
                return other;
            }
        }
        // The end: what was held is all there will ever be.
        if buffer.filled().len() == start + held {
            sieve.give(held);
            return Poll::Ready(Ok(()));
        }
        let kept = sieve.sift(&mut buffer.filled_mut()[start..]);
        buffer.set_filled(start + kept);
        // Nothing would mean the end.
        if kept > 0 {
            return Poll::Ready(Ok(()));
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.count(&written);
        written
    }
    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, pieces: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        self.count(&written);
        written
    }
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
