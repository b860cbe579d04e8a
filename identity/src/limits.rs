//! Lifetimes and sizes, by name.

use std::time::Duration;

/// Life of a workload's certificate.
pub const SVID_LIFE: Duration = Duration::from_secs(24 * 3600);
/// Life of the issuing intermediate; a new one is signed when half of it is over.
pub const ISSUING_LIFE: Duration = Duration::from_secs(365 * 24 * 3600);
/// Life of the root.
pub const ROOT_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// Life of a certificate that a development authority signs: what browsers take at most of public ones.
pub const DEVELOPMENT_LIFE: Duration = Duration::from_secs(397 * 24 * 3600);
/// Certificates are valid from this long before they were signed, for clocks that go slow.
pub const BACKDATE: Duration = Duration::from_secs(120);
/// When another root signs, renewals are spread over a twentieth of a certificate's life, and over this at most.
pub const ROOT_SPREAD: Duration = Duration::from_secs(60);
/// Longest pause between two tries to renew.
pub const RENEW_PAUSE_MAX: Duration = Duration::from_secs(300);
/// First pause after a failed renewal.
pub const RENEW_PAUSE_MIN: Duration = Duration::from_secs(1);
/// Largest certificate signing request accepted, in bytes of DER.
pub const CSR_BYTES: usize = 8 * 1024;
/// Longest chain accepted from a peer, leaf included.
pub const CHAIN: usize = 6;
/// Largest bundle or chain in PEM, in bytes.
pub const PEM_BYTES: usize = 256 * 1024;
/// Largest bundle of roots by which a peer outside the mesh is believed, in bytes: a machine's own has 150 roots and a quarter of a MiB.
pub const ROOTS_BYTES: usize = 4 * 1024 * 1024;
/// Longest join token, in characters.
pub const TOKEN_CHARS: usize = 1024;
/// Longest token of an outsider (JWT), in bytes.
pub const JWT_BYTES: usize = 16 * 1024;
/// Largest set of keys of an issuer (JWK Set), in bytes.
pub const JWKS_BYTES: usize = 1024 * 1024;
/// Keys of one issuer that are tried.
pub const JWKS_KEYS: usize = 128;
