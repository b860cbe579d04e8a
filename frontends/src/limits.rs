//! Limits and defaults that the front ends apply where a user left a field out. All that users may ask for beyond these is
//! refused with a reason, never cut off silently.

use std::time::Duration;

/// Tries after the first where a retry stanza names no number.
pub const DEFAULT_RETRY_ATTEMPTS: u32 = 2;
/// Most tries after the first that one rule may ask for.
pub const RETRY_ATTEMPTS: u64 = 100;
/// Shortest pause before a retry where a retry stanza names none.
pub const DEFAULT_RETRY_BACKOFF: Duration = Duration::from_millis(25);
/// Longest name of a session's cookie or header, in bytes.
pub const SESSION_NAME: usize = 256;
/// Answers of class 5xx one after another that eject an endpoint, where a policy judges endpoints and says nothing else (Envoy).
pub const DEFAULT_CONSECUTIVE_5XX: u32 = 5;
/// First and longest ejection by a policy that names none (Envoy).
pub const DEFAULT_EJECTION_TIME: Duration = Duration::from_secs(30);
pub const DEFAULT_LONGEST_EJECTION_TIME: Duration = Duration::from_secs(300);
/// Share of endpoints that such a policy ejects at most, in percent (Envoy).
pub const DEFAULT_EJECTION_PERCENT: u8 = 10;
/// Part of a health check's interval by which its pauses are longer at most, where nobody says.
pub const CHECK_JITTER_PART: u32 = 10;
/// Interval of a circuit breaker, and how long it stays open, where nobody says.
pub const DEFAULT_BREAKER_TIME: Duration = Duration::from_secs(10);
/// Requests that an open breaker lets through to try.
pub const DEFAULT_HALF_OPEN_REQUESTS: u32 = 3;
/// How long a browser may keep the answer to a preflight request where nobody says (Gateway API `HTTPCORSFilter`).
pub const DEFAULT_CORS_MAX_AGE: Duration = Duration::from_secs(5);
/// Fields of an object that are all named where one that nobody knows was written.
pub const FIELDS_LISTED: usize = 20;
/// Longest message of one problem, in bytes; what is longer ends in an ellipsis.
pub const MESSAGE_BYTES: usize = 1000;
/// Longest message of one condition, in bytes (the limit of Kubernetes is 32,768).
pub const CONDITION_BYTES: usize = 32_000;
/// Gateways that the status of one policy names (Gateway API).
pub const ANCESTORS: usize = 16;
/// Routes whose rules were edited at once and are translated by themselves; more are translated with all the others.
pub const EDITED: usize = 64;
/// Gateways and Services that lead to an XBackend and are named in its status (Gateway API).
pub const BACKEND_ANCESTORS: usize = 32;
/// Largest file that is read, in bytes.
pub const FILE_BYTES: u64 = 16 * 1024 * 1024;
/// Documents of one file.
pub const DOCUMENTS: usize = 20_000;
/// Most requests of one window, and most at once, of a limit of rates.
pub const RATE: u64 = 1_000_000;
/// Windows that a limit of rates may have.
pub const RATE_WINDOW: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);
/// By how much clocks may differ where an issuer of tokens does not say.
pub const DEFAULT_LEEWAY: Duration = Duration::from_secs(60);
/// By how much they may differ at most.
pub const LEEWAY: Duration = Duration::from_secs(600);

/// Attributes that an XTelemetryPolicy may add to spans ...
pub const SPAN_ATTRIBUTES: usize = 64;
/// ... and fields of heads that they may tell, which are recorded for it.
pub const RECORDED_HEADERS: usize = 16;

/// Longest body of a request that an authorizer may be told, in bytes: it is held in memory until the authorizer has answered.
pub const AUTHORIZER_BODY: u64 = 1 << 20;
/// For an authorizer to answer, where nobody says.
pub const DEFAULT_AUTHORIZER_TIME: Duration = Duration::from_secs(5);
/// What may be said.
pub const AUTHORIZER_TIME: std::ops::RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(60);
