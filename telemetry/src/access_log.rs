//! One line for one record, as JSON or as text. Formatting only: a sink off the workers writes it.

use crate::{Decided, Protocol, Record, limits};
use model::Rule;
use serde_json::{Map, Value, json};
use std::fmt::Write;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    #[default]
    Json,
    Text,
}

/// Appends the line, with its end, to `out`.
///
/// One record is one line, and nothing in it steers a terminal, whatever strangers write into their paths and peers say of themselves: controls,
/// those of Unicode too, are written as `\u001b`.
pub fn write_line(format: Format, record: &Record, out: &mut String) {
    let start = out.len();
    match format {
        Format::Json => {
            // Writing to a string does not fail.
            let _ = write!(out, "{}", Value::Object(fields(record)));
        }
        Format::Text => write_text(record, out),
    }
    escape_controls(out, start);
    out.push('\n');
}

fn escape_controls(out: &mut String, start: usize) {
    if !out[start..].chars().any(char::is_control) {
        return;
    }
    let line = out.split_off(start);
    for c in line.chars() {
        match c.is_control() {
            true => _ = write!(out, "\\u{:04x}", u32::from(c)),
            false => out.push(c),
        }
    }
}

fn fields(record: &Record) -> Map<String, Value> {
    let mut map = Map::new();
    let mut put = |name: &str, value: Value| {
        if !value.is_null() {
            map.insert(name.to_owned(), value);
        }
    };
    let started = record.started.duration_since(UNIX_EPOCH).unwrap_or_default();
    put("start_time_ms", json!(started.as_micros() as f64 / 1000.0));
    put("duration_ms", json!(millis(record.duration)));
    put("upstream_duration_ms", record.upstream_duration.map_or(Value::Null, |d| json!(millis(d))));
    put("reporter", json!(record.reporter.as_str()));
    put("protocol", json!(record.protocol.as_str()));
    put("security", json!(record.security.as_str()));
    if !record.protocol.is_opaque() {
        put("method", json!(record.method.as_str()));
        put("authority", json!(cut(&record.authority, limits::LABEL_BYTES)));
        put("path", json!(cut(&record.path, limits::LOG_PATH_BYTES)));
        put("response_code", json!(record.status));
    }
    put("sni", json!(record.sni.as_deref().map(|name| cut(name, limits::LABEL_BYTES))));
    put("grpc_status", json!(record.grpc_status));
    put("response_flags", json!(record.response_flags()));
    put("fault", json!(record.fault().map(|f| f.label())));
    put("reason", json!(record.reason.as_deref().map(|r| cut(r, limits::DETAIL_BYTES))));
    put("verdict_by", json!(record.verdict_by));
    put("verdict_rule", json!(record.verdict_rule));
    put("dry_run", json!(record.dry_run));
    put("bytes_received", json!(record.request_bytes));
    put("bytes_sent", json!(record.response_bytes));
    put("source_workload", json!(record.source.workload));
    put("source_namespace", json!(record.source.namespace));
    put("source_principal", json!(record.source.principal));
    put("source_address", json!(record.source_address.map(|a| a.to_string())));
    put("client_address", json!(record.client.map(|a| a.to_string())));
    put("destination_workload", json!(record.destination.workload));
    put("destination_namespace", json!(record.destination.namespace));
    put("destination_principal", json!(record.destination.principal));
    put("destination_service", json!(record.dialled_service.as_ref().map(|d| &d.host)));
    put("listener", json!(record.listener.as_ref().map(|listener| listener.full_name())));
    if let Some(decided) = record.decided() {
        put("route", json!(decided.route.origin.object.to_string()));
        put("rule", json!(decided.rule().map(|rule| &rule.name)));
        put("rule_index", json!(decided.rule));
        put("match_index", json!(decided.matched));
        put("filters", json!(filters(decided)));
        put("split", decided.rule().map_or(Value::Null, split));
    }
    put("backend", json!(record.backend()));
    put("endpoint", json!(record.endpoint.map(|a| a.to_string())));
    put("attempt", json!(record.attempt));
    put("injected_by", json!(record.injected_by));
    put("consumer", json!(record.consumer));
    put("api", json!(record.api));
    put("generation", json!(record.generation));
    if let Some(trace) = &record.trace {
        put("trace_id", json!(trace.context.trace_id_text()));
        put("span_id", json!(span_text(trace.context.span_id)));
        put("parent_span_id", json!(trace.parent().map(span_text)));
        put("server_span_id", json!(trace.server.map(span_text)));
        put("dialled_ms", json!(trace.dialled.map(millis)));
        put("sampled", json!(trace.context.sampled));
    }
    put("request_id", json!(Some(&record.request_id).filter(|id| !id.is_empty())));
    put("request_headers", headers(&record.headers.request));
    put("response_headers", headers(&record.headers.response));
    map
}

/// Those that a policy names; none is nothing.
fn headers(found: &[(Arc<str>, String)]) -> Value {
    match found {
        [] => Value::Null,
        _ => found.iter().map(|(name, value)| (name.to_string(), json!(value))).collect::<Map<_, _>>().into(),
    }
}

/// Fields that the words at the beginning of a text line say.
const WORDS: [&str; 10] = [
    "reporter",
    "security",
    "method",
    "authority",
    "path",
    "response_code",
    "duration_ms",
    "source_workload",
    "destination_service",
    "response_flags",
];

/// What people look for first as words, and then all else by the names that JSON has for it.
fn write_text(record: &Record, out: &mut String) {
    let service = record.dialled_service.as_ref().map_or("-", |dialled| &dialled.host);
    let what = match record.protocol {
        Protocol::Tcp | Protocol::Udp => record.protocol.as_str().to_uppercase(),
        Protocol::Http | Protocol::Grpc => format!(
            "{} {}{}",
            record.method.as_str(),
            cut(&record.authority, limits::LABEL_BYTES),
            cut(&record.path, limits::LOG_PATH_BYTES)
        ),
    };
    let _ = write!(
        out,
        "{} {} {what} {} {}ms {}→{service} {}",
        record.reporter.as_str(),
        record.security.as_str(),
        record.status,
        millis(record.duration),
        record.source.workload,
        record.response_flags(),
    );
    for (name, value) in fields(record).iter().filter(|(name, _)| !WORDS.contains(&name.as_str())) {
        let _ = match value {
            Value::String(text) if is_plain(text) => write!(out, " {name}={text}"),
            // As in JSON, so that its end is seen whatever strangers write.
            value => write!(out, " {name}={value}"),
        };
    }
}

fn is_plain(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '"' | '\\'))
}

fn filters(decided: &Decided) -> Vec<String> {
    decided.rule().map(|rule| decided.applied.names(rule, decided.backend())).unwrap_or_default()
}

/// All that could have been drawn, in the order written.
fn split(rule: &Rule) -> Value {
    rule.backends.iter().map(|to| json!({"backend": to.backend.to_string(), "weight": to.weight})).collect()
}

fn millis(duration: std::time::Duration) -> f64 {
    (duration.as_secs_f64() * 1_000_000.0).round() / 1000.0
}

fn span_text(span: [u8; 8]) -> String {
    let mut text = [0; 16];
    crate::write_hex(&span, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

pub(crate) fn cut(text: &str, bytes: usize) -> &str {
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests;
