//! Limits on what crosses a process. What goes over one is refused with its name, never cut off silently.

/// One encoded resource.
pub const RESOURCE_BYTES: usize = 4 * 1024 * 1024;
/// One piece of a stored snapshot: a resource with its name and version.
pub const STORED_BYTES: usize = RESOURCE_BYTES + 16 * 1024;
/// Any name, label, header value or message inside a resource.
pub const TEXT_BYTES: usize = 16 * 1024;
/// PEM or DER inside a resource.
pub const BLOB_BYTES: usize = 256 * 1024;
/// Members of any list inside a resource.
pub const LIST: usize = 65_536;
/// Codes of one retry rule.
pub const RETRY_CODES: usize = 64;
/// Statuses that one health check takes for good.
pub const EXPECTED_STATUSES: usize = 64;
/// Resources of one part of a step; a part also ends at [`PART_BYTES`].
pub const PART_RESOURCES: usize = 512;
/// Bytes of resources in one part of a step, unless one resource alone is larger.
pub const PART_BYTES: usize = 64 * 1024;
/// Largest gRPC message that either end takes: a part, one resource over it, and names.
pub const MESSAGE_BYTES: usize = 16 * 1024 * 1024;
/// Resources that a client holds, and that one step may bring.
pub const RESOURCES: usize = 262_144;
/// Bytes of a step that has not ended yet.
pub const STEP_BYTES: usize = 256 * 1024 * 1024;
/// Subscriptions of one proxy.
pub const SUBSCRIPTIONS: usize = 4096;
/// Bytes of one name of a subscription or resource.
pub const NAME_BYTES: usize = 1024;
/// Refusals that one NACK spells out; the rest are counted.
pub const REFUSALS: usize = 128;
/// Edges of one telemetry report.
pub const EDGES: usize = 16_384;
/// Edges of one connection that have numbers there; those beyond are told by names each time.
pub const EDGE_NUMBERS: usize = 1_024;
/// Features of a node that are looked at.
pub const FEATURES: usize = 64;
/// What of one resource is told that was read as its strictest, since a later release wrote it.
pub const NOTES: usize = 8;
