//! Traces as the control plane remembers them: the last minutes, made of what proxies told. Times within a trace are milliseconds since it began.

use serde::{Deserialize, Serialize};

/// One of the last traces.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TraceSummary {
    /// 32 hexadecimal digits.
    pub trace_id: String,
    /// What began it: `GET /`.
    pub name: String,
    /// The service or workload that was asked first.
    pub service: String,
    /// Milliseconds since the Unix epoch.
    pub started_millis: f64,
    pub duration_millis: f64,
    pub spans: u32,
    /// Spans that ended badly.
    pub failed: u32,
    /// All that took part.
    pub workloads: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TraceList {
    /// The latest first.
    pub items: Vec<TraceSummary>,
    /// Spans that the control plane had no room for, since it started.
    pub dropped: u64,
}

/// What stands behind the `?`. What is left out matches everything.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TraceQuery {
    /// NAME or NAMESPACE/NAME of a workload or service that took part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Only those in which something failed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub failed: bool,
    /// Only those that took so many milliseconds or more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slower: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SpanKind {
    Server,
    Client,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Span {
    /// 16 hexadecimal digits.
    pub span_id: String,
    /// As it was told; it may be a span of the program's own, which is not here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_span_id: Option<String>,
    /// How deep it is in the tree of those that are here: 0 for a root.
    pub depth: u32,
    pub kind: SpanKind,
    pub name: String,
    /// Whose proxy tells it.
    pub proxy: String,
    pub workload: String,
    /// The service that was called; empty where none is known.
    pub service: String,
    pub start_millis: f64,
    pub duration_millis: f64,
    pub status: u16,
    pub failed: bool,
    /// By how much its clock was set right, so that it lies within the call that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_millis: Option<f64>,
    /// The line of the access log.
    pub record: serde_json::Value,
}

/// One trace, its spans in the order of the tree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    pub trace_id: String,
    pub started_millis: f64,
    pub duration_millis: f64,
    pub spans: Vec<Span>,
    /// Spans of it that found no room.
    pub left_out: u32,
}
