//! How long callers wait, and who wants to be waited for: told from hop to hop, never widened, never outlived by a try.

use super::resources::{self, HTTP, Place, backend, on_service, rule};
use super::scripted::{FINE, SILENCE, Scripted};
use super::{Mesh, Proxy, Shop, bounded, key};
use model::route::Timeouts;
use model::traffic::{AttachedPolicy, Ejection, RequestLimits, TrafficPolicy};
use model::{Kind, Resource, Retry, Rule, Target};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use testkit::client::{Shot, fetch};

const EXPECTED: &str = "x-envoy-expected-rq-timeout-ms";
const REFUSED_FOR_LONG: &str = "HTTP/1.1 503 Busy\r\nRetry-After: 60\r\nContent-Length: 0\r\n\r\n";
const REFUSED_FOR_A_SECOND: &str = "HTTP/1.1 429 Slow down\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n";

/// `web` calls catalog by its own listener, strangers by a gateway; both by the same rule and policy.
struct Scene {
    web: Proxy,
    door: SocketAddr,
    edge: Proxy,
    gate: SocketAddr,
}

impl Scene {
    fn new(backends: &[&Scripted], rule: &Rule, policy: TrafficPolicy) -> Self {
        let mut mesh = Mesh::new();
        let (mut web, mut edge) = (mesh.proxy("web"), mesh.proxy("edge"));
        let (door, gate) = (web.named("catalog", HTTP), edge.gateway(8080));
        let names = ["a", "b", "c"];
        let places: Vec<Place> = backends.iter().zip(names).map(|(at, name)| Place::plain(name, at.address.port())).collect();
        let mut all = resources::catalog(&places);
        for resource in &mut all {
            if let Resource::Service(service) = resource {
                Arc::make_mut(service).policies = vec![AttachedPolicy { port: None, policy: Arc::new(policy.clone()) }];
            }
        }
        let Resource::Route(mut strangers) = resources::route(Target::Listener(key(Kind::Listener, "edge.web")), rule.clone()) else {
            unreachable!()
        };
        Arc::make_mut(&mut strangers).key = key(Kind::Route, "httproute.strangers");
        all.extend([on_service("catalog", rule.clone()), Resource::Route(strangers), resources::listener(8080, None)]);
        mesh.put(all);
        Self { web, door, edge, gate }
    }
}

fn to_catalog(timeouts: Timeouts) -> Rule {
    Rule { timeouts, ..rule(vec![backend("catalog", HTTP, 1)]) }
}

fn retrying(codes: &[u16], timeouts: Timeouts) -> Rule {
    Rule { retry: Some(Box::new(Retry { codes: codes.to_vec(), attempts: 3, backoff: Duration::from_millis(1) })), ..to_catalog(timeouts) }
}

fn request(seconds: u64) -> Timeouts {
    Timeouts { request: Some(Duration::from_secs(seconds)), backend_request: None }
}

fn asking(door: SocketAddr, fields: &[(&str, &str)]) -> Shot {
    let headers = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Shot { headers, ..Shot::get(door, "catalog", "/") }
}

const GRPC: (&str, &str) = ("content-type", "application/grpc");

#[tokio::test]
async fn the_next_hop_hears_what_is_left_and_never_more_than_the_route_allows() {
    bounded(async {
        let server = Scripted::new(&[FINE]).await;
        let left = |name: &str| server.field(name).map(|text| text.trim_end_matches(['m', 'u', 'n', 'S']).parse::<u64>().unwrap());
        let open = Scene::new(&[&server], &to_catalog(Timeouts::default()), TrafficPolicy::default());
        fetch(&asking(open.door, &[])).await.unwrap();
        assert_eq!(server.field(EXPECTED), None, "nobody waits for anything");
        fetch(&asking(open.door, &[(EXPECTED, "60000")])).await.unwrap();
        assert!((30_000..=60_000).contains(&left(EXPECTED).unwrap()), "{:?}", server.field(EXPECTED));
        fetch(&asking(open.door, &[GRPC, ("grpc-timeout", "1M")])).await.unwrap();
        assert!((30_000_000..=60_000_000).contains(&left("grpc-timeout").unwrap()), "{:?}", server.field("grpc-timeout"));
        fetch(&asking(open.door, &[GRPC, ("grpc-timeout", "soon")])).await.unwrap();
        assert_eq!(server.field("grpc-timeout").as_deref(), Some("soon"), "for the server to refuse");

        let bound = Scene::new(&[&server], &to_catalog(request(20)), TrafficPolicy::default());
        for fields in [&[][..], &[(EXPECTED, "60000")], &[(EXPECTED, "0")]] {
            fetch(&asking(bound.door, fields)).await.unwrap();
            assert!((10_000..=20_000).contains(&left(EXPECTED).unwrap()), "{:?}", server.field(EXPECTED));
        }
        let each = Timeouts { backend_request: Some(Duration::from_secs(5)), ..request(20) };
        let each = Scene::new(&[&server], &to_catalog(each), TrafficPolicy::default());
        fetch(&asking(each.door, &[])).await.unwrap();
        assert!((2_000..=5_000).contains(&left(EXPECTED).unwrap()), "a try's own: {:?}", server.field(EXPECTED));
    })
    .await;
}

#[tokio::test]
async fn strangers_shorten_calls_of_grpc_and_steer_no_proxy() {
    bounded(async {
        let server = Scripted::new(&[FINE, FINE, SILENCE]).await;
        let policy = TrafficPolicy { ejection: Ejection { consecutive_5xx: Some(1), ..Ejection::default() }, ..TrafficPolicy::default() };
        let scene = Scene::new(&[&server, &server], &to_catalog(Timeouts::default()), policy);
        fetch(&asking(scene.gate, &[(EXPECTED, "5000"), ("X-Envoy-Max-Retries", "9")])).await.unwrap();
        assert_eq!((server.field(EXPECTED), server.field("x-envoy-max-retries")), (None, None));
        fetch(&asking(scene.gate, &[GRPC, ("grpc-timeout", "50S")])).await.unwrap();
        assert!(server.field("grpc-timeout").unwrap().ends_with('u'), "{:?}", server.field("grpc-timeout"));
        let (status, headers, _) = fetch(&asking(scene.gate, &[GRPC, ("grpc-timeout", "100m")])).await.unwrap();
        assert_eq!((status.as_u16(), headers["grpc-status"].to_str().unwrap()), (200, "4"));
        let heard = server.requests();
        let (_, headers, _) = fetch(&asking(scene.gate, &[GRPC, ("grpc-timeout", "0n")])).await.unwrap();
        assert_eq!((headers["grpc-status"].to_str().unwrap(), server.requests()), ("4", heard), "what is over is not sent");
        let records = [scene.edge.record().await, scene.edge.record().await, scene.edge.record().await, scene.edge.record().await];
        assert!(records[2..].iter().all(|record| record["fault"] == "deadline_exceeded"), "{records:?}");
        // A stranger's hurry says nothing of the endpoint.
        assert!(scene.edge.worker.shared.guards.out(Instant::now()).is_empty());
    })
    .await;
}

#[tokio::test]
async fn waiting_for_a_place_counts() {
    bounded(async {
        let server = Scripted::new(&[SILENCE]).await;
        let limits = RequestLimits { parallel_requests: 1, pending_requests: 5 };
        let scene = Scene::new(&[&server], &to_catalog(request(25)), TrafficPolicy { limits, ..TrafficPolicy::default() });
        let first = tokio::task::spawn_local({
            let shot = asking(scene.door, &[]);
            async move { drop(fetch(&shot).await) }
        });
        while server.requests() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let (status, ..) = fetch(&asking(scene.door, &[(EXPECTED, "100")])).await.unwrap();
        assert_eq!((status.as_u16(), server.requests()), (504, 1));
        assert_eq!(scene.web.record().await["fault"], "deadline_exceeded");
        first.abort();
    })
    .await;
}

#[tokio::test]
async fn through_the_mesh_it_is_the_callers_proxy_that_says_whose_time_was_over() {
    bounded(async {
        let server = Scripted::new(&[SILENCE]).await;
        let mut shop = Shop::new(server.address);
        let door = shop.web.named("catalog", HTTP);
        // A machine that is busy may need longer to get there.
        let mut wait = 100;
        while server.requests() == 0 {
            wait *= 2;
            let (status, ..) = fetch(&asking(door, &[(EXPECTED, &wait.to_string())])).await.unwrap();
            assert_eq!(status.as_u16(), 504);
            assert_eq!(shop.web.record().await["fault"], "deadline_exceeded");
        }
        assert!(server.field(EXPECTED).unwrap().parse::<u64>().unwrap() <= wait, "the grace is not passed on");
    })
    .await;
}

#[tokio::test]
async fn whoever_asks_to_wait_is_passed_over_where_there_is_another() {
    bounded(async {
        let (busy, fine) = (Scripted::new(&[REFUSED_FOR_LONG]).await, Scripted::new(&[FINE]).await);
        let scene = Scene::new(&[&busy, &fine], &retrying(&[503], Timeouts::default()), TrafficPolicy::default());
        for _ in 0..6 {
            let (status, ..) = fetch(&asking(scene.door, &[])).await.unwrap();
            assert_eq!(status.as_u16(), 200);
        }
        assert_eq!(fine.requests(), 6);
        assert!((1..=6).contains(&busy.requests()), "once a request at most: {}", busy.requests());
        // One that merely fails is tried again rather than one that asked for peace.
        let failing = Scripted::new(&["HTTP/1.1 503 Broken\r\nContent-Length: 0\r\n\r\n"]).await;
        let busy = Scripted::new(&[REFUSED_FOR_LONG]).await;
        let scene = Scene::new(&[&busy, &failing], &retrying(&[503], Timeouts::default()), TrafficPolicy::default());
        fetch(&asking(scene.door, &[])).await.unwrap();
        assert_eq!((busy.requests(), failing.requests()), (1, 3));
    })
    .await;
}

#[tokio::test]
async fn whoever_is_alone_is_waited_for_within_reason() {
    bounded(async {
        let patient = Scripted::new(&[REFUSED_FOR_A_SECOND, FINE]).await;
        let scene = Scene::new(&[&patient], &retrying(&[429, 503], Timeouts::default()), TrafficPolicy::default());
        let began = Instant::now();
        let (status, ..) = fetch(&asking(scene.door, &[])).await.unwrap();
        assert_eq!((status.as_u16(), patient.requests()), (200, 2));
        assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
        // Too long: the caller gets the answer, and what it asks for.
        let long = Scripted::new(&[REFUSED_FOR_LONG]).await;
        let scene = Scene::new(&[&long], &retrying(&[429, 503], Timeouts::default()), TrafficPolicy::default());
        let (status, headers, _) = fetch(&asking(scene.door, &[])).await.unwrap();
        assert_eq!((status.as_u16(), headers["retry-after"].to_str().unwrap(), long.requests()), (503, "60", 1));
    })
    .await;
}
