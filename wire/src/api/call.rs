//! Calls seen in the last days, as the called sides told them: what policies of access can be written from.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallList {
    pub generation: u64,
    pub items: Vec<Call>,
    /// For how many days a call is remembered.
    pub days: u64,
    /// Calls that the control plane had no room for, since it started.
    pub left_out: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// The identity that the caller proved; the address of one that called in plaintext, else empty.
    pub source: String,
    /// Services that this identity answers for (`shop/web`); of who called in plaintext those that are answered at its address, which proves nothing.
    pub source_services: Vec<String>,
    /// Of what was called.
    pub namespace: String,
    /// The service that was dialled; empty where none leads there.
    pub service: String,
    /// The workload, where there is no service.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub workload: String,
    /// The service's port.
    pub port: u16,
    /// `http`, `grpc` or `tcp`.
    pub protocol: String,
    /// Empty for bytes, as is the path.
    pub method: String,
    /// A template, as policies of access read it: `/users/{id}`, `/files/{**}`.
    pub path: String,
    /// Let through by policy.
    pub allowed: u64,
    /// Refused by policy.
    pub denied: u64,
    pub first_seen: u64,
    pub last_seen: u64,
    /// When it was last let through; nothing where it never was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_allowed: Option<u64>,
}

impl Call {
    /// Whether the caller proved who it is.
    pub fn is_proven(&self) -> bool {
        self.source.starts_with("spiffe://")
    }
}
