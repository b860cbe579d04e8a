//! Listening sockets. Each worker has one of its own in a group that shares the port (`SO_REUSEPORT`), so that nothing is handed between
//! threads. Before the group opens, one socket listens at the address without the option, and keeps everybody else away until the group is
//! there: otherwise a second process of the same user would silently take half of the connections.

use super::machine::{Accept, Here};
use crate::Stream;
use crate::limits;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener as StdListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};

/// A group of sockets on one address, one per worker.
#[derive(Debug)]
pub struct Group {
    pub address: SocketAddr,
    sockets: Vec<Bound>,
}

/// One socket of a group, not yet open.
#[derive(Debug)]
pub enum Bound {
    Tcp(StdListener),
    Virtual(Arc<dyn Accept>),
}

impl Group {
    /// Binds `count` sockets to one address. Port 0 takes a free one.
    ///
    /// # Errors
    /// `AddrInUse` where anyone else has the address, whatever options they set; others as of `bind(2)`.
    pub fn bind(address: SocketAddr, count: usize) -> io::Result<Self> {
        if let Some(machine) = Here::now().machine() {
            let shared = machine.bind(address)?;
            return Ok(Self { address: shared.address(), sockets: (0..count.max(1)).map(|_| Bound::Virtual(shared.clone())).collect() });
        }
        let alone = socket(address, false)?;
        let address = alone.local_addr()?.as_socket().unwrap_or(address);
        // It lets the group in from now on. Whoever comes at the same time listens alone first, as this one does, and is refused.
        alone.set_reuse_port(true)?;
        let sockets = (0..count.max(1)).map(|_| socket(address, true).map(|s| Bound::Tcp(s.into()))).collect::<io::Result<_>>()?;
        Ok(Self { address, sockets })
    }

    /// The group that a predecessor handed over: its connections wait in these very sockets, and each must be accepted from.
    ///
    /// # Errors
    /// If there is none, or one does not listen on the same address as the first.
    pub fn adopt(sockets: Vec<OwnedFd>) -> io::Result<Self> {
        let wrong = || io::Error::new(io::ErrorKind::InvalidInput, "what was handed over is no group of listening sockets");
        let here = Here::now();
        let mut group: Option<Self> = None;
        for socket in sockets {
            let (address, socket) = match here.machine() {
                Some(machine) => {
                    let accept = machine.adopt(socket)?;
                    (accept.address(), Bound::Virtual(accept))
                }
                None => {
                    let socket = Socket::from(socket);
                    let address = socket.local_addr()?.as_socket().filter(|_| socket.is_listener().unwrap_or(false)).ok_or_else(wrong)?;
                    socket.set_nonblocking(true)?;
                    (address, Bound::Tcp(socket.into()))
                }
            };
            let group = group.get_or_insert_with(|| Self { address, sockets: Vec::new() });
            if group.address != address {
                return Err(wrong());
            }
            group.sockets.push(socket);
        }
        group.ok_or_else(wrong)
    }

    /// What each of `workers` workers accepts from: all sockets of the group are served and no worker is without one, whatever their numbers. The
    /// group itself stays whole, to be handed on: who drops it closes the sockets once no worker has them.
    ///
    /// # Errors
    /// If descriptors have run out.
    pub fn shares(&self, workers: usize) -> io::Result<Vec<Vec<Bound>>> {
        let (workers, sockets) = (workers.max(1), self.sockets.len());
        let share = |worker: usize| -> io::Result<Vec<Bound>> {
            // With more workers than sockets each has one, which some of them share.
            (worker % sockets.max(1)..sockets).step_by(workers).map(|at| self.sockets[at].copy()).collect()
        };
        (0..workers).map(share).collect()
    }

    /// The sockets, for a successor.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.sockets.iter().map(|socket| match socket {
            Bound::Tcp(socket) => socket.as_fd(),
            Bound::Virtual(accept) => accept.descriptor(),
        })
    }

    /// The sockets themselves.
    pub fn into_sockets(self) -> Vec<Bound> {
        self.sockets
    }
}

impl Bound {
    fn copy(&self) -> io::Result<Self> {
        match self {
            Self::Tcp(socket) => socket.try_clone().map(Self::Tcp),
            Self::Virtual(accept) => Ok(Self::Virtual(accept.clone())),
        }
    }
}

fn socket(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking().cloexec(), Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(if shared { limits::BACKLOG } else { 1 })?;
    keep_alive(&socket)?;
    Ok(socket)
}

/// Who has acknowledged all and says nothing is asked often whether it is there, for as long as one doubts it: by itself the kernel asks after a minute. What is not
/// acknowledged it sends again anyway.
pub(super) fn doubt<'s>(socket: impl Into<SockRef<'s>>, doubted: bool) -> io::Result<()> {
    match doubted {
        true => {
            let often = TcpKeepalive::new().with_time(limits::UNACKNOWLEDGED_PROBE).with_interval(limits::UNACKNOWLEDGED_PROBE);
            socket.into().set_tcp_keepalive(&often)
        }
        false => keep_alive(socket),
    }
}

/// A peer that vanished without a word is noticed. Accepted sockets have it from the one that listens.
pub(super) fn keep_alive<'s>(socket: impl Into<SockRef<'s>>) -> io::Result<()> {
    let often = TcpKeepalive::new()
        .with_time(limits::TCP_KEEPALIVE_IDLE)
        .with_interval(limits::TCP_KEEPALIVE_INTERVAL)
        .with_retries(limits::TCP_KEEPALIVE_PROBES);
    socket.into().set_tcp_keepalive(&often)
}

/// Between two processes of one machine there is no network to be shared: what congestion control measures and paces there (BBR, where the machine has it for all)
/// costs and delays for nothing. The kernel's plainest is on every machine (`decisions/0072`).
pub(super) fn plain_at_home(stream: &TcpStream, peer: IpAddr) {
    if peer.is_loopback() || stream.local_addr().is_ok_and(|local| local.ip() == peer) {
        // Where it is refused the connection has what the machine has.
        let _ = rustix::net::sockopt::set_tcp_congestion(stream, "reno");
    }
}

#[derive(Debug)]
pub enum Listener {
    Tcp(TcpListener),
    Virtual(Arc<dyn Accept>),
}

impl Listener {
    /// On the thread of the worker that will accept.
    ///
    /// # Errors
    /// If the socket cannot be registered.
    pub fn open(socket: Bound) -> io::Result<Self> {
        match socket {
            Bound::Tcp(socket) => TcpListener::from_std(socket).map(Self::Tcp),
            Bound::Virtual(accept) => Ok(Self::Virtual(accept)),
        }
    }

    /// # Errors
    /// Those of `bind(2)`.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let mut sockets = Group::bind(address, 1)?.into_sockets();
        Self::open(sockets.remove(0))
    }

    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Virtual(accept) => Some(accept.address()),
        }
    }

    /// # Errors
    /// Those of `accept(2)`; the caller waits a moment where descriptors have run out.
    pub async fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // A failure here means that the peer is gone already, which the first read will tell.
                let _ = stream.set_nodelay(true);
                plain_at_home(&stream, peer.ip());
                Ok((Stream::Tcp(stream).ring()?, peer))
            }
            Self::Virtual(accept) => {
                let wire = std::future::poll_fn(|cx| accept.poll_accept(cx)).await?;
                let peer = wire.peer_address();
                Ok((Stream::Wire(wire), peer))
            }
        }
    }
}

#[cfg(test)]
mod tests;
