//! One stream as a two-way pipe: what CONNECT opens.

use super::{BodyReader, BodyWriter, Client, code};
use crate::body::Length;
use crate::{Error, limits, rt};
use bytes::{Buf, Bytes};
use model::{Fault, RequestHead, ResponseHead};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
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

    /// Sends all of them, uncopied.
    ///
    /// # Errors
    /// Those of the stream.
    pub(crate) fn poll_send(&mut self, cx: &mut Context<'_>, bytes: &mut Bytes) -> Poll<io::Result<()>> {
        while !bytes.is_empty() {
            let size = ready!(self.poll_room(cx, bytes.len()))?;
            let piece = bytes.split_to(size);
            if !self.crossed {
                let handle = &self.writer.handle;
                handle.connection().send(handle.place, piece, false).map_err(lost)?;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// The peer is not waited for any more.
    pub(crate) fn stalled(&mut self, patience: Duration) {
        let handle = &self.writer.handle;
        // What it says is what whoever waited says by itself.
        drop(handle.connection().stalled(handle.place, patience));
    }

    /// How many of that many bytes may be sent now; where they crossed with the peer's goodbye, all, to nobody.
    fn poll_room(&mut self, cx: &mut Context<'_>, wanted: usize) -> Poll<io::Result<usize>> {
        if self.writer.ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let handle = &self.writer.handle;
        let mut connection = handle.connection();
        match ready!(connection.poll_room(handle.place, wanted, cx)) {
            Ok(size) => Poll::Ready(Ok(size)),
            // As with a socket, once: that the peer has ended in good order is found out by reading.
            Err(error) if error.reset == Some(code::NO_ERROR) && connection.all_came(handle.place) && !self.crossed => {
                self.crossed = true;
                Poll::Ready(Ok(wanted))
            }
            Err(error) => Poll::Ready(Err(lost(error))),
        }
    }
}

fn lost(error: crate::Error) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, error)
}

impl AsyncRead for Tunnel {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        // As much as has come: each piece is a frame, and a read may ask for several.
        while buffer.remaining() > 0 {
            if self.piece.is_empty() {
                let handle = &self.reader.handle;
                let came = handle.connection().poll_piece(handle.place, cx);
                match came {
                    Poll::Ready(Ok(Some(piece))) => self.piece = piece,
                    // Says so again when it is asked next.
                    _ if buffer.filled().len() > before => break,
                    Poll::Ready(Ok(None)) => break,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(lost(error))),
                    Poll::Pending => return Poll::Pending,
                }
            }
            let size = self.piece.len().min(buffer.remaining());
            buffer.put_slice(&self.piece[..size]);
            self.piece.advance(size);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let size = ready!(self.poll_room(cx, bytes.len()))?;
        if self.crossed {
            return Poll::Ready(Ok(size));
        }
        let handle = &self.writer.handle;
        let sent = handle.connection().send_copied(handle.place, &bytes[..size]);
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
