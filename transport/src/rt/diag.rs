//! What the kernel knows of the other end of a connection (`sock_diag(7)`): whether it acknowledges what it is sent. A machine that is there does,
//! however long its program thinks and however little it reads. Costs four system calls, so only who has waited for long asks. Never knows what is sent.

use crate::limits;
use rustix::net::netlink::{SOCK_DIAG, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Kind of message, and its flag (`linux/sock_diag.h`, `linux/netlink.h`).
const BY_FAMILY: u16 = 20;
const REQUEST: u16 = 1;
/// What is asked for, of a connection of TCP: all that its own state machine knows (`linux/inet_diag.h`).
const TCP: u8 = 6;
const INFO: u16 = 2;
const ANY: u32 = u32::MAX;
/// Headers of a message, of what is said of a connection in it, and of a piece of that.
const HEAD: usize = 16;
const ABOUT: usize = 72;
const PIECE: usize = 4;
/// Where numbers lie in `struct tcp_info` (`linux/tcp.h`), of which later kernels have more.
const RETRANSMITS: usize = 2;
const PROBES: usize = 3;
const UNACKNOWLEDGED: usize = 24;
const LAST_ACKNOWLEDGED: usize = 56;
const UNSENT: usize = 144;
/// So many tries one after another that nobody acknowledged, each twice as long after the one before; and so many questions whether anybody is there.
const TRIES: u8 = 3;
const QUESTIONS: u8 = 2;
/// So many are enough after [`limits::UNACKNOWLEDGED_EFFECT`]: the first pause between two is as long as round trips were of late, which on a machine that is busy is
/// long too, and would else be what says how soon it is found out who is gone.
const TRIES_IN_THE_END: u8 = 2;

/// For how long of the time that was `waited` the machine at the other end has acknowledged nothing, though it was sent the same again and again, or was asked
/// whether it is there; zero where it was sent the same too seldom to tell. `None` where it acknowledges all, or has only no room for more; and where the kernel
/// does not say.
pub(super) fn unanswered(local: SocketAddr, peer: SocketAddr, waited: Duration) -> Option<Duration> {
    let socket =
        socket_with(AddressFamily::NETLINK, SocketType::DGRAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, Some(SOCK_DIAG)).ok()?;
    sendto(&socket, &question(local, peer), SendFlags::empty(), &SocketAddrNetlink::new(0, 0)).ok()?;
    let mut answer = [0; 1024];
    // The kernel has answered before the question was sent.
    let (read, _) = recv(&socket, &mut answer, RecvFlags::empty()).ok()?;
    silence(info(answer.get(..read)?)?, waited)
}

fn question(local: SocketAddr, peer: SocketAddr) -> Vec<u8> {
    let family = if local.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let mut about = vec![family.as_raw() as u8, TCP, 1 << (INFO - 1), 0];
    about.extend(ANY.to_ne_bytes());
    about.extend([local, peer].iter().flat_map(|end| end.port().to_be_bytes()));
    for end in [local, peer] {
        let mut address = [0; 16];
        match end.ip() {
            IpAddr::V4(ip) => address[..4].copy_from_slice(&ip.octets()),
            IpAddr::V6(ip) => address = ip.octets(),
        }
        about.extend(address);
    }
    // By any door, and whatever the kernel calls it.
    about.extend([0, ANY, ANY].iter().flat_map(|word: &u32| word.to_ne_bytes()));
    let mut message = ((HEAD + about.len()) as u32).to_ne_bytes().to_vec();
    message.extend([BY_FAMILY, REQUEST].iter().flat_map(|word| word.to_ne_bytes()));
    message.extend([0; 8]);
    message.extend(about);
    message
}

/// `struct tcp_info` in an answer; `None` where it is a refusal.
fn info(answer: &[u8]) -> Option<&[u8]> {
    let kind = u16::from_ne_bytes(answer.get(4..6)?.try_into().ok()?);
    let mut pieces = answer.get(HEAD + ABOUT..).filter(|_| kind == BY_FAMILY)?;
    loop {
        let [length, kind] = [0, 2].map(|at| Some(u16::from_ne_bytes(pieces.get(at..at + 2)?.try_into().ok()?)));
        let (length, kind) = (usize::from(length?), kind?);
        if kind == INFO {
            return pieces.get(PIECE..length);
        }
        pieces = pieces.get(length.max(PIECE).next_multiple_of(PIECE)..)?;
    }
}

fn silence(info: &[u8], waited: Duration) -> Option<Duration> {
    let byte = |at: usize| info.get(at).copied();
    let word = |at: usize| Some(u32::from_ne_bytes(info.get(at..at + 4)?.try_into().ok()?));
    // Who was sent nothing for long had nothing to acknowledge.
    let silent = Duration::from_millis(u64::from(word(LAST_ACKNOWLEDGED)?)).min(waited);
    let (unacknowledged, tries) = (word(UNACKNOWLEDGED)?, byte(RETRANSMITS)?);
    // What waits for room is asked about, too: who is there says that there is none, and is not gone.
    let is_asked = unacknowledged == 0 && word(UNSENT)? == 0 && byte(PROBES)? >= QUESTIONS;
    let enough = if silent < limits::UNACKNOWLEDGED_EFFECT { TRIES } else { TRIES_IN_THE_END };
    if unacknowledged > 0 && (1..enough).contains(&tries) {
        return Some(Duration::ZERO);
    }
    let is_tried = unacknowledged > 0 && tries >= enough;
    (is_tried || is_asked).then_some(silent)
}

#[cfg(test)]
mod tests;
