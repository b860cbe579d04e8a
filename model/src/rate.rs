//! How much may be asked of whom: what `RateLimitPolicy` says. Here are values only; the crate `policy` counts by them.

use crate::access::AccessTarget;
use crate::{Key, Origin};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Limits for some targets; each target has its own count.
#[derive(Debug, Clone, PartialEq)]
pub struct RatePolicy {
    /// Kind `RateLimit`; the name carries the dialect kind in lower case (`ratelimitpolicy.orders`).
    pub key: Key,
    pub origin: Origin,
    /// Any of them; none: nothing is limited.
    pub targets: Vec<AccessTarget>,
    /// All of them must have room.
    pub limits: Vec<RateLimit>,
}

/// A bucket of tokens for each who is counted: it holds `burst`, a request takes one, and `requests` come back evenly in each `window`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimit {
    /// As the user named it; of letters, digits, `-`, `_` and `.`, for it stands in answers.
    pub name: Arc<str>,
    /// At least 1.
    pub requests: u32,
    /// At least a second.
    pub window: Duration,
    /// At least 1.
    pub burst: u32,
    /// What tells those apart who are counted, all of it together; nothing: all are counted as one.
    pub by: Vec<CountBy>,
}

/// What tells callers, or what they call, apart. Those of whom it says nothing are counted as one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum CountBy {
    /// The identity that the connection proved.
    Identity,
    /// The address of the caller: of IPv6 the network of 64 bits, for one machine has them all.
    ClientAddress,
    /// The first field of this name, in lower case.
    Header(Arc<str>),
    /// The route; known at gateways alone.
    Route,
    /// What a claim of the caller's verified token says, from the outside in.
    Claim(Vec<Arc<str>>),
    /// The consumer whose key the request brings.
    Consumer,
}

impl fmt::Display for CountBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Identity => f.write_str("identity"),
            Self::ClientAddress => f.write_str("client address"),
            Self::Header(name) => write!(f, "header {name}"),
            Self::Route => f.write_str("route"),
            Self::Claim(path) => write!(f, "claim {}", path.join(".")),
            Self::Consumer => f.write_str("consumer"),
        }
    }
}

/// `100 requests in 60s, 200 at once, for each identity and route`.
impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let noun = if self.requests == 1 { "request" } else { "requests" };
        write!(f, "{} {noun} in {:?}, {} at once", self.requests, self.window, self.burst)?;
        for (i, by) in self.by.iter().enumerate() {
            write!(f, "{} {by}", if i == 0 { ", for each" } else { " and" })?;
        }
        Ok(())
    }
}
