//! Ports that are free now. Another process may take one in between: tests that can name port 0 do that instead.

use std::net::TcpListener;

pub fn free_port() -> u16 {
    free_ports(1)[0]
}

/// # Panics
/// If loopback has no port left.
pub fn free_ports(count: usize) -> Vec<u16> {
    let held: Vec<TcpListener> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port on loopback")).collect();
    held.iter().map(|l| l.local_addr().expect("a bound socket has an address").port()).collect()
}
