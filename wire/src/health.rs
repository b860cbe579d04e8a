//! `grpc.health.v1.Health/Check`, as an endpoint is asked and answers: one message each way, with gRPC's five bytes before it.

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;

/// Path of the method.
pub const CHECK: &str = "/grpc.health.v1.Health/Check";

#[derive(Clone, PartialEq, Message)]
struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

#[derive(Clone, PartialEq, Message)]
struct HealthCheckResponse {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// `ServingStatus`; a number that is none of them is read as `Unknown`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Serving {
    Unknown,
    Serving,
    NotServing,
    ServiceUnknown,
}

impl Serving {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::Serving => "SERVING",
            Self::NotServing => "NOT_SERVING",
            Self::ServiceUnknown => "SERVICE_UNKNOWN",
        }
    }
}

/// The body of the question; `service` empty for the server as a whole.
pub fn question(service: &str) -> Bytes {
    framed(&HealthCheckRequest { service: service.to_owned() })
}

pub(crate) fn framed(message: &impl Message) -> Bytes {
    let encoded = message.encode_to_vec();
    let mut body = BytesMut::with_capacity(encoded.len() + 5);
    body.put_u8(0);
    body.put_u32(u32::try_from(encoded.len()).unwrap_or(u32::MAX));
    body.put_slice(&encoded);
    body.freeze()
}

/// The one message of a body; `None` where there is not exactly one, or it is compressed.
pub(crate) fn message(body: &[u8]) -> Option<&[u8]> {
    let (prefix, message) = body.split_first_chunk::<5>()?;
    let [compressed, length @ ..] = *prefix;
    (compressed == 0 && u32::from_be_bytes(length) as usize == message.len()).then_some(message)
}

/// What the body of an answer says; `None` where it is no such message.
pub fn answer(body: &[u8]) -> Option<Serving> {
    Some(match HealthCheckResponse::decode(message(body)?).ok()?.status {
        1 => Serving::Serving,
        2 => Serving::NotServing,
        3 => Serving::ServiceUnknown,
        _ => Serving::Unknown,
    })
}

#[cfg(test)]
mod tests;
