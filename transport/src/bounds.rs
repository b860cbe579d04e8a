//! What a listener may set for the connections of its callers. Where nobody says anything it is what [`crate::limits`] says; upstream connections and
//! those of the mesh have always that. Who sets it, and for whom, is known elsewhere.

use crate::limits;
use std::time::Duration;

/// Of one connection, for as long as it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Largest head of a request: of HTTP/2 as header lists are counted (RFC 9113, section 6.5.2). Never more than [`limits::HEAD_BYTES`].
    pub head_bytes: usize,
    /// From the first byte of a head to its last; of HTTP/1.
    pub head_time: Duration,
    /// Between two requests.
    pub idle: Duration,
    /// Between two pieces of a request's body, and for the caller to take something of an answer.
    pub body_idle: Duration,
    /// To finish a TLS handshake.
    pub handshake_time: Duration,
    /// Under way at once on one connection of HTTP/2.
    pub streams: u32,
    /// What the peer may send on one stream of HTTP/2 before it is read, and on all of a connection.
    pub stream_window: u32,
    pub connection_window: u32,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            head_bytes: limits::HEAD_BYTES,
            head_time: limits::HEAD_TIME,
            idle: limits::KEEP_ALIVE,
            body_idle: limits::BODY_IDLE,
            handshake_time: limits::HANDSHAKE_TIME,
            streams: limits::H2_STREAMS,
            stream_window: limits::H2_STREAM_WINDOW,
            connection_window: limits::H2_CONNECTION_WINDOW,
        }
    }
}

impl Bounds {
    /// Of what carries connections: each may be far away and have much under way, and one that nobody reads takes no room from another.
    pub fn trunk() -> Self {
        Self {
            streams: limits::TRUNK_STREAMS,
            stream_window: limits::TRUNK_STREAM_WINDOW,
            // All streams may be full that nobody reads, and up to half of what was read is not given back yet: that must leave room.
            connection_window: 3 * limits::TRUNK_STREAMS * limits::TRUNK_STREAM_WINDOW,
            ..Self::default()
        }
    }
}
