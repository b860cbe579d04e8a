//! `http://HOST[:PORT][/PREFIX]`: where something outside the mesh is spoken to, as people write it: a collector, a Prometheus. No user, no query: what
//! is secret has no place in a URL.

use crate::Hostname;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BaseUrl {
    /// `https`.
    pub tls: bool,
    /// A name, or an address without brackets.
    pub host: Arc<str>,
    pub port: Option<u16>,
    /// Begins with a slash, and never ends with one; or is empty.
    pub prefix: Arc<str>,
}

/// Why a text is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UrlError {
    Scheme,
    Host,
    Prefix,
    /// By TLS one is known by name.
    Address,
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "is no http:// or https:// URL",
            Self::Host => "has no host, or a port that is none",
            Self::Prefix => "has a path that cannot stand here; a query, a fragment or a user never can",
            Self::Address => "names an address, which no certificate is looked for by",
        })
    }
}

impl std::error::Error for UrlError {}

impl BaseUrl {
    /// # Errors
    /// If it is no such URL.
    pub fn parse(url: &str) -> Result<Self, UrlError> {
        let (tls, rest) = match (url.strip_prefix("http://"), url.strip_prefix("https://")) {
            (Some(rest), _) => (false, rest),
            (None, Some(rest)) => (true, rest),
            (None, None) => return Err(UrlError::Scheme),
        };
        let (authority, prefix) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let prefix = prefix.trim_end_matches('/');
        if !prefix.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-._~%".contains(&b)) {
            return Err(UrlError::Prefix);
        }
        let (host, port) = match authority.parse::<SocketAddr>() {
            Ok(address) => (address.ip().to_string(), Some(address.port())),
            Err(_) => match authority.rsplit_once(':').filter(|(host, _)| !host.ends_with(':') && !host.contains(':')) {
                Some((host, port)) => (host.to_owned(), Some(port.parse().map_err(|_| UrlError::Host)?)),
                None => (authority.trim_start_matches('[').trim_end_matches(']').to_owned(), None),
            },
        };
        let is_address = host.parse::<IpAddr>().is_ok();
        if !(is_address || Hostname::parse(&host).is_ok()) || port == Some(0) {
            return Err(UrlError::Host);
        }
        if tls && is_address {
            return Err(UrlError::Address);
        }
        Ok(Self { tls, host: host.into(), port, prefix: prefix.into() })
    }

    /// `HOST` as it stands in a URL, and in `Host`.
    pub fn bracketed(host: &str) -> String {
        if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}", Self::bracketed(&self.host))?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        f.write_str(&self.prefix)
    }
}

/// A text as a value in a query, or as a segment of a path (RFC 3986, section 2.3): everything but what needs no escape.
pub fn escaped(text: &str) -> String {
    use fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for b in text.bytes() {
        match b {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(b)),
            // A String takes all that is written.
            _ => _ = write!(out, "%{b:02X}"),
        }
    }
    out
}

#[cfg(test)]
mod tests;
