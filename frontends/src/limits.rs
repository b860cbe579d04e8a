//! Limits and defaults that the front ends apply where a user left a field out. All that users may ask for beyond these is
//! refused with a reason, never cut off silently.

use std::time::Duration;

/// Tries after the first where a retry stanza names no number.
pub const DEFAULT_RETRY_ATTEMPTS: u32 = 2;
/// Most tries after the first that one rule may ask for.
pub const RETRY_ATTEMPTS: u64 = 100;
/// Shortest pause before a retry where a retry stanza names none.
pub const DEFAULT_RETRY_BACKOFF: Duration = Duration::from_millis(25);
/// How long a browser may keep the answer to a preflight request where nobody says (Gateway API `HTTPCORSFilter`).
pub const DEFAULT_CORS_MAX_AGE: Duration = Duration::from_secs(5);
/// Longest message of one problem, in bytes; what is longer ends in an ellipsis.
pub const MESSAGE_BYTES: usize = 1000;
/// Longest message of one condition, in bytes (the limit of Kubernetes is 32,768).
pub const CONDITION_BYTES: usize = 32_000;
/// Largest file that is read, in bytes.
pub const FILE_BYTES: u64 = 16 * 1024 * 1024;
/// Documents of one file.
pub const DOCUMENTS: usize = 20_000;
