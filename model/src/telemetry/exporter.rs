//! Where spans go through the mesh, and in what words: what Gateway API's own policy of telemetry says of a gateway. Values only.

use super::CollectorProtocol;
use crate::Backend;
use std::fmt;
use std::sync::Arc;

/// A collector that is a backend as any: called by its Service's policies, tunnels and identities.
#[derive(Debug, Clone, PartialEq)]
pub struct Exporter {
    pub backend: Backend,
    pub protocol: CollectorProtocol,
    /// Fields that go along with what is sent, by name.
    pub headers: Vec<(Arc<str>, Hidden)>,
    pub words: SpanWords,
}

/// What may let somebody in somewhere, and never appears in `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(pub Arc<str>);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hidden(…)")
    }
}

/// How spans are called, and what is said in them besides; nothing means as ever.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpanWords {
    /// `service.name` of who sends.
    pub service: Option<Arc<str>>,
    /// The name of every span.
    pub name: Option<Arc<str>>,
    pub attributes: Vec<(Arc<str>, SpanValue)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpanValue {
    /// What the request (else the answer) had in this field, where it is recorded; in lower case.
    Header(Arc<str>),
    Literal(Arc<str>),
    /// What is told anyway under this name of OpenTelemetry's.
    Attribute(Arc<str>),
}

/// The attributes that spans have under OpenTelemetry's names (semantic conventions 1.x); those of ours begin with `organza.`.
pub const ATTRIBUTES: [&str; 11] = [
    "http.request.method",
    "url.path",
    "server.address",
    "http.response.status_code",
    "http.request.body.size",
    "http.response.body.size",
    "client.address",
    "network.peer.address",
    "error.type",
    "rpc.grpc.status_code",
    "tls.client.server_name",
];

/// What is made of a decision that came with a request, whether its trace is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parents {
    /// It holds, and of those that are to be recorded so many of 100,000 are.
    Heeded(u32),
    /// It is decided here, as of a trace that begins here.
    Ignored,
}
