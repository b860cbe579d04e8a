//! What stands in for the kernel where a test runs a whole mesh as tasks of one thread: the sockets, the time of day and the randomness of one
//! node. A thread that entered none uses the kernel's, and pays one look at a thread-local for each connection that it opens, none for a byte.
//! Monotone time needs no stand-in: it is the runtime's, which a test pauses. Never knows what a network is made of.

use super::stream::Socket;
use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;
use std::cell::RefCell;
use std::fmt::Debug;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// A connection that is no socket of the kernel's.
pub trait Wire: AsyncRead + AsyncWrite + std::marker::Send + Sync + Unpin + Debug {
    fn local_address(&self) -> SocketAddr;
    fn peer_address(&self) -> SocketAddr;
    /// As `shutdown(2)` both ways: nothing goes through it any more, and whoever waits for it looks again.
    fn end(&mut self);
    /// For how long the machine at the other end has acknowledged nothing of what it was sent again and again; `None` where it does.
    fn unanswered(&self) -> Option<Duration> {
        None
    }
}

pub type Connecting = Pin<Box<dyn Future<Output = io::Result<Box<dyn Wire>>> + std::marker::Send>>;

/// A listening socket that is none of the kernel's.
pub trait Accept: std::marker::Send + Sync + Debug {
    fn address(&self) -> SocketAddr;
    /// What stands for it where a process hands it to its successor, for the kernel carries nothing else.
    fn descriptor(&self) -> BorrowedFd<'_>;
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Box<dyn Wire>>>;
}

/// One node.
pub trait Machine: std::marker::Send + Sync + Debug {
    fn connect(&self, to: SocketAddr) -> Connecting;
    /// # Errors
    /// `AddrInUse` where somebody listens there.
    fn bind(&self, at: SocketAddr) -> io::Result<Arc<dyn Accept>>;
    /// The listening socket that a descriptor stands for.
    ///
    /// # Errors
    /// If it stands for none of this machine.
    fn adopt(&self, descriptor: OwnedFd) -> io::Result<Arc<dyn Accept>>;
    fn wall(&self) -> SystemTime;
    fn seed(&self) -> u64;
}

thread_local! {
    static ENTERED: RefCell<Option<Arc<dyn Machine>>> = const { RefCell::new(None) };
}

/// The machine that the present task runs on. A task that is handed to somebody else's executor takes it along.
#[derive(Clone, Debug)]
pub struct Here(Option<Arc<dyn Machine>>);

impl Here {
    pub fn now() -> Self {
        Self(ENTERED.with_borrow(Clone::clone))
    }

    /// # Errors
    /// Those of `connect(2)`.
    pub async fn connect(&self, address: SocketAddr) -> io::Result<Socket> {
        match &self.0 {
            Some(machine) => machine.connect(address).await.map(Socket::Wire),
            None => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                super::listener::keep_alive(&stream)?;
                super::listener::plain_at_home(&stream, address.ip());
                Ok(Socket::Tcp(stream))
            }
        }
    }

    pub fn wall(&self) -> SystemTime {
        self.0.as_ref().map_or_else(SystemTime::now, |machine| machine.wall())
    }

    pub(super) fn machine(&self) -> Option<&Arc<dyn Machine>> {
        self.0.as_ref()
    }
}

impl TimeProvider for Here {
    fn current_time(&self) -> Option<UnixTime> {
        self.wall().duration_since(SystemTime::UNIX_EPOCH).ok().map(UnixTime::since_unix_epoch)
    }
}

/// Runs `work` on `machine`: one poll of the task that is the node.
pub fn on<T>(machine: &Arc<dyn Machine>, work: impl FnOnce() -> T) -> T {
    struct Back(Option<Arc<dyn Machine>>);
    impl Drop for Back {
        fn drop(&mut self) {
            let before = self.0.take();
            ENTERED.with_borrow_mut(|entered| *entered = before);
        }
    }
    let _back = Back(ENTERED.with_borrow_mut(|entered| entered.replace(machine.clone())));
    work()
}
