//! Reads and writes of the kernel's sockets without the C library, whose calls are points at which a thread can be cancelled: in a program of several threads each
//! says so before and takes it back after, four times a request. For threads of [`super::run`] alone: what was found out of a socket between two waits nobody
//! else changes there, so that it may be noted after the call that found it out.

use super::post;
use bytes::BytesMut;
use std::io;
use std::os::fd::AsFd;
use std::task::{Context, Poll, ready};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Whether this thread is one of them.
pub(super) fn is_open() -> bool {
    post::is_open()
}

/// As `AsyncReadExt::read_buf`.
pub(super) fn poll_recv(socket: &TcpStream, cx: &mut Context<'_>, into: &mut BytesMut) -> Poll<io::Result<usize>> {
    loop {
        ready!(socket.poll_read_ready(cx))?;
        match socket.try_io(Interest::READABLE, || uring::direct::receive(socket.as_fd(), into)) {
            Ok(count) => {
                // Less than there was room for was all: to ask again would be for nothing. The end is told as often as it is asked for.
                if count > 0 && into.len() < into.capacity() {
                    exhausted(socket, Interest::READABLE);
                }
                return Poll::Ready(Ok(count));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Poll::Ready(Err(error)),
        }
    }
}

/// As `AsyncWrite::poll_write`.
pub(super) fn poll_send(socket: &TcpStream, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
    loop {
        ready!(socket.poll_write_ready(cx))?;
        let send = || rustix::net::send(socket, bytes, rustix::net::SendFlags::NOSIGNAL).map_err(io::Error::from);
        match socket.try_io(Interest::WRITABLE, send) {
            Ok(count) => {
                if count < bytes.len() {
                    exhausted(socket, Interest::WRITABLE);
                }
                return Poll::Ready(Ok(count));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Poll::Ready(Err(error)),
        }
    }
}

/// The kernel is not asked again before it says that there is more.
fn exhausted(socket: &TcpStream, interest: Interest) {
    let _ = socket.try_io(interest, || Err::<(), _>(io::ErrorKind::WouldBlock.into()));
}

#[cfg(test)]
mod tests;
