//! Limits of routing and of the state beside it. Each has a name, so that a verdict can give it.

use std::time::Duration;

/// Entries of one copy-on-write shard before the map is spread over more of them.
pub const SHARD_ENTRIES: usize = 32;
/// Shards of one copy-on-write map.
pub const SHARDS: usize = 1024;
/// Routes of one host that are made ready by the request that asks for it first; of more, they are when they are put.
pub const ASLEEP_ROUTES: usize = 16;
/// Matches that came close to winning, as one explanation lists them.
pub const EXPLAINED_NEAR_MISSES: usize = 8;

/// Connections to a full service that go past somebody who waits longer, in a row, to one of the same worker that can use them as they are.
pub const HANDED_OVER: u32 = 32;
/// Latency believed of an endpoint that was never measured.
pub const EWMA_INITIAL: Duration = Duration::from_millis(20);
/// Time in which an old measure of latency loses 63 % of its say.
pub const EWMA_DECAY: Duration = Duration::from_secs(10);
/// Latency booked for a failure, so that an endpoint that fails fast does not look fast.
pub const EWMA_FAILURE: Duration = Duration::from_secs(1);
/// A priority takes all load while its usable share times this is at least 100 %; what is missing spills to the next.
pub const PRIORITY_OVERPROVISION_PERCENT: u64 = 140;
/// Smallest and largest ring of ring hash.
pub const RING_SMALLEST: usize = 1024;
pub const RING_LARGEST: usize = 1 << 20;
/// Sizes of Maglev tables (primes): the small one up to [`MAGLEV_SMALL_ENDPOINTS`], for a hundred entries per endpoint are enough.
pub const MAGLEV_SMALL: usize = 2039;
pub const MAGLEV_LARGE: usize = 65537;
pub const MAGLEV_SMALL_ENDPOINTS: usize = 20;

/// Tries after the first where nothing was sent and the route has no retry rules: repeating those cannot be seen by anyone.
pub const UNSENT_RETRIES: u32 = 2;
/// Longest pause before a retry.
pub const BACKOFF_LONGEST: Duration = Duration::from_secs(10);
/// Shortest backoff used where a rule names none.
pub const BACKOFF_DEFAULT: Duration = Duration::from_millis(25);
/// Longest time that a `Retry-After` holds a request back; who asks for more is not asked again, and its answer goes to the caller.
pub const RETRY_AFTER_LONGEST: Duration = Duration::from_secs(1);
/// Digits of a time in milliseconds that callers may send.
pub const TIMEOUT_DIGITS: usize = 12;

/// Endpoints of one service whose behaviour is kept for ejection; further ones are never ejected.
pub const EJECTION_ENDPOINTS: usize = 4096;
/// Endpoints of one service that are checked for their health; further ones are believed to be well.
pub const CHECKED_ENDPOINTS: usize = 4096;
/// A request that tries an ejected endpoint and was not heard of again: another is sent after this time.
pub const PROBE_TIME: Duration = Duration::from_secs(15);
/// Smallest share of its weight that an endpoint has at the beginning of a slow start, in percent.
pub const SLOW_START_PERCENT: u64 = 10;
/// Steps in which the weight grows during a slow start.
pub const SLOW_START_STEPS: u32 = 10;

/// Longest token of a session that is looked at, in bytes; ours have 82.
pub const SESSION_TOKEN_BYTES: usize = 128;
/// Tokens of one name that a request may carry; further ones are not looked at.
pub const SESSION_TOKENS: usize = 4;
/// By how much a session may have begun in the future: clocks of proxies differ.
pub const SESSION_CLOCKS: Duration = Duration::from_secs(60);
/// How often within its idle time a client is told that its session was used.
pub const SESSION_RENEWALS: u64 = 8;

/// Parts that routes have in common (edits and tests of headers) and that are kept once; beyond it the next begin anew.
pub const SHARED: usize = 4096;
/// Backends that routes lead to and that are kept once.
pub const SHARED_BACKENDS: usize = 65_536;
/// What matches have alike besides their paths, and that is kept once.
pub const SHARED_COMMONS: usize = 65_536;

/// Proxies in front of a gateway whose words are read; those farther away say nothing.
pub const FORWARDED_HOPS: usize = 32;
