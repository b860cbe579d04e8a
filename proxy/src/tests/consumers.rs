//! Consumers over real connections: whose key lets in and whose does not, what applications, policies, limits and records learn of it, and that a key
//! itself is told nobody.

use super::access::{any_of, echo, policy as access};
use super::grpc::{answer, client, post};
use super::plain::{only, permissive};
use super::resources::{self, DETECT, GRPC, HTTP, TCP};
use super::{Shop, bounded, id, key};
use crate::upstream::{UpstreamKey, Via};
use model::access::{AccessMatch, AccessPolicy, AccessRule, AccessTarget, Action, Enforcement, TextMatch, Tier};
use model::consumer::{Consumer, KeyPlace};
use model::rate::{CountBy, RateLimit, RatePolicy};
use model::{Change, Kind, ObjectRef, Origin, Resource, Target};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use testkit::backend::Backend;
use testkit::client::{Shot, fetch};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use transport::body::Length;
use transport::preface::Framing;

type Fields<'a> = &'a [(&'a str, &'a str)];

fn consumer(name: &str, target: AccessTarget, secret: &str) -> Consumer {
    Consumer {
        key: key(Kind::Consumer, &format!("consumer.{name}")),
        origin: Origin::new(ObjectRef::new("organza.dev", "Consumer", "shop", name), ""),
        targets: vec![target],
        keys: vec![Sha256::digest(secret).into()],
        groups: vec![format!("shop/of-{name}").into()],
        from: vec![KeyPlace::Header("x-api-key".into()), KeyPlace::Query("key".into()), KeyPlace::Cookie("key".into())],
        required: true,
        passed_on: false,
    }
}

fn put(consumer: Consumer) -> Resource {
    Resource::Consumer(Arc::new(consumer))
}

fn on_catalog() -> AccessTarget {
    AccessTarget::Service { service: key(Kind::Service, "catalog"), port: None }
}

/// Status, challenge, and what the application saw.
async fn get(door: SocketAddr, path: &str, fields: Fields<'_>) -> (u16, String, String) {
    let mut shot = Shot::get(door, "catalog", path);
    shot.headers.extend(fields.iter().map(|(name, value)| ((*name).into(), (*value).into())));
    let (status, headers, body) = fetch(&shot).await.unwrap();
    let challenge = headers.get("www-authenticate").map_or("", |value| value.to_str().unwrap()).to_owned();
    (status.as_u16(), challenge, String::from_utf8_lossy(&body).into_owned())
}

/// What the control plane gives releases that know no consumers (`decisions/0046`).
#[tokio::test]
async fn what_stands_in_for_a_consumer_lets_in_neither_requests_nor_bytes_whatever_allows_them() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let denial = AccessPolicy {
            key: key(Kind::Access, "consumer.acme"),
            origin: consumer("acme", on_catalog(), "s3cret").origin,
            tier: Tier::Admin,
            action: Action::Deny,
            enforcement: Enforcement::Enforce,
            targets: vec![on_catalog()],
            rules: vec![AccessRule { name: "a-key-is-demanded".into(), clauses: Vec::new() }],
        };
        let allow = AccessPolicy { key: key(Kind::Access, "clusteraccesspolicy.all"), action: Action::Allow, ..denial.clone() };
        shop.mesh.put(vec![Resource::Access(Arc::new(allow))]);
        let (door, bytes) = (shop.web.named("catalog", HTTP), shop.web.named("catalog", TCP));
        assert_eq!(get(door, "/", &[]).await.0, 200);
        shop.mesh.put(vec![Resource::Access(Arc::new(denial))]);
        for fields in [&[][..], &[("x-api-key", "s3cret")]] {
            assert_eq!(get(door, "/", fields).await.0, 403);
            let record = shop.catalog.failed("access_denied").await;
            assert!(record["verdict_by"].as_str().unwrap().contains("Consumer shop/acme"), "{record}");
        }
        let mut stream = TcpStream::connect(bytes).await.unwrap();
        let _ = stream.write_all(b"ping").await;
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        assert!(rest.is_empty());
        assert_eq!((shop.catalog.failed("access_denied").await["protocol"].clone(), backend.requests()), ("tcp".into(), 1));
    })
    .await;
}

#[tokio::test]
async fn who_brings_a_key_is_let_in_and_the_key_goes_nowhere() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        shop.mesh.put(vec![put(consumer("acme", on_catalog(), "s3cret-acme")), put(consumer("beta", on_catalog(), "s3cret-beta"))]);
        let door = shop.web.named("catalog", HTTP);
        let ways: [(&str, Fields<'_>); 3] = [
            ("/", &[("X-Api-Key", "s3cret-acme")]),
            ("/items?a=1&key=s3cret-acme&b=2", &[]),
            ("/", &[("cookie", "a=1; key=s3cret-acme; b=2")]),
        ];
        for (path, fields) in ways {
            let (status, _, seen) = get(door, path, fields).await;
            assert_eq!(status, 200, "{path}");
            assert!(!seen.contains("s3cret"), "the application sees no key: {seen}");
            let record = shop.catalog.record().await;
            assert_eq!((&record["consumer"], &record["api"]), (&"shop/acme".into(), &"Service shop/catalog".into()));
            assert!(!record.to_string().contains("s3cret"), "{record}");
        }
        assert!(get(door, "/items?a=1&key=s3cret-acme&b=2", &[]).await.2.contains("/items?a=1&b=2"));
        let cases: [(&str, Fields<'_>, &str, &str); 5] = [
            ("/", &[], "a key is demanded, and there is none", "Consumer shop/acme"),
            ("/", &[("x-api-key", "s3cret-nobody")], "the key is no consumer's here", ""),
            ("/", &[("x-api-key", "")], "a key is demanded, and there is none", "Consumer shop/acme"),
            ("/", &[("x-api-key", "s3cret-acme"), ("x-api-key", "s3cret-beta")], "the request brings several keys", ""),
            ("/?key=s3cret-acme", &[("x-api-key", "s3cret-acme")], "the request brings several keys", ""),
        ];
        for (path, fields, why, by) in cases {
            let (status, challenge, body) = get(door, path, fields).await;
            assert_eq!((status, &*challenge), (401, "ApiKey"), "{why}");
            assert!(body.contains(why) && !body.contains("s3cret"), "{body}");
            let record = shop.catalog.failed("unauthenticated").await;
            assert_eq!((&record["reason"], record["verdict_by"].as_str().unwrap_or("")), (&why.into(), by));
            assert!(!record.to_string().contains("s3cret"), "{record}");
        }
        let grpc = client(shop.web.named("catalog", GRPC)).await;
        let (_up, mut reply) = grpc.request(&post("catalog", "/books.Books/Get", true), Length::None).unwrap();
        let (head, _) = answer(&mut reply).await.unwrap();
        assert_eq!((head.headers.text("grpc-status"), head.headers.text("www-authenticate")), (Some("16"), Some("ApiKey")));
        assert_eq!(backend.requests(), 4);
        let metrics = shop.catalog.worker.shared.metrics.encode();
        let told = "organza_consumer_requests_total{consumer=\"shop/acme\",api=\"Service shop/catalog\",code=\"2xx\"} 4";
        assert!(metrics.contains(told) && metrics.contains("organza_key_refused_total{cause=\"several\"} 2"), "{metrics}");
        assert!(!metrics.contains("s3cret"));
        // Whose object is gone is nobody; where it says so the application gets the key too.
        let gone = Change::Remove(key(Kind::Consumer, "consumer.beta"));
        let snapshot = shop.mesh.snapshot.load().apply(90, &[gone], &BTreeMap::new());
        shop.mesh.snapshot.store(Arc::new(snapshot));
        assert_eq!(get(door, "/", &[("x-api-key", "s3cret-beta")]).await.0, 401);
        shop.mesh.put(vec![put(Consumer { passed_on: true, ..consumer("acme", on_catalog(), "s3cret-acme") })]);
        assert!(get(door, "/", &[("x-api-key", "s3cret-acme")]).await.2.contains("s3cret-acme"));
    })
    .await;
}

#[tokio::test]
async fn policies_and_limits_tell_consumers_apart() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let optional = |name: &str| put(Consumer { required: false, ..consumer(name, on_catalog(), name) });
        let of = |text: &str| AccessMatch::ConsumerGroup(TextMatch::Exact(text.into()));
        let named = AccessMatch::Consumer(TextMatch::Exact("shop/beta".into()));
        let limit =
            RateLimit { name: "each".into(), requests: 1, window: Duration::from_secs(80_000), burst: 2, by: vec![CountBy::Consumer] };
        shop.mesh.put(vec![
            optional("acme"),
            optional("beta"),
            optional("dev"),
            access("gold", Action::Allow, on_catalog(), vec![any_of([of("shop/of-acme"), named])]),
            Resource::RateLimit(Arc::new(RatePolicy {
                key: key(Kind::RateLimit, "ratelimitpolicy.p"),
                origin: Origin::new(ObjectRef::new("organza.dev", "RateLimitPolicy", "shop", "p"), ""),
                targets: vec![on_catalog()],
                limits: vec![limit],
            })),
        ]);
        let door = shop.web.named("catalog", HTTP);
        let status = async |key: &str| get(door, "/", &[("x-api-key", key)]).await.0;
        assert_eq!((status("acme").await, status("beta").await, status("dev").await), (200, 200, 403));
        assert_eq!(get(door, "/", &[]).await.0, 403, "without a key nobody is anybody");
        assert_eq!(status("wrong").await, 401, "a key that is nobody's is told, also where none is demanded");
        assert_eq!((status("acme").await, status("acme").await, status("beta").await, status("beta").await), (200, 429, 200, 429));
    })
    .await;
}

#[tokio::test]
async fn a_gateways_route_is_the_api_that_is_consumed() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let rule = resources::rule(vec![resources::backend("catalog", HTTP, 1)]);
        let listener = key(Kind::Listener, "edge.web");
        shop.mesh.put(vec![resources::listener(80, None), resources::route(Target::Listener(listener), rule)]);
        shop.mesh.put(vec![put(consumer("acme", AccessTarget::Route(key(Kind::Route, "httproute.test")), "s3cret"))]);
        let mut gateway = shop.mesh.proxy("gateway");
        let door = gateway.gateway(80);
        assert_eq!(get(door, "/", &[]).await.0, 401);
        let (status, _, seen) = get(door, "/a?key=s3cret", &[]).await;
        assert!(status == 200 && !seen.contains("s3cret"), "{status} {seen}");
        let record = gateway.failed("unauthenticated").await;
        assert_eq!(record["consumer"], serde_json::Value::Null);
        let record = gateway.record().await;
        assert_eq!((&record["consumer"], &record["api"]), (&"shop/acme".into(), &"HTTPRoute shop/test".into()));
        // Who may write a route lets nobody in at the listener, nor the reverse: whoever demands a key knows it.
        let at_listener = AccessTarget::Listener(key(Kind::Listener, "edge.web"));
        shop.mesh.put(vec![put(consumer("edge", at_listener.clone(), "edge-key"))]);
        let of = async |secret: &str| get(door, "/", &[("x-api-key", secret)]).await.0;
        assert_eq!((of("s3cret").await, of("edge-key").await), (401, 401));
        let targets = vec![at_listener, AccessTarget::Route(key(Kind::Route, "httproute.test"))];
        shop.mesh.put(vec![put(Consumer { targets, ..consumer("both", on_catalog(), "both-key") })]);
        assert_eq!(of("both-key").await, 200);
    })
    .await;
}

#[tokio::test]
async fn bytes_bring_no_key_and_pass_only_where_their_port_is_declared_so() {
    bounded(async {
        let backend = Backend::tcp("").await;
        for (port, passes) in [(DETECT, false), (TCP, true)] {
            let mut shop = Shop::new(backend.address);
            only(&mut shop, port, backend.address.port());
            shop.mesh.put(vec![permissive(), put(consumer("acme", on_catalog(), "s3cret"))]);
            assert_eq!(echo(shop.web.named("catalog", port)).await == b"ping", passes, "{port}");
            if !passes {
                let record = shop.catalog.failed("unauthenticated").await;
                assert_eq!(record["reason"], "Consumer shop/acme demands a key, and bytes bring none");
                assert_eq!(record["verdict_by"], "Consumer shop/acme");
                assert!(shop.catalog.worker.shared.metrics.encode().contains("organza_key_refused_total{cause=\"missing\"} 1"));
            }
            let via = Via::Hbone { expected: [id("catalog")].into(), authority: format!("catalog:{port}").as_str().into() };
            let tunnel = UpstreamKey { address: shop.tunnel, via, framing: Framing::Tcp, counted: None, told: None };
            assert_eq!(shop.web.worker.connect(&tunnel, true).await.is_ok(), passes, "{port} by HBONE");
            assert_eq!(echo(shop.tunnel).await == b"ping", passes, "{port} in plaintext");
        }
    })
    .await;
}
