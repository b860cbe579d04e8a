//! What is told of requests, there and back.

use super::key;
use crate::{decode, encode};
use model::backend::UpstreamRoots;
use model::telemetry::{
    Collector, CollectorProtocol, Exporter, Hidden, Labels, LineFile, LineFormat, Lines, Parents, Pattern, RedactedField, Redaction,
    SpanValue, SpanWords, SpansTo, TelemetryPolicy, TelemetrySettings, TelemetryTarget,
};
use model::{Backend, HeaderMatch, Key, Kind, ObjectRef, Origin, PathMatch, Resource, RouteMatch, ServiceRef, Source, ValueMatch};
use std::sync::Arc;
use std::time::Duration;

pub fn policy() -> TelemetryPolicy {
    let collector = |protocol, url: &str, roots| Collector::parse(protocol, url, roots).unwrap();
    let given = UpstreamRoots::Given(b"PEM".as_slice().into());
    let prefix = RouteMatch { path: Some(PathMatch::prefix("/api")), ..RouteMatch::default() };
    TelemetryPolicy {
        key: key(Kind::Telemetry, "all.0"),
        origin: Origin::new(ObjectRef::new("organza.dev", "TelemetryPolicy", "shop", "all"), "all.yaml:1"),
        target: TelemetryTarget::Route(Key::new(Source::files(), Kind::Route, "shop", "httproute.site")),
        says: TelemetrySettings {
            share: Some(0),
            always: Some(vec![HeaderMatch { name: "x-debug".into(), value: ValueMatch::Exact("yes".into()) }]),
            slower: Some(Duration::from_micros(250)),
            spans: Some(SpansTo::Collector(collector(CollectorProtocol::Grpc, "http://[::1]:4317", UpstreamRoots::System))),
            parents: None,
            traced: None,
            lines: Some(Lines::ErrorsAndSlower(Duration::from_secs(1))),
            lines_to: Some(collector(CollectorProtocol::Http, "https://collector/prefix", given)),
            matches: Some(vec![prefix]),
            format: Some(LineFormat::Text),
            file: Some(Arc::new(LineFile::new("access.log", 1 << 20, 4).unwrap())),
            request_headers: Some(["user-agent".into()].into()),
            response_headers: Some(Arc::from([])),
            redactions: Some(
                [RedactedField::Path, RedactedField::RequestHeader("a".into()), RedactedField::ResponseHeader("b".into())]
                    .map(|field| Redaction { field, pattern: Pattern::new("[0-9]+").unwrap(), replacement: "#".into() })
                    .into(),
            ),
            series: Some(500),
            dropped_labels: None,
        },
    }
}

#[test]
fn every_target_and_every_silence_comes_back() {
    let service = || Key::new(Source::files(), Kind::Service, "shop", "a");
    let targets = [
        TelemetryTarget::Mesh,
        TelemetryTarget::Namespace("shop".into()),
        TelemetryTarget::Gateway(Key::new(Source::files(), Kind::Gateway, "shop", "a")),
        TelemetryTarget::Service(service()),
    ];
    for (target, lines) in targets.into_iter().zip([None, Some(Lines::All), Some(Lines::Errors), Some(Lines::Nothing)]) {
        let says = TelemetrySettings { lines, ..TelemetrySettings::default() };
        let sample = Resource::Telemetry(Arc::new(TelemetryPolicy { target, says, ..policy() }));
        assert_eq!(decode(&encode(&sample)).unwrap(), sample);
    }
}

#[test]
fn a_collector_in_the_mesh_comes_back_with_all_its_words_and_its_secrets_unsaid() {
    let attributes = [
        ("tenant", SpanValue::Header("x-tenant".into())),
        ("env", SpanValue::Literal("prod".into())),
        ("code", SpanValue::Attribute("http.response.status_code".into())),
    ];
    let exporter = Exporter {
        backend: Backend::Service(ServiceRef {
            service: Key::new(Source::files(), Kind::Service, "o11y", "otel"),
            port: 4317,
            subset: None,
        }),
        protocol: CollectorProtocol::Http,
        headers: vec![("x-key".into(), Hidden("secret-of-a-tenant".into()))],
        words: SpanWords {
            service: Some("edge".into()),
            name: Some("ingress".into()),
            attributes: attributes.map(|(name, value)| (name.into(), value)).into(),
        },
    };
    let of = |exporter: Exporter, parents| {
        let says = TelemetrySettings {
            spans: Some(SpansTo::Exporter(Arc::new(exporter))),
            parents: Some(parents),
            traced: Some(parents == Parents::Ignored),
            dropped_labels: Labels::NONE.with("response_code").and_then(|labels| labels.with("source_principal")),
            ..TelemetrySettings::default()
        };
        Resource::Telemetry(Arc::new(TelemetryPolicy { says, ..policy() }))
    };
    for parents in [Parents::Ignored, Parents::Heeded(50_000)] {
        let sample = of(exporter.clone(), parents);
        assert_eq!(decode(&encode(&sample)).unwrap(), sample);
    }
    let sample = of(exporter.clone(), Parents::Ignored);
    assert!(!format!("{sample:?}").contains("secret-of-a-tenant"));
    // Who could write into the head of what is sent could send something else.
    let odd = Exporter { headers: vec![("x-key".into(), Hidden("a\r\nb: c".into()))], ..exporter };
    assert!(decode(&encode(&of(odd, Parents::Ignored))).is_err());
}

#[test]
fn what_is_never_recorded_is_refused_by_the_proxy_too() {
    for name in ["authorization", "cookie", "set-cookie", "proxy-authorization", "Authorization", "a b"] {
        let says = TelemetrySettings { request_headers: Some([name.into()].into()), ..TelemetrySettings::default() };
        let sample = Resource::Telemetry(Arc::new(TelemetryPolicy { says, ..policy() }));
        assert!(decode(&encode(&sample)).is_err(), "{name}");
    }
}

#[test]
fn what_lines_take_of_a_disk_is_bounded_with_all_that_are_kept() {
    let most = model::limits::LINE_FILES_BYTES;
    for (bytes, kept, fits) in [(most, 0, true), (most, 1, false), (most / 4, 3, true), (most / 4 + 1, 3, false), (most / 100, 100, false)]
    {
        // A control plane that was told otherwise is not believed.
        let file = LineFile { name: "a".into(), bytes, kept };
        let says = TelemetrySettings { file: Some(Arc::new(file)), ..TelemetrySettings::default() };
        let sample = Resource::Telemetry(Arc::new(TelemetryPolicy { says, ..policy() }));
        assert_eq!(decode(&encode(&sample)).is_ok(), fits, "{bytes} {kept}");
        assert_eq!(LineFile::new("a", bytes, kept).is_ok_and(|file| file.kept == kept), fits, "{bytes} {kept}");
    }
    assert!(LineFile::new("a", most, 1).unwrap_err().contains("lower maxBytes or kept"));
}
