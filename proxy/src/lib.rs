//! One Organza proxy: gateway or workload side, by a page of data. The *rim* (control connection, certificates, admin) runs on a thread of its
//! own and publishes an [`Arc<Snapshot>`](snapshot::Snapshot); workers read it and carry requests. Never knows YAML, Kubernetes or how a
//! resource came to be.

pub mod admin;
pub mod config;
pub mod limits;
pub mod rim;
pub mod snapshot;

pub use config::Config;
pub use snapshot::Snapshot;
