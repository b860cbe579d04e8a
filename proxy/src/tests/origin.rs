//! Where requests come from, at a gateway, by wire bytes of HTTP/1 and HTTP/2: what strangers say of themselves is replaced, what trusted proxies say is
//! passed on, and policies, limits, records and applications read the same client.

use super::access::{any_of, policy};
use super::grpc::{answer, client, post};
use super::resources::{self, HTTP};
use super::{Proxy, Shop, bounded, key};
use model::access::{AccessMatch, AccessTarget, Action};
use model::rate::{CountBy, RateLimit, RatePolicy};
use model::{Cidr, Front, Kind, Listener, ObjectRef, Origin, OriginField, Resource, Target, Trusted, TrustedProxies};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use testkit::backend::Backend;
use testkit::client::{Shot, fetch};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use transport::body::Length;

fn trusting(who: Trusted, field: OriginField) -> Resource {
    let Resource::Listener(plain) = resources::listener(80, None) else { panic!("a listener") };
    let front = Front { trusted: TrustedProxies { who, field }, ..Front::default() };
    Resource::Listener(Arc::new(Listener { front, ..Listener::clone(&plain) }))
}

fn loopback() -> Trusted {
    Trusted::Sources(vec![Cidr::parse("127.0.0.0/8").unwrap(), Cidr::parse("10.0.0.0/8").unwrap()])
}

struct Edge {
    shop: Shop,
    gateway: Proxy,
    door: SocketAddr,
    _backend: Backend,
}

impl Edge {
    async fn new(who: Trusted, field: OriginField) -> Self {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let target = Target::Listener(key(Kind::Listener, "edge.web"));
        let rule = resources::rule(vec![resources::backend("catalog", HTTP, 1)]);
        shop.mesh.put(vec![trusting(who, field), resources::route(target, rule)]);
        let mut gateway = shop.mesh.proxy("gateway");
        let door = gateway.gateway(80);
        Self { shop, gateway, door, _backend: backend }
    }

    /// What the application sees of a request with these lines, by HTTP/1 as they are and by HTTP/2 as its fields; names in lower case, in their order.
    async fn seen(&self, lines: &[&str]) -> [Vec<String>; 2] {
        let mut stream = TcpStream::connect(self.door).await.unwrap();
        let fields: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        stream.write_all(format!("GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n{fields}\r\n").as_bytes()).await.unwrap();
        let mut all = String::new();
        stream.read_to_string(&mut all).await.unwrap();
        let one = interesting(all.split_once("\r\n\r\n").unwrap().1);
        let h2 = client(self.door).await;
        let mut head = post("shop.example", "/", false);
        for line in lines {
            let (name, value) = line.split_once(':').unwrap();
            head.headers.push(&name.to_ascii_lowercase(), value.trim().as_bytes());
        }
        let (_up, mut reply) = h2.request(&head, Length::None).unwrap();
        let (_, mut body) = answer(&mut reply).await.unwrap();
        let mut text = Vec::new();
        while let Some(piece) = body.chunk().await.unwrap() {
            text.extend_from_slice(&piece);
        }
        [one, interesting(&String::from_utf8(text).unwrap())]
    }
}

/// The fields that say where a request comes from.
fn interesting(body: &str) -> Vec<String> {
    let names = ["x-forwarded", "forwarded", "x-real-ip", "baggage", "x-envoy", "x-request-id"];
    let mut found: Vec<_> =
        body.lines().map(str::to_ascii_lowercase).filter(|line| names.iter().any(|name| line.starts_with(name))).collect();
    found.retain(|line| !line.starts_with("x-request-id") || line.ends_with("-known"));
    found.sort();
    found
}

const STRANGE: [&str; 12] = [
    "X-Forwarded-For: 192.0.2.1",
    "x-FORWARDED-for: 6.6.6.6",
    "Forwarded: for=192.0.2.2;host=evil",
    "X-Forwarded-Host: evil.example",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Port: 444",
    "X-Forwarded-Prefix: /admin",
    "X-Real-IP: 192.0.2.3",
    "Baggage: role=admin",
    "X-Envoy-Expected-Rq-Timeout-Ms: 1",
    "X-Envoy-External-Address: 192.0.2.4",
    "X-Request-Id: 11-known",
];

#[tokio::test]
async fn what_strangers_say_of_themselves_is_replaced() {
    bounded(async {
        let edge = Edge::new(Trusted::Nobody, OriginField::XForwardedFor).await;
        for seen in edge.seen(&STRANGE).await {
            assert_eq!(seen, ["x-forwarded-for: 127.0.0.1", "x-forwarded-proto: http"]);
        }
        assert!(edge.gateway.record().await["client_address"].is_null());
        // Nor do they where proxies elsewhere are trusted.
        let elsewhere = Trusted::Sources(vec![Cidr::parse("198.51.100.0/24").unwrap()]);
        let mut edge = edge;
        edge.shop.mesh.put(vec![trusting(elsewhere, OriginField::XForwardedFor)]);
        for seen in edge.seen(&STRANGE).await {
            assert_eq!(seen, ["x-forwarded-for: 127.0.0.1", "x-forwarded-proto: http"]);
        }
    })
    .await;
}

#[tokio::test]
async fn what_trusted_proxies_say_is_passed_on_from_the_client_onward() {
    bounded(async {
        let mut edge = Edge::new(loopback(), OriginField::XForwardedFor).await;
        for seen in edge.seen(&STRANGE).await {
            let expected = [
                "baggage: role=admin",
                "x-forwarded-for: 6.6.6.6, 127.0.0.1",
                "x-forwarded-host: evil.example",
                "x-forwarded-port: 444",
                "x-forwarded-proto: https",
                "x-request-id: 11-known",
            ];
            assert_eq!(seen, expected);
        }
        assert_eq!(edge.gateway.record().await["client_address"], "6.6.6.6");
        let cases: [(&[&str], &str); 9] = [
            (&[], "127.0.0.1"),
            (&["X-Forwarded-For: 6.6.6.6, 192.0.2.1, 10.0.0.7"], "192.0.2.1, 10.0.0.7, 127.0.0.1"),
            (&["X-Forwarded-For: 6.6.6.6", "X-Forwarded-For:192.0.2.1 ,10.0.0.7"], "192.0.2.1, 10.0.0.7, 127.0.0.1"),
            (&["X-Forwarded-For: [2001:db8::1]:4711"], "2001:db8::1, 127.0.0.1"),
            (&["X-Forwarded-For: fe80::1%25eth0"], "fe80::1, 127.0.0.1"),
            (&["X-Forwarded-For: 192.0.2.1, unknown"], "unknown, 127.0.0.1"),
            (&["X-Forwarded-For: 192.0.2.1, _obfuscated, 10.0.0.7"], "unknown, 10.0.0.7, 127.0.0.1"),
            (&["X-Forwarded-For: 192.0.2.1, '; drop"], "unknown, 127.0.0.1"),
            (&["Forwarded: for=192.0.2.1"], "127.0.0.1"),
        ];
        for (lines, expected) in cases {
            for seen in edge.seen(lines).await {
                assert_eq!(seen, [format!("x-forwarded-for: {expected}"), "x-forwarded-proto: http".into()], "{lines:?}");
            }
        }
        edge.shop.mesh.put(vec![trusting(loopback(), OriginField::Forwarded)]);
        let lines =
            ["X-Forwarded-For: 6.6.6.6", "Forwarded: for=6.6.6.6, for=\"[2001:db8::1]:1\";proto=https;host=shop.example, For=10.0.0.7"];
        for seen in edge.seen(&lines).await {
            let expected =
                ["x-forwarded-for: 2001:db8::1, 10.0.0.7, 127.0.0.1", "x-forwarded-host: shop.example", "x-forwarded-proto: https"];
            assert_eq!(seen, expected);
        }
        for seen in edge.seen(&["Forwarded: for=\", for=192.0.2.1"]).await {
            assert_eq!(seen, ["x-forwarded-for: unknown, 127.0.0.1", "x-forwarded-proto: http"]);
        }
        edge.shop.mesh.put(vec![trusting(Trusted::Hops(2), OriginField::XForwardedFor)]);
        for seen in edge.seen(&["X-Forwarded-For: 6.6.6.6, 192.0.2.1, 203.0.113.9"]).await {
            assert_eq!(seen, ["x-forwarded-for: 192.0.2.1, 203.0.113.9, 127.0.0.1", "x-forwarded-proto: http"]);
        }
    })
    .await;
}

async fn status(door: SocketAddr, forwarded: &str) -> u16 {
    let mut shot = Shot::get(door, "shop.example", "/");
    shot.headers.push(("x-forwarded-for".into(), forwarded.into()));
    fetch(&shot).await.unwrap().0.as_u16()
}

#[tokio::test]
async fn policies_and_limits_read_the_client_and_who_cannot_be_told_is_allowed_nothing() {
    bounded(async {
        let mut edge = Edge::new(loopback(), OriginField::XForwardedFor).await;
        let at_gateway = || AccessTarget::Gateway(key(Kind::Gateway, "edge"));
        let of = |text: &str, of: fn(Cidr) -> AccessMatch| vec![any_of([of(Cidr::parse(text).unwrap())])];
        let name = "p";
        edge.shop.mesh.put(vec![policy(name, Action::Allow, at_gateway(), of("192.0.2.0/24", AccessMatch::ClientAddress))]);
        assert_eq!(status(edge.door, "192.0.2.1").await, 200);
        assert_eq!(status(edge.door, "192.0.2.1, 6.6.6.6").await, 403);
        assert_eq!(status(edge.door, "192.0.2.1, unknown").await, 403);
        edge.shop.mesh.put(vec![policy(name, Action::Deny, at_gateway(), of("192.0.2.0/24", AccessMatch::ClientAddress))]);
        assert_eq!(status(edge.door, "192.0.2.1").await, 403);
        assert_eq!(status(edge.door, "6.6.6.6").await, 200);
        assert_eq!(status(edge.door, "unknown").await, 403, "who denies some denies who could be one of them");
        edge.shop.mesh.put(vec![policy(name, Action::Allow, at_gateway(), of("127.0.0.1", AccessMatch::PeerAddress))]);
        assert_eq!(status(edge.door, "192.0.2.1").await, 200, "the peer is the proxy");
        // Of each client two requests.
        let limit =
            RateLimit { name: "few".into(), requests: 1, window: Duration::from_secs(86_400), burst: 2, by: vec![CountBy::ClientAddress] };
        edge.shop.mesh.put(vec![Resource::RateLimit(Arc::new(RatePolicy {
            key: key(Kind::RateLimit, "ratelimitpolicy.p"),
            origin: Origin::new(ObjectRef::new("organza.dev", "RateLimitPolicy", "shop", "p"), ""),
            targets: vec![at_gateway()],
            limits: vec![limit],
        }))]);
        for (client, expected) in
            [("192.0.2.1", 200), ("192.0.2.1", 200), ("192.0.2.1", 429), ("192.0.2.2", 200), ("9.9.9.9, 192.0.2.1", 429)]
        {
            assert_eq!(status(edge.door, client).await, expected, "{client}");
        }
    })
    .await;
}

/// A backend that says what proxies behind the edge would.
#[tokio::test]
async fn what_proxies_behind_say_of_themselves_ends_at_the_edge() {
    bounded(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::task::spawn_local(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut bytes = [0; 4096];
                let _ = stream.read(&mut bytes).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nproxy-STATUS: inner; details=\"10.0.0.7\"\r\nProxy-Status: b\r\nConnection: close\r\n\r\n").await;
            }
        });
        let mut shop = Shop::new(address);
        let target = Target::Listener(key(Kind::Listener, "edge.web"));
        let rule = resources::rule(vec![resources::backend("catalog", HTTP, 1)]);
        shop.mesh.put(vec![resources::listener(80, None), resources::route(target, rule)]);
        let mut gateway = shop.mesh.proxy("gateway");
        let door = gateway.gateway(80);
        let (status, headers, _) = fetch(&Shot::get(door, "shop.example", "/")).await.unwrap();
        assert!(status == 200 && !headers.contains_key("proxy-status"), "{headers:?}");
        let inside = shop.web.named("catalog", HTTP);
        let (_, headers, _) = fetch(&Shot::get(inside, "catalog", "/")).await.unwrap();
        assert_eq!(headers.get_all("proxy-status").iter().count(), 2, "inside it goes on");
    })
    .await;
}

#[tokio::test]
async fn strangers_are_not_told_what_the_proxy_beside_the_application_tells_the_gateway() {
    bounded(async {
        let mut edge = Edge::new(Trusted::Nobody, OriginField::XForwardedFor).await;
        let catalog = || AccessTarget::Service { service: key(Kind::Service, "catalog"), port: None };
        edge.shop.mesh.put(vec![policy(
            "secret",
            Action::Deny,
            catalog(),
            vec![any_of([AccessMatch::Path(model::access::AccessPath::segments("/no"))])],
        )]);
        let ask = async |path: &str| {
            let (status, headers, body) = fetch(&Shot::get(edge.door, "shop.example", path)).await.unwrap();
            (status.as_u16(), headers, String::from_utf8_lossy(&body).into_owned())
        };
        let (status, headers, body) = ask("/no").await;
        assert_eq!((status, body.as_str()), (403, "access_denied\n"));
        assert_eq!(headers["proxy-status"], "organza; error=http_request_denied");
        assert!(!headers.contains_key("organza-fault"), "{headers:?}");
        let record = edge.gateway.failed("access_denied").await;
        assert_eq!(record["reason"], "the proxy beside the application answered: access_denied");
        let record = edge.shop.catalog.failed("access_denied").await;
        assert_eq!(record["verdict_by"], "AccessPolicy shop/secret", "operators are told");
        // What helps whoever is refused comes through.
        let limit = RateLimit { name: "one".into(), requests: 1, window: Duration::from_secs(86_400), burst: 1, by: Vec::new() };
        edge.shop.mesh.put(vec![Resource::RateLimit(Arc::new(RatePolicy {
            key: key(Kind::RateLimit, "ratelimitpolicy.p"),
            origin: Origin::new(ObjectRef::new("organza.dev", "RateLimitPolicy", "shop", "p"), ""),
            targets: vec![catalog()],
            limits: vec![limit],
        }))]);
        let ask = async |path: &str| {
            let (status, headers, body) = fetch(&Shot::get(edge.door, "shop.example", path)).await.unwrap();
            (status.as_u16(), headers, String::from_utf8_lossy(&body).into_owned())
        };
        assert_eq!(ask("/").await.0, 200);
        let (status, headers, body) = ask("/").await;
        assert_eq!((status, body.as_str()), (429, "rate_limited\n"));
        assert!(headers.contains_key("retry-after") && headers.contains_key("ratelimit"), "{headers:?}");
    })
    .await;
}

#[tokio::test]
async fn redirects_and_cookies_follow_what_a_trusted_proxy_says_the_client_called() {
    bounded(async {
        for (trusted, location, secure) in [
            (Trusted::Sources(vec![Cidr::parse("127.0.0.0/8").unwrap()]), "https://shop.example/there", true),
            (Trusted::Nobody, "http://shop.example/there", false),
        ] {
            let mut edge = Edge::new(trusted, OriginField::XForwardedFor).await;
            let target = || Target::Listener(key(Kind::Listener, "edge.web"));
            let ask = async |door, path: &str| {
                let mut shot = Shot::get(door, "shop.example", path);
                let fields = [("x-forwarded-for", "192.0.2.1"), ("x-forwarded-proto", "https")];
                shot.headers.extend(fields.map(|(name, value)| (name.to_owned(), value.to_owned())));
                fetch(&shot).await.unwrap().1
            };
            let mut rule = resources::rule(vec![resources::backend("catalog", HTTP, 1)]);
            let path = Some(model::route::PathEdit::Full("/there".into()));
            rule.filters = vec![model::Filter::Redirect(model::route::Redirect { scheme: None, host: None, path, port: None, code: 302 })];
            edge.shop.mesh.put(vec![resources::route(target(), rule)]);
            assert_eq!(ask(edge.door, "/here").await["location"], location);
            let mut rule = resources::rule(vec![resources::backend("catalog", HTTP, 1)]);
            rule.session = Some(Box::new(super::session::cart(model::session::Carrier::Cookie)));
            edge.shop.mesh.put(vec![resources::route(target(), rule)]);
            let cookie = ask(edge.door, "/").await["set-cookie"].to_str().unwrap().to_owned();
            assert_eq!(cookie.contains("Secure"), secure, "{cookie}");
        }
    })
    .await;
}
