//! Our own HTTP/1.1 (RFC 9112): heads found by `httparse`, framing judged by us and strictly, bodies passed on unread.
//!
//! A connection is a [`Reader`] and a [`Writer`]; which side of it we are is only a matter of which head is read. What two readers could
//! understand differently is refused, never guessed: that is what smuggling lives on.

mod body;
mod framing;
mod head;
mod reader;
mod writer;

pub use body::{BodyReader, BodyWriter};
pub use framing::{Framing, Hop, request_framing, response_framing, strip_hop_by_hop};
pub(crate) use head::{check_authority, check_target};
pub use reader::Reader;
pub use writer::Writer;

use crate::Bounds;
use crate::rt::Stream;

/// One connection, as its two halves.
#[derive(Debug)]
pub struct Connection {
    pub reader: Reader,
    pub writer: Writer,
}

impl Connection {
    pub fn new(stream: Stream) -> Self {
        let (recv, send) = stream.split();
        Self { reader: Reader::new(recv), writer: Writer::new(send) }
    }

    /// The same with other bounds, for a connection of a caller's.
    #[must_use]
    pub fn bounded(mut self, bounds: Bounds) -> Self {
        self.writer.patience = bounds.body_idle;
        self.reader.bounds = bounds;
        self
    }

    /// Begins with bytes that were read before (to find out the protocol).
    pub fn with_read(stream: Stream, read: bytes::BytesMut) -> Self {
        let (recv, send) = stream.split();
        Self { reader: Reader::with_read(recv, read), writer: Writer::new(send) }
    }

    /// Whether the peer has closed an idle connection, or said something that nobody asked for: then it is not used again.
    pub fn is_stale(&mut self) -> bool {
        self.reader.is_stale()
    }

    /// Gives back what a long message took, before the connection lies idle.
    pub fn rest(&mut self) {
        self.reader.give_back_memory();
    }

    /// The stream and what was read beyond the last head: after an upgrade, or when something else takes over.
    pub fn into_parts(self) -> Option<(Stream, bytes::BytesMut)> {
        let (recv, buffer) = self.reader.into_parts();
        recv.reunite(self.writer.into_send()).map(|stream| (stream, buffer))
    }
}

#[cfg(test)]
mod tests;
