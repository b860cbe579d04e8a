//! What is too long is refused before it is read.

use super::*;
use crate::{SignRequest, Token};

fn says(why: Result<impl Sized, Error>) -> String {
    why.map_or_else(|why| why.to_string(), |_| "read".into())
}

#[test]
fn texts_and_requests_are_of_so_many_bytes_and_no_more() {
    let blank = |bytes: usize| vec![b' '; bytes];
    // Blanks hold no certificate, which is found out by reading them.
    assert!(says(certificates(&blank(limits::PEM_BYTES))).contains("no CERTIFICATE block"));
    assert!(says(certificates(&blank(limits::PEM_BYTES + 1))).contains("longer than"));
    assert!(says(roots(&blank(limits::ROOTS_BYTES))).contains("no CERTIFICATE block"));
    assert!(says(roots(&blank(limits::ROOTS_BYTES + 1))).contains("longer than"));
    assert!(says(decode("PUBLIC", &blank(limits::PEM_BYTES))).contains("no such block"));
    assert!(says(decode("PUBLIC", &blank(limits::PEM_BYTES + 1))).contains("too long"));
    // A root that comes without PEM is no larger either.
    let root = |bytes: usize| crate::TrustStore::new().put(&model::TrustDomain::parse("organza.local").unwrap(), &[vec![0; bytes]]);
    assert!(!root(limits::PEM_BYTES).unwrap_err().to_string().contains("too large"));
    assert!(root(limits::PEM_BYTES + 1).unwrap_err().to_string().contains("too large"));
    assert!(!says(SignRequest::parse(&blank(limits::CSR_BYTES))).contains("longer than"));
    assert!(says(SignRequest::parse(&blank(limits::CSR_BYTES + 1))).contains("longer than"));
    assert!(!says(Token::parse(&"x".repeat(limits::TOKEN_CHARS))).contains("too long"));
    assert!(says(Token::parse(&"x".repeat(limits::TOKEN_CHARS + 1))).contains("too long"));
}

#[test]
fn a_chain_has_so_many_links_and_no_more() {
    use rustls_pki_types::UnixTime;
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    // No certificate at all: how many there are is seen first.
    let none = CertificateDer::from(vec![0]);
    let verified = |others: usize| {
        let others = vec![none.clone(); others];
        let (now, usage) = (UnixTime::now(), webpki::KeyUsage::server_auth());
        crate::verify::verify_chain(&none, &others, &[], now, usage, &provider).unwrap_err()
    };
    assert_ne!(verified(limits::CHAIN - 1), webpki::Error::MaximumPathDepthExceeded);
    assert_eq!(verified(limits::CHAIN), webpki::Error::MaximumPathDepthExceeded);
}
