//! PEM in and out, with limits. Only certificates and PKCS#8, SEC1 and PKCS#1 keys.

use crate::{Error, limits};
use base64::Engine;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::borrow::Cow;
use std::sync::Arc;

/// Every certificate of a PEM text, in order; at least one.
pub fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    within(text, "certificate chain", limits::PEM_BYTES)
}

/// Whom hosts outside the mesh are known by where nobody says whom, as PEM.
#[derive(Debug, Clone)]
pub enum SystemRoots {
    /// What this machine believes; nothing where it has no list of its own. Some hundred certificates: read where they are asked for, and not kept.
    OfMachine,
    Given(Arc<[u8]>),
}

impl SystemRoots {
    pub fn read(&self) -> Cow<'_, [u8]> {
        let places =
            ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"];
        match self {
            Self::OfMachine => places.iter().find_map(|place| std::fs::read(place).ok()).unwrap_or_default().into(),
            Self::Given(pem) => (&**pem).into(),
        }
    }
}

/// The same for a bundle of roots, which may be a machine's own.
pub fn roots(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    within(text, "roots", limits::ROOTS_BYTES)
}

fn within(text: &[u8], what: &'static str, limit: usize) -> Result<Vec<CertificateDer<'static>>, Error> {
    let fail = |why: String| Error::Pem { what, why };
    if text.len() > limit {
        return Err(fail(format!("longer than {limit} bytes")));
    }
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    let all = all.map_err(|e| fail(e.to_string()))?;
    match all.is_empty() {
        true => Err(fail("no CERTIFICATE block".into())),
        false => Ok(all),
    }
}

pub fn private_key(text: &[u8]) -> Result<PrivateKeyDer<'static>, Error> {
    PrivateKeyDer::from_pem_slice(text).map_err(|e| Error::Pem { what: "private key", why: e.to_string() })
}

pub fn encode(label: &str, der: &[u8]) -> String {
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    let mut out = format!("-----BEGIN {label}-----\n");
    for line in body.as_bytes().chunks(64) {
        out.push_str(&String::from_utf8_lossy(line));
        out.push('\n');
    }
    out.push_str(&format!("-----END {label}-----\n"));
    out
}

/// The one block with this label.
pub fn decode(label: &'static str, text: &[u8]) -> Result<Vec<u8>, Error> {
    let fail = |why: &str| Error::Pem { what: label, why: why.to_owned() };
    if text.len() > limits::PEM_BYTES {
        return Err(fail("too long"));
    }
    let text = std::str::from_utf8(text).map_err(|_| fail("not text"))?;
    let begin = format!("-----BEGIN {label}-----");
    let (_, rest) = text.split_once(&begin).ok_or_else(|| fail("no such block"))?;
    let (body, _) = rest.split_once(&format!("-----END {label}-----")).ok_or_else(|| fail("block does not end"))?;
    let body: String = body.split_whitespace().collect();
    base64::engine::general_purpose::STANDARD.decode(body).map_err(|_| fail("not base64"))
}

pub fn encode_chain<'a>(chain: impl IntoIterator<Item = &'a [u8]>) -> String {
    chain.into_iter().map(|der| encode("CERTIFICATE", der)).collect()
}

/// SHA-256 of a certificate's DER in hex: how people name a root.
pub fn fingerprint(der: &[u8]) -> String {
    sha256(der).iter().map(|b| format!("{b:02x}")).collect()
}

/// Reads what [`fingerprint`] wrote.
pub fn from_fingerprint(text: &str) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    if text.len() != 2 * hash.len() || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    for (at, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(hash)
}

pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    let mut out = [0; 32];
    out.copy_from_slice(digest.as_ref());
    out
}

#[cfg(test)]
mod tests;
