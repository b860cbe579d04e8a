//! Backends that die, fail, hang and come back under load: what callers see before, during and after, with and without a policy.

use super::resources::{self, HTTP, Place};
use super::said::Said;
use super::{Mesh, Proxy, bounded, key};
use crate::guard::{DEFAULTS, Guards};
use crate::worker::Worker;
use model::traffic::{AttachedPolicy, Breaker, Ejection, RequestLimits, TrafficPolicy};
use model::{Fault, Kind, ObjectRef, Origin, Resource, Retry, Timeouts};
use routing::eject::Ended;
use routing::retry::{Failure, Next, RetryState};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::time::{Duration, Instant};
use testkit::client::{Shot, fetch};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Longer than any test: whoever thinks so long is told to stop.
const HOUR_MILLIS: u32 = 3_600_000;

/// A backend whose mood can be changed: which status, and how long it thinks.
pub(super) struct Moody {
    pub address: SocketAddr,
    mood: Rc<Mood>,
    task: tokio::task::JoinHandle<()>,
}

struct Mood {
    name: &'static str,
    status: AtomicU16,
    millis: AtomicU32,
    requests: AtomicU32,
    /// What `/healthz` is answered with, and how often it was asked.
    health: AtomicU16,
    checks: AtomicU32,
}

impl Moody {
    pub async fn new(name: &'static str) -> Self {
        Self::on(name, "127.0.0.1:0".parse().unwrap()).await
    }

    pub async fn on(name: &'static str, address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mood = Rc::new(Mood { name, status: 200.into(), millis: 0.into(), requests: 0.into(), health: 200.into(), checks: 0.into() });
        let shared = mood.clone();
        let task = tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::task::spawn_local(answers(stream, shared.clone()));
            }
        });
        Self { address, mood, task }
    }

    pub fn requests(&self) -> u32 {
        self.mood.requests.load(Ordering::Relaxed)
    }

    pub fn status(&self, status: u16) {
        self.mood.status.store(status, Ordering::Relaxed);
    }

    pub fn thinks(&self, millis: u32) {
        self.mood.millis.store(millis, Ordering::Relaxed);
    }
}

impl Moody {
    pub fn health(&self, status: u16) {
        self.mood.health.store(status, Ordering::Relaxed);
    }

    pub fn checks(&self) -> u32 {
        self.mood.checks.load(Ordering::Relaxed)
    }
}

impl Drop for Moody {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answers(mut stream: TcpStream, mood: Rc<Mood>) {
    let mut buffer = [0; 4096];
    let read = stream.read(&mut buffer).await.unwrap_or(0);
    if read == 0 {
        return;
    }
    let is_check = buffer[..read].starts_with(b"GET /healthz ");
    let (count, status) = if is_check { (&mood.checks, &mood.health) } else { (&mood.requests, &mood.status) };
    count.fetch_add(1, Ordering::Relaxed);
    let asked = Instant::now();
    // Looked at again and again: it may be told to think no longer.
    while asked.elapsed() < Duration::from_millis(mood.millis.load(Ordering::Relaxed).into()) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (status, name) = (status.load(Ordering::Relaxed), mood.name);
    let text = format!("HTTP/1.1 {status} Said\r\nX-Backend: {name}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let _ = stream.write_all(text.as_bytes()).await;
}

/// An address where nobody listens.
pub(super) async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

pub(super) struct Scene {
    pub web: Proxy,
    pub door: SocketAddr,
}

/// The resources of catalog, with a policy for all its ports.
pub(super) fn catalog(places: &[Place], policy: Option<TrafficPolicy>) -> Vec<Resource> {
    let mut all = resources::catalog(places);
    for resource in &mut all {
        if let Resource::Service(service) = resource {
            let origin = Origin::new(ObjectRef::new("organza.dev", "BackendTrafficPolicy", "shop", "careful"), "");
            let attach = |policy| AttachedPolicy { port: None, policy: Arc::new(TrafficPolicy { origin: Some(origin), ..policy }) };
            Arc::make_mut(service).policies = policy.clone().map(attach).into_iter().collect();
        }
    }
    all
}

impl Scene {
    pub fn new(places: &[(&'static str, SocketAddr)], policy: Option<TrafficPolicy>) -> Self {
        let mut mesh = Mesh::new();
        let mut web = mesh.proxy("web");
        let door = web.named("catalog", HTTP);
        let places: Vec<Place> = places.iter().map(|(name, at)| Place::plain(name, at.port())).collect();
        mesh.put(catalog(&places, policy));
        Self { web, door }
    }

    /// Statuses of this many calls, one after another.
    pub async fn calls(&self, count: usize) -> Vec<u16> {
        let mut statuses = Vec::new();
        for _ in 0..count {
            let (status, ..) = fetch(&Shot::get(self.door, "catalog", "/")).await.unwrap();
            statuses.push(status.as_u16());
        }
        statuses
    }

    pub fn metric(&self, line: &str) -> f64 {
        let text = self.web.worker.shared.metrics.encode();
        let found = text.lines().find(|found| found.starts_with(line));
        found.and_then(|found| found.rsplit(' ').next()).map_or(0.0, |value| value.parse().unwrap())
    }

    fn ejections(&self, cause: &str) -> f64 {
        let labels = "destination_service_namespace=\"shop\",destination_service_name=\"catalog\"";
        self.metric(&format!("organza_outlier_detection_ejections_enforced_total{{{labels},cause=\"{cause}\"}}"))
    }
}

pub(super) fn good(statuses: &[u16]) -> usize {
    statuses.iter().filter(|status| **status == 200).count()
}

fn ejecting(ejection: Ejection) -> Option<TrafficPolicy> {
    Some(TrafficPolicy { ejection, ..TrafficPolicy::default() })
}

#[tokio::test]
async fn a_dead_endpoint_costs_three_tries_and_no_call_and_comes_back_by_itself() {
    bounded(async {
        let (alive, dead) = (Moody::new("a").await, nobody().await);
        let quick = Ejection { base_time: Duration::from_secs(1), ..Ejection::default() };
        let scene = Scene::new(&[("a", alive.address), ("b", dead)], ejecting(quick));
        assert_eq!(good(&scene.calls(40).await), 40);
        let mut tried = 0;
        for _ in 0..40 {
            tried += u64::from(scene.web.record().await["attempt"].as_u64().unwrap_or(1) > 1);
        }
        assert!((3..10).contains(&tried), "{tried} calls met the dead endpoint");
        assert!(scene.ejections("consecutive_local_origin_failure") >= 1.0);
        let back = Moody::on("b", dead).await;
        let deadline = Instant::now() + Duration::from_secs(20);
        while back.requests() < 5 {
            assert_eq!(good(&scene.calls(10).await), 10);
            assert!(Instant::now() < deadline, "the endpoint is used again");
        }
    })
    .await;
}

#[tokio::test]
async fn whoever_meets_none_but_dead_endpoints_is_sent_to_one_that_is_left_out() {
    bounded(async {
        let (alive, dead) = (Moody::new("a").await, nobody().await);
        let scene = Scene::new(&[("a", alive.address), ("b", dead)], None);
        assert_eq!(good(&scene.calls(20).await), 20);
        assert_eq!(scene.ejections("consecutive_local_origin_failure"), 1.0);
        let back = Moody::on("b", dead).await;
        drop(alive);
        assert_eq!(good(&scene.calls(20).await), 20, "the time of the one that is back is not over yet");
        assert_eq!(back.requests(), 20);
    })
    .await;
}

#[tokio::test]
async fn what_an_application_answers_ejects_nobody_unless_a_policy_says_so() {
    bounded(async {
        let (fine, broken) = (Moody::new("a").await, Moody::new("b").await);
        broken.status(503);
        let places = [("a", fine.address), ("b", broken.address)];
        assert_eq!(good(&Scene::new(&places, None).calls(100).await), 50);
        // However long the calls take, it is not over while they are made.
        let hour = Duration::from_secs(3600);
        let five = Ejection { consecutive_5xx: Some(5), base_time: hour, longest_time: hour, ..Ejection::default() };
        let scene = Scene::new(&places, ejecting(five));
        let during = good(&scene.calls(20).await);
        let after = good(&scene.calls(100).await);
        assert!((10..=15).contains(&during), "{during} of 20 while it is found out");
        assert_eq!(after, 100);
        assert_eq!(scene.ejections("consecutive_5xx"), 1.0);
        assert_eq!(scene.metric("organza_outlier_detection_ejections_active{destination_service_namespace=\"shop\""), 1.0);
        let out = scene.web.worker.shared.guards.out(Instant::now());
        assert_eq!(out.iter().map(|out| (&*out.endpoint, out.cause.as_str())).collect::<Vec<_>>(), [("b", "5 × 503")]);
        assert!(out[0].since + out[0].left <= hour + Duration::from_millis(1));
    })
    .await;
}

#[test]
fn the_gauge_of_who_is_left_out_follows_each_failure_and_each_endpoint_that_goes() {
    let (metrics, now) = (telemetry::Metrics::new(), Instant::now());
    let guard = Guards::default().of(&(key(Kind::Service, "catalog"), None), &metrics);
    let active = || {
        let text = metrics.encode();
        let line = text.lines().find(|line| line.starts_with("organza_outlier_detection_ejections_active{"));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
    };
    let mut balancer = routing::balance::Balancer::new(model::Balancer::default(), None);
    let mut arrange = |names: &[&'static str]| {
        let places: Vec<Place> = names.iter().map(|name| Place::plain(name, 1)).collect();
        let set = resources::catalog(&places).into_iter().find_map(|resource| match resource {
            Resource::Endpoints(set) => Some(set),
            _ => None,
        });
        guard.arrange(&mut balancer, &set.unwrap(), &DEFAULTS, &|_| 0, now);
    };
    arrange(&["a", "b"]);
    assert_eq!(active(), Some(0.0));
    let failed = Ended::Failed(Fault::ConnectRefused);
    (0..3).for_each(|_| guard.ended(&DEFAULTS, &"b".into(), failed, Duration::ZERO, 2, now));
    assert_eq!(active(), Some(1.0), "it is told before the next call");
    arrange(&["a"]);
    assert_eq!(active(), Some(0.0), "who has gone is not left out");
}

#[tokio::test]
async fn a_slow_endpoint_is_left_out_by_its_mean() {
    bounded(async {
        let (quick, slow) = (Moody::new("a").await, Moody::new("b").await);
        // Far enough apart for a machine that is busy with other things.
        slow.thinks(1_200);
        let (interval, hour) = (Duration::from_secs(5), Duration::from_secs(3600));
        let latency = Some(Duration::from_secs(1));
        let ejection = Ejection { latency, minimum_requests: 3, interval, base_time: hour, longest_time: hour, ..Ejection::default() };
        let scene = Scene::new(&[("a", quick.address), ("b", slow.address)], ejecting(ejection));
        while scene.ejections("latency") < 1.0 {
            scene.calls(1).await;
        }
        let before = slow.requests();
        scene.calls(40).await;
        assert!(before >= 3 && slow.requests() <= before + 2, "{before} then {}", slow.requests());
        assert_eq!(scene.ejections("latency"), 1.0);
    })
    .await;
}

#[tokio::test]
async fn beyond_its_limits_a_service_is_protected_and_callers_are_told_at_once() {
    bounded(async {
        let backend = Moody::new("a").await;
        backend.thinks(2000);
        let limits = RequestLimits { parallel_requests: 2, pending_requests: 1 };
        let scene = Scene::new(&[("a", backend.address)], Some(TrafficPolicy { limits, ..TrafficPolicy::default() }));
        let door = scene.door;
        let started = Instant::now();
        let calls = (0..6).map(|_| {
            tokio::task::spawn_local(async move {
                let (status, headers, body) = fetch(&Shot::get(door, "catalog", "/")).await.unwrap();
                (status.as_u16(), headers.contains_key("retry-after"), String::from_utf8_lossy(&body).into_owned(), started.elapsed())
            })
        });
        let mut ended = Vec::new();
        for call in calls.collect::<Vec<_>>() {
            ended.push(call.await.unwrap());
        }
        let refused: Vec<_> = ended.iter().filter(|(status, ..)| *status == 503).collect();
        assert_eq!((ended.len() - refused.len(), refused.len(), backend.requests()), (3, 3, 3));
        assert!(refused.iter().all(|(_, again, body, took)| *again && body.contains("overloaded") && *took < Duration::from_millis(1900)));
        let mut flags = Vec::new();
        for _ in 0..6 {
            let record = scene.web.record().await;
            if record["response_code"] == 503 {
                flags.push((record["response_flags"].to_string(), record["verdict_by"].to_string()));
            }
        }
        assert!(flags.iter().all(|(flag, by)| flag.contains("UO") && by.contains("careful")), "{flags:?}");
        // All places are free again.
        backend.thinks(0);
        assert_eq!(good(&scene.calls(5).await), 5);
    })
    .await;
}

#[tokio::test]
async fn a_caller_that_goes_away_while_it_waits_gives_its_place_to_the_next() {
    bounded(async {
        let limits = RequestLimits { parallel_requests: 1, pending_requests: 1 };
        let policy = Arc::new(TrafficPolicy { limits, ..TrafficPolicy::default() });
        let guard = crate::guard::Guards::default().of(&(super::key(model::Kind::Service, "s"), None), &telemetry::Metrics::new());
        let enter = || guard.enter(&policy, Instant::now());
        let first = enter().ok().unwrap();
        let second = enter().ok().unwrap();
        assert!(!first.waits() && second.waits() && enter().is_err());
        drop(second);
        let mut third = enter().ok().unwrap();
        drop(first);
        tokio::time::timeout(Duration::from_secs(1), third.placed()).await.unwrap();
        drop(third);
        assert!(!enter().ok().unwrap().waits());
    })
    .await;
}

#[tokio::test]
async fn a_breaker_opens_for_a_service_that_fails_and_closes_when_it_is_well() {
    bounded(async {
        let backend = Moody::new("a").await;
        let open_time = Duration::from_millis(2500);
        let rule =
            Breaker { failure_percentage: 50, minimum_requests: 10, interval: Duration::from_secs(30), open_time, half_open_requests: 2 };
        let scene = Scene::new(&[("a", backend.address)], Some(TrafficPolicy { breaker: Some(rule), ..TrafficPolicy::default() }));
        let said = Said::from_now_on();
        assert_eq!(good(&scene.calls(5).await), 5);
        backend.status(500);
        let failing = scene.calls(20).await;
        assert_eq!(failing.iter().filter(|status| **status == 500).count(), 5, "{failing:?}");
        assert_eq!(backend.requests(), 10, "an open breaker sends nothing");
        let (.., body) = fetch(&Shot::get(scene.door, "catalog", "/")).await.unwrap();
        assert!(String::from_utf8_lossy(&body).contains("circuit breaker"), "{body:?}");
        let labels = "{destination_service_namespace=\"shop\",destination_service_name=\"catalog\"}";
        assert_eq!(scene.metric(&format!("organza_circuit_breakers_open{labels}")), 1.0);
        let opened = labels.replace('}', ",cause=\"failure_percentage\"}");
        assert_eq!(scene.metric(&format!("organza_circuit_breaker_opened_total{opened}")), 1.0);
        let opens = "WARN shop/catalog: the circuit breaker opens for 2.5s: 50 % of 10 requests failed";
        assert_eq!(said.line("circuit breaker opens"), opens);
        backend.status(200);
        let deadline = Instant::now() + Duration::from_secs(10);
        while good(&scene.calls(1).await) == 0 {
            assert!(Instant::now() < deadline, "it is tried again");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(good(&scene.calls(20).await), 20);
        assert_eq!(scene.metric(&format!("organza_circuit_breakers_open{labels}")), 0.0);
        assert_eq!(said.line("circuit breaker closes"), "INFO shop/catalog: the circuit breaker closes");
    })
    .await;
}

#[tokio::test]
async fn workers_share_one_retry_budget_for_each_service() {
    bounded(async {
        let web = Mesh::new().proxy("web");
        let workers = [web.worker.clone(), Worker::new(web.worker.shared.clone(), 7)];
        let rule = Retry { codes: Vec::new(), attempts: u32::MAX, backoff: Duration::ZERO };
        // One moment: time fills the budget.
        let now = Instant::now();
        let spend = |worker: &Worker, service: Option<&str>| {
            let place = service.map(|name| (key(Kind::Service, name), None));
            let mut state = RetryState::new(Some(&rule), Timeouts::default(), true, now);
            let failure = Failure::Unsent(Fault::ConnectRefused);
            let mut next = || worker.budget(place.as_ref(), |budget| state.on_failure(failure, true, Duration::ZERO, budget, now, 0));
            (0..1000).take_while(|_| matches!(next(), Next::RetryAfter(_))).count()
        };
        for service in [Some("catalog"), Some("ratings"), None] {
            assert_eq!(workers.each_ref().map(|worker| spend(worker, service)), [100, 0], "{service:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_slow_endpoint_holds_its_own_places_and_no_others() {
    bounded(async {
        let (quick, slow) = (Moody::new("a").await, Moody::new("b").await);
        slow.thinks(HOUR_MILLIS);
        let policy = TrafficPolicy { endpoint_requests: Some(2), ..TrafficPolicy::default() };
        let scene = Scene::new(&[("a", quick.address), ("b", slow.address)], Some(policy));
        let door = scene.door;
        let mut held = Vec::new();
        // One after another, so that none finds both full.
        while slow.requests() < 2 {
            let before = (quick.requests(), slow.requests());
            held.push(tokio::task::spawn_local(async move { fetch(&Shot::get(door, "catalog", "/")).await.unwrap().0 }));
            while (quick.requests(), slow.requests()) == before {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        for _ in 0..held.len() - 2 {
            scene.web.record().await;
        }
        // In turn, half of them would be for the slow one.
        assert_eq!(good(&scene.calls(20).await), 20);
        assert_eq!(slow.requests(), 2);
        quick.thinks(HOUR_MILLIS);
        let more: Vec<_> =
            (0..2).map(|_| tokio::task::spawn_local(async move { fetch(&Shot::get(door, "catalog", "/")).await.unwrap().0 })).collect();
        let before = quick.requests();
        while quick.requests() < before + 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let (status, headers, body) = fetch(&Shot::get(door, "catalog", "/")).await.unwrap();
        let text = String::from_utf8_lossy(&body).into_owned();
        assert_eq!((status.as_u16(), headers.contains_key("retry-after")), (503, true));
        assert!(text.contains("each endpoint of service shop/catalog has 2 requests under way"), "{text}");
        let labels = "destination_service_namespace=\"shop\",destination_service_name=\"catalog\",cause=\"endpoint_overflow\"";
        assert_eq!(scene.metric(&format!("organza_upstream_rq_overflow_total{{{labels}}}")), 1.0);
        quick.thinks(0);
        slow.thinks(0);
        for call in held.into_iter().chain(more) {
            assert_eq!(call.await.unwrap(), 200);
        }
        assert_eq!(good(&scene.calls(20).await), 20, "all places are free again");
        assert!(slow.requests() > 2);
    })
    .await;
}

#[test]
fn of_those_that_are_left_out_so_many_are_told() {
    let (guards, metrics, now) = (crate::guard::Guards::default(), telemetry::Metrics::new(), Instant::now());
    let guard = guards.of(&(key(Kind::Service, "catalog"), Some(HTTP)), &metrics);
    let policy = TrafficPolicy { ejection: Ejection { max_percent: 100, ..Ejection::default() }, ..TrafficPolicy::default() };
    let all = crate::limits::EJECTIONS_TOLD + 1;
    for name in (0..all).map(|i| Arc::from(format!("e{i}"))) {
        (0..3).for_each(|_| guard.ended(&policy, &name, Ended::Failed(Fault::ConnectRefused), Duration::ZERO, all, now));
    }
    assert_eq!(guards.out(now).len(), all - 1);
}

#[test]
fn of_checks_that_ended_so_many_are_told_at_once() {
    let (guards, metrics, now) = (crate::guard::Guards::default(), telemetry::Metrics::new(), Instant::now());
    let check = super::checks::checking(super::checks::http());
    let all = crate::limits::CHECKS_TOLD + 1;
    let made = resources::catalog(&[Place::plain("e", 9)]);
    let Some(Resource::Endpoints(one)) = made.iter().find(|resource| matches!(resource, Resource::Endpoints(_))) else {
        panic!("endpoints")
    };
    let named = |i: usize| model::Endpoint { id: format!("e{i}").into(), ..one.endpoints[0].clone() };
    // Two services: the limit is the report's.
    for (service, from, to) in [("catalog", 0, all / 2), ("ratings", all / 2, all)] {
        let guard = guards.of(&(key(Kind::Service, service), Some(HTTP)), &metrics);
        let set = Arc::new(model::Endpoints { key: key(Kind::Endpoints, service), endpoints: (from..to).map(named).collect() });
        guard.keep_checks(Some(&check), &set, now, &mut || 0);
        while let Some(due) = guard.due_check(now) {
            guard.checked(&due, routing::health::Outcome::Passed("GET /healthz answered 200 in 1 ms".into()), now, 0);
        }
    }
    let told = guards.checked(now + Duration::from_secs(2));
    assert_eq!((told.len(), told[0].age, told[0].last.passed), (all - 1, Duration::from_secs(2), true));
    assert_eq!((guards.checked(now).len(), guards.checked(now).len()), (1, 0), "the rest the next time, each once");
}
