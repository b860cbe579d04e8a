//! Lines of the access log in OpenTelemetry's words: its names where it has one (semantic conventions 1.x), `organza.` before ours where it has none. Pure.

use model::telemetry::{SpanValue, SpanWords};
use serde_json::Value;
use telemetry::span::{Line, Span, SpanKind, spans, word};
use wire::otlp;

/// Who sends.
#[derive(Debug, Clone)]
pub(crate) struct Sender {
    pub service: String,
    pub namespace: String,
    pub version: String,
    pub proxy: String,
}

impl Sender {
    pub fn of(me: &crate::worker::Me) -> Self {
        let peer = &me.peer;
        let service = if peer.app.is_empty() { &peer.workload } else { &peer.app };
        let text = |text: &std::sync::Arc<str>| text.to_string();
        Self { service: text(service), namespace: text(&peer.namespace), version: text(&peer.version), proxy: me.name.clone() }
    }

    /// `service`: another name for who sends.
    pub fn resource(&self, service: Option<&str>) -> otlp::Resource {
        let pairs = [
            ("service.name", service.unwrap_or(&self.service)),
            ("service.namespace", &self.namespace),
            ("service.version", &self.version),
            ("service.instance.id", &self.proxy),
            ("telemetry.sdk.name", "organza"),
            ("telemetry.sdk.language", "rust"),
        ];
        otlp::Resource {
            attributes: pairs.into_iter().filter(|(_, value)| !value.is_empty()).map(|(key, value)| pair(key, text(value))).collect(),
        }
    }

    pub fn scope(&self) -> otlp::Scope {
        otlp::Scope { name: "organza".into(), version: env!("CARGO_PKG_VERSION").into() }
    }
}

/// What each of our lines is called by others. What is in an identifier or a time of the span already is not said again.
const NAMES: &[(&str, &str)] = &[
    ("method", "http.request.method"),
    ("path", "url.path"),
    ("authority", "server.address"),
    ("response_code", "http.response.status_code"),
    ("bytes_received", "http.request.body.size"),
    ("bytes_sent", "http.response.body.size"),
    ("source_address", "client.address"),
    ("endpoint", "network.peer.address"),
    ("fault", "error.type"),
    ("grpc_status", "rpc.grpc.status_code"),
    ("sni", "tls.client.server_name"),
];
const HEADERS: &[(&str, &str)] = &[("request_headers", "http.request.header"), ("response_headers", "http.response.header")];
const SAID: &[&str] = &["trace_id", "span_id", "parent_span_id", "server_span_id", "start_time_ms", "duration_ms", "dialled_ms"];

pub(super) fn of_spans(lines: &[String], sender: &Sender, words: &SpanWords) -> otlp::TracesRequest {
    let spans = lines
        .iter()
        .filter_map(|line| read(line))
        .flat_map(|line| spans(&line).into_iter().map(|s| span(&s, &line, words)).collect::<Vec<_>>());
    let scope_spans = otlp::ScopeSpans { scope: Some(sender.scope()), spans: spans.collect() };
    let resource = Some(sender.resource(words.service.as_deref()));
    otlp::TracesRequest { resource_spans: vec![otlp::ResourceSpans { resource, scope_spans: vec![scope_spans] }] }
}

pub(super) fn of_lines(lines: &[String], sender: &Sender) -> otlp::LogsRequest {
    let records = lines.iter().filter_map(|line| Some(record(&read(line)?, line)));
    let scope_logs = otlp::ScopeLogs { scope: Some(sender.scope()), log_records: records.collect() };
    otlp::LogsRequest { resource_logs: vec![otlp::ResourceLogs { resource: Some(sender.resource(None)), scope_logs: vec![scope_logs] }] }
}

fn read(line: &str) -> Option<Line> {
    serde_json::from_str(line).ok()
}

fn span(span: &Span, line: &Line, words: &SpanWords) -> otlp::Span {
    let mut said = attributes(line);
    let more: Vec<_> = words.attributes.iter().filter_map(|(name, value)| Some(pair(name, more(value, line, &said)?))).collect();
    said.extend(more);
    let kind = match span.kind {
        SpanKind::Server => otlp::SpanKind::Server,
        SpanKind::Client => otlp::SpanKind::Client,
    };
    let why = || [word(line, "fault"), word(line, "reason")].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(": ");
    let status = span.failed.then(|| otlp::Status { message: why(), code: otlp::StatusCode::Error.into() });
    let start = span.start_micros.saturating_mul(1000);
    otlp::Span {
        trace_id: span.trace_id.to_vec(),
        span_id: span.span_id.to_vec(),
        parent_span_id: span.parent.map(|parent| parent.to_vec()).unwrap_or_default(),
        name: words.name.as_ref().map_or_else(|| name(span, line), ToString::to_string),
        kind: kind.into(),
        start_time_unix_nano: start,
        end_time_unix_nano: start.saturating_add(span.duration_micros.saturating_mul(1000)),
        attributes: said,
        status,
        flags: flags(line),
    }
}

/// What a policy wants to be told besides; `None` where there is nothing to tell.
fn more(value: &SpanValue, line: &Line, said: &[otlp::KeyValue]) -> Option<otlp::AnyValue> {
    match value {
        SpanValue::Literal(it) => Some(text(it)),
        SpanValue::Header(name) => HEADERS.iter().find_map(|(ours, _)| line.get(*ours)?.get(&**name)?.as_str()).map(text),
        SpanValue::Attribute(name) => said.iter().find(|pair| *pair.key == **name)?.value.clone(),
    }
}

/// Few of them: the method, with the route's rule where there is one. A path would make a name for each.
fn name(span: &Span, line: &Line) -> String {
    match (word(line, "method"), word(line, "route")) {
        ("", _) => span.name.clone(),
        (method, "") => method.to_owned(),
        (method, route) => format!("{method} {route}"),
    }
}

fn record(line: &Line, text_of_it: &str) -> otlp::LogRecord {
    let first = spans(line).into_iter().next();
    let failed = first.as_ref().map_or_else(|| line.contains_key("fault"), |span| span.failed);
    let time = line.get("start_time_ms").and_then(Value::as_f64).map_or(0, |millis| (millis.max(0.0) * 1e6) as u64);
    otlp::LogRecord {
        time_unix_nano: time,
        observed_time_unix_nano: time,
        severity_number: if failed { 17 } else { 9 },
        severity_text: if failed { "ERROR" } else { "INFO" }.into(),
        body: Some(text(text_of_it.trim_end())),
        attributes: attributes(line),
        flags: flags(line),
        trace_id: first.as_ref().map(|span| span.trace_id.to_vec()).unwrap_or_default(),
        span_id: first.as_ref().map(|span| span.span_id.to_vec()).unwrap_or_default(),
    }
}

fn flags(line: &Line) -> u32 {
    u32::from(line.get("sampled").and_then(Value::as_bool).unwrap_or(false))
}

fn attributes(line: &Line) -> Vec<otlp::KeyValue> {
    let known = |name: &str| NAMES.iter().find(|(ours, _)| *ours == name).map(|(_, theirs)| (*theirs).to_owned());
    let fields = line.iter().filter(|(name, _)| !SAID.contains(&name.as_str()) && !HEADERS.iter().any(|(ours, _)| ours == name));
    let fields = fields.map(|(name, it)| pair(&known(name).unwrap_or_else(|| format!("organza.{name}")), value(it)));
    fields.chain(HEADERS.iter().flat_map(|(ours, theirs)| headers(line, ours, theirs))).collect()
}

/// One for each field that a policy has recorded.
fn headers<'l>(line: &'l Line, ours: &str, theirs: &'l str) -> impl Iterator<Item = otlp::KeyValue> + use<'l> {
    let found = line.get(ours).and_then(Value::as_object).into_iter().flatten();
    found.map(move |(name, it)| pair(&format!("{theirs}.{name}"), value(it)))
}

fn value(it: &Value) -> otlp::AnyValue {
    use otlp::Value as V;
    let value = match it {
        Value::Bool(it) => V::Bool(*it),
        Value::Number(number) => match number.as_i64() {
            Some(it) => V::Int(it),
            None => V::Double(number.as_f64().unwrap_or(0.0)),
        },
        Value::String(it) => V::Text(it.clone()),
        other => V::Text(other.to_string()),
    };
    otlp::AnyValue { value: Some(value) }
}

fn text(text: &str) -> otlp::AnyValue {
    otlp::AnyValue { value: Some(otlp::Value::Text(text.to_owned())) }
}

fn pair(key: &str, value: otlp::AnyValue) -> otlp::KeyValue {
    otlp::KeyValue { key: key.to_owned(), value: Some(value) }
}
