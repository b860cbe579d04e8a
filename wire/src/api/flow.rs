//! Single requests: what failed last, and what a tap asks for. A flow is a line of the access log as JSON (`docs/access-log.md`), with the `proxy` that
//! told it.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FlowList {
    /// The latest first.
    pub items: Vec<serde_json::Value>,
    /// Flows that proxies or the control plane had no room for, since it started.
    pub dropped: u64,
}

/// What stands behind the `?` of a tap. What is left out matches everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TapQuery {
    /// Workload or app that calls: NAME or NAMESPACE/NAME.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Workload or service that is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<StatusMatch>,
}

/// `503`, or `5xx`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusMatch {
    One(u16),
    /// 1 to 5.
    Class(u8),
}

impl StatusMatch {
    /// First and last.
    pub fn range(self) -> (u32, u32) {
        match self {
            Self::One(status) => (status.into(), status.into()),
            Self::Class(class) => (u32::from(class) * 100, u32::from(class) * 100 + 99),
        }
    }
}

impl FromStr for StatusMatch {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "a status is three digits (503) or a class (5xx)";
        if let Some(class) = text.to_ascii_lowercase().strip_suffix("xx") {
            return class.parse().ok().filter(|class| (1..=5).contains(class)).map(Self::Class).ok_or(wrong);
        }
        text.parse().ok().filter(|status| (100..=599).contains(status)).map(Self::One).ok_or(wrong)
    }
}

impl fmt::Display for StatusMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(status) => write!(f, "{status}"),
            Self::Class(class) => write!(f, "{class}xx"),
        }
    }
}

impl Serialize for StatusMatch {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for StatusMatch {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}
