//! HTTP/2 (RFC 9113) on the `h2` crate, in the shape of the HTTP/1 engine: heads are `model`'s, bodies are those of [`crate::body`]. One
//! connection carries many exchanges, each a task of its own; flow control reaches from end to end, since a piece's window is given back
//! only when the next one is asked for, and nothing is sent beyond the receiver's window.
//!
//! What a stream was reset for travels in [`crate::Error::reset`], so that the other side can be told the same.

mod body;
mod client;
mod flood;
mod head;
mod io;
mod server;
mod sieve;
mod tunnel;

pub use body::{BodyReader, BodyWriter};
pub use client::{Answer, Client};
pub use flood::{Flood, Who};
pub use server::{Exchange, Responder, Server, serve};
pub use tunnel::Tunnel;

use crate::Error;
use model::Fault;

/// What a client with prior knowledge begins with (RFC 9113, section 3.4).
pub const CLIENT_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Codes of RFC 9113, section 7, that are spoken of by name.
pub mod code {
    pub const INTERNAL_ERROR: u32 = 0x2;
    pub const REFUSED_STREAM: u32 = 0x7;
    pub const CANCEL: u32 = 0x8;
}

/// Which side of us the connection is on: the same event is another party's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Facing {
    Downstream,
    Upstream,
}

impl Facing {
    pub(crate) fn error(self, e: &::h2::Error) -> Error {
        let broke_protocol = e.is_library() || (!e.is_remote() && !e.is_io());
        let fault = match (self, broke_protocol) {
            (Self::Downstream, true) => Fault::MalformedRequest,
            (Self::Downstream, false) => Fault::DownstreamClosed,
            (Self::Upstream, true) => Fault::UpstreamProtocol,
            (Self::Upstream, false) => Fault::UpstreamReset,
        };
        let mut error = Error::new(fault, format!("HTTP/2: {e}"));
        error.cause = e.reason().filter(|_| broke_protocol).map(|reason| cause(reason, e));
        error.reset = match e.reason() {
            // A stream beyond the last one of a GOAWAY was never begun, which is what REFUSED_STREAM says (RFC 9113, section 6.8).
            Some(::h2::Reason::NO_ERROR) if e.is_go_away() && e.is_remote() => Some(code::REFUSED_STREAM),
            Some(reason) if e.is_reset() && e.is_remote() => Some(reason.into()),
            _ => None,
        };
        error
    }

    /// Whose fault it is that a stream ended early.
    pub(crate) fn lost(self) -> Fault {
        if self == Self::Downstream { Fault::DownstreamClosed } else { Fault::UpstreamReset }
    }

    pub(crate) fn reset(self, code: u32) -> Error {
        let mut error = Error::new(self.lost(), format!("HTTP/2: stream reset with code {code}"));
        error.reset = Some(code);
        error
    }

    pub(crate) fn malformed(self, why: impl Into<std::borrow::Cow<'static, str>>) -> Error {
        let fault = if self == Self::Downstream { Fault::MalformedRequest } else { Fault::UpstreamProtocol };
        Error::new(fault, why)
    }
}

/// What `h2` ended a connection for, as metrics name it.
fn cause(reason: ::h2::Reason, e: &::h2::Error) -> &'static str {
    match reason {
        ::h2::Reason::PROTOCOL_ERROR => "h2_protocol_error",
        ::h2::Reason::COMPRESSION_ERROR => "h2_compression_error",
        ::h2::Reason::FLOW_CONTROL_ERROR => "h2_flow_control_error",
        ::h2::Reason::FRAME_SIZE_ERROR => "h2_frame_size_error",
        ::h2::Reason::STREAM_CLOSED => "h2_stream_closed",
        // What it counts and our own watch does not: resets that the peer provoked (CVE-2025-8671), and data in crumbs, which it says in words.
        ::h2::Reason::ENHANCE_YOUR_CALM if e.to_string().contains("data_frames") => "h2_empty_data_flood",
        ::h2::Reason::ENHANCE_YOUR_CALM => "h2_made_you_reset",
        _ => "h2_error",
    }
}

#[cfg(test)]
mod tests;
