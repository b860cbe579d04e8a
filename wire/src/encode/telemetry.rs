//! What is told of requests, as bytes.

use super::{origin, route, text, tls};
use crate::enums::Word;
use crate::v1;
use model::telemetry::{Collector, LineFormat, Lines, Names, RedactedField, Redaction, TelemetryPolicy, TelemetryTarget};
use std::time::Duration;
use v1::telemetry_policy::redaction::Field as R;
use v1::telemetry_policy::{Always, Format as F, Lines as L, Matches, Mesh, Nothing, Redactions, Target as T};

pub(super) fn policy(r: &TelemetryPolicy) -> v1::TelemetryPolicy {
    let says = &r.says;
    v1::TelemetryPolicy {
        key: text(&r.key),
        origin: Some(origin(&r.origin)),
        share: says.share,
        always: says.always.as_ref().map(|any| Always { headers: any.iter().map(|h| route::named(&h.name, &h.value)).collect() }),
        slower_micros: says.slower.map(micros),
        spans: says.spans.as_ref().map(collector),
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
