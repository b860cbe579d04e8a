//! What a caller speaks, told from its first bytes alone. Pure: bytes in, verdict out, so that the same code answers a socket, a test and a
//! fuzzer. It never reads a socket, never terminates TLS, and never knows which routes or policies wait for its verdict.

mod sni;

pub use sni::{Sni, sni};
