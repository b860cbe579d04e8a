//! Sockets for datagrams. Each worker of a port has one of its own in a group that shares the port (`SO_REUSEPORT`): the kernel leads all that one client sends from
//! one port to one socket, for as long as the group is the same. So a group neither grows nor shrinks while it serves, and no two workers read from one socket of it.

use super::machine::Here;
use crate::limits;
use rustix::net::RecvFlags;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket as StdSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// A group of sockets on one address.
#[derive(Debug)]
pub struct DatagramGroup {
    pub address: SocketAddr,
    sockets: Vec<StdSocket>,
}

impl DatagramGroup {
    /// Binds `count` sockets to one address. Port 0 takes a free one.
    ///
    /// # Errors
    /// `AddrInUse` where anyone else has the address, whatever options they set; `Unsupported` on a machine that is not the kernel's; others as of `bind(2)`.
    pub fn bind(address: SocketAddr, count: usize) -> io::Result<Self> {
        if Here::now().machine().is_some() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        // Alone first: otherwise a second process of the same user would silently take half of what comes. It stays in the group, for what it was sent already.
        let first = bound(address, false)?;
        let address = first.local_addr()?.as_socket().unwrap_or(address);
        first.set_reuse_port(true)?;
        let others = (1..count.max(1)).map(|_| bound(address, true));
        let sockets = std::iter::once(Ok(first)).chain(others).map(|socket| socket.map(StdSocket::from)).collect::<io::Result<_>>()?;
        Ok(Self { address, sockets })
    }

    /// The group that a predecessor handed over.
    ///
    /// # Errors
    /// If there is none, or one is no socket for datagrams on the same address as the first.
    pub fn adopt(sockets: Vec<OwnedFd>) -> io::Result<Self> {
        let wrong = || io::Error::new(io::ErrorKind::InvalidInput, "what was handed over is no group of sockets for datagrams");
        let mut group: Option<Self> = None;
        for socket in sockets {
            let socket = Socket::from(socket);
            let address = socket.local_addr()?.as_socket().filter(|_| socket.r#type().is_ok_and(|kind| kind == Type::DGRAM));
            let address = address.ok_or_else(wrong)?;
            socket.set_nonblocking(true)?;
            let group = group.get_or_insert_with(|| Self { address, sockets: Vec::new() });
            if group.address != address {
                return Err(wrong());
            }
            group.sockets.push(socket.into());
        }
        group.ok_or_else(wrong)
    }

    /// Copies of the sockets by the worker that reads from them, each with its place in the group: as many workers as sockets have one each, fewer have
    /// several, and of more some have none.
    ///
    /// # Errors
    /// If descriptors have run out.
    pub fn shares(&self, workers: usize) -> io::Result<Vec<Vec<(usize, StdSocket)>>> {
        let mut shares: Vec<Vec<_>> = (0..workers.max(1)).map(|_| Vec::new()).collect();
        for (at, socket) in self.sockets.iter().enumerate() {
            shares[at % workers.max(1)].push((at, socket.try_clone()?));
        }
        Ok(shares)
    }

    /// The sockets, for a successor.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.sockets.iter().map(AsFd::as_fd)
    }
}

fn bound(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM.nonblocking().cloexec(), Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if shared {
        socket.set_reuse_port(true)?;
    }
    // The kernel gives what it may where this is more.
    socket.set_recv_buffer_size(limits::DATAGRAM_QUEUE)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Datagrams, and what the network says of those that were sent, which is no datagram.
const HEARD: Interest = Interest::READABLE.add(Interest::ERROR);

/// One socket in the event queue of its thread.
#[derive(Debug)]
pub struct Datagrams(UdpSocket);

impl Datagrams {
    /// On the thread of the worker that will read.
    ///
    /// # Errors
    /// If the socket cannot be registered.
    pub fn open(socket: StdSocket) -> io::Result<Self> {
        UdpSocket::from_std(socket).map(Self)
    }

    /// A socket of its own for what goes to `to` and comes from there; nothing else is heard.
    ///
    /// # Errors
    /// If descriptors or ports have run out, or there is no way to `to`.
    pub fn connect(to: SocketAddr) -> io::Result<Self> {
        let any = match to {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let socket = StdSocket::bind((any, 0))?;
        socket.set_nonblocking(true)?;
        socket.connect(to)?;
        Self::open(socket)
    }

    /// One that [`Datagrams::connect`] made in another process.
    ///
    /// # Errors
    /// If it leads nowhere.
    pub fn adopt(socket: OwnedFd) -> io::Result<Self> {
        let socket = StdSocket::from(socket);
        socket.peer_addr()?;
        socket.set_nonblocking(true)?;
        Self::open(socket)
    }

    /// Where it leads; `None` for one that hears everybody.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.0.peer_addr().ok()
    }

    pub fn address(&self) -> Option<SocketAddr> {
        self.0.local_addr().ok()
    }

    /// A copy of it for another process.
    ///
    /// # Errors
    /// If descriptors have run out.
    pub fn descriptor(&self) -> io::Result<OwnedFd> {
        self.0.as_fd().try_clone_to_owned()
    }

    /// Waits until there is something to hear, an error that the network told among it.
    ///
    /// # Errors
    /// If the runtime ends.
    pub async fn readable(&self) -> io::Result<()> {
        self.0.ready(HEARD).await.map(drop)
    }

    /// What has come from whom. `buffer` is as long as a datagram may be; what is longer is cut.
    ///
    /// # Errors
    /// `WouldBlock` where nothing has.
    pub fn try_recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.0.try_recv_from(buffer)
    }

    /// The same of one that leads somewhere.
    ///
    /// # Errors
    /// `WouldBlock` where nothing has come; `ConnectionRefused` where nobody listens at the other end, said once for what was sent before.
    pub fn try_recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut once = |of| self.0.try_io(of, || Ok(rustix::net::recv(&self.0, &mut *buffer, RecvFlags::DONTWAIT)?.0));
        // The event queue tells the two apart, and forgets each where its own call finds nothing.
        match once(Interest::READABLE) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => once(Interest::ERROR),
            came => came,
        }
    }

    /// # Errors
    /// `WouldBlock` where the kernel holds as much as it will; as of `send(2)`.
    pub fn try_send(&self, bytes: &[u8]) -> io::Result<usize> {
        // The kernel is asked, and not the event queue, which knows nothing yet of a socket that was just made.
        SockRef::from(&self.0).send(bytes)
    }

    /// # Errors
    /// As of [`Datagrams::try_send`].
    pub fn try_send_to(&self, bytes: &[u8], to: SocketAddr) -> io::Result<usize> {
        SockRef::from(&self.0).send_to(bytes, &to.into())
    }
}

#[cfg(test)]
mod tests;
