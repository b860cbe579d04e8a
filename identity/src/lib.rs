//! Certificates and who they stand for, in one auditable room.
//!
//! [`Authority`] signs, [`Csr`] asks, [`Svid`] is what comes back, [`TrustStore`] says whom to believe, [`Credentials`] holds both for a
//! process and swaps them without dropping a connection, [`Rotation`] says when to ask again, [`Token`] lets a second machine in.
//! [`development`] is a developer's own authority, of no mesh.
//! [`config`] turns them into rustls configurations that verify SPIFFE identities.
//!
//! This crate does no I/O and reads no clock but through rustls' `TimeProvider`: files are control's and proxy's business, `now` is an
//! argument. Private keys never appear in `Debug`.

pub mod authority;
pub mod config;
pub mod credentials;
pub mod csr;
pub mod development;
pub mod jwt;
pub mod limits;
pub mod pem;
pub mod rotation;
pub mod seal;
pub mod svid;
pub mod token;
pub mod trust;
mod verify;

pub use authority::{Authority, AuthorityFiles, Issued, NewRoot, Signer};
pub use config::{
    ClientAuth, alpn, certified_key, client_config, named_server_config, outside_client_config, pinned_client_config, provider,
    server_config, stranger_config,
};
pub use credentials::Credentials;
pub use csr::{Csr, SignRequest};
pub use rotation::{Rotation, Step};
pub use svid::Svid;
pub use token::Token;
pub use trust::TrustStore;
pub use verify::clients::vouched_for;
pub use verify::{Expected, peer_identity, still_trusted};

use model::SpiffeId;

/// What can be wrong with a certificate, a key, a request or a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("{what} is not valid PEM: {why}")]
    Pem { what: &'static str, why: String },
    #[error("{what} cannot be read: {why}")]
    Malformed { what: &'static str, why: String },
    #[error("certificate must carry exactly one URI name, a SPIFFE ID; it carries {0}")]
    UriNames(usize),
    #[error("certificate's name is no SPIFFE ID of a workload: {0}")]
    Identity(#[from] model::identity::IdentityError),
    #[error("certificate is not valid before {not_before} (Unix seconds) and it is {now}: is a clock wrong?")]
    NotYetValid { not_before: u64, now: u64 },
    #[error("certificate expired at {not_after} (Unix seconds) and it is {now}")]
    Expired { not_after: u64, now: u64 },
    #[error("peer is {found}, and only {expected} may answer here")]
    UnexpectedIdentity { found: SpiffeId, expected: String },
    #[error("no root is known for trust domain {0:?}")]
    UnknownTrustDomain(String),
    #[error("chain does not lead to a trusted root: {0}")]
    Chain(String),
    #[error("who has this certificate was taken out of the mesh")]
    Revoked,
    #[error("key does not belong to the certificate")]
    KeyMismatch,
    #[error("only P-256 keys are signed")]
    KeyType,
    #[error("signing failed: {0}")]
    Signing(String),
    #[error("root {fingerprint} signed certificates that are valid until {until} (Unix seconds); it cannot be dropped before")]
    RootInUse { fingerprint: String, until: u64 },
    #[error("no root has fingerprint {0}")]
    NoSuchRoot(String),
    #[error("the root's key is not here, so a new intermediate cannot be signed")]
    RootOffline,
    #[error("join token {0}")]
    Token(&'static str),
}

/// When a certificate (DER) begins and ends to be valid.
pub fn certificate_times(der: &[u8]) -> Result<(std::time::SystemTime, std::time::SystemTime), Error> {
    svid::times(der)
}

/// Seconds since the Unix epoch; what lies before it counts as zero.
pub fn unix_seconds(time: std::time::SystemTime) -> u64 {
    time.duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_secs())
}
