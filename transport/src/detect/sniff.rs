//! The protocol of a caller's first bytes. As with [`sni`], what a beginning says, every longer reading of the same bytes says too.

use super::{Sni, sni};
use crate::{h2, limits};
use model::Hostname;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sniffed {
    /// More bytes are needed.
    Need,
    /// A request line of HTTP/1 (RFC 9112, section 3), as far as its version.
    Http1,
    /// The preface of HTTP/2 (RFC 9113, section 3.4).
    Http2,
    /// A ClientHello, and whom it names.
    Tls(Option<Hostname>),
    Other,
}

const METHOD_BYTES: usize = 32;
const VERSION: &[u8] = b"HTTP/1.";

/// Reads as much as it takes, and never more than [`limits::SNIFF_BYTES`].
pub fn sniff(bytes: &[u8]) -> Sniffed {
    let bytes = &bytes[..bytes.len().min(limits::SNIFF_BYTES)];
    let full = bytes.len() == limits::SNIFF_BYTES;
    match sni(bytes) {
        Sni::Name(name) => return Sniffed::Tls(Some(name)),
        Sni::None => return Sniffed::Tls(None),
        // TLS it is, whoever it is for.
        Sni::Need if full => return Sniffed::Tls(None),
        Sni::Need => return Sniffed::Need,
        Sni::NotTls => {}
    }
    if bytes.starts_with(h2::CLIENT_PREFACE) {
        return Sniffed::Http2;
    }
    if h2::CLIENT_PREFACE.starts_with(bytes) {
        return Sniffed::Need;
    }
    match request_line(bytes) {
        // A target this long is HTTP's all the same; its engine says that it is too long.
        Sniffed::Need if full => Sniffed::Http1,
        verdict => verdict,
    }
}

fn request_line(bytes: &[u8]) -> Sniffed {
    // One empty line before a request is forgiven (RFC 9112, section 2.2).
    let line = match bytes {
        [b'\r'] => return Sniffed::Need,
        [b'\r', b'\n', rest @ ..] => rest,
        _ => bytes,
    };
    let method = line.iter().take(METHOD_BYTES + 1).take_while(|b| b.is_ascii_uppercase() || **b == b'-').count();
    match line.get(method) {
        _ if method > METHOD_BYTES => return Sniffed::Other,
        None => return Sniffed::Need,
        Some(b' ') if method > 0 => {}
        Some(_) => return Sniffed::Other,
    }
    let target = &line[method + 1..];
    match target.first() {
        None => return Sniffed::Need,
        // Origin, asterisk, absolute and authority form.
        Some(b'/' | b'*' | b'[') => {}
        Some(b) if b.is_ascii_alphanumeric() => {}
        Some(_) => return Sniffed::Other,
    }
    let Some(end) = target.iter().position(|b| *b <= b' ' || *b == 0x7f) else { return Sniffed::Need };
    if target[end] != b' ' {
        return Sniffed::Other;
    }
    let version = &target[end + 1..];
    match (version.starts_with(VERSION), VERSION.starts_with(version)) {
        (true, _) => Sniffed::Http1,
        (false, true) => Sniffed::Need,
        (false, false) => Sniffed::Other,
    }
}

#[cfg(test)]
mod tests;
