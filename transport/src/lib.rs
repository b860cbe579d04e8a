//! Bytes: sockets, TLS, the HTTP engines, pools. This crate never sees a route or a policy: it is told where to connect and whom to expect, and
//! hands up heads and bodies.
//!
//! Read downward: [`rt`] (the only room that names tokio on the request path), [`tls`], [`preface`], [`h1`], [`h2`],
//! [`hbone`], [`body`], [`pool`].

pub mod body;
mod bounds;
mod decimal;
pub mod detect;
pub mod h1;
pub mod h2;
pub mod handover;
pub mod hbone;
pub mod limits;
pub mod open;
pub mod pool;
pub mod preface;
pub mod proxy_protocol;
pub mod rt;
pub mod spare;
pub mod tls;
pub mod tunnel;

pub use body::{Incoming, Outgoing};
pub use bounds::Bounds;
pub use rt::{Listener, Stream};

use model::Fault;

/// What went wrong on a connection, with the fault that audiences are told.
#[derive(Debug, thiserror::Error)]
#[error("{}: {why}", fault.label())]
pub struct Error {
    pub fault: Fault,
    pub why: std::borrow::Cow<'static, str>,
    /// The peer had not sent a byte of its answer: an idempotent request may be tried again elsewhere.
    pub nothing_received: bool,
    /// The peer closed in good order, with TLS's own word for it where there is TLS.
    pub orderly: bool,
    /// Nobody is at the other end any more: its machine acknowledges nothing, not what was under way, nor that it is there; or the proxy there stands still.
    pub gone: bool,
    /// The code that a peer reset an HTTP/2 stream with, to be passed on.
    pub reset: Option<u32>,
    /// What ended the whole connection, as metrics name it; `None` where that was a request's or nobody's doing.
    pub cause: Option<&'static str>,
}

impl Error {
    pub fn new(fault: Fault, why: impl Into<std::borrow::Cow<'static, str>>) -> Self {
        Self { fault, why: why.into(), nothing_received: false, orderly: false, gone: false, reset: None, cause: None }
    }
    /// Of an upstream whose machine is gone.
    pub(crate) fn gone() -> Self {
        Self { gone: true, ..Self::new(Fault::UpstreamReset, "its machine acknowledges nothing any more") }
    }
    /// Of an upstream whose proxy stands still.
    pub(crate) fn still() -> Self {
        Self { gone: true, ..Self::new(Fault::UpstreamReset, "its proxy answers nothing any more") }
    }
    /// The peer says that it did not begin: even what is not idempotent may be tried again (RFC 9113, section 8.7).
    pub fn is_unprocessed(&self) -> bool {
        self.reset == Some(h2::code::REFUSED_STREAM)
    }
    pub fn with_cause(mut self, cause: &'static str) -> Self {
        self.cause = Some(cause);
        self
    }
    pub fn with_nothing_received(mut self) -> Self {
        self.nothing_received = true;
        self
    }
}
