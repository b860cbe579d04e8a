//! A connection of any kind, read and written by halves on one thread.

use super::cut::Cut;
use super::direct;
use super::machine::{Here, Wire};
use super::post;
use super::ring::{self, Ringed};
use super::room::make_room;
use crate::{limits, spare};
use bytes::{Bytes, BytesMut};
use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::{Pin, pin};
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsStream;

/// Any byte stream.
#[derive(Debug)]
pub enum Stream {
    Tcp(TcpStream),
    /// The same, served by io_uring.
    Ringed(Ringed),
    Unix(UnixStream),
    Tls(Box<Tls>),
    /// One stream of an HTTP/2 connection, opened by CONNECT.
    Tunnel(Box<crate::h2::Tunnel>),
    /// In memory, between two tasks.
    Virtual(DuplexStream),
    /// Between two nodes on virtual time.
    Wire(Box<dyn Wire>),
    /// With something that is dropped once the connection is closed.
    With(Box<With>),
    /// Ended by us, whatever it carried.
    Cut(Box<Cut>),
}

#[derive(Debug)]
pub struct With {
    stream: Stream,
    // Only ever dropped.
    _with: Box<dyn std::fmt::Debug>,
}

/// TLS on a socket.
pub struct Tls {
    session: TlsStream<Socket>,
    broken: Option<Box<dyn FnOnce(&'static str)>>,
}

impl From<TlsStream<Socket>> for Tls {
    fn from(session: TlsStream<Socket>) -> Self {
        Self { session, broken: None }
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.session.fmt(f)
    }
}

/// What TLS is spoken on.
#[derive(Debug)]
pub enum Socket {
    Tcp(TcpStream),
    Ringed(Ringed),
    Wire(Box<dyn Wire>),
}

impl Socket {
    fn peer_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.peer_addr().ok(),
            Self::Ringed(stream) => stream.peer_address(),
            Self::Wire(wire) => Some(wire.peer_address()),
        }
    }

    fn local_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.local_addr().ok(),
            Self::Ringed(stream) => stream.local_address(),
            Self::Wire(wire) => Some(wire.local_address()),
        }
    }

    /// Nothing goes either way any more, and whoever waits for it looks again.
    fn end(&mut self) {
        match self {
            // Failing means that the peer was faster.
            Self::Tcp(stream) => _ = rustix::net::shutdown(&*stream, rustix::net::Shutdown::Both),
            Self::Ringed(stream) => _ = rustix::net::shutdown(&*stream, rustix::net::Shutdown::Both),
            Self::Wire(wire) => wire.end(),
        }
    }
}

impl From<Socket> for Stream {
    fn from(socket: Socket) -> Self {
        match socket {
            Socket::Tcp(stream) => Self::Tcp(stream),
            Socket::Ringed(stream) => Self::Ringed(stream),
            Socket::Wire(wire) => Self::Wire(wire),
        }
    }
}

impl Stream {
    /// Two ends of a connection in memory.
    pub fn pair(capacity: usize) -> (Self, Self) {
        let (a, b) = tokio::io::duplex(capacity);
        (Self::Virtual(a), Self::Virtual(b))
    }

    /// # Errors
    /// Those of `connect(2)`.
    pub async fn connect(address: SocketAddr) -> io::Result<Self> {
        Self::from(Here::now().connect(address).await?).ring()
    }

    /// Moves a socket to this thread's ring, where it has one.
    pub(super) fn ring(self) -> io::Result<Self> {
        match self {
            Self::Tcp(stream) if ring::is_open() => Ringed::adopt(stream).map(Self::Ringed),
            stream => Ok(stream),
        }
    }

    /// The same, with something that is dropped once it is closed.
    #[must_use]
    pub fn with(self, with: impl std::fmt::Debug + 'static) -> Self {
        Self::With(Box::new(With { stream: self, _with: Box::new(with) }))
    }

    /// What TLS can be spoken on; `None` for what is inside something else already.
    pub fn into_socket(self) -> Option<Socket> {
        match self {
            Self::Tcp(stream) => Some(Socket::Tcp(stream)),
            Self::Ringed(stream) => Some(Socket::Ringed(stream)),
            Self::Wire(wire) => Some(Socket::Wire(wire)),
            Self::Unix(_) | Self::Tls(_) | Self::Tunnel(_) | Self::Virtual(_) | Self::With(_) | Self::Cut(_) => None,
        }
    }

    /// Ends it at once: whoever reads or writes it fails by `why`. What is no socket but inside of one is ended with that.
    pub fn cut(&mut self, why: &str) {
        self.end();
        let ended = std::mem::replace(self, Self::Cut(Box::new(Cut::new(why))));
        if let Self::Cut(cut) = self {
            cut.keep(ended);
        }
    }

    fn end(&mut self) {
        match self {
            Self::Tcp(stream) => _ = rustix::net::shutdown(&*stream, rustix::net::Shutdown::Both),
            Self::Ringed(stream) => _ = rustix::net::shutdown(&*stream, rustix::net::Shutdown::Both),
            Self::Tls(tls) => tls.session.get_mut().0.end(),
            Self::Wire(wire) => wire.end(),
            Self::With(with) => with.stream.end(),
            Self::Unix(_) | Self::Tunnel(_) | Self::Virtual(_) | Self::Cut(_) => {}
        }
    }

    pub fn tls(&self) -> Option<&TlsStream<Socket>> {
        match self {
            Self::Tls(tls) => Some(&tls.session),
            Self::With(with) => with.stream.tls(),
            _ => None,
        }
    }

    fn tunnel(&mut self) -> Option<&mut crate::h2::Tunnel> {
        match self {
            Self::Tunnel(tunnel) => Some(tunnel),
            Self::With(with) => with.stream.tunnel(),
            _ => None,
        }
    }

    pub(super) fn stalled(&mut self, patience: Duration) {
        if let Some(tunnel) = self.tunnel() {
            tunnel.stalled(patience);
        }
    }

    /// The receiver took nothing for so long: it is told, and the connection ends.
    pub(super) fn give_up(&mut self, patience: Duration) -> io::Error {
        self.stalled(patience);
        let why = format!("the receiver took nothing for {patience:?}");
        self.cut(&why);
        io::Error::new(io::ErrorKind::TimedOut, why)
    }

    /// Whom to tell, once, if the peer breaks what TLS demands after the handshake: that may come in the middle of anything, and ends the connection for
    /// whoever reads it. It is told the cause as metrics name it. Of what carries no TLS nothing is told.
    pub fn when_broken(&mut self, told: impl FnOnce(&'static str) + 'static) {
        match self {
            Self::Tls(tls) => tls.broken = Some(Box::new(told)),
            Self::With(with) => with.stream.when_broken(told),
            _ => {}
        }
    }

    fn has_tls_to_say(&self) -> bool {
        self.tls().is_some_and(|tls| tls.get_ref().1.wants_write())
    }

    fn tell_what_broke(&mut self, error: &io::Error) {
        match self {
            Self::Tls(tls) if crate::tls::is_broken(error) => {
                if let Some(told) = tls.broken.take() {
                    told(crate::tls::cause(error));
                }
            }
            Self::With(with) => with.stream.tell_what_broke(error),
            _ => {}
        }
    }

    /// Whether the kernel is to find out soon if the peer is there. What is no socket of the kernel's knows no such thing.
    pub(super) fn doubt(&self, doubted: bool) {
        if let Some(socket) = self.descriptor() {
            // Without it the peer is waited for longer, as ever.
            let _ = super::listener::doubt(&socket, doubted);
        }
    }

    /// For how long of the time that was `waited` the machine at the other end has acknowledged nothing, though it was sent the same again and again, or was asked
    /// since it is doubted; zero where that cannot be told yet, `None` where it does. Of what lies inside of another connection nothing is known.
    pub(super) fn unanswered(&self, waited: Duration) -> Option<Duration> {
        match self {
            Self::Wire(wire) => wire.unanswered(),
            Self::With(with) => with.stream.unanswered(waited),
            Self::Tls(tls) if let Socket::Wire(wire) = tls.session.get_ref().0 => wire.unanswered(),
            _ => self.descriptor().and_then(|_| super::diag::unanswered(self.local_address()?, self.peer_address()?, waited)),
        }
    }

    /// The kernel's socket on which all of it goes.
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Tcp(stream) => Some(stream.as_fd()),
            Self::Ringed(stream) => Some(stream.as_fd()),
            Self::Tls(tls) => match tls.session.get_ref().0 {
                Socket::Tcp(stream) => Some(stream.as_fd()),
                Socket::Ringed(stream) => Some(stream.as_fd()),
                Socket::Wire(_) => None,
            },
            Self::With(with) => with.stream.descriptor(),
            Self::Unix(_) | Self::Tunnel(_) | Self::Virtual(_) | Self::Wire(_) | Self::Cut(_) => None,
        }
    }

    pub fn peer_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.peer_addr().ok(),
            Self::Ringed(stream) => stream.peer_address(),
            Self::Tls(tls) => tls.session.get_ref().0.peer_address(),
            Self::Wire(wire) => Some(wire.peer_address()),
            Self::With(with) => with.stream.peer_address(),
            Self::Unix(_) | Self::Tunnel(_) | Self::Virtual(_) | Self::Cut(_) => None,
        }
    }

    pub fn local_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.local_addr().ok(),
            Self::Ringed(stream) => stream.local_address(),
            Self::Tls(tls) => tls.session.get_ref().0.local_address(),
            Self::Wire(wire) => Some(wire.local_address()),
            Self::With(with) => with.stream.local_address(),
            Self::Unix(_) | Self::Tunnel(_) | Self::Virtual(_) | Self::Cut(_) => None,
        }
    }

    pub fn split(self) -> (Recv, Send) {
        let shared = Rc::new(RefCell::new(self));
        (Recv(shared.clone()), Send { stream: shared, posted: None })
    }

    /// The socket itself where bytes go on it as they are.
    fn plain(&self) -> Option<&TcpStream> {
        match self {
            Self::Tcp(stream) => Some(stream),
            Self::With(with) => with.stream.plain(),
            _ => None,
        }
    }

    /// The socket itself where bytes go on it as they are, by io_uring.
    pub(super) fn ringed(&mut self) -> Option<&mut Ringed> {
        match self {
            Self::Ringed(stream) => Some(stream),
            Self::With(with) => with.stream.ringed(),
            _ => None,
        }
    }

    /// Waits until there is something to read, without holding a buffer: an idle connection costs none.
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(cx),
            Self::Unix(stream) => stream.poll_read_ready(cx),
            Self::With(with) => with.stream.poll_readable(cx),
            // What has come lies in the ring's memory, and is copied from there.
            Self::Ringed(_) => Poll::Ready(Ok(())),
            Self::Tls(_) | Self::Tunnel(_) | Self::Virtual(_) | Self::Wire(_) | Self::Cut(_) => Poll::Ready(Ok(())),
        }
    }

    /// Appends what is there, at most about `most` bytes; 0 is the end. No memory is taken before there is something to put in it.
    pub(crate) fn poll_recv(&mut self, cx: &mut Context<'_>, buffer: &mut BytesMut, most: usize) -> Poll<io::Result<usize>> {
        if let Some(ringed) = self.ringed() {
            return ringed.poll_recv(cx, buffer, most);
        }
        if buffer.capacity() == 0 && most <= limits::READ_BUFFER {
            // To take one of this thread's and to give it back costs less than to ask first.
            *buffer = spare::buffer();
        } else if buffer.capacity() - buffer.len() < most / 8 {
            ready!(self.poll_readable(cx))?;
            make_room(buffer, most);
        }
        // A future that reads once holds nothing between polls, so a new one each time does.
        let said_all = !self.has_tls_to_say();
        let read = match self.plain() {
            Some(socket) if direct::is_open() => direct::poll_recv(socket, cx, buffer),
            _ => pin!(self.read_buf(buffer)).poll(cx),
        };
        match &read {
            Poll::Ready(Err(error)) => self.tell_what_broke(error),
            // TLS answered by itself, and nobody may write for long. No writer waits for this socket: there was nothing to be written before.
            Poll::Pending if said_all && self.has_tls_to_say() => _ = Pin::new(&mut *self).poll_flush(cx)?,
            _ => {}
        }
        if buffer.is_empty() {
            // What is new is taken to be readable until it was tried.
            spare::keep_buffer(std::mem::take(buffer));
        }
        read
    }
}

/// The reading half.
#[derive(Debug)]
pub struct Recv(Rc<RefCell<Stream>>);

impl Recv {
    /// Appends what is there, at most about `most` bytes, and says how many; 0 is the end.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn recv(&mut self, buffer: &mut BytesMut, most: usize) -> io::Result<usize> {
        poll_fn(|cx| self.poll_recv(cx, buffer, most)).await
    }

    /// As [`Recv::recv`].
    ///
    /// # Errors
    /// Those of the connection.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>, buffer: &mut BytesMut, most: usize) -> Poll<io::Result<usize>> {
        self.0.borrow_mut().poll_recv(cx, buffer, most)
    }

    /// Whether something has come, be it the end or an error; what came may be lost. Waits for nothing.
    pub fn has_news(&mut self, buffer: &mut BytesMut) -> bool {
        let mut stream = self.0.borrow_mut();
        if let Some(ringed) = stream.ringed() {
            return ringed.has_news();
        }
        match &mut *stream {
            // Where nothing was announced this asks nobody.
            Stream::Tcp(stream) => !matches!(stream.try_read(&mut [0]), Err(e) if e.kind() == io::ErrorKind::WouldBlock),
            stream => {
                let mut cx = Context::from_waker(std::task::Waker::noop());
                let mut is_ready = || stream.poll_recv(&mut cx, buffer, limits::READ_BUFFER).is_ready();
                // What TLS lies on may only now have been asked for, and is there after a turn.
                is_ready()
                    || ring::is_open() && {
                        ring::turn();
                        is_ready()
                    }
            }
        }
    }

    /// Looks at the stream itself: peer, certificates.
    pub fn with<T>(&self, look: impl FnOnce(&Stream) -> T) -> T {
        look(&self.0.borrow())
    }

    /// The stream as whoever may have to end it holds it, without keeping it open.
    pub fn watched(&self) -> Weak<RefCell<Stream>> {
        Rc::downgrade(&self.0)
    }

    /// Puts the halves together again.
    pub fn reunite(self, send: Send) -> Option<Stream> {
        send.end();
        Rc::try_unwrap(self.0).ok().map(RefCell::into_inner)
    }
}

/// The writing half.
#[derive(Debug)]
pub struct Send {
    stream: Rc<RefCell<Stream>>,
    /// What was given to the post last.
    posted: Option<post::Ticket>,
}

impl Send {
    /// Has these bytes sent behind all that this thread is about to do, or says that they cannot be: where the thread has no post, or carries nothing else.
    /// They are taken to be sent: that they could not be shows where the stream is read, or written next.
    pub(crate) fn post(&mut self, bytes: &mut Vec<u8>, patience: Duration) -> bool {
        if self.posted.is_some_and(post::is_here) || !post::is_open() || post::is_late(&self.stream) || !super::joins() {
            return false;
        }
        self.posted = Some(post::put(&self.stream, std::mem::take(bytes), patience));
        true
    }

    /// The receiver took nothing for so long, and is not waited for any more: one that shut the window of its stream is told so, and counted by that name.
    pub(crate) fn stalled(&mut self, patience: Duration) {
        self.stream.borrow_mut().stalled(patience);
    }

    #[cfg(test)]
    pub(super) fn stream(&self) -> &Rc<RefCell<Stream>> {
        &self.stream
    }

    /// What was posted goes before what follows.
    async fn settle(&mut self, posted: post::Ticket) -> io::Result<()> {
        if let Some((bytes, patience)) = post::take(posted) {
            let mut sent = 0;
            let written = super::timeout(patience, poll_fn(|cx| self.stream.borrow_mut().poll_write_all(cx, &bytes, &mut sent))).await;
            written.unwrap_or_else(|| Err(self.stream.borrow_mut().give_up(patience)))?;
        }
        poll_fn(|cx| post::poll_gone(&self.stream, cx)).await;
        Ok(())
    }

    /// What is posted goes now, as far as it is taken.
    fn end(self) {
        if let Some((bytes, _)) = self.posted.and_then(post::take) {
            // What fails shows where the stream is read.
            let _ = self.stream.borrow_mut().poll_write_all(&mut Context::from_waker(Waker::noop()), &bytes, &mut 0);
        }
    }

    /// Writes all of `first` and then all of `second`, in as few system calls as the kernel allows.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn send(&mut self, first: &[u8], second: &[u8]) -> io::Result<()> {
        if let Some(posted) = self.posted.take() {
            Box::pin(self.settle(posted)).await?;
        }
        let total = first.len() + second.len();
        let mut done = 0;
        while done < total {
            done += poll_fn(|cx| {
                let a = &first[done.min(first.len())..];
                let b = &second[done.saturating_sub(first.len())..];
                let mut stream = self.stream.borrow_mut();
                match (a.is_empty(), b.is_empty()) {
                    (true, _) => Pin::new(&mut *stream).poll_write(cx, b),
                    (_, true) => Pin::new(&mut *stream).poll_write(cx, a),
                    _ => Pin::new(&mut *stream).poll_write_vectored(cx, &[IoSlice::new(a), IoSlice::new(b)]),
                }
            })
            .await
            .and_then(|n| if n == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(n) })?;
        }
        // TLS keeps records back until it is told.
        let is_tls = self.stream.borrow().tls().is_some();
        if is_tls {
            poll_fn(|cx| Pin::new(&mut *self.stream.borrow_mut()).poll_flush(cx)).await?;
        }
        Ok(())
    }

    /// Ends this direction; the other goes on.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn shutdown(&mut self) -> io::Result<()> {
        if let Some(posted) = self.posted.take() {
            Box::pin(self.settle(posted)).await?;
        }
        poll_fn(|cx| Pin::new(&mut *self.stream.borrow_mut()).poll_shutdown(cx)).await
    }

    /// The same of bytes that are shared: a stream of HTTP/2 takes them without a copy.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn send_bytes(&mut self, mut bytes: Bytes) -> io::Result<()> {
        let is_tunnel = self.stream.borrow_mut().tunnel().is_some();
        if !is_tunnel {
            return self.send(&bytes, &[]).await;
        }
        if let Some(posted) = self.posted.take() {
            Box::pin(self.settle(posted)).await?;
        }
        poll_fn(|cx| {
            let mut stream = self.stream.borrow_mut();
            match stream.tunnel() {
                Some(tunnel) => tunnel.poll_send(cx, &mut bytes),
                // It was cut meanwhile, and says why.
                None => Pin::new(&mut *stream).poll_write(cx, &bytes).map_ok(drop),
            }
        })
        .await
    }
}

macro_rules! each {
    ($self:ident, $s:ident => $work:expr) => {
        match $self.get_mut() {
            Stream::Tcp($s) => $work,
            Stream::Ringed($s) => $work,
            Stream::Unix($s) => $work,
            Stream::Tls($s) => {
                let $s = &mut $s.session;
                $work
            }
            Stream::Tunnel($s) => $work,
            Stream::Virtual($s) => $work,
            Stream::Wire($s) => $work,
            Stream::Cut($s) => $work,
            Stream::With($s) => {
                let $s = &mut $s.stream;
                $work
            }
        }
    };
}

macro_rules! each_socket {
    ($self:ident, $s:ident => $work:expr) => {
        match $self.get_mut() {
            Socket::Tcp($s) => $work,
            Socket::Ringed($s) => $work,
            Socket::Wire($s) => $work,
        }
    };
}

macro_rules! both_ways {
    ($kind:ty, $each:ident) => {
        impl AsyncRead for $kind {
            fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
                $each!(self, s => Pin::new(s).poll_read(cx, buffer))
            }
        }

        impl AsyncWrite for $kind {
            fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
                match &*self {
                    Self::Tcp(socket) if direct::is_open() => direct::poll_send(socket, cx, bytes),
                    _ => $each!(self, s => Pin::new(s).poll_write(cx, bytes)),
                }
            }
            fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
                match pieces {
                    // A record of TLS, mostly: the kernel takes one piece more cheaply than a list of one.
                    [piece] => self.poll_write(cx, piece),
                    _ => $each!(self, s => Pin::new(s).poll_write_vectored(cx, pieces)),
                }
            }
            fn is_write_vectored(&self) -> bool {
                true
            }
            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                $each!(self, s => Pin::new(s).poll_flush(cx))
            }
            fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                $each!(self, s => Pin::new(s).poll_shutdown(cx))
            }
        }
    };
}

both_ways!(Stream, each);
both_ways!(Socket, each_socket);
