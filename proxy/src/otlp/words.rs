//! Lines of the access log in OpenTelemetry's words: its names where it has one (semantic conventions 1.x), `organza.` before ours where it has none. Pure.

use model::telemetry::{SpanValue, SpanWords};
use serde_json::Value;
use telemetry::span::{Fields, ReadOnce, Span, SpanKind, spans};
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
const HEADERS: &[(&str, &str)] = &[("request_headers", "http.request.header."), ("response_headers", "http.response.header.")];
const SAID: &[&str] = &["trace_id", "span_id", "parent_span_id", "server_span_id", "start_time_ms", "duration_ms", "dialled_ms"];

/// What a line tells.
pub(super) fn spans_of(line: &str, words: &SpanWords) -> Vec<Vec<u8>> {
    let line = ReadOnce::read(line).unwrap_or_default();
    let mut said = otlp::Attributes::of_span();
    say(&line, &mut said);
    words.attributes.iter().for_each(|(name, value)| more(name, value, &line, &mut said));
    spans(&line).iter().map(|told| said.behind(&span(told, &line, words))).collect()
}

/// What a line is.
pub(super) fn record_of(text: &str) -> Option<Vec<u8>> {
    let line = ReadOnce::read(text)?;
    let mut said = otlp::Attributes::of_record();
    say(&line, &mut said);
    Some(said.behind(&record(&line, text)))
}

pub(super) fn traces(spans: Vec<Vec<u8>>, sender: &Sender, words: &SpanWords) -> otlp::TracesRequest {
    let scope_spans = otlp::ScopeSpans { scope: Some(sender.scope()), spans };
    let resource = Some(sender.resource(words.service.as_deref()));
    otlp::TracesRequest { resource_spans: vec![otlp::ResourceSpans { resource, scope_spans: vec![scope_spans] }] }
}

pub(super) fn logs(log_records: Vec<Vec<u8>>, sender: &Sender) -> otlp::LogsRequest {
    let scope_logs = otlp::ScopeLogs { scope: Some(sender.scope()), log_records };
    otlp::LogsRequest { resource_logs: vec![otlp::ResourceLogs { resource: Some(sender.resource(None)), scope_logs: vec![scope_logs] }] }
}

fn span(span: &Span, line: &ReadOnce<'_>, words: &SpanWords) -> otlp::Span {
    let kind = match span.kind {
        SpanKind::Server => otlp::SpanKind::Server,
        SpanKind::Client => otlp::SpanKind::Client,
    };
    let why = || [line.word("fault"), line.word("reason")].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(": ");
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
        attributes: Vec::new(),
        status,
        flags: flags(line),
    }
}

/// What a policy wants to be told besides, where there is something to tell.
fn more(name: &str, wanted: &SpanValue, line: &ReadOnce<'_>, to: &mut otlp::Attributes) {
    let name = (name, "");
    match wanted {
        SpanValue::Literal(it) => to.text(name, it),
        SpanValue::Header(header) => {
            let found = HEADERS.iter().find_map(|(ours, _)| line.field(ours)?.get(&**header)?.as_str());
            found.into_iter().for_each(|it| to.text(name, it));
        }
        SpanValue::Attribute(theirs) => {
            let is = |(first, rest): (&str, &str)| theirs.strip_prefix(first) == Some(rest);
            let found = attributes(line).find(|(first, rest, _)| is((first, rest)));
            found.into_iter().for_each(|(_, _, it)| put(name, it, to));
        }
    }
}

/// Few of them: the method, with the route's rule where there is one. A path would make a name for each.
fn name(span: &Span, line: &ReadOnce<'_>) -> String {
    match (line.word("method"), line.word("route")) {
        ("", _) => span.name.clone(),
        (method, "") => method.to_owned(),
        (method, route) => format!("{method} {route}"),
    }
}

fn record(line: &ReadOnce<'_>, text_of_it: &str) -> otlp::LogRecord {
    let first = spans(line).into_iter().next();
    let failed = first.as_ref().map_or_else(|| line.field("fault").is_some(), |span| span.failed);
    let time = line.field("start_time_ms").and_then(Value::as_f64).map_or(0, |millis| (millis.max(0.0) * 1e6) as u64);
    otlp::LogRecord {
        time_unix_nano: time,
        observed_time_unix_nano: time,
        severity_number: if failed { 17 } else { 9 },
        severity_text: if failed { "ERROR" } else { "INFO" }.into(),
        body: Some(text(text_of_it.trim_end())),
        attributes: Vec::new(),
        flags: flags(line),
        trace_id: first.as_ref().map(|span| span.trace_id.to_vec()).unwrap_or_default(),
        span_id: first.as_ref().map(|span| span.span_id.to_vec()).unwrap_or_default(),
    }
}

fn flags(line: &ReadOnce<'_>) -> u32 {
    u32::from(line.field("sampled").and_then(Value::as_bool).unwrap_or(false))
}

fn say(line: &ReadOnce<'_>, to: &mut otlp::Attributes) {
    attributes(line).for_each(|(first, rest, it)| put((first, rest), it, to));
}

/// All that a line says, each by its name, as a beginning and the rest.
fn attributes<'l>(line: &'l ReadOnce<'_>) -> impl Iterator<Item = (&'l str, &'l str, &'l Value)> {
    let known = |name: &str| NAMES.iter().find(|(ours, _)| *ours == name).map(|(_, theirs)| *theirs);
    let is_said = |name: &str| SAID.contains(&name) || HEADERS.iter().any(|(ours, _)| *ours == name);
    // An empty text says nothing, and there are many at a gateway.
    let fields = line.iter().filter(move |(name, it)| !is_said(name) && it.as_str() != Some(""));
    let fields = fields.map(move |(name, it)| match known(name) {
        Some(theirs) => (theirs, "", it),
        None => ("organza.", name, it),
    });
    // One for each field that a policy has recorded.
    let of = |(ours, theirs): &(&str, &'static str)| {
        let (found, theirs) = (line.field(ours).and_then(Value::as_object), *theirs);
        found.into_iter().flatten().map(move |(name, it)| (theirs, name.as_str(), it))
    };
    fields.chain(HEADERS.iter().flat_map(of))
}

fn put(name: (&str, &str), it: &Value, to: &mut otlp::Attributes) {
    match it {
        Value::Bool(it) => to.put(name, otlp::Value::Bool(*it)),
        Value::Number(number) => match number.as_i64() {
            Some(it) => to.put(name, otlp::Value::Int(it)),
            None => to.put(name, otlp::Value::Double(number.as_f64().unwrap_or(0.0))),
        },
        Value::String(it) => to.text(name, it),
        other => to.text(name, &other.to_string()),
    }
}

fn text(text: &str) -> otlp::AnyValue {
    otlp::AnyValue { value: Some(otlp::Value::Text(text.to_owned())) }
}

fn pair(key: &str, value: otlp::AnyValue) -> otlp::KeyValue {
    otlp::KeyValue { key: key.to_owned(), value: Some(value) }
}
