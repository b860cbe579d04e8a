//! What is told of requests, read from bytes.

use super::read::{Read, Result, list, some, text, word, wrong};
use super::{header_name, key, key_of, origin, route, tls, v1};
use model::Kind;
use model::backend::UpstreamRoots;
use model::telemetry::{
    Collector, Exporter, Hidden, Labels, LineFile, LineFormat, Lines, Names, Parents, Pattern, RedactedField, Redaction, SpanValue,
    SpanWords, SpansTo, TelemetryPolicy, TelemetrySettings, TelemetryTarget, recorded,
};
use std::sync::Arc;
use std::time::Duration;
use v1::telemetry_policy::attribute::Value as A;
use v1::telemetry_policy::redaction::Field as R;
use v1::telemetry_policy::{Format as F, Lines as L, Parents as P, Target as T};

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
            parents: m.parents.map(|parents| match parents {
                P::ParentsHeeded(share) => Parents::Heeded(share),
                P::ParentsIgnored(_) => Parents::Ignored,
            }),
            traced: m.traced,
            spans: match (m.exporter, m.spans) {
                (Some(to), _) => Some(SpansTo::Exporter(Arc::new(exporter(to).at("exporter")?))),
                (None, Some(to)) => Some(SpansTo::Collector(collector(to).at("spans")?)),
                (None, None) => None,
            },
            lines: m.lines.map(|lines| match lines {
                L::LinesAll(_) => Lines::All,
                L::LinesErrors(_) => Lines::Errors,
                L::LinesErrorsAndSlower(micros) => Lines::ErrorsAndSlower(Duration::from_micros(micros)),
                L::LinesNothing(_) => Lines::Nothing,
            }),
            matches: m.matches.map(|matches| list(matches.any, "matches", route::matches)).transpose()?,
            lines_to: m.lines_to.map(collector).transpose().at("lines_to")?,
            format: m.format.map(|format| match format {
                F::Json(_) => LineFormat::Json,
                F::Text(_) => LineFormat::Text,
            }),
            file: m
                .file
                .map(|file| LineFile::new(&file.name, file.bytes, file.kept).map(Arc::new).map_err(wrong))
                .transpose()
                .at("file")?,
            request_headers: m.request_headers.map(names).transpose().at("request_headers")?,
            response_headers: m.response_headers.map(names).transpose().at("response_headers")?,
            redactions: m.redactions.map(|all| list(all.all, "redactions", redaction).map(Arc::from)).transpose()?,
            series: m.series,
            dropped_labels: m
                .dropped_labels
                .map(|all| all.names.iter().fold(Labels::NONE, |labels, name| labels.with(name).unwrap_or(labels))),
        },
    })
}

/// What must never be recorded is refused here too, whoever was asked before.
fn names(m: v1::telemetry_policy::Names) -> Result<Names> {
    let names = list(m.names, "names", |name| {
        let name = header_name(name)?;
        if name.chars().any(|c| c.is_ascii_uppercase()) || !recorded::may_be_recorded(&name) {
            return Err(wrong(format!("holds {name:?}, which is never recorded")));
        }
        Ok(name)
    });
    names.map(Arc::from)
}

fn exporter(m: v1::telemetry_policy::Exporter) -> Result<Exporter> {
    let pair = |pair: v1::telemetry_policy::Pair| {
        let name = header_name(pair.name).at("name")?;
        match pair.value.bytes().all(model::http::is_value_byte) {
            true => Ok((name, Hidden(pair.value.into()))),
            false => Err(wrong("holds what no header may".to_owned())),
        }
    };
    let attribute = |attribute: v1::telemetry_policy::Attribute| {
        let value = match some(attribute.value).at("value")? {
            A::Header(name) => SpanValue::Header(header_name(name).at("header")?),
            A::Literal(value) => SpanValue::Literal(text(value).at("literal")?),
            A::Attribute(name) => SpanValue::Attribute(text(name).at("attribute")?),
        };
        Ok((text(attribute.name).at("name")?, value))
    };
    Ok(Exporter {
        backend: route::backend(some(m.backend).at("backend")?).at("backend")?,
        protocol: word(m.protocol).at("protocol")?,
        headers: list(m.headers, "headers", pair)?,
        words: SpanWords {
            service: m.service_name.map(text).transpose().at("service_name")?,
            name: m.span_name.map(text).transpose().at("span_name")?,
            attributes: list(m.attributes, "attributes", attribute)?,
        },
    })
}

fn redaction(m: v1::telemetry_policy::Redaction) -> Result<Redaction> {
    Ok(Redaction {
        field: match some(m.field).at("field")? {
            R::Path(_) => RedactedField::Path,
            R::RequestHeader(name) => RedactedField::RequestHeader(header_name(name).at("request_header")?),
            R::ResponseHeader(name) => RedactedField::ResponseHeader(header_name(name).at("response_header")?),
        },
        pattern: Pattern::new(&m.pattern).map_err(wrong).at("pattern")?,
        replacement: text(m.replacement).at("replacement")?,
    })
}

fn collector(m: v1::Collector) -> Result<Collector> {
    let protocol = word(m.protocol).at("protocol")?;
    // A collector by https whose roots are left out is known by the system's.
    let roots = m.tls.map(tls::upstream).transpose().at("tls")?.map_or(UpstreamRoots::System, |tls| tls.roots);
    Collector::parse(protocol, &m.url, roots).map_err(|why| wrong(why.to_string())).at("url")
}
