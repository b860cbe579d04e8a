//! A connection whose first bytes were read already, to find out what it speaks; an upstream's goes through a sieve.

use super::sieve::Sieve;
use crate::rt::Stream;
use bytes::{Buf, BytesMut};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

#[derive(Debug)]
pub(super) struct Io {
    pub read: BytesMut,
    pub stream: Stream,
    pub sieve: Option<Sieve>,
}

impl Io {
    fn poll_source(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
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
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }
    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, pieces: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, pieces)
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
