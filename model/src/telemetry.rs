//! What is told of requests, by whom it was set: shares of traces, which requests have a line in the access log, where both are sent. Values only; proxies
//! decide by them.

use crate::{HeaderMatch, Key, Origin};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// What a policy is for. What is nearer to a request holds: its route, the service that was called, the gateway, the namespace, the mesh.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TelemetryTarget {
    Mesh,
    /// The proxies of a namespace.
    Namespace(Arc<str>),
    Gateway(Key),
    /// Calls of a service, at the caller's proxy and at its own.
    Service(Key),
    Route(Key),
}

/// What holds of requests there. One object of several targets is as many of these, so that a proxy is told of its own alone.
#[derive(Debug, Clone, PartialEq)]
pub struct TelemetryPolicy {
    /// Kind `Telemetry`; the name ends with the number of the target.
    pub key: Key,
    pub origin: Origin,
    pub target: TelemetryTarget,
    pub says: TelemetrySettings,
}

/// `None`: what the next wider one says.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TelemetrySettings {
    /// How many of 100,000 new traces are recorded.
    pub share: Option<u32>,
    /// A new trace of a request with any of these is recorded whatever the share.
    pub always: Option<Vec<HeaderMatch>>,
    /// A request whose answer took so long to begin is recorded, whatever was decided of its trace.
    pub slower: Option<Duration>,
    /// Where spans go besides the control plane.
    pub spans: Option<Collector>,
    /// Which requests have a line in the access log.
    pub lines: Option<Lines>,
    /// Where lines go besides the proxy's own output.
    pub lines_to: Option<Collector>,
}

impl TelemetrySettings {
    /// These, and what `wider` says where they say nothing.
    #[must_use]
    pub fn over(self, wider: &Self) -> Self {
        Self {
            share: self.share.or(wider.share),
            always: self.always.or_else(|| wider.always.clone()),
            slower: self.slower.or(wider.slower),
            spans: self.spans.or_else(|| wider.spans.clone()),
            lines: self.lines.or(wider.lines),
            lines_to: self.lines_to.or_else(|| wider.lines_to.clone()),
        }
    }
}

/// Which requests have a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lines {
    #[default]
    All,
    /// Those that failed or were denied, and those that were answered with 400 or more.
    Errors,
    /// Those, and those whose answer took so long to begin.
    ErrorsAndSlower(Duration),
    Nothing,
}

/// A collector of OpenTelemetry (OTLP), without TLS.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Collector {
    pub protocol: CollectorProtocol,
    /// `host` or an address.
    pub host: Arc<str>,
    pub port: u16,
    /// By HTTP: what stands before `/v1/traces`.
    pub prefix: Arc<str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CollectorProtocol {
    Grpc,
    /// Protobuf by HTTP.
    Http,
}

/// Why a text is no collector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CollectorError {
    Tls,
    Scheme,
    Host,
    Prefix,
}

impl fmt::Display for CollectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tls => {
                "https:// is not spoken to collectors yet: name one that is reached in plain, on this machine or in a network of yours"
            }
            Self::Scheme => "is not an http:// URL",
            Self::Host => "has no host, or a port that is none",
            Self::Prefix => "has a path, which gRPC has not; a query or a fragment belong to neither",
        })
    }
}

impl std::error::Error for CollectorError {}

impl Collector {
    /// `http://HOST[:PORT][/PREFIX]`; the port is 4317 for gRPC, 4318 for HTTP where it is left out.
    ///
    /// # Errors
    /// If it is no such URL.
    pub fn parse(protocol: CollectorProtocol, url: &str) -> Result<Self, CollectorError> {
        let rest =
            url.strip_prefix("http://").ok_or(if url.starts_with("https://") { CollectorError::Tls } else { CollectorError::Scheme })?;
        let (authority, prefix) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let prefix = prefix.trim_end_matches('/');
        let is_path = prefix.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-._~%".contains(&b));
        if !is_path || (protocol == CollectorProtocol::Grpc && !prefix.is_empty()) {
            return Err(CollectorError::Prefix);
        }
        let usual = if protocol == CollectorProtocol::Grpc { 4317 } else { 4318 };
        let (host, port) = match authority.parse::<SocketAddr>() {
            Ok(address) => (address.ip().to_string(), address.port()),
            Err(_) => match authority.rsplit_once(':').filter(|(host, _)| !host.ends_with(':') && !host.contains(':')) {
                Some((host, port)) => (host.to_owned(), port.parse().map_err(|_| CollectorError::Host)?),
                None => (authority.trim_start_matches('[').trim_end_matches(']').to_owned(), usual),
            },
        };
        let is_name = host.parse::<std::net::IpAddr>().is_ok() || crate::Hostname::parse(&host).is_ok();
        if !is_name || port == 0 {
            return Err(CollectorError::Host);
        }
        Ok(Self { protocol, host: host.into(), port, prefix: prefix.into() })
    }
}

impl fmt::Display for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "http://[{}]:{}{}", self.host, self.port, self.prefix),
            false => write!(f, "http://{}:{}{}", self.host, self.port, self.prefix),
        }
    }
}

#[cfg(test)]
mod tests;
