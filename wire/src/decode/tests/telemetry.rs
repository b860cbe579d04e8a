//! What is told of requests, there and back.

use super::key;
use crate::{decode, encode};
use model::backend::UpstreamRoots;
use model::telemetry::{
    Collector, CollectorProtocol, LineFile, LineFormat, Lines, Pattern, RedactedField, Redaction, TelemetryPolicy, TelemetrySettings,
    TelemetryTarget,
};
use model::{HeaderMatch, Key, Kind, ObjectRef, Origin, PathMatch, Resource, RouteMatch, Source, ValueMatch};
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
            spans: Some(collector(CollectorProtocol::Grpc, "http://[::1]:4317", UpstreamRoots::System)),
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
fn what_is_never_recorded_is_refused_by_the_proxy_too() {
    for name in ["authorization", "cookie", "set-cookie", "proxy-authorization", "Authorization", "a b"] {
        let says = TelemetrySettings { request_headers: Some([name.into()].into()), ..TelemetrySettings::default() };
        let sample = Resource::Telemetry(Arc::new(TelemetryPolicy { says, ..policy() }));
        assert!(decode(&encode(&sample)).is_err(), "{name}");
    }
}
