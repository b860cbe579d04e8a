//! What is told of requests, by whom it was set: shares of traces, which requests have a line in the access log, where both are sent. Values only; proxies
//! decide by them.

pub mod exporter;
pub mod labels;
pub mod recorded;

use crate::backend::{Shown, UpstreamRoots, UpstreamTls};
use crate::url::{BaseUrl, UrlError};
use crate::{HeaderMatch, Hostname, Key, Origin, RouteMatch, limits};
pub use exporter::{Exporter, Hidden, Parents, SpanValue, SpanWords};
pub use labels::Labels;
pub use recorded::{Names, Pattern, RedactedField, Redaction};
use std::fmt;
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
    /// What is made of a decision that came with a request.
    pub parents: Option<Parents>,
    /// Whether spans are made at all; where not, the head goes on as it came.
    pub traced: Option<bool>,
    /// Where spans go besides the control plane.
    pub spans: Option<SpansTo>,
    /// Which requests have a line in the access log.
    pub lines: Option<Lines>,
    /// A request that none of these match has no line.
    pub matches: Option<Vec<RouteMatch>>,
    /// Where lines go besides the proxy's own output.
    pub lines_to: Option<Collector>,
    /// How the proxy itself writes them.
    pub format: Option<LineFormat>,
    /// Where it writes them, besides or instead of its output.
    pub file: Option<Arc<LineFile>>,
    /// Fields of the request that are recorded, in lower case.
    pub request_headers: Option<Names>,
    pub response_headers: Option<Names>,
    pub redactions: Option<Arc<[Redaction]>>,
    /// Label sets of a proxy's metrics; what comes after is counted under `other`.
    pub series: Option<u32>,
    /// Labels of a proxy's metrics that are left out.
    pub dropped_labels: Option<Labels>,
}

impl TelemetrySettings {
    /// These, and what `wider` says where they say nothing.
    #[must_use]
    pub fn over(self, wider: &Self) -> Self {
        Self {
            share: self.share.or(wider.share),
            always: self.always.or_else(|| wider.always.clone()),
            slower: self.slower.or(wider.slower),
            parents: self.parents.or(wider.parents),
            traced: self.traced.or(wider.traced),
            spans: self.spans.or_else(|| wider.spans.clone()),
            lines: self.lines.or(wider.lines),
            matches: self.matches.or_else(|| wider.matches.clone()),
            lines_to: self.lines_to.or_else(|| wider.lines_to.clone()),
            format: self.format.or(wider.format),
            file: self.file.or_else(|| wider.file.clone()),
            request_headers: self.request_headers.or_else(|| wider.request_headers.clone()),
            response_headers: self.response_headers.or_else(|| wider.response_headers.clone()),
            redactions: self.redactions.or_else(|| wider.redactions.clone()),
            series: self.series.or(wider.series),
            dropped_labels: self.dropped_labels.or(wider.dropped_labels),
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LineFormat {
    Json,
    Text,
}

/// A file in the folder that is the proxy's own: nobody who writes policies chooses where on a machine is written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LineFile {
    pub name: Arc<str>,
    /// It is put aside where it would grow larger ...
    pub bytes: u64,
    /// ... and so many of those are kept.
    pub kept: u32,
}

/// Whether a text of at most `most` bytes names a file of the folder that it is meant for, and none elsewhere.
pub fn is_plain_name(name: &str, most: usize) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    !name.is_empty() && name.len() <= most && !name.starts_with('.') && name.bytes().all(is_plain)
}

impl LineFile {
    /// # Errors
    /// In words, if the name is no plain one, or a number is out of bounds.
    pub fn new(name: &str, bytes: u64, kept: u32) -> Result<Self, &'static str> {
        if !is_plain_name(name, limits::LINE_FILE_NAME) {
            return Err("is no plain name of a file: letters, digits, dashes and dots, a dot not first");
        }
        if !(limits::LINE_FILE_BYTES.0..=limits::LINE_FILE_BYTES.1).contains(&bytes) {
            return Err("is put aside at a size that is too small or too large");
        }
        if kept > limits::LINE_FILES {
            return Err("is kept too often");
        }
        if bytes.saturating_mul(u64::from(kept) + 1) > limits::LINE_FILES_BYTES {
            return Err("takes more than 1 GiB with those that are kept: lower maxBytes or kept");
        }
        Ok(Self { name: name.into(), bytes, kept })
    }
}

/// Where spans go.
#[derive(Debug, Clone, PartialEq)]
pub enum SpansTo {
    Collector(Collector),
    /// By the mesh's own ways.
    Exporter(Arc<Exporter>),
}

/// A collector of OpenTelemetry (OTLP).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Collector {
    pub protocol: CollectorProtocol,
    /// `host` or an address.
    pub host: Arc<str>,
    pub port: u16,
    /// By HTTP: what stands before `/v1/traces`.
    pub prefix: Arc<str>,
    /// Without it whoever stands on the way reads along.
    pub tls: Option<Arc<UpstreamTls>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CollectorProtocol {
    Grpc,
    /// Protobuf by HTTP.
    Http,
}

impl Collector {
    /// `http[s]://HOST[:PORT][/PREFIX]`; the port is 4317 for gRPC, 4318 for HTTP where it is left out. By https it is known by one of `roots`.
    ///
    /// # Errors
    /// If it is no such URL, or has a path, which gRPC has not.
    pub fn parse(protocol: CollectorProtocol, url: &str, roots: UpstreamRoots) -> Result<Self, UrlError> {
        let BaseUrl { tls, host, port, prefix } = BaseUrl::parse(url)?;
        let usual = match protocol {
            CollectorProtocol::Grpc if !prefix.is_empty() => return Err(UrlError::Prefix),
            CollectorProtocol::Grpc => 4317,
            CollectorProtocol::Http => 4318,
        };
        let tls = match tls {
            false => None,
            true => Some(Arc::new(UpstreamTls {
                server_name: Hostname::parse(&host).map_err(|_| UrlError::Host)?,
                subject_alt_names: Vec::new(),
                roots,
                shown: Shown::Nothing,
            })),
        };
        Ok(Self { protocol, host, port: port.unwrap_or(usual), prefix, tls })
    }
}

impl fmt::Display for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = BaseUrl { tls: self.tls.is_some(), host: self.host.clone(), port: Some(self.port), prefix: self.prefix.clone() };
        write!(f, "{url}")
    }
}

#[cfg(test)]
mod tests;
