//! What a request is matched by, with the limits that carry traffic: an expression that compiled here cannot be slow later.

use crate::{Method, limits};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// A regular expression that must match the whole value, as in Gateway API and Envoy. Linear in time, limited in size, bytes not Unicode.
#[derive(Clone)]
pub struct Regex(Arc<Compiled>);

/// Behind one pointer, since few matches have one.
struct Compiled {
    pattern: Box<str>,
    program: regex::bytes::Regex,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegexError {
    #[error("regular expression is longer than {} bytes", limits::REGEX_PATTERN_BYTES)]
    TooLong,
    #[error("regular expression cannot be used: {0}")]
    Syntax(String),
}

impl From<regex::Error> for RegexError {
    /// In one line: who reads it has the pattern at hand, which the library would print with a mark under it.
    fn from(error: regex::Error) -> Self {
        let text = error.to_string();
        let why = text.rsplit_once("error: ").map_or(&*text, |(_, why)| why);
        Self::Syntax(why.trim().trim_end_matches('.').to_owned())
    }
}

impl Regex {
    pub fn new(pattern: &str) -> Result<Self, RegexError> {
        if pattern.len() > limits::REGEX_PATTERN_BYTES {
            return Err(RegexError::TooLong);
        }
        // Compiled alone first: `a)(b` must not become valid by the brackets added below.
        let build = |text: &str| regex::bytes::RegexBuilder::new(text).unicode(false).size_limit(limits::REGEX_PROGRAM_BYTES).build();
        build(pattern)?;
        let program = build(&format!("^(?:{pattern})$"))?;
        Ok(Self(Arc::new(Compiled { pattern: pattern.into(), program })))
    }

    pub fn is_match(&self, value: &[u8]) -> bool {
        self.0.program.is_match(value)
    }

    pub fn pattern(&self) -> &str {
        &self.0.pattern
    }
}

impl PartialEq for Regex {
    fn eq(&self, other: &Self) -> bool {
        self.0.pattern == other.0.pattern
    }
}
impl Eq for Regex {}

impl std::hash::Hash for Regex {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.pattern.hash(state);
    }
}

impl fmt::Debug for Regex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "~{}", self.0.pattern)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ValueMatch {
    Exact(Arc<str>),
    Regex(Regex),
}

impl ValueMatch {
    pub fn is_match(&self, value: &[u8]) -> bool {
        match self {
            Self::Exact(want) => want.as_bytes() == value,
            Self::Regex(regex) => regex.is_match(value),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PathMatch {
    Exact(Arc<str>),
    /// By whole segments: `/a` is `/a` and `/a/b`, never `/ab`. Held without a trailing slash, but for `/` itself.
    Prefix(Arc<str>),
    Regex(Regex),
}

impl PathMatch {
    /// A prefix in the one form that is compared: `/foo/` and `/foo` are the same prefix (Gateway API).
    pub fn prefix(text: &str) -> Self {
        let trimmed = text.trim_end_matches('/');
        Self::Prefix(if trimmed.is_empty() { "/" } else { trimmed }.into())
    }

    pub fn is_match(&self, path: &str) -> bool {
        match self {
            Self::Exact(want) => **want == *path,
            Self::Prefix(prefix) => {
                **prefix == *"/" || path.strip_prefix(&**prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
            Self::Regex(regex) => regex.is_match(path.as_bytes()),
        }
    }
}

/// A header to be present with this value. Several fields of one name are compared joined by `,` (RFC 9110, section 5.3).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HeaderMatch {
    /// Lower case.
    pub name: Arc<str>,
    pub value: ValueMatch,
}

/// A query parameter; of several with one name, the first counts (Gateway API).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct QueryMatch {
    pub name: Arc<str>,
    pub value: ValueMatch,
}

/// All of it must hold (`AllOf`); a rule holds several of these (`AnyOf`). gRPC methods are paths (`/service/method`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct RouteMatch {
    pub path: Option<PathMatch>,
    pub method: Option<Method>,
    pub headers: Vec<HeaderMatch>,
    pub query: Vec<QueryMatch>,
}

impl RouteMatch {
    /// Whether any of it is a regular expression, which takes long to make ready.
    pub fn has_regex(&self) -> bool {
        let mut values = self.headers.iter().map(|header| &header.value).chain(self.query.iter().map(|parameter| &parameter.value));
        matches!(self.path, Some(PathMatch::Regex(_))) || values.any(|value| matches!(value, ValueMatch::Regex(_)))
    }
}

/// An address block (`10.0.0.0/8`); a bare address is a block of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cidr(ipnet::IpNet);

impl Cidr {
    pub fn parse(text: &str) -> Option<Self> {
        text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(ipnet::IpNet::from)).map(|net: ipnet::IpNet| Self(net.trunc()))
    }
    /// Its first address, and how many bits all of its addresses share with it.
    pub fn parts(self) -> (IpAddr, u8) {
        (self.0.network(), self.0.prefix_len())
    }

    /// IPv4-mapped IPv6 addresses count as the IPv4 address that they carry.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests;
