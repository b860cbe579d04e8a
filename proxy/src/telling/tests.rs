use super::*;
use model::{HeaderMatch, ObjectRef, Origin, PathMatch, RouteMatch, Source, ValueMatch};
use std::time::Duration;

fn key(kind: Kind, name: &str) -> Key {
    Key::new(Source::files(), kind, "shop", name)
}

fn put(name: &str, target: TelemetryTarget, says: TelemetrySettings) -> Change {
    let origin = Origin::new(ObjectRef::new("organza.dev", "TelemetryPolicy", "shop", name), "");
    Change::Put(Resource::Telemetry(Arc::new(TelemetryPolicy { key: key(Kind::Telemetry, name), origin, target, says })))
}

fn share(share: u32) -> TelemetrySettings {
    TelemetrySettings { share: Some(share), ..TelemetrySettings::default() }
}

#[test]
fn what_is_nearer_holds_and_what_it_leaves_out_is_taken_from_the_next() {
    let (route, service) = (key(Kind::Route, "httproute.a"), key(Kind::Service, "a"));
    let slow = TelemetrySettings { slower: Some(Duration::from_millis(5)), lines: Some(Lines::Errors), ..share(1) };
    let changes = [
        // Whatever the order in which they come.
        put("route", TelemetryTarget::Route(route.clone()), share(4)),
        put("gateway", TelemetryTarget::Gateway(key(Kind::Gateway, "g")), share(2)),
        put("mesh", TelemetryTarget::Mesh, slow),
        put("service", TelemetryTarget::Service(service.clone()), share(3)),
    ];
    let telling = Telling::default().after(&changes).unwrap();
    let head = RequestHead::default();
    let sampled = |route: Option<&Key>, service: Option<&Key>| telling.of(route, service, &head).1;
    assert_eq!(sampled(Some(&route), Some(&service)), Sampling::Share(4));
    assert_eq!(sampled(None, Some(&service)), Sampling::Share(3));
    assert_eq!(sampled(Some(&service), Some(&route)), Sampling::Share(2));
    let tell = telling.of(Some(&route), None, &head).0.unwrap();
    assert_eq!((tell.slow, tell.lines), (Duration::from_millis(5), Lines::Errors));
    assert_eq!(*telling.at_first(), tell);
    // Taken away, it is as if it had never been.
    let left = telling.after(&[Change::Remove(key(Kind::Telemetry, "mesh")), Change::Remove(key(Kind::Telemetry, "gateway"))]).unwrap();
    assert_eq!((left.of(None, None, &head).1, left.at_first()), (Sampling::Adaptive, &Tell::default()));
    assert!(left.after(&[Change::Remove(route)]).is_none());
}

#[test]
fn a_header_chooses_a_trace_whatever_the_share() {
    let wanted = HeaderMatch { name: "x-debug".into(), value: ValueMatch::Exact("yes".into()) };
    let says = TelemetrySettings { always: Some(vec![wanted]), ..share(0) };
    let telling = Telling::default().after(&[put("mesh", TelemetryTarget::Mesh, says)]).unwrap();
    let mut head = RequestHead::default();
    assert_eq!(telling.of(None, None, &head).1, Sampling::Share(0));
    head.headers.set("X-Debug", b"yes");
    assert_eq!(telling.of(None, None, &head).1, Sampling::Share(telemetry::trace::WHOLE));
}

#[test]
fn lines_are_of_what_a_match_holds_for_and_label_sets_as_many_as_said() {
    let of_api = RouteMatch { path: Some(PathMatch::prefix("/api")), ..RouteMatch::default() };
    let says = TelemetrySettings { matches: Some(vec![of_api]), lines: Some(Lines::All), series: Some(70), ..TelemetrySettings::default() };
    let telling = Telling::default().after(&[put("mesh", TelemetryTarget::Mesh, says)]).unwrap();
    let lines = |path: &str| {
        let mut head = RequestHead::default();
        head.set_target(path);
        telling.of(None, None, &head).0.unwrap().lines
    };
    assert_eq!((lines("/api/a"), lines("/apis")), (Lines::All, Lines::Nothing));
    assert_eq!((&telling.at_first().lines, telling.series()), (&Lines::Nothing, 70));
    assert_eq!(Telling::default().series(), telemetry::limits::SERIES);
}
