//! What is known of a call when it is judged, borrowed from whoever carries it.

use model::{HeaderBlock, Key, Labels, Method, SpiffeId};
use std::net::IpAddr;
use std::sync::Arc;

/// Where a call is judged: each policy has one such place for a call.
#[derive(Debug, Clone, Copy)]
pub enum Place<'a> {
    /// The proxy beside the workload that is called.
    Workload {
        namespace: &'a str,
        labels: &'a Labels,
        /// Every service and port of it that leads to the application's port that is called, whichever was dialled: a port has no second door.
        services: &'a [(Key, u16)],
    },
    /// A gateway, for callers that it listens for.
    Gateway {
        gateway: &'a Key,
        listener: &'a Key,
        /// Once it is known.
        route: Option<&'a Key>,
    },
}

impl<'a> Place<'a> {
    pub fn namespace(&self) -> &'a str {
        match self {
            Self::Workload { namespace, .. } => namespace,
            Self::Gateway { gateway, .. } => &gateway.namespace,
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Attributes<'a> {
    /// Who calls, proven by the connection.
    pub peer: Option<&'a SpiffeId>,
    /// Nobody proved who calls, where callers of the mesh do: it may be anyone. Never at gateways, whose callers are strangers for certain.
    pub plaintext: bool,
    /// Where the connection comes from.
    pub address: IpAddr,
    /// The ports by which services call the application's port, else its own; at a gateway the listener's.
    pub ports: &'a [u16],
    /// The name that was asked for in a gateway's handshake.
    pub server_name: Option<&'a str>,
    pub moment: Moment<'a>,
}

/// What is being judged.
#[derive(Debug, Clone, Copy)]
pub enum Moment<'a> {
    /// A connection that will bring requests, each of which is judged by itself: only who could send none that is allowed is denied.
    Opened,
    /// A connection of bytes: nothing more will be known.
    Stream,
    Request(Request<'a>),
}

#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// In lower case, without port and without a trailing dot.
    pub host: &'a str,
    pub method: &'a Method,
    /// Made regular, without query.
    pub path: &'a str,
    pub headers: &'a HeaderBlock,
    /// As trusted proxies forwarded it, else the peer's; `None` where they say that they cannot tell.
    pub client: Option<IpAddr>,
    /// What was verified of the caller's token; `None` where it brought none.
    pub token: Option<&'a Token>,
    /// Whose key it brings; `None` where it brings none.
    pub consumer: Option<&'a Consumer>,
}

/// A token that was verified: what policies can ask of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Token {
    pub issuer: Arc<str>,
    pub subject: Arc<str>,
    pub audiences: Vec<Arc<str>>,
    pub claims: Vec<Claim>,
}

/// A consumer that was known by its key: what policies can ask of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Consumer {
    /// `namespace/name`.
    pub name: Arc<str>,
    /// `namespace/group`.
    pub groups: Vec<Arc<str>>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claim {
    /// From the outside in.
    pub path: Vec<Arc<str>>,
    /// What stands there: one text, or those of a list.
    pub texts: Vec<Arc<str>>,
}
