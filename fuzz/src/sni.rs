//! The server name of a ClientHello, with rustls as the oracle, and the protocol of first bytes. What a beginning says, every longer reading of the
//! same bytes says too.

use rustls::server::Acceptor;
use transport::detect::{Sni, Sniffed, sni, sniff};

pub fn check(bytes: &[u8]) {
    let (named, spoken) = (sni(bytes), sniff(bytes));
    for cut in cuts(bytes.len()) {
        let (early, heard) = (sni(&bytes[..cut]), sniff(&bytes[..cut]));
        assert!(early == Sni::Need || early == named, "{cut} bytes say {early:?}, all say {named:?}");
        assert!(heard == Sniffed::Need || heard == spoken, "{cut} bytes say {heard:?}, all say {spoken:?}");
    }
    // Whom rustls would serve, we have heard asking for the same name, or for nobody that we would serve.
    if let Some(theirs) = by_rustls(bytes) {
        match named {
            Sni::Name(name) => assert_eq!(Some(name.as_str()), theirs.as_deref(), "two readings"),
            Sni::None => assert_eq!(theirs, None, "two readings"),
            Sni::NotTls | Sni::Need => {}
        }
    }
}

/// All of a short input, a sample of a long one.
fn cuts(length: usize) -> impl Iterator<Item = usize> {
    (0..length).step_by((length / 128).max(1))
}

/// The name that is asked for, where the whole hello can be read.
fn by_rustls(bytes: &[u8]) -> Option<Option<String>> {
    let mut acceptor = Acceptor::default();
    let mut rest = bytes;
    while !rest.is_empty() {
        acceptor.read_tls(&mut rest).ok()?;
        if let Some(accepted) = acceptor.accept().ok()? {
            let name = accepted.client_hello().server_name().map(|name| name.trim_end_matches('.').to_ascii_lowercase());
            return Some(name);
        }
    }
    None
}
