//! Heads of HTTP messages as both engines read and write them and as routing sees them.
//!
//! A head owns one buffer and a list of places in it, and is cleared and filled again for the next message of a connection, so that
//! steady traffic allocates nothing. Header names keep the case they came in, because HTTP/1 applications can see it.

mod headers;

pub use headers::HeaderBlock;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Version {
    Http10,
    #[default]
    Http11,
    Http2,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Scheme {
    #[default]
    Http,
    Https,
}

impl Scheme {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// A request method (RFC 9110, section 9). Methods are case-sensitive tokens.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Method {
    #[default]
    Get,
    Head,
    Post,
    Put,
    Delete,
    Connect,
    Options,
    Trace,
    Patch,
    Other(Box<str>),
}

impl Method {
    /// `None` where it is not a token (RFC 9110, section 5.6.2) or longer than 32 bytes.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "DELETE" => Self::Delete,
            "CONNECT" => Self::Connect,
            "OPTIONS" => Self::Options,
            "TRACE" => Self::Trace,
            "PATCH" => Self::Patch,
            _ if !text.is_empty() && text.len() <= 32 && text.bytes().all(is_token_byte) => Self::Other(text.into()),
            _ => return None,
        })
    }

    pub fn as_str(&self) -> &str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
            Self::Options => "OPTIONS",
            Self::Trace => "TRACE",
            Self::Patch => "PATCH",
            Self::Other(text) => text,
        }
    }

    /// May be sent twice to the same effect as once (RFC 9110, section 9.2.2).
    pub fn is_idempotent(&self) -> bool {
        matches!(self, Self::Get | Self::Head | Self::Put | Self::Delete | Self::Options | Self::Trace)
    }
}

/// A byte of a token (RFC 9110, section 5.6.2): method and header names.
pub fn is_token_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}

/// A byte that may stand in a field value (RFC 9110, section 5.5): no controls but tab.
pub fn is_value_byte(b: u8) -> bool {
    b == b'\t' || (b >= 0x20 && b != 0x7f)
}

/// The head of a request. `authority` is `host[:port]` as sent; `target` is the origin form (`/path?query`, or `*`).
#[derive(Debug, Clone, Default)]
pub struct RequestHead {
    pub method: Method,
    pub version: Version,
    pub scheme: Scheme,
    authority: String,
    /// Where the host ends in `authority`, and the port behind it: asked often, found once.
    host_end: usize,
    port: Option<u16>,
    target: String,
    path_end: usize,
    pub headers: HeaderBlock,
    /// HTTP/2's `:protocol` (RFC 8441): the upgrade that an extended CONNECT asks for.
    pub protocol: Option<Box<str>>,
    /// Whether what is edited is kept as it was, and where among the bytes of the fields: authority and target.
    keeps: bool,
    edited: [Option<(u32, u32)>; 2],
}

impl PartialEq for RequestHead {
    fn eq(&self, other: &Self) -> bool {
        (&self.method, self.version, self.scheme, &self.protocol) == (&other.method, other.version, other.scheme, &other.protocol)
            && (&self.authority, &self.target, &self.headers) == (&other.authority, &other.target, &other.headers)
    }
}

impl RequestHead {
    pub fn clear(&mut self) {
        self.method = Method::Get;
        self.version = Version::Http11;
        self.scheme = Scheme::Http;
        self.authority.clear();
        (self.host_end, self.port) = (0, None);
        self.target.clear();
        self.path_end = 0;
        self.headers.clear();
        self.protocol = None;
        (self.keeps, self.edited) = (false, [None; 2]);
    }

    /// From here on authority, target and fields can be had as they are now, whatever is made of them: at the price of a few words for each edit, where
    /// a copy would be one of all that a caller sent.
    pub fn keep(&mut self) {
        self.headers.keep();
        (self.keeps, self.edited) = (true, [None; 2]);
    }

    /// The head as it was at [`RequestHead::keep`]; as it is where that was never said.
    pub fn as_kept(&self) -> Self {
        if !self.keeps {
            return self.clone();
        }
        let mut kept = Self {
            method: self.method.clone(),
            version: self.version,
            scheme: self.scheme,
            protocol: self.protocol.clone(),
            headers: self.headers.as_kept(),
            ..Self::default()
        };
        let was = |edited: Option<(u32, u32)>, now| match edited {
            Some(place) => self.headers.stored(place),
            None => now,
        };
        let [authority, target] = self.edited;
        kept.set_authority(was(authority, &self.authority));
        kept.set_target(was(target, &self.target));
        kept
    }

    pub fn authority(&self) -> &str {
        &self.authority
    }

    pub fn set_authority(&mut self, authority: &str) {
        if self.keeps && self.edited[0].is_none() {
            self.edited[0] = Some(self.headers.store(self.authority.as_bytes()));
        }
        self.authority.clear();
        self.authority.push_str(authority);
        let (host, port) = split_authority(authority);
        (self.host_end, self.port) = (host.len(), port);
    }

    /// The host without port, brackets kept (`[::1]`). Case as sent.
    pub fn host(&self) -> &str {
        &self.authority[..self.host_end]
    }

    pub fn port(&self) -> Option<u16> {
        self.port
    }

    pub fn target(&self) -> &str {
        &self.target
    }

    pub fn set_target(&mut self, target: &str) {
        self.keep_target();
        self.target.clear();
        self.target.push_str(target);
        self.path_end = target.find('?').unwrap_or(target.len());
    }

    pub fn path(&self) -> &str {
        &self.target[..self.path_end]
    }

    pub fn query(&self) -> Option<&str> {
        self.target.get(self.path_end + 1..)
    }

    /// Replaces the path and keeps the query.
    pub fn set_path(&mut self, path: &str) {
        self.keep_target();
        self.target.replace_range(..self.path_end, path);
        self.path_end = path.len();
    }

    fn keep_target(&mut self) {
        if self.keeps && self.edited[1].is_none() {
            self.edited[1] = Some(self.headers.store(self.target.as_bytes()));
        }
    }

    /// Whether the caller wants gRPC semantics for errors (`content-type: application/grpc…`).
    #[inline]
    pub fn is_grpc(&self) -> bool {
        self.headers.get("content-type").is_some_and(|v| v.starts_with(b"application/grpc") && !v.starts_with(b"application/grpc-web"))
    }
}

/// `host:port` into its parts; brackets of IPv6 literals stay with the host.
pub fn split_authority(authority: &str) -> (&str, Option<u16>) {
    // Names are short: a search made for long texts costs more to begin than to do.
    let host_end = match authority.bytes().rposition(|b| b == b']' || b == b':') {
        Some(at) if authority.as_bytes()[at] == b']' => at + 1,
        Some(colon) => authority.bytes().rposition(|b| b == b']').map_or(colon, |bracket| bracket + 1),
        None => authority.len(),
    };
    let (host, rest) = authority.split_at(host_end);
    (host, rest.strip_prefix(':').and_then(|port| port.parse().ok()))
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct ResponseHead {
    pub status: u16,
    pub version: Version,
    /// HTTP/1's reason phrase, as sent; empty for HTTP/2.
    pub reason: String,
    pub headers: HeaderBlock,
}

impl ResponseHead {
    pub fn clear(&mut self) {
        self.status = 0;
        self.version = Version::Http11;
        self.reason.clear();
        self.headers.clear();
    }

    pub fn with_status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }
}

#[cfg(test)]
mod tests;
