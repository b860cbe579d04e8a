//! The ClientHello of a stranger, read before it is decided who answers it: the one who terminates TLS here, or a backend that does so itself. It is
//! bounded in time and bytes, for nothing is known yet of who sends it.

use crate::detect::{Sni, sni};
use crate::rt::{self, Recv, Stream};
use crate::{Error, limits};
use bytes::BytesMut;
use model::{Fault, Hostname};
use std::time::Duration;

/// A connection of which the ClientHello was read.
#[derive(Debug)]
pub struct Peeked {
    pub stream: Stream,
    /// All that was read; it goes first wherever the connection goes.
    pub read: BytesMut,
    pub sni: Option<Hostname>,
}

/// # Errors
/// If what comes is not TLS, too long, too slow, or ends. [`Error::nothing_received`] where nothing came at all.
pub async fn peek(stream: Stream, time: Duration) -> Result<Peeked, Error> {
    let (mut recv, send) = stream.split();
    let mut read = BytesMut::new();
    let hello = rt::timeout(time, hello(&mut recv, &mut read)).await;
    let late = || Err(Error::new(Fault::SlowRequest, format!("ClientHello took longer than {time:?}")));
    let nothing = read.is_empty();
    let sni = hello.unwrap_or_else(late).map_err(|e| if nothing { e.with_nothing_received() } else { e })?;
    let stream = recv.reunite(send).ok_or_else(|| Error::new(Fault::Internal, "halves of a connection were kept"))?;
    Ok(Peeked { stream, read, sni })
}

async fn hello(recv: &mut Recv, read: &mut BytesMut) -> Result<Option<Hostname>, Error> {
    loop {
        match sni(read) {
            Sni::Name(name) => return Ok(Some(name)),
            Sni::None => return Ok(None),
            Sni::NotTls => return Err(Error::new(Fault::UnrecognisedProtocol, "what came is no ClientHello")),
            Sni::Need if read.len() >= limits::CLIENT_HELLO_BYTES => {
                return Err(Error::new(Fault::HeadTooLarge, "ClientHello is longer than 16 KiB"));
            }
            Sni::Need => {}
        }
        let most = limits::CLIENT_HELLO_BYTES - read.len();
        match recv.recv(read, most.min(limits::READ_BUFFER)).await {
            Ok(0) => return Err(Error::new(Fault::DownstreamClosed, "closed within its ClientHello")),
            Ok(_) => {}
            Err(e) => return Err(Error::new(Fault::DownstreamClosed, e.to_string())),
        }
    }
}
