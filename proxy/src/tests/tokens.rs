//! Tokens over real connections: who is let in and who gets 401, what applications, routes, policies and limits learn of a token, and keys that are
//! fetched, rotated and missing.

mod https;

use super::access::{any_of, policy as access};
use super::grpc::{answer, client, post};
use super::resources::{self, GRPC, HTTP};
use super::{Shop, bounded, key};
use crate::tokens::fetch;
use model::access::{AccessMatch, AccessTarget, Action, Clause, Group, Term, TextMatch};
use model::backend::ExternalName;
use model::rate::{CountBy, RateLimit, RatePolicy};
use model::route::RankedMatch;
use model::telemetry::{Pattern, RedactedField, Redaction, TelemetryPolicy, TelemetrySettings, TelemetryTarget};
use model::token::{Algorithm, ClaimHeader, KeySource, KeysUrl, TokenIssuer};
use model::{HeaderMatch, Kind, ObjectRef, Origin, Rank, Resource, RouteMatch, Target, ValueMatch};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use testkit::backend::Backend;
use testkit::client::{Shot, fetch as ask};
use testkit::issuer::Issuer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use transport::body::Length;

const ISS: &str = "https://issuer.example";

fn issuer(target: AccessTarget, keys: KeySource, required: bool) -> Resource {
    Resource::TokenIssuer(Arc::new(TokenIssuer {
        key: key(Kind::TokenIssuer, "tokenissuer.corp"),
        origin: Origin::new(ObjectRef::new("organza.dev", "TokenIssuer", "shop", "corp"), ""),
        targets: vec![target],
        issuer: ISS.into(),
        audiences: vec!["shop".into()],
        algorithms: vec![Algorithm::EdDsa],
        keys,
        leeway: Duration::ZERO,
        required,
        headers: vec![ClaimHeader { claim: vec!["sub".into()], name: "x-user".into() }],
    }))
}

fn inline(issuers: &[&Issuer]) -> KeySource {
    KeySource::Inline(Issuer::jwks(issuers).into())
}

fn on_catalog() -> AccessTarget {
    AccessTarget::Service { service: key(Kind::Service, "catalog"), port: None }
}

/// Good until the year 2100.
fn claims(subject: &str) -> Value {
    json!({"iss": ISS, "sub": subject, "aud": "shop", "exp": 4_102_444_800_u64, "realm": {"roles": ["reader", subject]}})
}

/// Status, `WWW-Authenticate`, and what the application saw of `x-user`.
async fn get(door: SocketAddr, token: Option<&str>, more: &[(&str, &str)]) -> (u16, String, String) {
    let mut shot = Shot::get(door, "catalog", "/");
    shot.headers.extend(token.map(|token| ("authorization".into(), format!("Bearer {token}"))));
    shot.headers.extend(more.iter().map(|(name, value)| ((*name).into(), (*value).into())));
    let (status, headers, body) = ask(&shot).await.unwrap();
    let challenge = headers.get("www-authenticate").map_or("", |value| value.to_str().unwrap()).to_owned();
    let body = String::from_utf8_lossy(&body).to_ascii_lowercase();
    let user = body.lines().find_map(|line| line.split_once("x-user").map(|(_, rest)| rest));
    (status.as_u16(), challenge, user.unwrap_or("").trim_matches([':', ' ', '"', ',', '\r']).to_owned())
}

#[tokio::test]
async fn what_a_policy_redacts_is_redacted_in_a_refusal_too() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let redaction = Redaction { field: RedactedField::Path, pattern: Pattern::new("[0-9]+").unwrap(), replacement: "#".into() };
        let says = TelemetrySettings { redactions: Some([redaction].into()), ..TelemetrySettings::default() };
        let (target, origin) = (TelemetryTarget::Service(key(Kind::Service, "catalog")), resources::origin("TelemetryPolicy", "p"));
        let telling = TelemetryPolicy { key: key(Kind::Telemetry, "p.0"), origin, target, says };
        let guard = issuer(on_catalog(), inline(&[&Issuer::new("k1")]), true);
        shop.mesh.put(vec![guard, Resource::Telemetry(Arc::new(telling))]);
        let door = shop.web.named("catalog", HTTP);
        let (status, ..) = ask(&Shot::get(door, "catalog", "/cards/4111")).await.unwrap();
        let record = shop.catalog.failed("unauthenticated").await;
        assert_eq!((status.as_u16(), &record["path"]), (401, &"/cards/#".into()));
    })
    .await;
}

#[tokio::test]
async fn who_brings_a_token_that_is_believed_is_let_in_and_nobody_else() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let (ours, theirs) = (Issuer::new("k1"), Issuer::new("k1"));
        shop.mesh.put(vec![issuer(on_catalog(), inline(&[&ours]), true)]);
        let door = shop.web.named("catalog", HTTP);
        let good = ours.token(&claims("ann"));
        assert_eq!(get(door, Some(&good), &[]).await.0, 200);
        assert_eq!(get(door, Some(&good), &[]).await.0, 200, "what is remembered is believed too");
        assert_eq!(get(door, None, &[]).await.1, "Bearer");
        let record = shop.catalog.failed("unauthenticated").await;
        assert_eq!((&record["verdict_by"], &record["response_code"]), (&"TokenIssuer shop/corp".into(), &401.into()));
        let with = |name: &str, value: Value| {
            let mut claims = claims("ann");
            claims[name] = value;
            ours.token(&claims)
        };
        let cases = [
            (theirs.token(&claims("ann")), "the token's signature is wrong"),
            (with("exp", json!(1)), "the token expired"),
            (with("nbf", json!(4_000_000_000_u64)), "the token is not valid yet"),
            (with("aud", json!("bank")), "the token is for another audience"),
            (with("iss", json!("https://other.example")), "the token's issuer is not known here"),
            ("a.b.c".to_owned(), "the token is malformed"),
            (good.replace('.', ".."), "the token is malformed"),
            ("a".repeat(20_000), "the token is too long"),
        ];
        for (token, why) in &cases {
            let (status, challenge, _) = get(door, Some(token), &[]).await;
            assert_eq!((status, challenge), (401, format!("Bearer error=\"invalid_token\", error_description=\"{why}\"")));
            let record = shop.catalog.failed("unauthenticated").await;
            assert_eq!(record["reason"], format!("{why}, says TokenIssuer shop/corp"));
            assert!(!record.to_string().contains(&token[..token.len().min(30)]) || token == "a.b.c", "a token is never logged: {record}");
        }
        let twice = get(door, Some(&good), &[("authorization", "Bearer x")]).await;
        assert_eq!(twice.0, 401, "of two nobody knows which the application takes");
        assert_eq!(get(door, None, &[("authorization", "Basic eDp5")]).await.1, "Bearer");
        let metrics = shop.catalog.worker.shared.metrics.encode();
        assert!(metrics.contains("organza_token_refused_total{issuer=\"TokenIssuer shop/corp\",cause=\"expired\"} 1"), "{metrics}");
        let grpc = client(shop.web.named("catalog", GRPC)).await;
        let (_up, mut reply) = grpc.request(&post("catalog", "/books.Books/Get", true), Length::None).unwrap();
        let (head, _) = answer(&mut reply).await.unwrap();
        assert_eq!((head.headers.text("grpc-status"), head.headers.text("www-authenticate")), (Some("16"), Some("Bearer")));
        assert_eq!(backend.requests(), 2);
        // An issuer without keys believes nobody, not even whom it believed.
        shop.mesh.put(vec![issuer(on_catalog(), KeySource::None, true)]);
        assert_eq!(get(door, Some(&good), &[]).await.0, 401);
    })
    .await;
}

#[tokio::test]
async fn what_a_token_says_is_told_to_applications_and_policies_and_strangers_cannot_say_it() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let ours = Issuer::new("k1");
        let says = |path: &[&str], value: &str| AccessMatch::Claim {
            path: path.iter().map(|step| (*step).into()).collect(),
            value: TextMatch::Exact(value.into()),
        };
        let from = Term::is(vec![AccessMatch::Issuer(TextMatch::Exact(ISS.into()))]);
        let reader = Clause(vec![Group(vec![from, Term::is(vec![says(&["realm", "roles"], "ann")])])]);
        shop.mesh.put(vec![
            issuer(on_catalog(), inline(&[&ours]), false),
            access("readers", Action::Allow, on_catalog(), vec![reader, any_of([AccessMatch::Audience(TextMatch::Exact("shop".into()))])]),
        ]);
        let door = shop.web.named("catalog", HTTP);
        let (ann, bob) = (ours.token(&claims("ann")), ours.token(&claims("bob")));
        assert_eq!(get(door, Some(&ann), &[("x-user", "root")]).await, (200, String::new(), "ann".into()));
        assert_eq!(get(door, Some(&bob), &[]).await.0, 403);
        assert_eq!(get(door, None, &[("x-user", "ann")]).await.0, 403, "without a token nobody is anybody");
        shop.mesh.put(vec![access("readers", Action::Deny, on_catalog(), vec![any_of([says(&["sub"], "bob")])])]);
        assert_eq!(get(door, None, &[("x-user", "root")]).await, (200, String::new(), String::new()));
        assert_eq!(get(door, Some(&bob), &[]).await.0, 403);
    })
    .await;
}

#[tokio::test]
async fn routes_of_a_gateway_and_limits_read_what_tokens_say() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let ours = Issuer::new("k1");
        let listener = key(Kind::Listener, "edge.web");
        let user = HeaderMatch { name: "x-user".into(), value: ValueMatch::Exact("ann".into()) };
        let mut rule = resources::rule(vec![resources::backend("catalog", HTTP, 1)]);
        rule.matches = vec![RankedMatch { rank: Rank::default(), matches: RouteMatch { headers: vec![user], ..RouteMatch::default() } }];
        let limit = RateLimit {
            name: "each".into(),
            requests: 1,
            window: Duration::from_secs(80_000),
            burst: 2,
            by: vec![CountBy::Claim(vec!["sub".into()])],
        };
        shop.mesh.put(vec![
            resources::listener(80, None),
            resources::route(Target::Listener(listener.clone()), rule),
            issuer(AccessTarget::Listener(listener.clone()), inline(&[&ours]), true),
            Resource::RateLimit(Arc::new(RatePolicy {
                key: key(Kind::RateLimit, "ratelimitpolicy.p"),
                origin: Origin::new(ObjectRef::new("organza.dev", "RateLimitPolicy", "shop", "p"), ""),
                targets: vec![AccessTarget::Listener(listener)],
                limits: vec![limit],
            })),
        ]);
        let mut gateway = shop.mesh.proxy("gateway");
        let door = gateway.gateway(80);
        let (ann, bob) = (ours.token(&claims("ann")), ours.token(&claims("bob")));
        assert_eq!(get(door, Some(&bob), &[("x-user", "ann")]).await.0, 404, "the route is for ann");
        for want in [200, 200, 429] {
            assert_eq!(get(door, Some(&ann), &[]).await.0, want);
        }
        assert_eq!(get(door, None, &[("x-user", "ann")]).await.0, 401);
    })
    .await;
}

#[tokio::test]
async fn the_record_of_a_stranger_says_whose_token_it_brought_and_nothing_else_of_it() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let (ours, theirs, listener) = (Issuer::new("k1"), Issuer::new("k1"), key(Kind::Listener, "edge.web"));
        let rule = resources::rule(vec![resources::backend("catalog", HTTP, 1)]);
        let of_bob = any_of([AccessMatch::Claim { path: vec!["sub".into()], value: TextMatch::Exact("bob".into()) }]);
        shop.mesh.put(vec![
            resources::listener(80, None),
            resources::route(Target::Listener(listener.clone()), rule),
            issuer(AccessTarget::Gateway(key(Kind::Gateway, "edge")), inline(&[&ours]), false),
            access("no-bob", Action::Deny, AccessTarget::Listener(listener), vec![of_bob]),
        ]);
        let mut gateway = shop.mesh.proxy("gateway");
        let door = gateway.gateway(80);
        let bob = ours.token(&claims("bob"));
        let cases = [(Some(&*bob), 403, Some("bob")), (None, 200, None)];
        let (ann, eve) = (ours.token(&claims("ann")), theirs.token(&claims("eve")));
        for (token, status, subject) in cases.into_iter().chain([(Some(&*ann), 200, Some("ann")), (Some(&*eve), 401, None)]) {
            assert_eq!(get(door, token, &[]).await.0, status);
            let record = gateway.record().await;
            let told = (record["token_issuer"].as_str(), record["token_subject"].as_str());
            assert_eq!(told, (subject.map(|_| ISS), subject), "{record}");
            assert!(!record.to_string().contains("reader") && !token.is_some_and(|token| record.to_string().contains(token)), "{record}");
        }
    })
    .await;
}

/// A server of keys that can be told what to say.
struct Desk {
    address: SocketAddr,
    says: Arc<Mutex<String>>,
    asked: Arc<AtomicU32>,
}

impl Desk {
    async fn open(says: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let desk = Self { address, says: Arc::new(Mutex::new(says)), asked: Arc::default() };
        let (says, asked) = (desk.says.clone(), desk.asked.clone());
        tokio::task::spawn_local(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                asked.fetch_add(1, Ordering::SeqCst);
                let body = says.lock().unwrap().clone();
                let mut seen = Vec::new();
                while !seen.ends_with(b"\r\n\r\n") {
                    match stream.read_u8().await {
                        Ok(byte) => seen.push(byte),
                        Err(_) => break,
                    }
                }
                let status = if body.is_empty() { "500 Oh" } else { "200 OK" };
                let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
                // Who is gone hears nothing.
                let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
            }
        });
        desk
    }

    fn says(&self, what: &str) {
        *self.says.lock().unwrap() = what.to_owned();
    }

    fn url(&self, path: &str) -> KeySource {
        KeySource::Url(KeysUrl { host: ExternalName::Address(self.address.ip()), port: self.address.port(), path: path.into(), tls: None })
    }
}

#[tokio::test]
async fn keys_are_fetched_and_stay_while_their_issuer_is_away() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let ours = Issuer::new("k1");
        let desk = Desk::open(Issuer::jwks(&[&ours])).await;
        tokio::task::spawn_local(fetch::run(shop.catalog.worker.clone()));
        shop.mesh.put(vec![issuer(on_catalog(), desk.url("/jwks"), true)]);
        let door = shop.web.named("catalog", HTTP);
        // The first one waits for the keys.
        assert_eq!(get(door, Some(&ours.token(&claims("ann"))), &[]).await.0, 200);
        assert_eq!(desk.asked.load(Ordering::SeqCst), 1);
        // A key that nobody knows is not fetched again so soon, however many ask; what is known holds.
        desk.says("");
        let unknown = Issuer::new("k2");
        assert_eq!(get(door, Some(&unknown.token(&claims("eve"))), &[]).await.0, 401);
        assert_eq!(desk.asked.load(Ordering::SeqCst), 1);
        assert_eq!(get(door, Some(&ours.token(&claims("bob"))), &[]).await.0, 200);
        // Elsewhere nothing good is said: too much, no set, nothing.
        let keys = shop.catalog.worker.shared.keys.clone();
        assert!(keys.keyless().is_empty(), "nothing failed so far");
        let large = ("/large", "x".repeat(2 << 20), "the answer is larger than 1048576 bytes");
        for (path, says, why) in [large, ("/html", "<html>".to_owned(), "is no JWK Set"), ("/gone", String::new(), "the answer is 500")] {
            desk.says(&says);
            shop.mesh.put(vec![issuer(on_catalog(), desk.url(path), true)]);
            assert_eq!(get(door, Some(&ours.token(&claims("ann"))), &[]).await.0, 401, "{path}");
            let told = keys.keyless();
            assert!(
                matches!(&told[..], [one] if &*one.issuer.name == "tokenissuer.corp" && one.why.contains(why) && !one.older_hold),
                "{told:?}"
            );
        }
        let metrics = shop.catalog.worker.shared.metrics.encode();
        assert!(metrics.contains("organza_token_keys_fetched_total{issuer=\"TokenIssuer shop/corp\",result=\"failed\"}"), "{metrics}");
        // Not the token's key is what is missing there.
        let counted = "organza_token_refused_total{issuer=\"TokenIssuer shop/corp\",cause=\"no_keys\"} 3";
        assert!(metrics.contains(counted), "{metrics}");
    })
    .await;
}
