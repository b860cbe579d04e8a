//! One Organza proxy: gateway or workload side, by a page of data. The *rim* (control connection, certificates, admin) runs on a thread of its
//! own and publishes an [`Arc<Snapshot>`](snapshot::Snapshot); workers read it and carry requests. Never knows YAML, Kubernetes or how a
//! resource came to be.
//!
//! [`doors`] says where it listens; [`gateway`], [`inbound`] and [`outbound`] answer there; [`http`] is the request path, [`l4`] the opaque
//! path, [`datagrams`] what UDP needs, [`upstream`] the way to an endpoint, [`worker`] what one thread keeps.

pub mod access;
pub mod admin;
pub mod authorizers;
mod called;
mod checks;
pub mod config;
pub mod consumers;
mod datagrams;
mod detect;
pub mod doors;
pub mod explain;
mod flows;
pub mod gateway;
mod gauges;
pub mod guard;
mod handover;
pub mod http;
pub mod inbound;
pub mod l4;
pub mod limits;
mod lines;
mod map;
mod names;
mod otlp;
pub mod outbound;
mod parts;
pub mod pick;
pub mod rates;
pub mod rim;
pub mod rotated;
mod run;
pub mod shown;
pub mod snapshot;
mod spare;
mod telling;
pub mod tokens;
pub mod upstream;
pub mod worker;

pub use config::Config;
pub use run::{Begin, RunError, run};
pub use snapshot::Snapshot;

#[cfg(test)]
mod tests;
