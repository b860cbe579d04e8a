//! A proxy's process configuration: one declarative JSON document; nothing else is read, the environment least of all. A supervisor writes
//! it, perhaps of a later release than the proxy that reads it: fields that are not known are skipped, words are not. What changes while the proxy runs comes from the control plane and is not here.

mod text;

use crate::limits;
use model::{Key, SpiffeId, TrustDomain};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Config {
    /// Of this program, as others are told; no part of the document.
    #[serde(skip, default = "release")]
    pub release: String,
    pub mesh: String,
    /// The name under which it was registered: `node.id` of its discovery stream.
    pub proxy: String,
    /// Of its callers: what short names mean.
    pub namespace: String,
    #[serde(with = "text")]
    pub identity: SpiffeId,
    pub role: Role,
    /// Where this machine is: `region/zone`. A workload's own registration says it where this does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locality: Option<String>,
    /// Holds `snapshot`; 0700.
    pub state: PathBuf,
    pub control: Control,
    /// PEM, chain and key, 0600: put there at registration, renewed in place by the proxy.
    pub svid: PathBuf,
    /// The admin socket, 0600.
    pub admin: PathBuf,
    /// `/metrics` alone, read-only; beside a workload on a loopback address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<SocketAddr>,
    /// Threads that carry requests; by default as many as the process may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workers: Option<usize>,
    #[serde(default)]
    pub log: Log,
    #[serde(default = "drain", skip_serializing_if = "is_drain")]
    pub drain_seconds: u64,
    /// How long open connections live on in this process once a successor has its doors.
    #[serde(default = "linger", skip_serializing_if = "is_linger")]
    pub linger_seconds: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Control {
    /// Tried in order.
    pub addresses: Vec<SocketAddr>,
    /// PEM: the roots by which the control plane is believed until it tells of others.
    pub trust_roots: String,
    #[serde(with = "text")]
    pub trust_domain: TrustDomain,
}

impl Control {
    /// Who must answer: `spiffe://TD/ns/organza-system/sa/control`.
    pub fn identity(&self) -> Option<SpiffeId> {
        SpiffeId::new(self.trust_domain.clone(), "organza-system", "control").ok()
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Role {
    Gateway {
        #[serde(with = "text")]
        gateway: Key,
        ports: GatewayPorts,
    },
    Workload(Workload),
}

/// What to do where a listener's port is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum GatewayPorts {
    /// The user named it: an error that says who holds it.
    Exact,
    /// Move on to the next free one and print it.
    Preferred,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Workload {
    /// Services that it backs; empty for a client.
    #[serde(with = "text::list", default)]
    pub services: Vec<Key>,
    /// Where its own application listens; absent for a client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<SocketAddr>,
    /// Where other proxies reach it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inbound: Option<SocketAddr>,
    /// Where its application calls out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outbound: Option<Outbound>,
    #[serde(default)]
    pub upstreams: Vec<Upstream>,
    /// Refuse to run in front of an application that listens on all interfaces.
    #[serde(default)]
    pub strict: bool,
}

/// The explicit proxy (`http_proxy`) of one application.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outbound {
    pub address: SocketAddr,
    /// The password in the proxy's URL: it serves its owner alone.
    pub secret: String,
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound").field("address", &self.address).finish_non_exhaustive()
    }
}

/// A local listener for one destination (`--upstream catalog=9001`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Upstream {
    pub host: String,
    pub port: u16,
    pub address: SocketAddr,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Log {
    /// In `tracing`'s words: `info`, `warn,proxy=debug`.
    pub level: String,
    pub json: bool,
    /// One line for each request.
    pub access: bool,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".to_owned(), json: false, access: false }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{0} cannot be read: {1}")]
    Read(PathBuf, std::io::Error),
    #[error("{0} is larger than {max} bytes", max = limits::CONFIG_BYTES)]
    TooLarge(PathBuf),
    #[error("configuration: {0}")]
    Json(#[from] serde_json::Error),
    #[error("configuration: {field}: {why}")]
    Field { field: &'static str, why: String },
}

impl Config {
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let read = |error| ConfigError::Read(path.to_owned(), error);
        if std::fs::metadata(path).map_err(read)?.len() > limits::CONFIG_BYTES {
            return Err(ConfigError::TooLarge(path.to_owned()));
        }
        Self::parse(&std::fs::read_to_string(path).map_err(read)?)
    }

    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let config: Self = serde_json::from_str(text)?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let wrong = |field, why: &str| Err(ConfigError::Field { field, why: why.to_owned() });
        if self.control.addresses.is_empty() {
            return wrong("control.addresses", "is empty");
        }
        if self.locality.as_deref().is_some_and(|text| model::Locality::parse(text).is_none()) {
            return wrong("locality", "must be region/zone, or a region");
        }
        if self.workers == Some(0) {
            return wrong("workers", "must be at least one");
        }
        let Role::Workload(workload) = &self.role else { return Ok(()) };
        if self.metrics.is_some_and(|address| !address.ip().is_loopback()) {
            return wrong("metrics", "must be a loopback address beside a workload");
        }
        if workload.outbound.as_ref().is_some_and(|outbound| !outbound.address.ip().is_loopback() || outbound.secret.len() < 16) {
            return wrong("role.workload.outbound", "must be a loopback address with a secret of 16 characters or more");
        }
        if workload.upstreams.iter().any(|upstream| !upstream.address.ip().is_loopback()) {
            return wrong("role.workload.upstreams", "must be loopback addresses");
        }
        Ok(())
    }

    pub fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_seconds)
    }

    pub fn linger(&self) -> Duration {
        Duration::from_secs(self.linger_seconds)
    }

    /// Where a successor asks for the doors; 0600.
    pub fn handover_socket(&self) -> PathBuf {
        self.state.join("next.sock")
    }

    pub fn snapshot_file(&self) -> PathBuf {
        self.state.join("snapshot")
    }

    /// For `/config`: all of it but secrets.
    pub fn without_secrets(&self) -> Self {
        let mut shown = self.clone();
        if let Role::Workload(Workload { outbound: Some(outbound), .. }) = &mut shown.role {
            outbound.secret = "(hidden)".to_owned();
        }
        shown
    }
}

pub fn release() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}

fn drain() -> u64 {
    limits::DRAIN.as_secs()
}

fn is_drain(seconds: &u64) -> bool {
    *seconds == drain()
}

fn linger() -> u64 {
    limits::LINGER.as_secs()
}

fn is_linger(seconds: &u64) -> bool {
    *seconds == linger()
}

#[cfg(test)]
mod tests;
