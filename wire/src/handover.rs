//! What a proxy and its successor say to each other, one JSON document a message. Both are of the same user and machine and may be of different
//! releases: fields that are not known are skipped, a word that is not known ends the conversation and the predecessor goes on.
//!
//! ```text
//! successor                      predecessor
//!   ask ──────────────────────────▶  its last snapshot is on disk
//!   ◀─────────────────────── offer   with the sockets
//!   (all is prepared) ready ──────▶  stops accepting, writes no file any more
//!   ◀──────────────────── released
//!   (has the names) taken ────────▶  closes its sockets
//!   ◀─────────────────────── yours   lets its connections end
//!   (accepts)
//! ```
//!
//! Where both know seats, the conversation goes on for as long as the predecessor has connections to services that take so many and no more: it says
//! which it has (`seats`), and that it has given one back (`gave`); it asks for each further one (`want`), and the successor counts it among its own (`have`).
//!
//! Where both know datagrams, the next after `yours` are `sessions`, until one without any; the successor reads from no socket for datagrams before that.
//!
//! Until `yours` the predecessor goes on where the successor ends; connections wait in the sockets meanwhile.

use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// The conversation that this release knows. Another number means that the words mean something else.
pub const PROTOCOL: u32 = 1;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Word {
    Ask(Ask),
    Offer(Offer),
    Ready,
    Released,
    Taken,
    Yours,
    /// Connections of the predecessor, beside those that it told of before.
    Seats(Vec<Seats>),
    /// For one more.
    Want(Seat),
    Have(Seat),
    Gave(Seat),
    /// Sessions of datagrams, with the sockets that lead to their endpoints in this order; the last such word has none.
    Sessions(Vec<Session>),
    /// The conversation is over, and why.
    Refused(String),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    pub protocol: u32,
    pub proxy: String,
    pub release: String,
    pub pid: u32,
    /// Whether it counts the predecessor's connections among its own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub seats: bool,
    /// Whether it goes on with sessions of datagrams.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub datagrams: bool,
}

/// Whose connections are counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Seat {
    /// Key of the service.
    pub service: String,
    /// Where the port has a policy of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    pub endpoint: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seats {
    #[serde(flatten)]
    pub seat: Seat,
    pub open: u32,
}

/// A client whose datagrams are led to an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The listener's port, as its Gateway has it.
    pub port: u16,
    /// The place of its socket in the port's group.
    pub socket: u32,
    pub client: SocketAddr,
    /// Key of the service that it is led to, its port, and the endpoint.
    pub service: String,
    pub service_port: u16,
    pub endpoint: String,
    /// Datagrams that came from the client, and from the endpoint; enough of them to know a question and its answer.
    pub asked: u64,
    pub answered: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    pub release: String,
    pub pid: u32,
    /// Of the configuration that the snapshot holds.
    pub generation: u64,
    /// Groups of listening sockets; their descriptors come with the message, in this order.
    pub groups: Vec<Group>,
    /// Connections that stay with the predecessor.
    #[serde(default)]
    pub connections: u64,
    /// Whether it tells of seats after its last word, if the successor wants to know.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub seats: bool,
    /// Whether it gives sessions of datagrams after its last word, if the successor goes on with them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub datagrams: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    pub address: SocketAddr,
    pub sockets: u32,
    #[serde(flatten)]
    pub serves: Serves,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "serves")]
pub enum Serves {
    /// A gateway's listeners of this port, which may be at another one.
    Gateway { port: u16 },
    /// The same for datagrams.
    Datagrams { port: u16 },
    /// What the configuration names by its address.
    Named,
    /// `/metrics`.
    Metrics,
    /// Of a later release.
    #[serde(other)]
    Unknown,
}

impl Word {
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// # Errors
    /// Says what cannot be read.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(bytes).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests;
