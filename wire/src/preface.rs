//! The first frame each way between Organza peers: `OGZ1`, a length, a message. Shared by both ends; transport moves the bytes, and nothing
//! here decides whether a peer is believed.

use crate::limits;
pub use crate::v1::{Framing, Hello, PeerMetadata, Welcome, welcome::Answer};
use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;

/// What a frame begins with.
pub const MAGIC: [u8; 4] = *b"OGZ1";
/// Magic and length.
pub const HEADER_BYTES: usize = 8;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrefaceError {
    #[error("does not begin with OGZ1")]
    Magic,
    #[error("is longer than {} bytes", limits::PREFACE_BYTES)]
    TooLong,
    #[error("cannot be read: {0}")]
    Malformed(String),
}

/// A message in its frame.
pub fn frame(message: &impl Message) -> Result<Bytes, PrefaceError> {
    let length = message.encoded_len();
    if length > limits::PREFACE_BYTES {
        return Err(PrefaceError::TooLong);
    }
    let mut out = BytesMut::with_capacity(HEADER_BYTES + length);
    out.put_slice(&MAGIC);
    out.put_u32(length as u32);
    message.encode_raw(&mut out);
    Ok(out.freeze())
}

/// The length of the message after this header.
pub fn length(header: [u8; HEADER_BYTES]) -> Result<usize, PrefaceError> {
    let [a, b, c, d, length @ ..] = header;
    if [a, b, c, d] != MAGIC {
        return Err(PrefaceError::Magic);
    }
    let length = u32::from_be_bytes(length) as usize;
    if length > limits::PREFACE_BYTES { Err(PrefaceError::TooLong) } else { Ok(length) }
}

/// The message of a frame, without its header.
pub fn read<M: Message + Default>(body: &[u8]) -> Result<M, PrefaceError> {
    M::decode(body).map_err(|error| PrefaceError::Malformed(error.to_string()))
}
