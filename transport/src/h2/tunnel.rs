//! One stream as a two-way pipe: what CONNECT opens.

use super::{BodyReader, BodyWriter};
use crate::limits;
use bytes::{Buf, Bytes};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Both directions end on their own. Dropped before that, it resets the stream.
#[derive(Debug)]
pub struct Tunnel {
    reader: BodyReader,
    writer: BodyWriter,
    piece: Bytes,
}

impl Tunnel {
    /// Of the two bodies of one exchange.
    pub fn new(reader: BodyReader, writer: BodyWriter) -> Self {
        Self { reader, writer, piece: Bytes::new() }
    }

    fn lost(&self, e: &::h2::Error) -> io::Error {
        io::Error::new(io::ErrorKind::ConnectionReset, self.reader.side.error(e))
    }
}

impl AsyncRead for Tunnel {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.piece.is_empty() {
            match ready!(self.reader.recv.poll_data(cx)) {
                Some(Ok(piece)) => self.piece = piece,
                Some(Err(e)) => return Poll::Ready(Err(self.lost(&e))),
                None => return Poll::Ready(Ok(())),
            }
        }
        let size = self.piece.len().min(buffer.remaining());
        buffer.put_slice(&self.piece[..size]);
        self.piece.advance(size);
        // Fails only on a stream that is gone, which the next read will tell.
        let _ = self.reader.recv.flow_control().release_capacity(size);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if self.writer.ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let wanted = bytes.len().min(limits::H2_SEND_BUFFER);
        self.writer.send.reserve_capacity(wanted);
        while self.writer.send.capacity() == 0 {
            match ready!(self.writer.send.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(e)) => return Poll::Ready(Err(self.lost(&e))),
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        }
        let size = wanted.min(self.writer.send.capacity());
        let sent = self.writer.send.send_data(Bytes::copy_from_slice(&bytes[..size]), false);
        Poll::Ready(sent.map(|()| size).map_err(|e| self.lost(&e)))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The connection's own task writes.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.writer.ended {
            return Poll::Ready(Ok(()));
        }
        self.writer.ended = true;
        let sent = self.writer.send.send_data(Bytes::new(), true);
        Poll::Ready(sent.map_err(|e| self.lost(&e)))
    }
}
