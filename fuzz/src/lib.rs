//! What becomes of strangers' bytes: for each parser that meets them a plain function `check(&[u8])` that panics where a promise is broken. The
//! fuzzer (`engine.rs`, behind a feature) calls them with what it invents, `tests/replay.rs` with the corpora under `corpus/`, on any toolchain.
//!
//! Where a second reader of the same format is at hand it is the oracle: hyper for HTTP/1, rustls for a ClientHello, a slow reference for
//! paths. Elsewhere what was read is written and read again.

mod access_log;
mod answer;
mod der;
mod edge;
mod forwarded;
mod frames;
mod frames_answer;
mod hbone;
mod hpack;
mod http1;
mod jwt;
mod oracle;
mod path;
mod preface;
mod proxy_protocol;
mod run;
mod sni;
mod texts;
mod xds_resource;
mod xds_session;
mod yaml;

/// What one target does with the bytes that it is given.
pub type Check = fn(&[u8]);

/// All targets by name, which is also that of their folder under `corpus/`.
pub const TARGETS: &[(&str, Check)] = &[
    ("access_log", access_log::check),
    ("der", der::check),
    ("edge", edge::check),
    ("forwarded", forwarded::check),
    ("h2", frames::check),
    ("h2_answer", frames_answer::check),
    ("hbone", hbone::check),
    ("hpack", hpack::check),
    ("http1", http1::check),
    ("http1_answer", answer::check),
    ("jwt", jwt::check),
    ("path", path::check),
    ("preface", preface::check),
    ("proxy_protocol", proxy_protocol::check),
    ("sni", sni::check),
    ("texts", texts::check),
    ("xds_resource", xds_resource::check),
    ("xds_session", xds_session::check),
    ("yaml", yaml::check),
];

/// The target of that name.
pub fn target(name: &str) -> Option<Check> {
    TARGETS.iter().find(|(known, _)| *known == name).map(|(_, check)| *check)
}
