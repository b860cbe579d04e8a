use super::*;
use crate::rt::Wire;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::time::Instant;

/// A connection to a machine that acknowledges nothing from now on; what it says all the same is written at the other end.
#[derive(Debug)]
pub struct Gone {
    wire: DuplexStream,
    since: Instant,
}

impl Gone {
    pub fn machine() -> (Stream, DuplexStream) {
        let (wire, there) = tokio::io::duplex(1 << 16);
        (Stream::Wire(Box::new(Self { wire, since: Instant::now() })), there)
    }
}

impl Wire for Gone {
    fn local_address(&self) -> SocketAddr {
        ([127, 0, 0, 1], 1).into()
    }
    fn peer_address(&self) -> SocketAddr {
        ([127, 0, 0, 1], 2).into()
    }
    fn end(&mut self) {}
    fn unanswered(&self) -> Option<Duration> {
        Some(self.since.elapsed())
    }
}

impl AsyncRead for Gone {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Gone {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.wire).poll_write(cx, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_shutdown(cx)
    }
}

#[test]
fn the_kernels_word_and_ours_are_told_from_others() {
    let tells = |error: io::Error| is_gone(&error);
    assert!(tells(io::Error::from_raw_os_error(Errno::TIMEDOUT.raw_os_error())));
    assert!(tells(io::Error::other(Error::gone())));
    assert!(!tells(io::Error::from_raw_os_error(Errno::CONNRESET.raw_os_error())));
    assert!(!tells(io::Error::other(Error::new(model::Fault::UpstreamReset, "closed"))));
    assert!(!tells(io::ErrorKind::TimedOut.into()), "a limit of our own");
}

#[tokio::test(start_paused = true)]
async fn who_is_there_is_looked_for_less_and_less_often() {
    let (here, _there) = Stream::pair(64);
    let mut doubt = Doubt::of(&here);
    let pauses: Vec<_> = (0..7).map(|_| (doubt.look(&here), doubt.pause()).1.as_secs()).collect();
    assert_eq!(pauses, [1, 2, 4, 8, 16, 16, 16]);
    let (gone, _there) = Gone::machine();
    tokio::time::advance(Duration::from_secs(3)).await;
    assert_eq!((doubt.look(&gone), doubt.pause()), (Duration::from_secs(3), limits::UNACKNOWLEDGED_PROBE));
}

#[tokio::test(start_paused = true)]
async fn a_machine_is_silent_until_it_is_heard_or_was_not_looked_for_for_long() {
    let (gone, _there) = Gone::machine();
    let machine: IpAddr = [127, 0, 0, 1].into();
    let mut doubt = Doubt::of(&gone);
    tokio::time::advance(limits::UNACKNOWLEDGED - Duration::from_millis(1)).await;
    doubt.look(&gone);
    assert!(silent().is_empty(), "it may still answer");
    tokio::time::advance(Duration::from_millis(1)).await;
    doubt.look(&gone);
    doubt.look(&gone);
    assert_eq!(silent(), [machine]);
    doubt.end(&gone);
    assert!(silent().is_empty(), "something came");
    Doubt::of(&gone).look(&gone);
    tokio::time::advance(limits::UNACKNOWLEDGED_KNOWN - Duration::from_millis(1)).await;
    assert_eq!(silent(), [machine]);
    tokio::time::advance(Duration::from_millis(1)).await;
    assert!(silent().is_empty(), "nobody knows any more");
    for number in 0..limits::UNACKNOWLEDGED_MACHINES as u32 + 9 {
        missed(std::net::Ipv4Addr::from(number).into());
    }
    assert_eq!(silent().len(), limits::UNACKNOWLEDGED_MACHINES);
}
