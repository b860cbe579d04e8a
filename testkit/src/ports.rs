//! Ports that are free, and stay another's who asked: below those that the kernel gives out by itself, each held by a name in the abstract space of
//! Unix sockets for as long as the test's process lives. So neither a test beside this one nor an outgoing connection takes it in between.

use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::{Mutex, PoisonError};

/// The kernel's own begin at 32768.
const RANGE: std::ops::Range<u16> = 20_000..32_000;

/// Names held by this process, and where the next search begins.
static HELD: Mutex<(Vec<UnixListener>, u16)> = Mutex::new((Vec::new(), 0));

/// # Panics
/// If loopback has no port left.
pub fn free_port() -> u16 {
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    let size = RANGE.end - RANGE.start;
    if held.1 == 0 {
        // Processes that run beside this one begin elsewhere; they would find other ports all the same.
        held.1 = (std::process::id().wrapping_mul(97) % u32::from(size)) as u16;
    }
    for _ in 0..size {
        held.1 = (held.1 + 1) % size;
        let port = RANGE.start + held.1;
        let name = SocketAddr::from_abstract_name(format!("organza-test-port-{port}"));
        let Ok(name) = name.and_then(|name| UnixListener::bind_addr(&name)) else { continue };
        // Gateways listen on all interfaces: free means free on each of them.
        if TcpListener::bind(("0.0.0.0", port)).is_ok() {
            held.0.push(name);
            return port;
        }
    }
    panic!("no free port from {} to {}", RANGE.start, RANGE.end);
}

/// # Panics
/// If loopback has no port left.
pub fn free_ports(count: usize) -> Vec<u16> {
    (0..count).map(|_| free_port()).collect()
}
