//! Host names and the patterns that routes and listeners match them by (Gateway API `Hostname`, RFC 1123, RFC 6125 wildcards).

use crate::limits;
use std::fmt;
use std::sync::Arc;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    #[error("is empty")]
    Empty,
    #[error("is longer than {} bytes", limits::HOSTNAME_BYTES)]
    TooLong,
    #[error("is an IP address where a host name is wanted")]
    Address,
    #[error("label {0:?} is not letters, digits and inner hyphens, at most 63")]
    Label(String),
    #[error("has a wildcard that is not the whole first label (`*.example.com`)")]
    Wildcard,
}

/// A fully written DNS name in lower case, without a trailing dot.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hostname(Arc<str>);

impl Hostname {
    pub fn parse(text: &str) -> Result<Self, HostError> {
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.is_empty() {
            return Err(HostError::Empty);
        }
        if text.len() > limits::HOSTNAME_BYTES {
            return Err(HostError::TooLong);
        }
        if text.parse::<std::net::IpAddr>().is_ok() {
            return Err(HostError::Address);
        }
        for label in text.split('.') {
            if label == "*" {
                return Err(HostError::Wildcard);
            }
            if !is_label(label) {
                return Err(HostError::Label(label.to_owned()));
            }
        }
        Ok(Self(crate::lately::shared(&text.to_ascii_lowercase())))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Hostname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_label(label: &str) -> bool {
    // Underscores are no host names by RFC 1123, yet service names in the wild have them; they are harmless to match.
    let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    !label.is_empty() && label.len() <= 63 && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
}

/// What a listener or route says of the hosts it is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostPattern {
    Any,
    /// `*.example.com`: one or more labels before the suffix, as Gateway API has it. Holds `example.com`.
    Suffix(Hostname),
    Exact(Hostname),
}

impl HostPattern {
    /// Reads `*`, `*.example.com` or `example.com`.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        match text {
            "*" => Ok(Self::Any),
            _ => match text.strip_prefix("*.") {
                Some(rest) => Hostname::parse(rest).map(Self::Suffix),
                None => Hostname::parse(text).map(Self::Exact),
            },
        }
    }

    /// Whether `host` (lower case, no port, no trailing dot) is meant.
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(name) => name.as_str() == host,
            Self::Suffix(suffix) => host.strip_suffix(suffix.as_str()).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
        }
    }

    /// The pattern that matches what both match, if any host is in both.
    pub fn intersect(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Any, x) | (x, Self::Any) => Some(x.clone()),
            (Self::Exact(a), b) => b.matches(a.as_str()).then(|| self.clone()),
            (a, Self::Exact(b)) => a.matches(b.as_str()).then(|| other.clone()),
            (Self::Suffix(a), Self::Suffix(b)) if a == b || other.matches(a.as_str()) => Some(self.clone()),
            (Self::Suffix(_), Self::Suffix(b)) => self.matches(b.as_str()).then(|| other.clone()),
        }
    }

    /// Orders patterns by how much they say: exact before suffixes, longer suffixes first, `Any` last. Higher is more specific.
    pub fn specificity(&self) -> u32 {
        match self {
            Self::Any => 0,
            Self::Suffix(s) => s.as_str().len() as u32,
            Self::Exact(_) => u32::MAX,
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Suffix(s) => write!(f, "*.{s}"),
            Self::Exact(s) => write!(f, "{s}"),
        }
    }
}

#[cfg(test)]
mod tests;
