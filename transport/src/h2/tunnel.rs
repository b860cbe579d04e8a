//! One stream as a two-way pipe: what CONNECT opens.

use super::{BodyReader, BodyWriter, Client, code};
use crate::body::Length;
use crate::{Error, limits, rt};
use bytes::{Buf, Bytes};
use model::{Fault, RequestHead, ResponseHead};
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
    /// Something was written that crossed with the peer's goodbye.
    crossed: bool,
}

impl Tunnel {
    /// Asks for one, by CONNECT, and waits until it is granted.
    ///
    /// # Errors
    /// If the peer refuses it, says nothing for 5 s, or the connection takes no more.
    pub async fn open(client: &Client, head: &RequestHead) -> Result<Self, Error> {
        let (writer, mut answer) = client.request(head, Length::Open)?;
        let mut response = ResponseHead::default();
        let answered = async {
            loop {
                if let Some(body) = answer.head(&mut response).await? {
                    return Ok(body);
                }
            }
        };
        let late = || Err(Error::new(Fault::ConnectTimeout, "no tunnel within 5 s").with_nothing_received());
        let body = rt::timeout(limits::CONNECT_TIME, answered).await.unwrap_or_else(late)?;
        match response.status {
            200..=299 => Ok(Self::new(body, writer)),
            401 | 403 => Err(Error::new(Fault::AccessDenied, "the peer denied the tunnel")),
            status => Err(Error::new(Fault::ConnectFailed, format!("asked for a tunnel, the peer answered {status}"))),
        }
    }

    /// Of the two bodies of one exchange.
    pub fn new(reader: BodyReader, writer: BodyWriter) -> Self {
        Self { reader, writer, piece: Bytes::new(), crossed: false }
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
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if self.writer.ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let crossed = self.crossed;
        let handle = &self.writer.handle;
        let mut connection = handle.connection();
        let size = match ready!(connection.poll_room(handle.place, bytes.len(), cx)) {
            Ok(size) => size,
            // As with a socket, once: that the peer has ended in good order is found out by reading.
            Err(error) if error.reset == Some(code::NO_ERROR) && connection.all_came(handle.place) && !crossed => {
                drop(connection);
                self.crossed = true;
                return Poll::Ready(Ok(bytes.len()));
            }
            Err(error) => return Poll::Ready(Err(lost(error))),
        };
        let sent = connection.send_copied(handle.place, &bytes[..size]);
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
