//! How a process becomes part of the mesh: registration by the socket, joining by token, signing. What a later release adds to a request is skipped, for
//! its processes join a mesh whose control plane is not upgraded yet; only what gives rights away is refused where it cannot be read whole.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkloadPort {
    /// The service's port.
    pub service: u16,
    /// The port that the application listens on.
    pub target: u16,
}

/// Asks for a place in the mesh. Without a service the workload is a client only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistrationRequest {
    /// What the workload is called (`catalog-v1`); made unique by the control plane.
    pub name: String,
    pub namespace: String,
    pub service_account: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    #[serde(default)]
    pub ports: Vec<WorkloadPort>,
    /// `appProtocol` of these ports, if anybody said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Where other proxies reach this one's inbound side (`127.0.0.1:41008`). Empty for a client.
    #[serde(default)]
    pub addresses: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    pub identity: String,
    /// Name of the proxy: `node.id` of its discovery stream.
    pub proxy: String,
    /// Key of the workload.
    pub workload: String,
    /// Keys of the services that it backs.
    pub services: Vec<String>,
    pub xds_address: String,
    /// The control plane's own identity, which the proxy must see in the handshake.
    pub control_identity: String,
    /// PEM.
    pub trust_roots: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignRequest {
    /// The proxy that was registered.
    pub proxy: String,
    /// PKCS#10, PEM.
    pub csr: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignResponse {
    pub identity: String,
    /// PEM, leaf first.
    pub chain: String,
    /// PEM.
    pub roots: String,
    pub not_after: u64,
}

/// A field that is not known may narrow what the token is good for: then none is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    pub namespace: String,
    pub service_account: String,
    #[serde(default)]
    pub services: Vec<String>,
    pub ttl_seconds: u64,
}

/// The only time that the token itself is told; it is stored as a hash.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenResponse {
    pub id: String,
    pub token: String,
    pub expires: u64,
}

impl std::fmt::Debug for TokenResponse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenResponse").field("id", &self.id).field("expires", &self.expires).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    pub id: String,
    pub identity: String,
    pub services: Vec<String>,
    pub created: u64,
    pub expires: u64,
    /// When it was used, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<u64>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenList {
    pub items: Vec<Token>,
}
