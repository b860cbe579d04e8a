use super::*;
use crate::store::Memory;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// One connection comes, and no other.
struct One(Option<DuplexStream>);

impl Entrance for One {
    type Stream = DuplexStream;
    async fn accept(&mut self) -> std::io::Result<DuplexStream> {
        match self.0.take() {
            Some(stream) => Ok(stream),
            None => std::future::pending().await,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_proxy_has_so_long_to_shake_hands() {
    let folder = tempfile::tempdir().unwrap();
    let config = crate::tests::config(folder.path());
    let (core, credentials) = crate::open(&config, Arc::new(Memory::default())).unwrap();
    let (mut silent, stream) = tokio::io::duplex(1024);
    let serving = tokio::spawn(serve(core, One(Some(stream)), credentials));
    let begun = tokio::time::Instant::now();
    let ended = tokio::time::timeout(limits::HANDSHAKE * 3, silent.read(&mut [0])).await.expect("it is ended");
    assert_eq!((ended.unwrap(), begun.elapsed()), (0, limits::HANDSHAKE));
    serving.abort();
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_says_nothing_is_asked_whether_it_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let config = crate::tests::config(folder.path());
    let (core, credentials) = crate::open(&config, Arc::new(Memory::default())).unwrap();
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let nobody = Credentials::new(credentials.trust.clone());
    let serving = tokio::spawn(serve(core, One(Some(theirs)), credentials));
    let config = identity::client_config(&nobody, identity::Expected::AnyTrusted, &[alpn::H2], Arc::new(Clock)).unwrap();
    let name = rustls::pki_types::ServerName::try_from("control").unwrap();
    let mut silent = tokio_rustls::TlsConnector::from(config).connect(name, ours).await.unwrap();
    // A greeting of HTTP/2 with settings of which none is said, and not another word.
    silent.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let begun = tokio::time::Instant::now();
    let mut heard = Vec::new();
    // How it ends is all the same.
    let ended = tokio::time::timeout(limits::KEEPALIVE * 6, silent.read_to_end(&mut heard)).await;
    assert!(ended.is_ok(), "it is given up");
    assert!(begun.elapsed() >= limits::KEEPALIVE * 2 && begun.elapsed() < limits::KEEPALIVE * 3, "{:?}", begun.elapsed());
    serving.abort();
}
