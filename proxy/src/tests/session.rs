//! Sessions end to end: a client comes back to where it was, by whichever proxy, for as long as that lives, and by nobody's word but ours.

use super::resources::{self, HTTP, Place, backend, on_service, rule, service};
use super::scripted::Scripted;
use super::{Mesh, Proxy, bounded};
use model::session::{Carrier, Persistence, SessionKey};
use model::traffic::{AttachedPolicy, TrafficPolicy};
use model::{Endpoints, Resource, Retry, Rule};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use testkit::client::{Shot, fetch};
use tokio::net::TcpListener;

const A: &str = "HTTP/1.1 200 OK\r\nX-Backend: a\r\nContent-Length: 0\r\n\r\n";
const B: &str = "HTTP/1.1 200 OK\r\nX-Backend: b\r\nContent-Length: 0\r\n\r\n";
const C: &str = "HTTP/1.1 200 OK\r\nX-Backend: c\r\nContent-Length: 0\r\n\r\n";
const BUSY: &str = "HTTP/1.1 503 Busy\r\nX-Backend: busy\r\nContent-Length: 0\r\n\r\n";

pub(super) fn cart(carrier: Carrier) -> Persistence {
    Persistence { name: "cart".into(), carrier, absolute: None, idle: None, path: None, within: false, key: Some(SessionKey([7; 32])) }
}

fn kept(session: Option<Persistence>) -> Rule {
    Rule { session: session.map(Box::new), ..rule(vec![backend("catalog", HTTP, 1)]) }
}

/// The session of all Services among these.
fn keep(all: &mut [Resource], session: Persistence) {
    for resource in all {
        if let Resource::Service(service) = resource {
            let policy = TrafficPolicy { session: Some(session.clone()), ..TrafficPolicy::default() };
            Arc::make_mut(service).policies = vec![AttachedPolicy { port: None, policy: Arc::new(policy) }];
        }
    }
}

struct Scene {
    mesh: Mesh,
    _web: Proxy,
    door: SocketAddr,
}

impl Scene {
    fn new(at: &[SocketAddr], rule: Rule) -> Self {
        let mut mesh = Mesh::new();
        let mut web = mesh.proxy("web");
        let door = web.named("catalog", HTTP);
        mesh.put(resources::catalog(&places(at)));
        mesh.put(vec![on_service("catalog", rule)]);
        Self { mesh, _web: web, door }
    }
}

fn places(at: &[SocketAddr]) -> Vec<Place> {
    ["a", "b", "c"].into_iter().zip(at).map(|(name, at)| Place::plain(name, at.port())).collect()
}

/// Who answered, and the token that came with it.
#[derive(Debug)]
struct Answer {
    by: String,
    token: Option<String>,
    cookie: Option<String>,
}

async fn call(door: SocketAddr, fields: &[(&str, &str)]) -> Answer {
    let headers = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let (status, headers, _) = fetch(&Shot { headers, ..Shot::get(door, "catalog", "/") }).await.unwrap();
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let cookie = text("set-cookie");
    let pair = cookie.as_ref().and_then(|cookie| cookie.split(';').next()?.strip_prefix("cart=").map(str::to_owned));
    assert!(status == 200 || status == 503, "{status}");
    Answer { by: text("x-backend").unwrap_or_default(), token: pair.or_else(|| text("cart")), cookie }
}

async fn with(door: SocketAddr, token: &str) -> Answer {
    call(door, &[("cookie", &format!("theme=dark; cart={token}"))]).await
}

async fn three() -> (Scripted, Scripted, Scripted) {
    (Scripted::new(&[A]).await, Scripted::new(&[B]).await, Scripted::new(&[C]).await)
}

#[tokio::test]
async fn a_cookie_leads_back_by_whichever_proxy() {
    bounded(async {
        let (a, b, c) = three().await;
        let mut scene = Scene::new(&[a.address, b.address, c.address], kept(Some(cart(Carrier::Cookie))));
        let mut other = scene.mesh.proxy("other");
        let doors = [scene.door, other.named("catalog", HTTP)];
        let first = call(scene.door, &[]).await;
        let (cookie, token) = (first.cookie.unwrap(), first.token.unwrap());
        assert_eq!(cookie, format!("cart={token}; Path=/; HttpOnly; SameSite=Lax"));
        assert!(token.len() < 100 && !token.contains(&a.address.port().to_string()), "{token}");
        for n in 0..30 {
            let again = with(doors[n % 2], &token).await;
            assert_eq!((again.by.as_str(), again.cookie), (first.by.as_str(), None), "nothing new to tell");
        }
        let mut met: Vec<String> = Vec::new();
        for _ in 0..6 {
            met.push(call(scene.door, &[]).await.by);
        }
        assert!(["a", "b", "c"].iter().all(|name| met.iter().any(|by| by == name)), "others are spread: {met:?}");
    })
    .await;
}

/// Sessions of XBackends (GEP-1619 since v1.7): weights decide the backend each time, and there a client meets whom it met.
#[tokio::test]
async fn a_session_within_a_backend_leads_to_none() {
    bounded(async {
        let (a, b, c) = three().await;
        let (d, e) = (Scripted::new(&[BUSY]).await, Scripted::new(&[BUSY]).await);
        let both = rule(vec![backend("catalog", HTTP, 1), backend("other", HTTP, 1)]);
        let mut scene = Scene::new(&[a.address, b.address, c.address], both);
        let within = Persistence { within: true, path: Some("/shop".into()), ..cart(Carrier::Cookie) };
        let other = ["d", "e"].into_iter().zip([d.address, e.address]).map(|(name, at)| Place::plain(name, at.port())).collect::<Vec<_>>();
        scene.mesh.put(service("other", &other));
        let mut all = resources::catalog(&places(&[a.address, b.address, c.address]));
        keep(&mut all, within);
        scene.mesh.put(all);
        let mut first = call(scene.door, &[]).await;
        while first.by == "busy" {
            first = call(scene.door, &[]).await;
        }
        let (cookie, token) = (first.cookie.unwrap(), first.token.unwrap());
        assert_eq!(cookie, format!("cart={token}; Path=/shop; HttpOnly; SameSite=Lax"));
        let mut met = Vec::new();
        for _ in 0..40 {
            met.push(with(scene.door, &token).await.by);
        }
        assert!(met.iter().any(|by| by == "busy"), "the weights decide the backend: {met:?}");
        assert!(met.iter().all(|by| by == "busy" || *by == first.by), "and there it is the one that it was: {met:?}");
    })
    .await;
}

#[tokio::test]
async fn nobody_makes_or_changes_a_session_but_we() {
    bounded(async {
        let (a, b, c) = three().await;
        let at = [a.address, b.address, c.address];
        let scene = Scene::new(&at, kept(Some(cart(Carrier::Cookie))));
        let token = call(scene.door, &[]).await.token.unwrap();
        let strange = Persistence { key: Some(SessionKey([8; 32])), ..cart(Carrier::Cookie) };
        let foreign = call(Scene::new(&at, kept(Some(strange))).door, &[]).await.token.unwrap();
        let mut changed = token.clone().into_bytes();
        changed[20] = if changed[20] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        for forged in [&changed, &foreign, "a", "", &token[..token.len() - 1], &"A".repeat(4000)] {
            assert!(with(scene.door, forged).await.token.is_some_and(|new| new != token), "a new session: {forged}");
        }
        // Too old: it began before the test, as the rule sees it.
        let brief = Persistence { absolute: Some(Duration::from_secs(1)), ..cart(Carrier::PermanentCookie) };
        let brief = Scene::new(&at, kept(Some(brief)));
        let first = call(brief.door, &[]).await;
        assert!(first.cookie.unwrap().contains("; Max-Age=1;"));
        let token = first.token.unwrap();
        tokio::time::sleep(Duration::from_millis(2100)).await;
        assert!(with(brief.door, &token).await.token.is_some());
        // Without a key nobody is told anything.
        let keyless = Scene::new(&at, kept(Some(Persistence { key: None, ..cart(Carrier::Cookie) })));
        assert_eq!(call(keyless.door, &[]).await.cookie, None);
    })
    .await;
}

#[tokio::test]
async fn a_session_with_what_is_gone_or_dead_begins_anew() {
    bounded(async {
        let (a, b, _) = three().await;
        let (name, other) = ("a", "b");
        let mut scene = Scene::new(&[a.address, b.address], kept(Some(cart(Carrier::Cookie))));
        let mut first = call(scene.door, &[]).await;
        while first.by != name {
            first = call(scene.door, &[]).await;
        }
        let token = first.token.unwrap();
        // Nobody listens where it was.
        let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        scene.mesh.put(resources::catalog(&places(&[nobody, b.address])));
        let moved = with(scene.door, &token).await;
        assert_eq!((moved.by.as_str(), moved.token.is_some()), (other, true));
        scene.mesh.put(resources::catalog(&places(&[a.address, b.address])));
        let there = with(scene.door, &moved.token.unwrap()).await;
        assert_eq!((there.by.as_str(), there.token), (other, None), "and stays where it went");
        // Gone altogether.
        let gone = resources::catalog(&places(&[a.address, b.address])).into_iter().map(|resource| match resource {
            Resource::Endpoints(all) => {
                let endpoints = all.endpoints.iter().filter(|e| *e.id != *name).cloned().collect();
                Resource::Endpoints(Arc::new(Endpoints { key: all.key.clone(), endpoints }))
            }
            other => other,
        });
        scene.mesh.put(gone.collect());
        let moved = with(scene.door, &token).await;
        assert_eq!((moved.by.as_str(), moved.token.is_some()), (other, true));
    })
    .await;
}

#[tokio::test]
async fn an_endpoint_that_is_only_busy_keeps_its_sessions() {
    bounded(async {
        let (busy, fine) = (Scripted::new(&[A, BUSY]).await, Scripted::new(&[B]).await);
        let retry = Some(Box::new(Retry { codes: vec![503], attempts: 2, backoff: Duration::from_millis(1) }));
        let scene = Scene::new(&[busy.address, fine.address], Rule { retry, ..kept(Some(cart(Carrier::Cookie))) });
        let mut first = call(scene.door, &[]).await;
        while first.by != "a" {
            first = call(scene.door, &[]).await;
        }
        let helped = with(scene.door, &first.token.unwrap()).await;
        assert_eq!((helped.by.as_str(), helped.token), ("b", None), "helped out, and not sent away");
    })
    .await;
}

#[tokio::test]
async fn a_session_outlives_the_weights_of_its_split() {
    bounded(async {
        let (a, b, _) = three().await;
        let split = |weights: &[(&str, u32)]| Rule {
            session: Some(Box::new(cart(Carrier::Cookie))),
            ..rule(weights.iter().map(|(name, weight)| backend(name, HTTP, *weight)).collect())
        };
        let mut scene = Scene::new(&[a.address], split(&[("catalog", 0), ("other", 1)]));
        scene.mesh.put(service("other", &[Place::plain("other-1", b.address.port())]));
        let first = call(scene.door, &[]).await;
        let token = first.token.unwrap();
        assert_eq!(first.by, "b");
        scene.mesh.put(vec![on_service("catalog", split(&[("catalog", 1), ("other", 0)]))]);
        for _ in 0..10 {
            assert_eq!(with(scene.door, &token).await.by, "b");
            assert_eq!(call(scene.door, &[]).await.by, "a", "new ones go by weight");
        }
        scene.mesh.put(vec![on_service("catalog", split(&[("catalog", 1)]))]);
        let moved = with(scene.door, &token).await;
        assert_eq!((moved.by.as_str(), moved.token.is_some()), ("a", true), "its backend is gone");
    })
    .await;
}

#[tokio::test]
async fn a_header_and_a_services_own_policy_do_the_same_and_the_rule_goes_first() {
    bounded(async {
        let (a, b, c) = three().await;
        let mut scene = Scene::new(&[a.address, b.address, c.address], kept(Some(cart(Carrier::Header))));
        let first = call(scene.door, &[]).await;
        let token = first.token.unwrap();
        assert_eq!(first.cookie, None);
        for _ in 0..10 {
            assert_eq!(call(scene.door, &[("Cart", &token)]).await.by, first.by);
        }
        let mut all = resources::catalog(&places(&[a.address, b.address, c.address]));
        keep(&mut all, cart(Carrier::Cookie));
        scene.mesh.put(all);
        assert_eq!(call(scene.door, &[]).await.cookie, None, "the rule's alone");
        scene.mesh.put(vec![on_service("catalog", kept(None))]);
        let first = call(scene.door, &[]).await;
        let token = first.token.unwrap();
        assert_eq!(first.cookie, Some(format!("cart={token}; HttpOnly; SameSite=Lax")), "without a path");
        for _ in 0..10 {
            assert_eq!(with(scene.door, &token).await.by, first.by);
        }
    })
    .await;
}
