use super::*;
use crate::store::Memory;
use tokio::io::{AsyncReadExt, DuplexStream};

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
