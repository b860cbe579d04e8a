//! The spans of one request at one proxy, read from the line of the access log that tells it: so that spans say what lines say, whoever shows them.
//! At a gateway there are two, the stranger's request and the call that it became; beside a program one. Reads what any proxy may have written:
//! what is missing or nonsense makes no span.

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::fmt;

/// A line of the access log, read, to be kept or shown.
pub type Line = Map<String, Value>;

/// A line of the access log, read to be told on at once: its names are borrowed where they can be, and found by looking at one after another.
#[derive(Debug, Default)]
pub struct ReadOnce<'l>(Vec<(Cow<'l, str>, Value)>);

/// What is asked of either.
pub trait Fields {
    fn field(&self, name: &str) -> Option<&Value>;

    fn word(&self, name: &str) -> &str {
        self.field(name).and_then(Value::as_str).unwrap_or_default()
    }
}

impl Fields for Line {
    fn field(&self, name: &str) -> Option<&Value> {
        self.get(name)
    }
}

impl Fields for ReadOnce<'_> {
    fn field(&self, name: &str) -> Option<&Value> {
        self.iter().find(|(found, _)| *found == name).map(|(_, value)| value)
    }
}

impl<'l> ReadOnce<'l> {
    /// `None` where it is no line.
    pub fn read(line: &'l str) -> Option<Self> {
        serde_json::from_str(line).ok()
    }

    /// As they were written.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (&**name, value))
    }
}

impl<'l> Deserialize<'l> for ReadOnce<'l> {
    fn deserialize<D: Deserializer<'l>>(from: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        struct Name<'l>(#[serde(borrow)] Cow<'l, str>);
        struct All;
        impl<'l> Visitor<'l> for All {
            type Value = ReadOnce<'l>;

            fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
                to.write_str("a line of the access log")
            }

            fn visit_map<A: MapAccess<'l>>(self, mut from: A) -> Result<Self::Value, A::Error> {
                // Most have fewer.
                let mut all = Vec::with_capacity(48);
                while let Some((Name(name), value)) = from.next_entry()? {
                    all.push((name, value));
                }
                Ok(ReadOnce(all))
            }
        }
        from.deserialize_map(All)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanKind {
    Server,
    Client,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    pub trace_id: [u8; 16],
    pub span_id: [u8; 8],
    pub parent: Option<[u8; 8]>,
    pub kind: SpanKind,
    /// `GET /items`, `TCP`: what was asked.
    pub name: String,
    /// Since 1970.
    pub start_micros: u64,
    pub duration_micros: u64,
    /// HTTP's status; 0 where none was sent.
    pub status: u16,
    pub failed: bool,
}

/// The spans of a line, the outer one first; none where it has no trace.
pub fn spans(line: &impl Fields) -> Vec<Span> {
    let made = || {
        let server = read::<8>(line, "server_span_id");
        let kind = if server.is_some() || line.word("reporter") == "destination" { SpanKind::Server } else { SpanKind::Client };
        let whole = Span {
            trace_id: read(line, "trace_id")?,
            span_id: server.or_else(|| read(line, "span_id"))?,
            parent: read(line, "parent_span_id"),
            kind,
            name: name(line),
            start_micros: micros(line, "start_time_ms")?,
            duration_micros: micros(line, "duration_ms")?,
            status: line.field("response_code").and_then(Value::as_u64).and_then(|status| u16::try_from(status).ok()).unwrap_or(0),
            failed: failed(line),
        };
        let Some(server) = server else { return Some(vec![whole]) };
        let mut all = vec![whole.clone()];
        if let (Some(span_id), Some(dialled)) = (read(line, "span_id"), micros(line, "dialled_ms")) {
            let dialled = dialled.min(whole.duration_micros);
            let start_micros = whole.start_micros.saturating_add(dialled);
            let duration_micros = whole.duration_micros - dialled;
            all.push(Span { span_id, parent: Some(server), kind: SpanKind::Client, start_micros, duration_micros, ..whole });
        }
        Some(all)
    };
    made().unwrap_or_default()
}

/// Of which trace a line of JSON tells, and of how many spans at most; `None` where it is no line, or of no trace. For whoever keeps many and
/// reads few of them.
pub fn glance(line: &str) -> Option<([u8; 16], usize)> {
    #[derive(serde::Deserialize)]
    struct Ids<'l> {
        #[serde(borrow)]
        trace_id: Cow<'l, str>,
        #[serde(borrow)]
        server_span_id: Option<Cow<'l, str>>,
    }
    let ids: Ids<'_> = serde_json::from_str(line).ok()?;
    let trace = crate::trace::hex(ids.trace_id.as_bytes()).filter(|id| *id != [0; 16])?;
    Some((trace, 1 + usize::from(ids.server_span_id.is_some())))
}

/// As success rates count it.
fn failed(line: &impl Fields) -> bool {
    let number = |name: &str| line.field(name).and_then(Value::as_u64).unwrap_or(0);
    line.field("fault").is_some() || number("response_code") >= 500 || matches!(number("grpc_status"), 2 | 4 | 12 | 13 | 14 | 15)
}

fn name(line: &impl Fields) -> String {
    match line.word("method") {
        "" => line.word("protocol").to_uppercase(),
        method => format!("{method} {}", line.word("path")),
    }
}

/// From milliseconds with decimals; a negative or absurd time is none.
fn micros(line: &impl Fields, name: &str) -> Option<u64> {
    let micros = line.field(name)?.as_f64()? * 1000.0;
    // Beyond, a number of this kind is not exact to the microsecond any more.
    (0.0..9e15).contains(&micros).then_some(micros.round() as u64)
}

fn read<const N: usize>(line: &impl Fields, name: &str) -> Option<[u8; N]> {
    crate::trace::hex(line.word(name).as_bytes()).filter(|id| *id != [0; N])
}

#[cfg(test)]
mod tests;
