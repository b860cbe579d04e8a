//! What is spoken on a connection, told from who speaks first and from the caller's first bytes. Pure: bytes, events and time in, verdicts out, so that
//! the same code answers a socket, a test and a fuzzer. It never reads a socket, never terminates TLS, and never knows which routes or policies
//! wait for its verdict.

mod machine;
mod memory;
mod sni;
mod sniff;

pub use machine::{Detection, Event, Reads, Step, Verdict};
pub use memory::ServerFirst;
pub use sni::{Sni, sni};
pub use sniff::{Sniffed, sniff};
