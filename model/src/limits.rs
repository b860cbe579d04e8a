//! Limits on what the model will hold. Each is refused with a reason at construction, never cut off silently.

/// Longest regular expression accepted, in bytes.
pub const REGEX_PATTERN_BYTES: usize = 1024;
/// Compiled size of one regular expression, in bytes.
pub const REGEX_PROGRAM_BYTES: usize = 256 * 1024;
/// Longest host name (RFC 1035), in bytes.
pub const HOSTNAME_BYTES: usize = 253;
/// Longest SPIFFE ID (SPIFFE-ID, section 2.4), in bytes.
pub const SPIFFE_ID_BYTES: usize = 2048;
/// Longest trust domain name (SPIFFE-ID, section 2.4), in bytes.
pub const TRUST_DOMAIN_BYTES: usize = 255;
/// Header fields of one message.
pub const HEADERS: usize = 128;
/// Bytes of one message head, start line included.
pub const HEAD_BYTES: usize = 64 * 1024;
/// Filters of one request that its record holds: a rule and a backend may have 16 each (Gateway API), and the front end adds one to a broken one.
pub const APPLIED_FILTERS: usize = 34;
/// Highest weight of one backend (Gateway API).
pub const WEIGHT: u32 = 1_000_000;
/// Longest path template of an access rule, in bytes.
pub const PATH_TEMPLATE_BYTES: usize = 2048;
/// Name of a file of access log lines, in bytes.
pub const LINE_FILE_NAME: usize = 64;
/// Smallest and largest size at which such a file is put aside, in bytes.
pub const LINE_FILE_BYTES: (u64, u64) = (64 * 1024, 1024 * 1024 * 1024);
/// Such files that are kept beside the one that is written, at most.
pub const LINE_FILES: u32 = 100;
/// What all of them may take of a disk together, in bytes: whoever writes policies for a namespace fills no node.
pub const LINE_FILES_BYTES: u64 = 1024 * 1024 * 1024;
/// Words of which a thread knows where it was given them lately (`lately`).
pub const LATELY: usize = 256;
/// The longest of them, in bytes.
pub const LATELY_BYTES: usize = 64;
/// Bytes of a resource that may sleep until somebody asks for it (`told`): whoever asks first reads them, and should wait for microseconds.
pub const ASLEEP_BYTES: usize = 4 * 1024;
