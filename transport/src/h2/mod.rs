//! HTTP/2 (RFC 9113), in the shape of the HTTP/1 engine: heads are `model`'s, bodies are those of [`crate::body`]. One connection carries many exchanges,
//! each a task of its own; flow control reaches from end to end, since a piece's window is given back only when the next one is asked for, and nothing
//! is sent beyond the receiver's window.
//!
//! From below: [`hpack`] and [`frame`] read and write bytes, [`conn`] is a connection without a socket or a clock, [`driver`] moves its bytes, and
//! [`Client`], [`Server`] and their bodies are handles of one that a thread's tasks share. What a stream was reset for travels in
//! [`crate::Error::reset`], so that the other side can be told the same.

mod body;
mod client;
mod conn;
mod driver;
mod flood;
mod flow;
mod frame;
mod head;
pub mod hpack;
mod output;
mod server;
mod streams;
mod tunnel;

pub use body::{BodyReader, BodyWriter};
pub use client::{Answer, Client, Ender};
pub use flood::{Flood, Who};
pub use server::{Exchange, Responder, Server, serve};
pub use tunnel::Tunnel;

use crate::Error;
use conn::End;
use model::Fault;

/// What a client with prior knowledge begins with (RFC 9113, section 3.4).
pub const CLIENT_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Codes of RFC 9113, section 7, that are spoken of by name.
pub mod code {
    pub const NO_ERROR: u32 = 0x0;
    pub const PROTOCOL_ERROR: u32 = 0x1;
    pub const INTERNAL_ERROR: u32 = 0x2;
    pub const FLOW_CONTROL_ERROR: u32 = 0x3;
    pub const STREAM_CLOSED: u32 = 0x5;
    pub const FRAME_SIZE_ERROR: u32 = 0x6;
    pub const REFUSED_STREAM: u32 = 0x7;
    pub const CANCEL: u32 = 0x8;
    pub const COMPRESSION_ERROR: u32 = 0x9;
    pub const ENHANCE_YOUR_CALM: u32 = 0xb;
}

/// Which side of us the connection is on: the same event is another party's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Facing {
    Downstream,
    Upstream,
}

impl Facing {
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

    /// The peer broke a rule.
    fn broke(self, code: u32, why: &str) -> Error {
        self.malformed(format!("HTTP/2: {why}")).with_cause(cause(code))
    }

    /// The connection has ended.
    fn ended(self, end: &End) -> Error {
        match end {
            End::Closed => Error::new(self.lost(), "HTTP/2: connection closed"),
            End::Lost(why) => Error::new(self.lost(), format!("HTTP/2: {why}")),
            End::Gone => Error::gone(),
            End::Still => Error::still(),
            End::Cut(why) => Error::new(self.lost(), why.clone()),
            End::Refused(code) => Error::new(self.lost(), format!("HTTP/2: connection ended by the peer with code {code}")),
            End::Broken(code, why) => self.broke(*code, why),
            End::Flood(flood) => {
                let fault = if self == Self::Downstream { Fault::MalformedRequest } else { Fault::UpstreamReset };
                Error::new(fault, flood.why()).with_cause(flood.label())
            }
        }
    }
}

/// What a connection was ended for, as metrics name it.
fn cause(code: u32) -> &'static str {
    match code {
        code::PROTOCOL_ERROR => "h2_protocol_error",
        code::COMPRESSION_ERROR => "h2_compression_error",
        code::FLOW_CONTROL_ERROR => "h2_flow_control_error",
        code::FRAME_SIZE_ERROR => "h2_frame_size_error",
        code::STREAM_CLOSED => "h2_stream_closed",
        _ => "h2_error",
    }
}

#[cfg(test)]
mod tests;
