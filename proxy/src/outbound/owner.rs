//! Whose a socket of this machine is. The kernel is asked for the one (sock_diag(7)), or where it cannot be asked so, for its whole table as text
//! (`/proc/net/tcp`). Never knows what becomes of the answer.

use rustix::net::netlink::{SOCK_DIAG, SocketAddrNetlink};
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;

thread_local! {
    /// Where this thread asks.
    static DIAG: RefCell<Option<OwnedFd>> = const { RefCell::new(None) };
}

/// The user of the socket that goes from `peer` to `local`; `None` where there is no such socket.
pub fn of(peer: SocketAddr, local: SocketAddr) -> Option<u32> {
    // An IPv4 connection of an IPv6 socket (Java opens no other) stands in the table of IPv6, with both addresses mapped; asked for one, the kernel finds it.
    asked(peer, local).or_else(|| match peer.is_ipv4() {
        true => in_table("/proc/net/tcp", peer, local).or_else(|| in_table("/proc/net/tcp6", mapped(peer), mapped(local))),
        false => in_table("/proc/net/tcp6", peer, local),
    })
}

/// `SOCK_DIAG_BY_FAMILY`, asked and answered.
const BY_FAMILY: u16 = 20;
/// `NLM_F_REQUEST`: for one, and not for all.
const REQUEST: u16 = 1;
const TCP: u8 = 6;
/// `struct nlmsghdr`.
const HEADER: usize = 16;
/// `struct inet_diag_sockid`: ports, addresses, interface, cookie.
const SOCKET: usize = 48;
/// Of that, both ports.
const PORTS: usize = 4;
/// Where it stands in an answer, and where the user does.
const NAMED: usize = HEADER + 4;
const USER: usize = NAMED + SOCKET + 12;

fn asked(peer: SocketAddr, local: SocketAddr) -> Option<u32> {
    let question = question(peer, local)?;
    let mut answer = [0; 512];
    let size = DIAG.with_borrow_mut(|diag| {
        let socket = match diag {
            Some(socket) => socket,
            None => diag.insert(net::socket_with(AddressFamily::NETLINK, SocketType::DGRAM, SocketFlags::CLOEXEC, Some(SOCK_DIAG)).ok()?),
        };
        net::sendto(&*socket, &question, SendFlags::DONTWAIT, &SocketAddrNetlink::new(0, 0)).ok()?;
        // The kernel answers one before it takes the next.
        net::recv(&*socket, &mut answer[..], RecvFlags::DONTWAIT).ok().map(|(size, _)| size)
    })?;
    read(&answer[..size], &question)
}

/// `struct nlmsghdr` and `struct inet_diag_req_v2`, of the socket as its own side sees it.
fn question(peer: SocketAddr, local: SocketAddr) -> Option<Vec<u8>> {
    const AF_INET: u8 = 2;
    const AF_INET6: u8 = 10;
    let family = match (peer.ip(), local.ip()) {
        (IpAddr::V4(_), IpAddr::V4(_)) => AF_INET,
        (IpAddr::V6(_), IpAddr::V6(_)) => AF_INET6,
        _ => return None,
    };
    let size = HEADER + 8 + SOCKET;
    let mut out = Vec::with_capacity(size);
    out.extend_from_slice(&(size as u32).to_ne_bytes());
    out.extend_from_slice(&BY_FAMILY.to_ne_bytes());
    out.extend_from_slice(&REQUEST.to_ne_bytes());
    // No number and no sender: there is one question at a time, and what is asked for stands in the answer.
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&[family, TCP, 0, 0]);
    // In any state.
    out.extend_from_slice(&u32::MAX.to_ne_bytes());
    out.extend_from_slice(&peer.port().to_be_bytes());
    out.extend_from_slice(&local.port().to_be_bytes());
    for address in [peer.ip(), local.ip()] {
        match address {
            IpAddr::V4(v4) => out.extend_from_slice(&[&v4.octets()[..], &[0; 12]].concat()),
            IpAddr::V6(v6) => out.extend_from_slice(&v6.octets()),
        }
    }
    // Any interface, any cookie (`INET_DIAG_NOCOOKIE`).
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&[0xff; 8]);
    Some(out)
}

/// The user, where the answer is of what was asked for.
fn read(answer: &[u8], question: &[u8]) -> Option<u32> {
    let kind = answer.get(4..6)?;
    // Addresses are told as the socket has them, mapped or not; the kernel found it by all of them.
    let same = answer.get(NAMED..NAMED + PORTS)? == question.get(HEADER + 8..HEADER + 8 + PORTS)?;
    let user = answer.get(USER..USER + 4)?.try_into().ok()?;
    (kind == BY_FAMILY.to_ne_bytes() && same).then(|| u32::from_ne_bytes(user))
}

/// From the kernel's whole table as text (`/proc/net/tcp`, column `uid`), which takes it a millisecond and more.
fn in_table(table: &str, peer: SocketAddr, local: SocketAddr) -> Option<u32> {
    let text = std::fs::read_to_string(table).ok()?;
    let (theirs, ours) = (proc_address(peer), proc_address(local));
    text.lines().skip(1).find_map(|line| {
        let mut columns = line.split_whitespace().skip(1);
        let (from, to) = (columns.next()?, columns.next()?);
        (from == theirs && to == ours).then(|| columns.nth(4)?.parse().ok()).flatten()
    })
}

fn mapped(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) => SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port()),
        v6 => v6,
    }
}

/// `0100007F:1F90`: the address in the machine's byte order by words, then the port.
fn proc_address(address: SocketAddr) -> String {
    let words =
        |bytes: &[u8]| -> String { bytes.chunks(4).map(|w| format!("{:08X}", u32::from_ne_bytes([w[0], w[1], w[2], w[3]]))).collect() };
    let text = match address {
        SocketAddr::V4(v4) => words(&v4.ip().octets()),
        SocketAddr::V6(v6) => words(&v6.ip().octets()),
    };
    format!("{text}:{:04X}", address.port())
}

#[cfg(test)]
mod tests;
