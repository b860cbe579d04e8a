//! Bounds on what telemetry may hold: nothing a stranger sends makes it grow without end.

use std::time::Duration;

/// Label sets of one proxy; what comes after is counted under `other`.
pub const SERIES: usize = 10_000;
/// Label sets of what is counted under `other`; beyond, how requests ended is not told apart any more.
pub const FOLDED: usize = 1024;
/// A label set of which nothing was counted for so long is forgotten, but for connections that are open.
pub const SERIES_IDLE: Duration = Duration::from_secs(3600);
/// Edges of one proxy; likewise.
pub const EDGES: usize = 5_000;
/// Kinds of calls that one proxy tells apart (each worker's own count) ...
pub const CALLS: usize = 2_000;
/// ... so many of them of one caller ...
pub const CALLS_OF_CALLER: usize = 500;
/// ... and, of those that come after, kinds by a coarser path ...
pub const CALLS_COARSE: usize = 500;
/// ... so many of them of one caller; beyond they are left out, and counted.
pub const CALLS_COARSE_OF_CALLER: usize = 125;
/// A kind of which nothing was counted for so long makes room, once it was told.
pub const CALLS_IDLE: Duration = Duration::from_secs(600);
/// Callers of whom a worker remembers that there is no room left.
pub const CALLERS_FULL: usize = 256;
/// Segments of a path that a call is told by.
pub const CALL_SEGMENTS: usize = 8;
/// One of them, in bytes; what is longer is no word.
pub const CALL_SEGMENT_BYTES: usize = 64;
/// All of them, in bytes.
pub const CALL_PATH_BYTES: usize = 256;
/// Consumers and what they ask, as one proxy tells them; the rest is left out, and counted.
pub const CONSUMED: usize = 4_096;
/// Of whom nothing was counted for so long makes room, once it was told.
pub const CONSUMED_IDLE: Duration = Duration::from_secs(600);
/// Rules and policies of which a proxy counts each kind of verdict one by one; the rest are counted as one, as `other`.
pub const VERDICTS: usize = 1000;
/// Label value, in bytes; longer ones are cut.
pub const LABEL_BYTES: usize = 128;
/// Value of a recorded header, in bytes; longer ones are cut.
pub const HEADER_VALUE_BYTES: usize = 256;
/// So much of it is looked at, so that it is redacted before it is cut.
pub const HEADER_READ_BYTES: usize = 8 * 1024;
/// Names and values recorded of one head, in bytes as JSON has them: with both heads a line still fits into what the control plane reads of a flow.
pub const HEADERS_BYTES: usize = 1024;
/// Fields of one name that are joined to such a value.
pub const HEADER_VALUES: usize = 16;
/// Path in a log line, in bytes; longer ones are cut.
pub const LOG_PATH_BYTES: usize = 1024;
/// Reason in a log line or `Proxy-Status` details, in bytes.
pub const DETAIL_BYTES: usize = 256;
/// Longest `tracestate` passed on, in bytes (W3C Trace Context asks for at least 512).
pub const TRACESTATE_BYTES: usize = 8192;
/// A request whose answer took so long to begin is slow, unless a policy says otherwise.
pub const SLOW: Duration = Duration::from_secs(1);
/// Label sets that a worker finds by address; forgotten all at once beyond.
pub const RECENT: usize = 1024;
