//! What is told of requests, there and back.

use super::key;
use crate::{decode, encode};
use model::telemetry::{Collector, CollectorProtocol, Lines, TelemetryPolicy, TelemetrySettings, TelemetryTarget};
use model::{HeaderMatch, Key, Kind, ObjectRef, Origin, Resource, Source, ValueMatch};
use std::sync::Arc;
use std::time::Duration;

pub fn policy() -> TelemetryPolicy {
    let collector = |protocol, url: &str| Collector::parse(protocol, url).unwrap();
    TelemetryPolicy {
        key: key(Kind::Telemetry, "all.0"),
        origin: Origin::new(ObjectRef::new("organza.dev", "TelemetryPolicy", "shop", "all"), "all.yaml:1"),
        target: TelemetryTarget::Route(Key::new(Source::files(), Kind::Route, "shop", "httproute.site")),
        says: TelemetrySettings {
            share: Some(0),
            always: Some(vec![HeaderMatch { name: "x-debug".into(), value: ValueMatch::Exact("yes".into()) }]),
            slower: Some(Duration::from_micros(250)),
            spans: Some(collector(CollectorProtocol::Grpc, "http://[::1]:4317")),
            lines: Some(Lines::ErrorsAndSlower(Duration::from_secs(1))),
            lines_to: Some(collector(CollectorProtocol::Http, "http://collector/prefix")),
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
