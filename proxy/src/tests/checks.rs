//! Endpoints that fail their health checks, each in another way: what is known of them, who is called meanwhile, and how they come back.

use super::guard::{Moody, Scene, catalog, good, nobody};
use super::resources::{HTTP, Place};
use super::said::Said;
use super::{Mesh, Proxy, bounded};
use crate::guard::{By, Out};
use crate::{checks, limits};
use model::traffic::TrafficPolicy;
use model::{HealthCheck, InitialHealth, Method, Probe};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use testkit::backend::Backend;
use testkit::client::{Shot, fetch};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use transport::rt;

pub fn http() -> Probe {
    Probe::Http { method: Method::Get, path: "/healthz".into(), hostname: None, expected: vec![200, 204] }
}

pub fn checking(probe: Probe) -> HealthCheck {
    HealthCheck {
        probe,
        interval: Duration::from_millis(20),
        timeout: Duration::from_millis(500),
        unhealthy_threshold: 3,
        healthy_threshold: 2,
        first_within: Duration::from_millis(1),
        jitter: Duration::from_millis(5),
        initial: InitialHealth::Healthy,
    }
}

fn policy(check: HealthCheck) -> Option<TrafficPolicy> {
    Some(TrafficPolicy { health: Some(check), ..TrafficPolicy::default() })
}

/// Checks as the rim of this proxy makes them.
pub fn check(proxy: &Proxy) {
    let worker = crate::worker::Worker::new(proxy.worker.shared.clone(), 7);
    rt::spawn(checks::run(worker, Vec::new(), proxy.news.clone()));
}

fn out(proxy: &Proxy) -> Vec<Out> {
    proxy.worker.shared.guards.out(rt::now())
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{what} did not happen within ten seconds");
}

/// Waits until `names` and no others are left out, and gives why.
pub async fn left_out(proxy: &Proxy, names: &[&str]) -> Vec<String> {
    let is = |out: &[Out]| out.iter().map(|one| &*one.endpoint).eq(names.iter().copied());
    until(&format!("{names:?} are left out"), || is(&out(proxy))).await;
    let out = out(proxy);
    assert!(out.iter().all(|one| one.by == By::Check && one.left.is_zero()), "{out:?}");
    out.into_iter().map(|one| one.cause).collect()
}

fn metric(scene: &Scene, family: &str) -> f64 {
    scene.metric(&format!("{family}{{destination_service_namespace=\"shop\",destination_service_name=\"catalog\"}}"))
}

#[tokio::test]
async fn one_that_fails_its_checks_gets_nothing_until_it_passes_them_again() {
    bounded(async {
        let (a, b) = (Moody::new("a").await, Moody::new("b").await);
        let scene = Scene::new(&[("a", a.address), ("b", b.address)], policy(checking(http())));
        check(&scene.web);
        let said = Said::from_now_on();
        assert_eq!(good(&scene.calls(10).await), 10);
        assert_eq!((a.requests(), b.requests()), (5, 5));
        // It says so itself, and would answer requests all the same: none of them has to fail for it.
        b.health(503);
        let why = left_out(&scene.web, &["b"]).await;
        assert!(why[0].starts_with("GET /healthz answered 503 (") && why[0].ends_with(" in a row)"), "{why:?}");
        assert_eq!(good(&scene.calls(20).await), 20);
        assert_eq!((a.requests(), b.requests()), (25, 5));
        assert_eq!((metric(&scene, "organza_health_check_healthy"), metric(&scene, "organza_health_check_endpoints")), (1.0, 2.0));
        b.health(204);
        left_out(&scene.web, &[]).await;
        assert_eq!(good(&scene.calls(20).await), 20);
        assert_eq!(b.requests(), 15);
        let out = "WARN shop/catalog: endpoint b is left out until its checks pass: GET /healthz answered 503 (";
        assert!(said.line("is left out").starts_with(out), "{}", said.line("is left out"));
        assert!(said.line("passes its checks").starts_with("INFO shop/catalog: endpoint b passes its checks and is used after "));
        let [attempts, passed, failed] =
            ["attempt", "success", "failure"].map(|one| metric(&scene, &format!("organza_health_check_{one}_total")));
        assert!(failed >= 3.0 && passed >= 5.0 && attempts == passed + failed, "{attempts} {passed} {failed}");
    })
    .await;
}

#[tokio::test]
async fn what_checks_said_is_told_of_those_that_pass_too() {
    bounded(async {
        let (a, b) = (Moody::new("a").await, Moody::new("b").await);
        b.health(503);
        let scene = Scene::new(&[("a", a.address), ("b", b.address)], policy(checking(http())));
        check(&scene.web);
        left_out(&scene.web, &["b"]).await;
        let said = std::cell::RefCell::new(std::collections::BTreeMap::new());
        until("both are told of", || {
            let told = scene.web.worker.shared.guards.checked(rt::now());
            said.borrow_mut().extend(told.into_iter().map(|one| (one.endpoint.to_string(), (one.last.passed, one.last.said.to_string()))));
            said.borrow().len() == 2
        })
        .await;
        let said = said.into_inner();
        assert!(said["a"].0 && said["a"].1.starts_with("GET /healthz answered 200 in ") && said["a"].1.ends_with(" ms"), "{said:?}");
        assert_eq!(said["b"], (false, "GET /healthz answered 503".to_owned()));
    })
    .await;
}

#[tokio::test]
async fn dead_and_hanging_ones_are_found_without_a_request() {
    bounded(async {
        let (a, hangs) = (Moody::new("a").await, Moody::new("c").await);
        hangs.thinks(60_000);
        let places = [("a", a.address), ("b", nobody().await), ("c", hangs.address)];
        let scene = Scene::new(&places, policy(HealthCheck { timeout: Duration::from_millis(100), ..checking(http()) }));
        check(&scene.web);
        let why = left_out(&scene.web, &["b", "c"]).await;
        assert!(why[0].starts_with("GET /healthz: connect_refused, 127.0.0.1:"), "{why:?}");
        assert!(why[1].starts_with("GET /healthz had no answer within 100ms ("), "{why:?}");
        assert_eq!(good(&scene.calls(20).await), 20);
        assert_eq!((a.requests(), hangs.requests()), (20, 0));
    })
    .await;
}

#[tokio::test]
async fn where_all_fail_all_are_used() {
    bounded(async {
        let (a, b) = (Moody::new("a").await, Moody::new("b").await);
        let scene = Scene::new(&[("a", a.address), ("b", b.address)], policy(checking(http())));
        check(&scene.web);
        a.health(500);
        b.health(500);
        left_out(&scene.web, &["a", "b"]).await;
        assert_eq!(good(&scene.calls(10).await), 10);
        assert_eq!((a.requests(), b.requests()), (5, 5));
    })
    .await;
}

#[tokio::test]
async fn one_that_must_show_itself_first_gets_nothing_before() {
    bounded(async {
        let (a, b) = (Moody::new("a").await, Moody::new("b").await);
        b.health(500);
        let check_first = HealthCheck { initial: InitialHealth::Unhealthy, ..checking(http()) };
        let scene = Scene::new(&[("a", a.address), ("b", b.address)], policy(check_first));
        check(&scene.web);
        until("the first has passed", || a.checks() > 0 && out(&scene.web).len() == 1).await;
        assert_eq!(good(&scene.calls(20).await), 20);
        assert_eq!((a.requests(), b.requests()), (20, 0));
        b.health(200);
        left_out(&scene.web, &[]).await;
        scene.calls(20).await;
        assert_eq!(b.requests(), 10);
    })
    .await;
}

/// `web` calls catalog through the proxies of two workloads.
async fn through_tunnels(probe: Probe) {
    let mut mesh = Mesh::new();
    let mut web = mesh.proxy("web");
    let door = web.named("catalog", HTTP);
    let (a, b) = (Moody::new("a").await, Moody::new("b").await);
    let (mut one, mut two, mut three) = (mesh.proxy("catalog"), mesh.proxy("catalog"), mesh.proxy("stranger"));
    let places = [
        Place::organza("a", one.inbound("a"), a.address.port()),
        Place::hbone("b", two.inbound("b"), b.address.port()),
        // Answers well, but is not who was registered.
        Place::organza("c", three.inbound("c"), a.address.port()),
    ];
    mesh.put(catalog(&places, policy(checking(probe))));
    check(&web);
    let why = left_out(&web, &["c"]).await;
    assert!(why[0].contains("tls_failed") || why[0].contains("identity_mismatch"), "{why:?}");
    for _ in 0..10 {
        assert_eq!(fetch(&Shot::get(door, "catalog", "/")).await.unwrap().0, 200);
    }
    assert_eq!((a.requests(), b.requests()), (5, 5));
    // The application dies, its proxy lives on.
    drop(b);
    left_out(&web, &["b", "c"]).await;
    drop(a);
    let why = left_out(&web, &["a", "b", "c"]).await;
    assert!(why[0].contains(": connect_refused, ") && why[1].contains("connect"), "{why:?}");
}

#[tokio::test]
async fn checks_go_through_the_tunnels_that_requests_go_through() {
    bounded(through_tunnels(http())).await;
}

#[tokio::test]
async fn a_tcp_check_reaches_the_application_behind_a_proxy() {
    let probe = Probe::Tcp { send: Arc::from([]), receive: Arc::from([]) };
    bounded(through_tunnels(probe)).await;
}

#[tokio::test]
async fn a_tcp_check_may_await_an_answer() {
    bounded(async {
        // Greets, then sends back what it gets.
        let server = Backend::tcp("220 ready\n").await;
        let places = [("a", server.address)];
        let asks = |send: &[u8], receive: &[u8]| policy(checking(Probe::Tcp { send: send.into(), receive: receive.into() }));
        let well = Scene::new(&places, asks(b"", b"220 "));
        check(&well.web);
        until("some checks", || metric(&well, "organza_health_check_success_total") >= 5.0).await;
        let echoes = Scene::new(&places, asks(b"PING", b"PING"));
        check(&echoes.web);
        until("some checks", || metric(&echoes, "organza_health_check_success_total") >= 5.0).await;
        assert_eq!((out(&well.web), out(&echoes.web)), (vec![], vec![]));
        let silent = Scene::new(
            &places,
            policy(HealthCheck {
                timeout: Duration::from_millis(50),
                ..checking(Probe::Tcp { send: Arc::from([]), receive: b"250 "[..].into() })
            }),
        );
        check(&silent.web);
        assert!(left_out(&silent.web, &["a"]).await[0].starts_with("TCP had no answer within 50ms"));
    })
    .await;
}

/// A gRPC server that says this of its health.
async fn grpc(status: u8) -> SocketAddr {
    let (address, _) = super::grpc::server(move |mut exchange: transport::h2::Exchange| async move {
        use transport::body::Length;
        assert_eq!(exchange.head.path(), "/grpc.health.v1.Health/Check");
        let mut asked = Vec::new();
        while let Some(piece) = exchange.body.chunk().await.unwrap() {
            asked.extend_from_slice(&piece);
        }
        let known = asked == b"\0\0\0\0\x0e\x0a\x0cshop.Catalog";
        let mut head = model::ResponseHead::with_status(200);
        head.headers.push("content-type", b"application/grpc");
        let mut body = exchange.responder.respond(&head, Length::Open).unwrap();
        let mut trailers = model::HeaderBlock::default();
        if known {
            body.send(bytes::Bytes::copy_from_slice(&[0, 0, 0, 0, 2, 8, status])).await.unwrap();
        }
        trailers.push("grpc-status", if known { b"0" } else { b"5" });
        body.finish(Some(&trailers)).await.unwrap();
    })
    .await;
    address
}

#[tokio::test]
async fn grpc_servers_are_asked_as_their_protocol_has_it() {
    bounded(async {
        let places = [("a", grpc(1).await), ("b", grpc(2).await), ("c", nobody().await)];
        let ask = |service: &str| policy(checking(Probe::Grpc { service: service.into() }));
        let scene = Scene::new(&places, ask("shop.Catalog"));
        check(&scene.web);
        let why = left_out(&scene.web, &["b", "c"]).await;
        assert!(why[0].starts_with("gRPC health of shop.Catalog answered NOT_SERVING ("), "{why:?}");
        assert!(why[1].starts_with("gRPC health of shop.Catalog: connect_refused"), "{why:?}");
        let scene = Scene::new(&places[..1], ask(""));
        check(&scene.web);
        assert!(left_out(&scene.web, &["a"]).await[0].starts_with("gRPC health answered gRPC status 5 ("));
    })
    .await;
}

#[tokio::test]
async fn no_more_are_asked_at_once_than_the_limit() {
    bounded(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (open, most, all) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let counts = (open, most.clone(), all.clone());
        rt::spawn(async move {
            // Nobody is answered; each is held until it goes away.
            while let Ok((mut stream, _)) = listener.accept().await {
                let (open, most, all) = counts.clone();
                rt::spawn(async move {
                    let now = open.fetch_add(1, Ordering::Relaxed) + 1;
                    most.fetch_max(now, Ordering::Relaxed);
                    all.fetch_add(1, Ordering::Relaxed);
                    let mut sink = Vec::new();
                    let _ = stream.read_to_end(&mut sink).await;
                    open.fetch_sub(1, Ordering::Relaxed);
                });
            }
        });
        let names: Vec<&'static str> = (0..limits::CHECKS_AT_ONCE * 3).map(|i| &*format!("e{i}").leak()).collect();
        let places: Vec<_> = names.iter().map(|name| (*name, address)).collect();
        let slow = HealthCheck { timeout: Duration::from_millis(200), interval: Duration::from_secs(60), ..checking(http()) };
        let scene = Scene::new(&places, policy(slow));
        check(&scene.web);
        until("all were asked", || all.load(Ordering::Relaxed) >= names.len()).await;
        let most = most.load(Ordering::Relaxed);
        // One that was given up may be seen to go a moment later than the next to come.
        assert!((limits::CHECKS_AT_ONCE / 2..=limits::CHECKS_AT_ONCE * 3 / 2).contains(&most), "{most} at once");
    })
    .await;
}

#[tokio::test]
async fn a_workloads_own_service_is_asked_only_once_it_is_called_and_nobody_once_the_policy_is_gone() {
    bounded(async {
        let mut mesh = Mesh::new();
        let mut web = mesh.proxy("web");
        let door = web.named("catalog", HTTP);
        let a = Moody::new("a").await;
        let places = || [Place::plain("a", a.address.port())];
        mesh.put(catalog(&places(), policy(checking(http()))));
        let worker = crate::worker::Worker::new(web.worker.shared.clone(), 7);
        rt::spawn(checks::run(worker, vec![super::key(model::Kind::Service, "catalog")], web.news.clone()));
        tokio::time::sleep(limits::CHECK_LOOK * 3).await;
        assert_eq!(a.checks(), 0);
        fetch(&Shot::get(door, "catalog", "/")).await.unwrap();
        until("it is checked", || a.checks() > 3).await;
        a.health(500);
        left_out(&web, &["a"]).await;
        mesh.put(catalog(&places(), None));
        left_out(&web, &[]).await;
        let asked = a.checks();
        tokio::time::sleep(limits::CHECK_LOOK * 3).await;
        assert!(a.checks() <= asked + 1, "one may have been under way");
    })
    .await;
}
