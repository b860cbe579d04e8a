//! What decisions set aside, and what is kept of callers.

/// Targets that concern one place: the mesh, its namespace, a few selectors, services and their ports. More cost an allocation, never a wrong verdict.
pub const SETS: usize = 12;
/// Callers that one limit tells apart at once. Who comes when so many are counted, and none of them has a full bucket again, shares one with others.
pub const RATE_KEYS: usize = 10_000;
/// What tells a caller of a limit apart, in bytes; all of whom more is said share a bucket.
pub const RATE_KEY_BYTES: usize = 256;
/// Buckets that are full again are looked for no more often than this, where all places are taken.
pub const RATE_SWEEP: std::time::Duration = std::time::Duration::from_millis(100);
