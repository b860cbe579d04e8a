//! The first words of an `organza/1` connection, each way: `OGZ1`, a length (u32, big-endian, at most 4 KiB), and a protobuf message, field for
//! field that of `wire`'s `preface.proto`, which this crate may not name. Sans-IO but for [`read`]; [`split`] finds the message in what has come.
//!
//! Nothing here decides whether a peer is believed: what it says of itself labels metrics and logs, and policy reads the SVID alone.

use crate::rt::{self, Stream};
use crate::{Error, limits};
use bytes::{Buf, BytesMut};
use model::{Fault, Key, Kind};
use prost::Message;
use tokio::io::AsyncReadExt;

const MAGIC: &[u8; 4] = b"OGZ1";
/// Magic and length.
const HEADER_BYTES: usize = 8;

/// The application's protocol behind the preface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Framing {
    Http1,
    Http2,
    Tcp,
}

/// What a workload says of itself.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct PeerMetadata {
    #[prost(string, tag = "1")]
    pub workload: String,
    #[prost(string, tag = "2")]
    pub namespace: String,
    #[prost(string, tag = "3")]
    pub app: String,
    #[prost(string, tag = "4")]
    pub version: String,
    #[prost(string, tag = "5")]
    pub cluster: String,
}

/// The client's preface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    pub framing: Framing,
    /// The service that was dialled; believed only if the receiver backs it.
    pub service: Key,
    pub service_port: u16,
    pub source: PeerMetadata,
}

/// The server's preface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Welcome {
    Accepted(PeerMetadata),
    Refused(Fault),
}

#[derive(Clone, PartialEq, Message)]
struct RawHello {
    #[prost(int32, tag = "1")]
    framing: i32,
    #[prost(string, tag = "2")]
    service: String,
    #[prost(uint32, tag = "3")]
    service_port: u32,
    #[prost(message, optional, tag = "4")]
    source: Option<PeerMetadata>,
}

#[derive(Clone, PartialEq, Message)]
struct RawWelcome {
    #[prost(oneof = "Answer", tags = "1, 2")]
    answer: Option<Answer>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Answer {
    #[prost(message, tag = "1")]
    Metadata(PeerMetadata),
    #[prost(string, tag = "2")]
    Refused(String),
}

/// What can stand in a preface.
pub trait Preface: Sized {
    /// The message in its frame.
    ///
    /// # Errors
    /// If it is longer than a preface may be.
    fn encode(&self) -> Result<Vec<u8>, Error>;

    /// From the message alone, as [`split`] gives it.
    ///
    /// # Errors
    /// If it cannot be read or lacks what it must have.
    fn decode(message: &[u8]) -> Result<Self, Error>;
}

impl Preface for Hello {
    fn encode(&self) -> Result<Vec<u8>, Error> {
        let framing = match self.framing {
            Framing::Http1 => 1,
            Framing::Http2 => 2,
            Framing::Tcp => 3,
        };
        framed(&RawHello {
            framing,
            service: self.service.to_string(),
            service_port: self.service_port.into(),
            source: Some(self.source.clone()),
        })
    }

    fn decode(message: &[u8]) -> Result<Self, Error> {
        let raw = RawHello::decode(message).map_err(|e| malformed(format!("preface cannot be read: {e}")))?;
        let framing = match raw.framing {
            1 => Framing::Http1,
            2 => Framing::Http2,
            3 => Framing::Tcp,
            other => return Err(malformed(format!("preface names the unknown framing {other}"))),
        };
        let service = Key::parse(&raw.service).filter(|key| key.kind == Kind::Service);
        let service = service.ok_or_else(|| malformed("preface names no service"))?;
        let service_port = u16::try_from(raw.service_port).ok().filter(|port| *port != 0);
        let service_port = service_port.ok_or_else(|| malformed("preface names no port"))?;
        Ok(Self { framing, service, service_port, source: raw.source.unwrap_or_default() })
    }
}

impl Preface for Welcome {
    fn encode(&self) -> Result<Vec<u8>, Error> {
        let answer = match self {
            Self::Accepted(own) => Answer::Metadata(own.clone()),
            Self::Refused(fault) => Answer::Refused(fault.label().to_owned()),
        };
        framed(&RawWelcome { answer: Some(answer) })
    }

    fn decode(message: &[u8]) -> Result<Self, Error> {
        let raw = RawWelcome::decode(message).map_err(|e| malformed(format!("preface cannot be read: {e}")))?;
        match raw.answer {
            Some(Answer::Metadata(own)) => Ok(Self::Accepted(own)),
            // A reason that this version does not know is a refusal all the same.
            Some(Answer::Refused(label)) => Ok(Self::Refused(Fault::parse(&label).unwrap_or(Fault::AccessDenied))),
            None => Err(malformed("preface neither accepts nor refuses")),
        }
    }
}

/// Finds a whole preface at the front of `buffer`: the size of the whole frame and the message in it; `None` while more bytes are needed.
///
/// # Errors
/// At the first byte that no preface has there, and if it is too long.
pub fn split(buffer: &[u8]) -> Result<Option<(usize, &[u8])>, Error> {
    let seen = buffer.len().min(MAGIC.len());
    if buffer[..seen] != MAGIC[..seen] {
        return Err(malformed("connection does not begin with OGZ1"));
    }
    let Some(size) = buffer.get(4..HEADER_BYTES).and_then(|b| <[u8; 4]>::try_from(b).ok()).map(u32::from_be_bytes) else {
        return Ok(None);
    };
    let size = size as usize;
    if size > limits::PREFACE_BYTES {
        return Err(malformed("preface is longer than 4 KiB"));
    }
    Ok(buffer.get(HEADER_BYTES..HEADER_BYTES + size).map(|message| (HEADER_BYTES + size, message)))
}

/// Reads one preface; what came after it stays in `buffer`.
///
/// # Errors
/// If something else comes, the peer goes away, or it takes longer than a handshake may.
pub async fn read<P: Preface>(stream: &mut Stream, buffer: &mut BytesMut) -> Result<P, Error> {
    let reading = async {
        loop {
            if let Some((size, message)) = split(buffer)? {
                let preface = P::decode(message)?;
                buffer.advance(size);
                return Ok(preface);
            }
            let more = stream.read_buf(buffer).await.map_err(|e| malformed(format!("before the end of the preface: {e}")))?;
            if more == 0 {
                return Err(malformed("connection ended before the end of the preface"));
            }
        }
    };
    rt::timeout(limits::HANDSHAKE_TIME, reading).await.unwrap_or_else(|| Err(Error::new(Fault::SlowRequest, "preface took too long")))
}

fn framed(message: &impl Message) -> Result<Vec<u8>, Error> {
    let size = message.encoded_len();
    if size > limits::PREFACE_BYTES {
        return Err(Error::new(Fault::Internal, "preface would be longer than 4 KiB"));
    }
    let mut out = Vec::with_capacity(HEADER_BYTES + size);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&(size as u32).to_be_bytes());
    out.extend_from_slice(&message.encode_to_vec());
    Ok(out)
}

fn malformed(why: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(Fault::UnrecognisedProtocol, why)
}

#[cfg(test)]
mod tests;
