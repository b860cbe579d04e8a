//! Limits by target and by who is counted.

use crate::{Attributes, Consumer, Moment, Place, Rates, Request};
use model::access::AccessTarget;
use model::rate::{CountBy, RateLimit, RatePolicy};
use model::*;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn key(kind: Kind, name: &str) -> Key {
    Key::new(Source::files(), kind, "shop", name)
}

fn limit(name: &str, burst: u32, by: &[CountBy]) -> RateLimit {
    RateLimit { name: name.into(), requests: 1, window: Duration::from_secs(60), burst, by: by.to_vec() }
}

fn policy(name: &str, targets: Vec<AccessTarget>, limits: Vec<RateLimit>) -> Arc<RatePolicy> {
    let origin = Origin::new(ObjectRef::new("organza.dev", "RateLimitPolicy", "shop", name), "");
    Arc::new(RatePolicy { key: key(Kind::RateLimit, name), origin, targets, limits })
}

fn on_gateway() -> AccessTarget {
    AccessTarget::Gateway(key(Kind::Gateway, "edge"))
}

/// Who asks, from where, with what header, by which route of the gateway.
#[derive(Clone, Copy)]
struct Call<'a> {
    account: &'a str,
    address: &'a str,
    header: &'a str,
    route: &'a str,
    consumer: &'a str,
}

const CALL: Call<'_> = Call { account: "web", address: "10.0.0.1", header: "", route: "httproute.a", consumer: "" };

/// The limit that refuses it.
fn ask(rates: &Rates, call: Call<'_>, now: Instant) -> Option<String> {
    let peer = SpiffeId::new(TrustDomain::parse("organza.local").unwrap(), "shop", call.account).ok();
    let mut headers = HeaderBlock::default();
    if !call.header.is_empty() {
        headers.push("x-user", call.header.as_bytes());
    }
    let address = call.address.parse().unwrap();
    let consumer = Consumer { name: call.consumer.into(), groups: Vec::new() };
    let consumer = Some(&consumer).filter(|consumer| !consumer.name.is_empty());
    let request = Request { host: "a", method: &Method::Get, path: "/", headers: &headers, client: Some(address), token: None, consumer };
    let (gateway, listener, route) = (key(Kind::Gateway, "edge"), key(Kind::Listener, "edge.web"), key(Kind::Route, call.route));
    let place = Place::Gateway { gateway: &gateway, listener: &listener, route: Some(&route) };
    let of =
        Attributes { peer: peer.as_ref(), plaintext: false, address, ports: &[80], server_name: None, moment: Moment::Request(request) };
    rates.take(&place, &of, now).err().map(|exhausted| exhausted.limit.name.to_string())
}

#[test]
fn each_who_is_told_apart_has_a_bucket() {
    let long = "x".repeat(300);
    let (also_long, other_long) = (format!("{long}y"), "y".repeat(300));
    let cases: [(CountBy, Call<'_>, Call<'_>, bool); 11] = [
        (CountBy::Identity, CALL, Call { account: "dev", ..CALL }, true),
        (CountBy::Identity, CALL, Call { address: "10.0.0.2", ..CALL }, false),
        (CountBy::ClientAddress, CALL, Call { address: "10.0.0.2", ..CALL }, true),
        (CountBy::ClientAddress, CALL, Call { address: "::ffff:10.0.0.1", ..CALL }, false),
        (CountBy::ClientAddress, Call { address: "2001:db8::1", ..CALL }, Call { address: "2001:db8::2", ..CALL }, false),
        (CountBy::Header("x-user".into()), CALL, Call { header: "ann", ..CALL }, true),
        (CountBy::Header("x-user".into()), Call { header: &long, ..CALL }, Call { header: &also_long, ..CALL }, false),
        (CountBy::Header("x-user".into()), Call { header: &long, ..CALL }, Call { header: &other_long, ..CALL }, false),
        (CountBy::Route, CALL, Call { route: "httproute.b", ..CALL }, true),
        (CountBy::Consumer, Call { consumer: "shop/a", ..CALL }, Call { consumer: "shop/b", ..CALL }, true),
        (CountBy::Consumer, CALL, Call { address: "10.0.0.2", ..CALL }, false),
    ];
    for (by, one, other, apart) in cases {
        let now = Instant::now();
        let rates =
            Rates::compile(&[policy("p", vec![on_gateway()], vec![limit("each", 1, std::slice::from_ref(&by))])], &Rates::default());
        assert_eq!(ask(&rates, one, now), None);
        assert_eq!(ask(&rates, one, now), Some("each".into()), "{by}");
        assert_eq!(ask(&rates, other, now).is_none(), apart, "{by}");
    }
}

#[test]
fn all_limits_must_have_room_and_who_is_refused_is_not_counted() {
    let limits = vec![limit("total", 3, &[]), limit("each", 1, &[CountBy::Identity])];
    let rates = Rates::compile(&[policy("p", vec![on_gateway()], limits)], &Rates::default());
    let now = Instant::now();
    assert_eq!(ask(&rates, CALL, now), None);
    (0..5).for_each(|_| assert_eq!(ask(&rates, CALL, now), Some("each".into())));
    let other = |account| Call { account, ..CALL };
    assert_eq!((ask(&rates, other("a"), now), ask(&rates, other("b"), now)), (None, None));
    assert_eq!(ask(&rates, other("c"), now), Some("total".into()));
}

#[test]
fn counts_go_over_to_the_next_configuration_and_each_target_has_its_own() {
    let route = |name| AccessTarget::Route(key(Kind::Route, name));
    let by = |burst| policy("p", vec![route("httproute.a"), route("httproute.b")], vec![limit("all", burst, &[])]);
    let first = Rates::compile(&[by(2)], &Rates::default());
    let now = Instant::now();
    assert_eq!((ask(&first, CALL, now), ask(&first, CALL, now)), (None, None));
    let second = Rates::compile(&[by(2)], &first);
    assert!(ask(&second, CALL, now).is_some());
    assert!(ask(&second, Call { route: "httproute.b", ..CALL }, now).is_none());
    // A larger bucket has what is added to it.
    let third = Rates::compile(&[by(3)], &second);
    assert_eq!((ask(&third, CALL, now), ask(&third, CALL, now)), (None, Some("all".into())));
    let gone = Rates::compile(&[], &third);
    assert!(gone.is_empty() && ask(&gone, CALL, now).is_none());
}

#[test]
fn connections_and_other_places_are_not_counted() {
    let rates = Rates::compile(&[policy("p", vec![on_gateway()], vec![limit("all", 1, &[])])], &Rates::default());
    let (labels, services) = (Labels::new(), [(key(Kind::Service, "orders"), 80)]);
    let place = Place::Workload { namespace: "shop", labels: &labels, services: &services };
    let address = "10.0.0.1".parse().unwrap();
    let of = |moment| Attributes { peer: None, plaintext: false, address, ports: &[80], server_name: None, moment };
    let headers = HeaderBlock::default();
    let request =
        Request { host: "a", method: &Method::Get, path: "/", headers: &headers, client: Some(address), token: None, consumer: None };
    for moment in [Moment::Opened, Moment::Stream, Moment::Request(request), Moment::Request(request)] {
        assert!(rates.take(&place, &of(moment), Instant::now()).is_ok());
    }
}
