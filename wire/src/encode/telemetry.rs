//! What is told of requests, as bytes.

use super::{origin, route, text};
use crate::enums::Word;
use crate::v1;
use model::telemetry::{Collector, Lines, TelemetryPolicy, TelemetryTarget};
use std::time::Duration;
use v1::telemetry_policy::{Always, Lines as L, Mesh, Nothing, Target as T};

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
        lines: says.lines.map(|lines| match lines {
            Lines::All => L::LinesAll(Nothing {}),
            Lines::Errors => L::LinesErrors(Nothing {}),
            Lines::ErrorsAndSlower(slower) => L::LinesErrorsAndSlower(micros(slower)),
            Lines::Nothing => L::LinesNothing(Nothing {}),
        }),
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn collector(r: &Collector) -> v1::Collector {
    v1::Collector { protocol: r.protocol.number(), url: r.to_string() }
}
