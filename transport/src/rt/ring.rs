//! A socket that is served by io_uring: what many of them read, and what many of them send, goes by one system call each. A thread has a ring where it was asked for
//! ([`choose`]) and the kernel lets it; where not, nobody notices but for the figures.

use bytes::BytesMut;
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags};
use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker, ready};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use uring::{Key, Ring};

static WANTED: AtomicBool = AtomicBool::new(false);

thread_local! {
    static RING: RefCell<Option<Ring>> = const { RefCell::new(None) };
    static WOKEN: RefCell<Vec<Waker>> = const { RefCell::new(Vec::new()) };
}

/// Threads of [`super::run`] that begin from now on have a ring, if they can.
pub fn choose(wanted: bool) {
    WANTED.store(wanted, Ordering::Relaxed);
}

pub(super) fn is_wanted() -> bool {
    WANTED.load(Ordering::Relaxed)
}

/// Whether this thread's sockets are served by io_uring.
pub fn is_open() -> bool {
    RING.with_borrow(Option::is_some)
}

/// Gives this thread its ring; true where it has one. Where the kernel has none, or forbids it, epoll serves.
pub(super) fn open() -> bool {
    RING.set(Ring::new(crate::limits::RING_PIECES, crate::limits::RING_PIECE).ok());
    is_open()
}

/// The ring as a socket that the runtime waits for.
///
/// # Errors
/// Those of `dup(2)` and `epoll_ctl(2)`.
#[expect(deprecated, reason = "what replaced it is unsafe, and promises what an OwnedFd keeps: that the descriptor stays open")]
pub(super) fn waited_for() -> io::Result<AsyncFd<OwnedFd>> {
    let fd = RING.with_borrow(|ring| ring.as_ref().ok_or(io::ErrorKind::Unsupported)?.as_fd().try_clone_to_owned())?;
    AsyncFd::with_interest(fd, Interest::READABLE)
}

/// Most turns come before the thread waits ([`turn`]); these are for one that never does.
pub(super) async fn serve(fd: AsyncFd<OwnedFd>) {
    while poll_fn(|cx| fd.poll_read_ready(cx).map_ok(|mut ready| ready.clear_ready())).await.is_ok() {
        turn();
    }
}

pub(super) fn close() {
    RING.set(None);
}

/// A thread's ring ends with what it was opened for, however that ends.
pub(super) struct Closing;

impl Drop for Closing {
    fn drop(&mut self) {
        close();
    }
}

/// What was asked for goes to the kernel, and who waited for what has come is woken.
pub(super) fn turn() {
    let mut woken = WOKEN.take();
    RING.with_borrow_mut(|ring| {
        if let Some(ring) = ring {
            ring.turn(&mut woken);
        }
    });
    woken.drain(..).for_each(Waker::wake);
    WOKEN.set(woken);
}

/// Sends to many at once, and tells of each by its place how much of it was taken.
pub(super) fn send(letters: &[(Key, &[u8])], told: impl FnMut(usize, io::Result<usize>)) {
    RING.with_borrow_mut(|ring| {
        if let Some(ring) = ring {
            ring.send(letters, told);
        }
    });
}

/// A connected socket of this thread's ring.
#[derive(Debug)]
pub struct Ringed {
    key: Key,
    fd: Arc<OwnedFd>,
}

impl Ringed {
    /// Takes a socket over from epoll.
    ///
    /// # Errors
    /// Those of `epoll_ctl(2)` and `ioctl(2)`.
    pub(super) fn adopt(stream: TcpStream) -> io::Result<Self> {
        let fd = Arc::new(OwnedFd::from(stream.into_std()?));
        let key = RING.with_borrow_mut(|ring| ring.as_mut().ok_or(io::ErrorKind::Unsupported)?.add(fd.clone()))?;
        Ok(Self { key, fd })
    }

    pub(super) fn key(&self) -> Key {
        self.key
    }

    pub(super) fn peer_address(&self) -> Option<SocketAddr> {
        rustix::net::getpeername(&*self.fd).ok()??.try_into().ok()
    }

    pub(super) fn local_address(&self) -> Option<SocketAddr> {
        rustix::net::getsockname(&*self.fd).ok()?.try_into().ok()
    }

    /// Appends what has come, at most `most` bytes; 0 is the end.
    pub(super) fn poll_recv(&mut self, cx: &mut Context<'_>, buffer: &mut BytesMut, most: usize) -> Poll<io::Result<usize>> {
        self.poll_take(cx, |came| {
            let taken = came.len().min(most);
            if buffer.capacity() == 0 && taken <= crate::limits::READ_BUFFER {
                *buffer = crate::spare::buffer();
            } else if buffer.capacity() - buffer.len() < taken {
                super::room::make_room(buffer, most);
            }
            buffer.extend_from_slice(&came[..taken]);
            taken
        })
    }

    pub(super) fn has_news(&mut self) -> bool {
        RING.with_borrow_mut(|ring| ring.as_mut().is_none_or(|ring| ring.has_news(self.key)))
    }

    fn poll_take(&mut self, cx: &Context<'_>, take: impl FnOnce(&[u8]) -> usize) -> Poll<io::Result<usize>> {
        RING.with_borrow_mut(|ring| match ring {
            Some(ring) => ring.poll_receive(self.key, cx, take),
            None => Poll::Ready(Err(io::ErrorKind::Unsupported.into())),
        })
    }

    /// Sends what is taken; where the socket has no room the task is woken once it has. A task whose peer takes all lets others have their turn, as with epoll.
    fn poll_send(&self, cx: &mut Context<'_>, send: impl FnOnce(&OwnedFd) -> rustix::io::Result<usize>) -> Poll<io::Result<usize>> {
        let turn = ready!(tokio::task::coop::poll_proceed(cx));
        match send(&self.fd) {
            Err(Errno::AGAIN) => {
                RING.with_borrow_mut(|ring| {
                    if let Some(ring) = ring {
                        ring.wait_for_room(self.key, cx);
                    }
                });
                Poll::Pending
            }
            sent => {
                turn.made_progress();
                Poll::Ready(sent.map_err(Into::into))
            }
        }
    }
}

/// A send says itself that it will not wait: the socket is one that does, so that what is received is waited for in the kernel.
fn flags() -> SendFlags {
    SendFlags::DONTWAIT | SendFlags::NOSIGNAL
}

impl AsyncRead for Ringed {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = self.poll_take(cx, |came| {
            let taken = came.len().min(buffer.remaining());
            buffer.put_slice(&came[..taken]);
            taken
        });
        read.map_ok(drop)
    }
}

impl AsyncWrite for Ringed {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_send(cx, |fd| rustix::net::send(fd, bytes, flags()))
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.poll_send(cx, |fd| rustix::net::sendmsg(fd, pieces, &mut SendAncillaryBuffer::default(), flags()))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(rustix::net::shutdown(&*self.fd, rustix::net::Shutdown::Write).map_err(Into::into))
    }
}

impl AsFd for Ringed {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Ringed {
    fn drop(&mut self) {
        // With its thread the ring has gone too.
        let _ = RING.try_with(|ring| {
            if let Ok(mut ring) = ring.try_borrow_mut()
                && let Some(ring) = &mut *ring
            {
                ring.remove(self.key);
            }
        });
    }
}

#[cfg(test)]
mod tests;
