//! Virtual time on a machine whose network answers nobody, or everybody the same: how long a proxy waits, and how much it takes. Nothing of it is the
//! kernel's, so no test waits for real.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use transport::rt::{self, Accept, Connecting, Machine, Wire};

/// Who is at the other end of every connection.
#[derive(Debug, Clone)]
pub enum Network {
    /// None comes about.
    Nowhere,
    /// Somebody who takes all and says nothing.
    Silent,
    /// Somebody who says this once anything was said to them, and no more.
    Says(Arc<str>, Heard),
    /// The same, but for a machine that is gone: it acknowledges nothing.
    SaysBut(Arc<str>, Heard, IpAddr),
}

/// What was said to them, on all connections.
pub type Heard = Arc<Mutex<Vec<u8>>>;

impl Network {
    pub fn says(answer: impl Into<Arc<str>>) -> (Self, Heard) {
        let heard = Heard::default();
        (Self::Says(answer.into(), heard.clone()), heard)
    }
}

impl Machine for Network {
    fn connect(&self, to: SocketAddr) -> Connecting {
        let (answer, heard) = match self {
            Self::Nowhere => return Box::pin(std::future::pending()),
            Self::Silent => (Arc::from(""), Heard::default()),
            Self::SaysBut(_, heard, gone) if to.ip() == *gone => (Arc::from(""), heard.clone()),
            Self::Says(answer, heard) | Self::SaysBut(answer, heard, _) => (answer.clone(), heard.clone()),
        };
        let gone = matches!(self, Self::SaysBut(_, _, gone) if to.ip() == *gone).then(rt::now);
        let other = Other { to, answer, told: 0, was_asked: false, heard, gone, waker: None };
        Box::pin(std::future::ready(Ok(Box::new(other) as Box<dyn Wire>)))
    }
    fn bind(&self, _: SocketAddr) -> io::Result<Arc<dyn Accept>> {
        Err(io::ErrorKind::Unsupported.into())
    }
    fn adopt(&self, _: OwnedFd) -> io::Result<Arc<dyn Accept>> {
        Err(io::ErrorKind::Unsupported.into())
    }
    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }
    fn seed(&self) -> u64 {
        7
    }
}

/// The other end of one connection.
#[derive(Debug)]
struct Other {
    to: SocketAddr,
    answer: Arc<str>,
    told: usize,
    was_asked: bool,
    heard: Heard,
    /// Since when nothing is acknowledged.
    gone: Option<Instant>,
    waker: Option<Waker>,
}

impl Wire for Other {
    fn local_address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 1))
    }
    fn peer_address(&self) -> SocketAddr {
        self.to
    }
    fn unanswered(&self) -> Option<Duration> {
        self.gone.map(|since| rt::now().saturating_duration_since(since))
    }
    fn end(&mut self) {
        self.waker.take().into_iter().for_each(Waker::wake);
    }
}

impl AsyncRead for Other {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let left = self.answer.len() - self.told;
        if !self.was_asked || left == 0 {
            self.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let part = left.min(into.remaining());
        into.put_slice(&self.answer.as_bytes()[self.told..self.told + part]);
        self.told += part;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Other {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.was_asked = true;
        self.waker.take().into_iter().for_each(Waker::wake);
        self.heard.lock().unwrap().extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Runs a test on virtual time and on such a network.
pub fn on<T>(network: Network, test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let machine: Arc<dyn Machine> = Arc::new(network);
    let local = tokio::task::LocalSet::new();
    runtime.block_on(async {
        let mut test = pin!(local.run_until(test));
        poll_fn(|cx| rt::on(&machine, || test.as_mut().poll(cx))).await
    })
}

/// What becomes of something, and after how long.
pub async fn took<T>(work: impl Future<Output = T>) -> (T, Duration) {
    let begun = rt::now();
    let done = work.await;
    (done, rt::now().saturating_duration_since(begun))
}
