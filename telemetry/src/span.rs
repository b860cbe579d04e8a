//! The spans of one request at one proxy, read from the line of the access log that tells it: so that spans say what lines say, whoever shows them.
//! At a gateway there are two, the stranger's request and the call that it became; beside a program one. Reads what any proxy may have written:
//! what is missing or nonsense makes no span.

use serde_json::{Map, Value};

/// A line of the access log, read.
pub type Line = Map<String, Value>;

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
pub fn spans(line: &Line) -> Vec<Span> {
    let made = || {
        let server = read::<8>(line, "server_span_id");
        let kind = if server.is_some() || word(line, "reporter") == "destination" { SpanKind::Server } else { SpanKind::Client };
        let whole = Span {
            trace_id: read(line, "trace_id")?,
            span_id: server.or_else(|| read(line, "span_id"))?,
            parent: read(line, "parent_span_id"),
            kind,
            name: name(line),
            start_micros: micros(line, "start_time_ms")?,
            duration_micros: micros(line, "duration_ms")?,
            status: line.get("response_code").and_then(Value::as_u64).and_then(|status| u16::try_from(status).ok()).unwrap_or(0),
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

/// As success rates count it.
fn failed(line: &Line) -> bool {
    let number = |name: &str| line.get(name).and_then(Value::as_u64).unwrap_or(0);
    line.contains_key("fault") || number("response_code") >= 500 || matches!(number("grpc_status"), 2 | 4 | 12 | 13 | 14 | 15)
}

fn name(line: &Line) -> String {
    match word(line, "method") {
        "" => word(line, "protocol").to_uppercase(),
        method => format!("{method} {}", word(line, "path")),
    }
}

pub fn word<'l>(line: &'l Line, name: &str) -> &'l str {
    line.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// From milliseconds with decimals; a negative or absurd time is none.
fn micros(line: &Line, name: &str) -> Option<u64> {
    let micros = line.get(name)?.as_f64()? * 1000.0;
    // Beyond, a number of this kind is not exact to the microsecond any more.
    (0.0..9e15).contains(&micros).then_some(micros.round() as u64)
}

fn read<const N: usize>(line: &Line, name: &str) -> Option<[u8; N]> {
    crate::trace::hex(word(line, name).as_bytes()).filter(|id| *id != [0; N])
}

#[cfg(test)]
mod tests;
