//! Reading ahead beneath TLS: rustls asks for 4 KiB at a time, which makes four system calls of a record of bulk data. Whoever sends more than that at once
//! is read in larger pieces from then on; who does not costs no memory and no copy. Never knows what the bytes are.

use crate::limits;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

#[derive(Debug)]
pub struct Ahead<S> {
    pub(super) stream: S,
    /// What was read and not taken yet, from `at` on.
    read: Vec<u8>,
    at: usize,
    /// Whether more comes at once than is asked for.
    more: bool,
}

impl<S> Ahead<S> {
    pub fn new(stream: S) -> Self {
        Self { stream, read: Vec::new(), at: 0, more: false }
    }

    /// Nobody holds memory while he waits.
    fn forget(&mut self) {
        (self.read, self.at) = (Vec::new(), 0);
    }
}

impl<S: AsyncRead + Unpin> Ahead<S> {
    /// Reads as much as there is room for; `false` at the end.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        self.read.reserve_exact(limits::READ_AHEAD);
        // A future that reads once holds nothing between polls, so a new one each time does.
        match pin!(self.stream.read_buf(&mut self.read)).poll(cx) {
            Poll::Ready(Ok(read)) if read > 0 => {
                self.more = read > limits::READ_BUFFER;
                Poll::Ready(Ok(true))
            }
            other => {
                self.forget();
                other.map_ok(|_| false)
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Ahead<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.read.is_empty() {
            if !this.more {
                ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
                this.more = buffer.remaining() == 0;
                return Poll::Ready(Ok(()));
            }
            if !ready!(this.poll_fill(cx))? {
                return Poll::Ready(Ok(()));
            }
        }
        let left = &this.read[this.at..];
        let some = left.len().min(buffer.remaining());
        buffer.put_slice(&left[..some]);
        this.at += some;
        if this.at == this.read.len() {
            this.forget();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Ahead<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
