//! What is told of requests, as bytes.

use super::{origin, route, text, tls};
use crate::enums::Word;
use crate::v1;
use model::telemetry::{
    Collector, Exporter, Hidden, LineFormat, Lines, Names, Parents, RedactedField, Redaction, SpanValue, SpansTo, TelemetryPolicy,
    TelemetryTarget,
};
use std::sync::Arc;
use std::time::Duration;
use v1::telemetry_policy::attribute::Value as A;
use v1::telemetry_policy::redaction::Field as R;
use v1::telemetry_policy::{Always, Format as F, Lines as L, Matches, Mesh, Nothing, Parents as P, Redactions, Target as T};

pub(super) fn policy(r: &TelemetryPolicy) -> v1::TelemetryPolicy {
    let says = &r.says;
    v1::TelemetryPolicy {
        key: text(&r.key),
        origin: Some(origin(&r.origin)),
        share: says.share,
        always: says.always.as_ref().map(|any| Always { headers: any.iter().map(|h| route::named(&h.name, &h.value)).collect() }),
        slower_micros: says.slower.map(micros),
        spans: match &says.spans {
            Some(SpansTo::Collector(to)) => Some(collector(to)),
            Some(SpansTo::Exporter(_)) | None => None,
        },
        exporter: match &says.spans {
            Some(SpansTo::Exporter(to)) => Some(exporter(to)),
            Some(SpansTo::Collector(_)) | None => None,
        },
        parents: says.parents.map(|parents| match parents {
            Parents::Heeded(share) => P::ParentsHeeded(share),
            Parents::Ignored => P::ParentsIgnored(Nothing {}),
        }),
        traced: says.traced,
        lines_to: says.lines_to.as_ref().map(collector),
        target: Some(match &r.target {
            TelemetryTarget::Mesh => T::Mesh(Mesh {}),
            TelemetryTarget::Namespace(name) => T::Namespace(text(name)),
            TelemetryTarget::Gateway(key) => T::Gateway(text(key)),
            TelemetryTarget::Service(key) => T::Service(text(key)),
            TelemetryTarget::Route(key) => T::Route(text(key)),
        }),
        matches: says.matches.as_ref().map(|any| Matches { any: any.iter().map(route::matches).collect() }),
        format: says.format.map(|format| match format {
            LineFormat::Json => F::Json(Nothing {}),
            LineFormat::Text => F::Text(Nothing {}),
        }),
        file: says.file.as_ref().map(|file| v1::telemetry_policy::LineFile { name: text(&file.name), bytes: file.bytes, kept: file.kept }),
        request_headers: says.request_headers.as_ref().map(names),
        response_headers: says.response_headers.as_ref().map(names),
        redactions: says.redactions.as_ref().map(|all| Redactions { all: all.iter().map(redaction).collect() }),
        series: says.series,
        dropped_labels: says.dropped_labels.map(|all| v1::telemetry_policy::Names { names: all.names().map(text).collect() }),
        lines: says.lines.map(|lines| match lines {
            Lines::All => L::LinesAll(Nothing {}),
            Lines::Errors => L::LinesErrors(Nothing {}),
            Lines::ErrorsAndSlower(slower) => L::LinesErrorsAndSlower(micros(slower)),
            Lines::Nothing => L::LinesNothing(Nothing {}),
        }),
    }
}

fn exporter(r: &Exporter) -> v1::telemetry_policy::Exporter {
    let attribute = |(name, value): &(Arc<str>, SpanValue)| v1::telemetry_policy::Attribute {
        name: text(name),
        value: Some(match value {
            SpanValue::Header(name) => A::Header(text(name)),
            SpanValue::Literal(value) => A::Literal(text(value)),
            SpanValue::Attribute(name) => A::Attribute(text(name)),
        }),
    };
    let pair = |(name, value): &(Arc<str>, Hidden)| v1::telemetry_policy::Pair { name: text(name), value: text(&value.0) };
    v1::telemetry_policy::Exporter {
        backend: Some(route::backend(&r.backend)),
        protocol: r.protocol.number(),
        headers: r.headers.iter().map(pair).collect(),
        service_name: r.words.service.as_ref().map(text),
        span_name: r.words.name.as_ref().map(text),
        attributes: r.words.attributes.iter().map(attribute).collect(),
    }
}

fn names(names: &Names) -> v1::telemetry_policy::Names {
    v1::telemetry_policy::Names { names: names.iter().map(text).collect() }
}

fn redaction(r: &Redaction) -> v1::telemetry_policy::Redaction {
    v1::telemetry_policy::Redaction {
        pattern: r.pattern.text().to_owned(),
        replacement: text(&r.replacement),
        field: Some(match &r.field {
            RedactedField::Path => R::Path(Nothing {}),
            RedactedField::RequestHeader(name) => R::RequestHeader(text(name)),
            RedactedField::ResponseHeader(name) => R::ResponseHeader(text(name)),
        }),
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn collector(r: &Collector) -> v1::Collector {
    v1::Collector { protocol: r.protocol.number(), url: r.to_string(), tls: r.tls.as_deref().map(tls::upstream) }
}
