//! Limits of connections and messages, by name. Time limits guard against peers that are slow on purpose.

use std::time::Duration;

/// Largest head of a message; longer ones get 431.
pub const HEAD_BYTES: usize = model::limits::HEAD_BYTES;
/// Header fields of one message.
pub const HEADERS: usize = model::limits::HEADERS;
/// Longest chunk-size line, extensions included (which are dropped).
pub const CHUNK_LINE_BYTES: usize = 256;
/// Largest trailer section.
pub const TRAILER_BYTES: usize = 8 * 1024;
/// First allocation for what is read from a connection, and the most that is read at once.
pub const READ_BUFFER: usize = 8 * 1024;
/// Larger read buffer once a body is streaming.
pub const BODY_BUFFER: usize = 64 * 1024;
/// From the first byte of a head to its last.
pub const HEAD_TIME: Duration = Duration::from_secs(10);
/// Between two requests of a kept-alive connection. Longer than [`POOL_IDLE`], so that between two Organza proxies it is the sender who
/// closes, and no request meets a closing connection.
pub const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// Between two pieces of a body, either way.
pub const BODY_IDLE: Duration = Duration::from_secs(60);
/// To open a TCP connection.
pub const CONNECT_TIME: Duration = Duration::from_secs(5);
/// To finish a TLS handshake.
pub const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// An unused upstream connection is kept this long.
pub const POOL_IDLE: Duration = Duration::from_secs(50);
/// Unused connections kept per destination and worker.
pub const POOL_KEPT: usize = 256;
/// A pooled connection is not used again after this age.
pub const POOL_LIFE: Duration = Duration::from_secs(3600);
/// Answers of class 1xx before the final one.
pub const INFORMATIONAL: usize = 16;
/// Pending connections of a listening socket.
pub const BACKLOG: i32 = 1024;
/// Longest message of an `organza/1` preface.
pub const PREFACE_BYTES: usize = 4 * 1024;
