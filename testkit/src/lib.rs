//! What tests share: real processes, clients that never retry and count every ending, network namespaces, packet captures.
//!
//! For tests only: no production crate may depend on it (`cargo xtask tidy` looks). Everything here is bounded in time and ends what it
//! started, by id.
#![allow(clippy::print_stderr, clippy::print_stdout)]

pub mod backend;
pub mod client;
pub mod issuer;
mod ledger;
pub mod load;
pub mod netns;
pub mod objects;
pub mod outsider;
pub mod ports;
pub mod process;
pub mod require;
pub mod streams;

pub use client::{Counter, Tally};
pub use ledger::Loss;
pub use load::Load;
pub use netns::{Host, Network};
pub use ports::{free_port, free_ports};
pub use process::{Mesh, Process};
pub use require::{Need, require};
