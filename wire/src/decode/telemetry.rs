//! What is told of requests, read from bytes.

use super::read::{Read, Result, list, some, text, word, wrong};
use super::{key, key_of, origin, route, v1};
use model::Kind;
use model::telemetry::{Collector, Lines, TelemetryPolicy, TelemetrySettings, TelemetryTarget};
use std::time::Duration;
use v1::telemetry_policy::{Lines as L, Target as T};

pub(super) fn policy(m: v1::TelemetryPolicy) -> Result<TelemetryPolicy> {
    let headers = |always: v1::telemetry_policy::Always| list(always.headers, "headers", route::header);
    Ok(TelemetryPolicy {
        key: key_of(&m.key, Kind::Telemetry)?,
        origin: origin(m.origin)?,
        target: match some(m.target).at("target")? {
            T::Mesh(_) => TelemetryTarget::Mesh,
            T::Namespace(name) => TelemetryTarget::Namespace(text(name).at("namespace")?),
            T::Gateway(name) => TelemetryTarget::Gateway(key(&name).at("gateway")?),
            T::Service(name) => TelemetryTarget::Service(key(&name).at("service")?),
            T::Route(name) => TelemetryTarget::Route(key(&name).at("route")?),
        },
        says: TelemetrySettings {
            share: m.share,
            always: m.always.map(headers).transpose().at("always")?,
            slower: m.slower_micros.map(Duration::from_micros),
            spans: m.spans.map(collector).transpose().at("spans")?,
            lines: m.lines.map(|lines| match lines {
                L::LinesAll(_) => Lines::All,
                L::LinesErrors(_) => Lines::Errors,
                L::LinesErrorsAndSlower(micros) => Lines::ErrorsAndSlower(Duration::from_micros(micros)),
                L::LinesNothing(_) => Lines::Nothing,
            }),
            lines_to: m.lines_to.map(collector).transpose().at("lines_to")?,
        },
    })
}

fn collector(m: v1::Collector) -> Result<Collector> {
    let protocol = word(m.protocol).at("protocol")?;
    Collector::parse(protocol, &m.url).map_err(|why| wrong(why.to_string())).at("url")
}
