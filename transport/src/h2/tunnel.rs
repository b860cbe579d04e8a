//! One stream as a two-way pipe: what CONNECT opens.

use super::{BodyReader, BodyWriter};
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
}

fn lost(error: crate::Error) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, error)
}

impl AsyncRead for Tunnel {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.piece.is_empty() {
            let handle = &self.reader.handle;
            let piece = ready!(handle.connection().poll_piece(handle.place, cx));
            match piece.map_err(lost)? {
                Some(piece) => self.piece = piece,
                None => return Poll::Ready(Ok(())),
            }
        }
        let size = self.piece.len().min(buffer.remaining());
        buffer.put_slice(&self.piece[..size]);
        self.piece.advance(size);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if self.writer.ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let handle = &self.writer.handle;
        let mut connection = handle.connection();
        let size = ready!(connection.poll_room(handle.place, bytes.len(), cx)).map_err(lost)?;
        let sent = connection.send(handle.place, Bytes::copy_from_slice(&bytes[..size]), false);
        Poll::Ready(sent.map(|()| size).map_err(lost))
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
        let handle = &self.writer.handle;
        let sent = handle.connection().send(handle.place, Bytes::new(), true);
        Poll::Ready(sent.map_err(lost))
    }
}
