//! One line for one record, as JSON or as text. Formatting only: a sink off the workers writes it.

use crate::{Decided, Protocol, Record, limits};
use model::Rule;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::cell::OnceCell;
use std::fmt::Write;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    #[default]
    Json,
    Text,
}

/// A record's line of JSON, written when it is first asked for: all who are told of a request are told the same line.
#[derive(Debug)]
pub struct Once<'r> {
    pub record: &'r Record,
    json: OnceCell<String>,
}

impl<'r> Once<'r> {
    pub fn of(record: &'r Record) -> Self {
        Self { record, json: OnceCell::new() }
    }

    /// With its end.
    pub fn json(&self) -> &str {
        self.json.get_or_init(|| {
            let mut line = String::with_capacity(LINE_BYTES);
            write_line(Format::Json, self.record, &mut line);
            line
        })
    }

    /// In either form, with its end.
    pub fn text(&self, format: Format) -> String {
        match format {
            Format::Json => self.json().to_owned(),
            Format::Text => {
                let mut line = String::with_capacity(LINE_BYTES);
                write_line(format, self.record, &mut line);
                line
            }
        }
    }
}

/// Appends the line, with its end, to `out`.
///
/// One record is one line, and nothing in it steers a terminal, whatever strangers write into their paths and peers say of themselves: controls,
/// those of Unicode too, are written as `\u001b`.
pub fn write_line(format: Format, record: &Record, out: &mut String) {
    let start = out.len();
    match format {
        Format::Json => {
            let mut line = JsonLine(std::mem::take(out).into_bytes(), start);
            fields(record, &mut line);
            *out = line.end();
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

/// Where the fields of a line go, each as it is found: a line costs no tree of values.
trait Fields {
    fn put(&mut self, name: &str, value: impl Serialize);

    fn put_some(&mut self, name: &str, value: Option<impl Serialize>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }
}

/// Room for most lines.
const LINE_BYTES: usize = 1024;

/// An object of JSON that is written behind what is there already, and where it begins.
struct JsonLine(Vec<u8>, usize);

impl JsonLine {
    fn end(mut self) -> String {
        self.0.push(b'}');
        // Text was there, and what serializers of text write is text.
        String::from_utf8(self.0).unwrap_or_default()
    }
}

impl Fields for JsonLine {
    /// `name` needs no escapes. Writing to memory does not fail, nor do our values.
    fn put(&mut self, name: &str, value: impl Serialize) {
        self.0.extend_from_slice(if self.0.len() == self.1 { b"{\"" } else { b",\"" });
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
        let _ = serde_json::to_writer(&mut self.0, &value);
    }
}

/// What the words at the beginning of a text line do not say, by the names that JSON has for it.
struct TextLine<'o>(&'o mut String);

impl Fields for TextLine<'_> {
    fn put(&mut self, name: &str, value: impl Serialize) {
        if WORDS.contains(&name) {
            return;
        }
        let _ = match json!(value) {
            Value::String(text) if is_plain(&text) => write!(self.0, " {name}={text}"),
            // As in JSON, so that its end is seen whatever strangers write.
            value => write!(self.0, " {name}={value}"),
        };
    }
}

fn fields(record: &Record, to: &mut impl Fields) {
    let started = record.started.duration_since(UNIX_EPOCH).unwrap_or_default();
    to.put("start_time_ms", started.as_micros() as f64 / 1000.0);
    to.put("duration_ms", millis(record.duration));
    to.put_some("upstream_duration_ms", record.upstream_duration.map(millis));
    to.put("reporter", record.reporter.as_str());
    to.put("protocol", record.protocol.as_str());
    to.put("security", record.security.as_str());
    if !record.protocol.is_opaque() {
        to.put("method", record.method.as_str());
        to.put("authority", cut(&record.authority, limits::LABEL_BYTES));
        to.put("path", cut(&record.path, limits::LOG_PATH_BYTES));
        to.put("response_code", record.status);
    }
    to.put_some("sni", record.sni.as_deref().map(|name| cut(name, limits::LABEL_BYTES)));
    to.put_some("grpc_status", record.grpc_status);
    to.put("response_flags", record.response_flags());
    to.put_some("fault", record.fault().map(|f| f.label()));
    to.put_some("reason", record.reason.as_deref().map(|r| cut(r, limits::DETAIL_BYTES)));
    to.put_some("verdict_by", record.verdict_by.as_deref());
    to.put_some("verdict_rule", record.verdict_rule.as_deref());
    to.put_some("dry_run", record.dry_run.as_deref());
    to.put("bytes_received", record.request_bytes);
    to.put("bytes_sent", record.response_bytes);
    to.put("source_workload", &*record.source.workload);
    to.put("source_namespace", &*record.source.namespace);
    to.put("source_principal", &*record.source.principal);
    to.put_some("source_address", record.source_address.map(|a| a.to_string()));
    to.put_some("client_address", record.client.map(|a| a.to_string()));
    to.put("destination_workload", &*record.destination.workload);
    to.put("destination_namespace", &*record.destination.namespace);
    to.put("destination_principal", &*record.destination.principal);
    to.put_some("destination_service", record.dialled_service.as_ref().map(|d| &*d.host));
    to.put_some("listener", record.listener.as_ref().map(|listener| listener.full_name()));
    if let Some(decided) = record.decided() {
        to.put("route", decided.route.origin.object.to_string());
        to.put_some("rule", decided.rule().map(|rule| &*rule.name));
        to.put("rule_index", decided.rule);
        to.put("match_index", decided.matched);
        to.put("filters", filters(decided));
        to.put_some("split", decided.rule().map(split));
    }
    to.put_some("backend", record.backend());
    to.put_some("endpoint", record.endpoint.map(|a| a.to_string()));
    to.put("attempt", record.tried());
    to.put_some("injected_by", record.injected_by.as_deref());
    to.put_some("consumer", record.consumer.as_deref());
    to.put_some("api", record.api.as_deref());
    to.put_some("token_issuer", record.token_issuer.as_deref().map(|name| cut(name, limits::DETAIL_BYTES)));
    to.put_some("token_subject", record.token_subject.as_deref().map(|name| cut(name, limits::DETAIL_BYTES)));
    to.put("generation", record.generation);
    if let Some(trace) = &record.trace {
        to.put("trace_id", trace.context.trace_id_text());
        to.put("span_id", span_text(trace.context.span_id));
        to.put_some("parent_span_id", trace.parent().map(span_text));
        to.put_some("server_span_id", trace.server.map(span_text));
        to.put_some("dialled_ms", trace.dialled.map(millis));
        to.put("sampled", trace.context.sampled);
    }
    to.put_some("request_id", Some(&record.request_id).filter(|id| !id.is_empty()));
    to.put_some("request_headers", headers(&record.headers.request));
    to.put_some("response_headers", headers(&record.headers.response));
}

/// Those that a policy names; none is nothing.
fn headers(found: &[(Arc<str>, String)]) -> Option<Map<String, Value>> {
    let all = || found.iter().map(|(name, value)| (name.to_string(), json!(value))).collect();
    (!found.is_empty()).then(all)
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
    fields(record, &mut TextLine(out));
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
