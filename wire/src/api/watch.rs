//! The stream of events: one JSON object a line. A reader that meets an `event` it does not know skips the line.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "camelCase")]
pub enum Event {
    /// The first of every stream: where things stand.
    Hello {
        generation: u64,
        time: u64,
    },
    /// A new generation is served.
    Generation {
        generation: u64,
        time: u64,
        changes: Vec<Change>,
    },
    /// Proxies that the generation concerns have acknowledged it; sent as the count grows, last when all have.
    Applied {
        generation: u64,
        applied: u32,
        concerned: u32,
        millis: u64,
    },
    /// A read of the configuration was refused; what is served stays as it was.
    Refused {
        problems: Vec<Located>,
        serving: u64,
        time: u64,
    },
    /// The files, of which some were refused before, are read without a problem.
    Mended {
        serving: u64,
        time: u64,
    },
    /// A proxy could not use some resources.
    Nack {
        proxy: String,
        generation: u64,
        key: String,
        reason: String,
    },
    ProxyConnected {
        proxy: String,
        time: u64,
    },
    ProxyDisconnected {
        proxy: String,
        /// Empty where it was taken out before: it left as it should.
        reason: String,
        time: u64,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    Added,
    Changed,
    Removed,
}

/// What happened to one object, in words: `HTTPRoute catalog 90/10 → 50/50`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub change: ChangeKind,
    pub kind: String,
    pub namespace: String,
    pub name: String,
    /// The file it is in, without line; empty where there is none.
    pub file: String,
    pub summary: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Note,
    Warning,
    Error,
}

/// Asks what would change if these were all files of the mesh: texts of YAML by file name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiffRequest {
    pub files: std::collections::BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diff {
    /// The generation that was compared with.
    pub generation: u64,
    pub changes: Vec<Change>,
    /// Problems that there are not now.
    pub problems: Vec<Located>,
}

/// A problem with its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Located {
    pub severity: Severity,
    pub file: String,
    pub line: u32,
    pub column: u32,
    /// `HTTPRoute shop/catalog`; empty for a file that is no object.
    pub object: String,
    /// `spec.rules[0].backendRefs[1].name`.
    pub path: String,
    pub reason: String,
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl Located {
    /// The reason for which an issuer of tokens is a problem, and is not programmed: somebody cannot fetch its keys.
    pub const KEYS_NOT_FETCHED: &str = "KeysNotFetched";
}
