//! How many connections there may be to a service: by plain HTTP, mutual TLS, HTTP/2 and unread, over one worker and over several, each on a thread of
//! its own. A relay between proxy and backend counts what is really open.

use super::guard::{Moody, catalog};
use super::resources::{GRPC, HTTP, Place, TCP};
use super::{Mesh, Proxy, bounded, grpc, id, key};
use crate::doors::{Door, Doors, Room, work};
use crate::http::exchange;
use crate::inbound::{self, Application};
use crate::upstream::{UpstreamKey, Via, Way};
use crate::worker::{self, Worker};
use identity::{ClientAuth, alpn};
use model::traffic::{ConnectionLimits, RequestLimits, TrafficPolicy};
use model::{Kind, RequestHead, Resource, Tunnel};
use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use testkit::backend::Backend;
use testkit::client::{Shot, fetch};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use transport::body::{Incoming, Length};
use transport::preface::Framing;
use transport::{Stream, limits, rt};

/// Passes bytes on, and knows how many connections were open at once at most.
pub(crate) struct Relay {
    address: SocketAddr,
    pub most: Rc<Cell<usize>>,
    all: Rc<Cell<usize>>,
    open: Rc<RefCell<Vec<std::net::TcpStream>>>,
}

/// As the kernel has it, whatever was read so far: a peer's end comes before whatever it dials next.
fn is_open(stream: &std::net::TcpStream) -> bool {
    match stream.peek(&mut [0]) {
        Ok(read) => read > 0,
        Err(error) => error.kind() == io::ErrorKind::WouldBlock,
    }
}

impl Relay {
    async fn to(backend: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let relay = Self { address: listener.local_addr().unwrap(), most: Rc::default(), all: Rc::default(), open: Rc::default() };
        let (most, all, open) = (relay.most.clone(), relay.all.clone(), relay.open.clone());
        tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let stream = stream.into_std().unwrap();
                open.borrow_mut().retain(is_open);
                open.borrow_mut().push(stream.try_clone().unwrap());
                most.set(most.get().max(open.borrow().len()));
                all.set(all.get() + 1);
                tokio::task::spawn_local(async move {
                    let (mut a, mut b) = (TcpStream::from_std(stream).unwrap(), TcpStream::connect(backend).await.unwrap());
                    let _ = (a.set_nodelay(true), b.set_nodelay(true));
                    let _ = tokio::io::copy_bidirectional(&mut a, &mut b).await;
                });
            }
        });
        relay
    }

    fn now(&self) -> usize {
        self.open.borrow_mut().retain(is_open);
        self.open.borrow().len()
    }
}

pub(crate) fn policy(service: Option<u32>, pending: u32) -> TrafficPolicy {
    let limits = RequestLimits { pending_requests: pending, ..RequestLimits::default() };
    TrafficPolicy { limits, connections: ConnectionLimits { service, endpoint: None }, ..TrafficPolicy::default() }
}

/// A door of each worker, for one service's port. The first worker is the proxy's own; all run on this thread.
pub(crate) fn doors(web: &mut Proxy, workers: usize, port: u16) -> Vec<(SocketAddr, Doors)> {
    let any = "127.0.0.1:0".parse().unwrap();
    let door = || Door::Named { host: "catalog".into(), port };
    let each = (0..workers).map(|index| {
        let worker = Worker::new(web.worker.shared.clone(), 7 + index as u64);
        let (sender, receiver) = mpsc::unbounded_channel();
        transport::rt::spawn(worker.clone().give_way());
        transport::rt::spawn(work(worker, receiver));
        let mut doors = Doors::new(vec![sender]);
        (doors.open(any, door()).unwrap(), doors)
    });
    each.collect()
}

/// One address for as many threads.
fn threads(web: &Proxy, workers: usize, port: u16) -> (SocketAddr, Doors) {
    let senders = (0..workers).map(|index| {
        let (sender, receiver) = mpsc::unbounded_channel();
        worker::spawn(index, web.worker.shared.clone(), 3, async move |worker| work(worker, receiver).await).unwrap();
        sender
    });
    let mut doors = Doors::new(senders.collect());
    (doors.open("127.0.0.1:0".parse().unwrap(), Door::Named { host: "catalog".into(), port }).unwrap(), doors)
}

/// A caller's proxy, whose ways to catalog lead by the relay.
pub(crate) struct Scene {
    pub mesh: Mesh,
    pub web: Proxy,
    _catalog: Proxy,
    pub relay: Relay,
    places: Vec<Place>,
}

impl Scene {
    pub async fn new(tunnel: Option<fn(SocketAddr) -> Tunnel>, backend: SocketAddr, policy: TrafficPolicy) -> Self {
        let mut mesh = Mesh::new();
        let web = mesh.proxy("web");
        let mut catalog = mesh.proxy("catalog");
        let inbound = catalog.inbound("catalog-1");
        let relay = Relay::to(if tunnel.is_some() { inbound } else { backend }).await;
        let place = match tunnel {
            Some(tunnel) => Place { tunnel: tunnel(relay.address), ..Place::organza("catalog-1", inbound, backend.port()) },
            None => Place::plain("catalog-1", relay.address.port()),
        };
        let mut scene = Self { mesh, web, _catalog: catalog, relay, places: vec![place] };
        scene.put(policy);
        scene
    }

    fn put(&mut self, policy: TrafficPolicy) {
        let resources: Vec<Resource> = catalog(&self.places, Some(policy));
        self.mesh.put(resources);
    }

    fn metric(&self, line: &str) -> f64 {
        let text = self.web.worker.shared.metrics.encode();
        let found = text.lines().find(|found| found.starts_with(line));
        found.and_then(|found| found.rsplit(' ').next()).map_or(0.0, |value| value.parse().unwrap())
    }
}

/// So many calls at once, each on a connection of its own; their statuses.
async fn calls(addresses: &[SocketAddr], count: usize) -> Vec<u16> {
    let one = |index: usize| fetch_one(addresses[index % addresses.len()]);
    let all: Vec<_> = (0..count).map(|index| tokio::task::spawn_local(one(index))).collect();
    let mut statuses = Vec::new();
    for call in all {
        statuses.push(call.await.unwrap());
    }
    statuses
}

pub(crate) async fn fetch_one(door: SocketAddr) -> u16 {
    fetch(&Shot::get(door, "catalog", "/")).await.map_or(0, |(status, ..)| status.as_u16())
}

#[tokio::test]
async fn one_two_and_four_workers_have_no_more_connections_than_the_proxy_may() {
    bounded(async {
        for workers in [1, 2, 4] {
            for tunnel in [None, Some(Tunnel::Organza as fn(SocketAddr) -> Tunnel)] {
                let backend = Backend::http("catalog").await;
                // Before the application: streams of one connection between proxies are as many connections there.
                let app = Relay::to(backend.address).await;
                let scene = Scene::new(tunnel, app.address, policy(Some(3), 1024)).await;
                let (door, _doors) = threads(&scene.web, workers, HTTP);
                for round in 0..3 {
                    assert_eq!(calls(&[door], 24).await, [200; 24], "{workers} workers, round {round}");
                }
                let (most, all) = (app.most.get(), app.all.get());
                assert!((1..=3).contains(&most), "{most} connections at once with {workers} workers");
                assert!(workers > 1 || all <= 6, "{all} connections for 72 calls: they are handed on");
                assert_eq!(backend.requests(), 72);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn what_lies_idle_in_another_workers_pool_makes_room() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut scene = Scene::new(Some(Tunnel::Organza), backend.address, policy(Some(1), 8)).await;
        let doors = doors(&mut scene.web, 4, HTTP);
        for round in 0..3 {
            for (door, _) in &doors {
                assert_eq!([fetch_one(*door).await, fetch_one(*door).await], [200; 2], "round {round}");
            }
        }
        assert_eq!(scene.relay.all.get(), 4, "each worker has a connection between proxies, whose streams are what is counted");
        let labels = "{destination_service_namespace=\"shop\",destination_service_name=\"catalog\"}";
        assert_eq!(scene.metric(&format!("organza_upstream_cx_active{labels}")), 1.0);
        assert_eq!(scene.metric(&format!("organza_upstream_cx_overflow_total{labels}")), 11.0);
    })
    .await;
}

#[tokio::test]
async fn http2_connections_are_counted_and_have_their_turns() {
    bounded(async {
        // A tunnel of HBONE is a connection to the workload; what carries tunnels is none.
        for (tunnel, most) in [(None, 1), (Some(Tunnel::Organza as fn(SocketAddr) -> Tunnel), 1), (Some(Tunnel::Hbone), 2)] {
            let backend = Backend::http("catalog").await;
            let mut scene = Scene::new(tunnel, backend.address, policy(Some(1), 64)).await;
            let doors = doors(&mut scene.web, 2, GRPC);
            // Each worker's caller always has requests under way, so neither's connection is ever idle.
            let callers: Vec<_> = doors.iter().map(|(door, _)| tokio::task::spawn_local(streams(*door))).collect();
            for caller in callers {
                let answered = caller.await.unwrap();
                let failed: Vec<_> =
                    scene.web.records().filter(|record| record["response_code"] != 200 || record["grpc_status"] != 0).collect();
                assert_eq!(answered, 40, "{failed:?}");
            }
            assert_eq!(scene.relay.most.get(), most);
            let labels = "{destination_service_namespace=\"shop\",destination_service_name=\"catalog\"}";
            assert!(scene.metric(&format!("organza_upstream_cx_active{labels}")) <= 1.0);
        }
    })
    .await;
}

/// Forty calls by HTTP/2, four at a time; how many were answered.
async fn streams(door: SocketAddr) -> usize {
    let client = grpc::client(door).await;
    let one = || async {
        let (mut body, mut answer) = client.request(&grpc::post("catalog", "/books.Books/Watch", true), Length::Open).unwrap();
        body.send(bytes::Bytes::from_static(b"\0\0\0\0\0")).await.unwrap();
        body.finish(None).await.unwrap();
        let (head, mut reader) = grpc::answer(&mut answer).await.unwrap();
        while reader.chunk().await.unwrap().is_some() {}
        usize::from(head.status == 200 && head.headers.text("grpc-status").is_none_or(|status| status == "0"))
    };
    let mut good = 0;
    for _ in 0..10 {
        let four = futures_util::future::join_all((0..4).map(|_| one())).await;
        good += four.iter().sum::<usize>();
    }
    good
}

#[tokio::test]
async fn connections_that_are_carried_unread_wait_for_their_turn() {
    bounded(async {
        let backend = Backend::tcp("").await;
        let mut scene = Scene::new(Some(Tunnel::Organza), backend.address, policy(Some(2), 1)).await;
        let doors = doors(&mut scene.web, 2, TCP);
        let echo = async |stream: &mut TcpStream| {
            stream.write_all(b"a").await.unwrap();
            let mut back = [0];
            stream.read_exact(&mut back).await.map(|_| back)
        };
        let dial = |index: usize| TcpStream::connect(doors[index].0);
        let (mut first, mut second) = (dial(0).await.unwrap(), dial(1).await.unwrap());
        assert!(echo(&mut first).await.is_ok() && echo(&mut second).await.is_ok());
        let third = tokio::task::spawn_local({
            let mut third = dial(1).await.unwrap();
            async move { echo(&mut third).await.map(|_| third) }
        });
        let waiting = || scene.web.worker.shared.guards.crowded().first().map_or(0, |full| full.waiting);
        while waiting() == 0 {
            tokio::task::yield_now().await;
        }
        let mut fourth = dial(0).await.unwrap();
        assert_eq!(fourth.read(&mut [0]).await.unwrap_or(0), 0, "more wait than may: closed at once");
        assert!(scene.web.record().await["reason"].to_string().contains("2 connections"));
        assert!(!third.is_finished());
        drop(first);
        let third = third.await.unwrap();
        assert!(third.is_ok());
        assert_eq!((scene.relay.most.get(), scene.relay.now()), (2, 2));
        drop((second, third));
    })
    .await;
}

#[tokio::test]
async fn whoever_is_refused_is_told_why_and_by_whom() {
    bounded(async {
        let backend = Moody::new("a").await;
        backend.thinks(25_000);
        let mut scene = Scene::new(None, backend.address, policy(Some(1), 1)).await;
        let door = scene.web.named("catalog", HTTP);
        let held: Vec<_> = (0..2).map(|_| tokio::task::spawn_local(fetch_one(door))).collect();
        while scene.web.worker.shared.guards.crowded().first().is_none_or(|full| (full.open, full.waiting) != (1, 1)) {
            tokio::task::yield_now().await;
        }
        let (status, headers, body) = fetch(&Shot::get(door, "catalog", "/")).await.unwrap();
        let text = String::from_utf8_lossy(&body).into_owned();
        assert_eq!((status.as_u16(), headers.contains_key("retry-after")), (503, true));
        assert!(text.contains("service shop/catalog has 1 connections"), "{text}");
        let record = scene.web.record().await;
        assert!(record["verdict_by"].to_string().contains("careful") && record["attempt"] == 1, "{record}");
        let labels = "destination_service_namespace=\"shop\",destination_service_name=\"catalog\",cause=\"connection_overflow\"";
        assert_eq!(scene.metric(&format!("organza_upstream_rq_overflow_total{{{labels}}}")), 1.0);
        backend.thinks(0);
        for call in held {
            assert_eq!(call.await.unwrap(), 200);
        }
        assert_eq!(scene.web.worker.shared.guards.out(std::time::Instant::now()), [], "it says nothing of the endpoint");
    })
    .await;
}

#[tokio::test]
async fn a_limit_that_was_lowered_closes_what_is_idle_and_one_per_endpoint_leaves_others_alone() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut scene = Scene::new(None, backend.address, policy(None, 64)).await;
        let doors = doors(&mut scene.web, 3, HTTP);
        let addresses: Vec<_> = doors.iter().map(|(door, _)| *door).collect();
        for address in &addresses {
            assert_eq!(calls(&[*address], 4).await, [200; 4]);
        }
        assert!(scene.relay.now() >= 3);
        scene.put(policy(Some(1), 64));
        assert_eq!(fetch_one(addresses[0]).await, 200);
        while scene.relay.now() > 1 {
            tokio::task::yield_now().await;
        }
        // Two endpoints, of which each may have one.
        let other = Relay::to(backend.address).await;
        scene.places.push(Place::plain("catalog-2", other.address.port()));
        scene.put(TrafficPolicy { connections: ConnectionLimits { service: None, endpoint: Some(1) }, ..policy(None, 64) });
        let before = scene.relay.most.get();
        assert_eq!(calls(&addresses, 60).await, [200; 60]);
        assert_eq!((other.most.get(), scene.relay.most.get(), scene.relay.now() <= 1), (1, before, true));
        assert!(other.all.get() >= 1);
    })
    .await;
}

/// The way to catalog, a connection of its own as far as requests see it.
async fn connect(scene: &Scene) -> Way {
    let via = Via::Organza { expected: [id("catalog")].into(), service: key(Kind::Service, "catalog"), port: HTTP };
    let to = UpstreamKey { address: scene.relay.address, via, framing: Framing::Http1, counted: None, told: None };
    Way::H1(scene.web.worker.connect(&to, true).await.unwrap())
}

async fn get(way: &mut Way, path: &str) -> u16 {
    let mut head = RequestHead::default();
    head.set_authority("catalog");
    head.set_target(path);
    exchange::ask(way, &mut head, Incoming::Empty, None, true).await.unwrap().status
}

#[tokio::test]
async fn connections_between_two_proxies_share_few_of_mutual_tls() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let scene = Scene::new(Some(Tunnel::Organza), backend.address, policy(None, 1024)).await;
        // A crowd waits for one handshake.
        let mut open = futures_util::future::join_all((0..limits::TRUNK_STREAMS).map(|_| connect(&scene))).await;
        assert_eq!(scene.relay.all.get(), 1);
        open.push(connect(&scene).await);
        assert_eq!(scene.relay.all.get(), 2, "there is no more room on the first");
        for way in &mut open {
            assert_eq!(get(way, "/").await, 200);
        }
        // What is taken away makes room again, and what is under way goes on.
        open.truncate(1);
        for _ in 0..limits::TRUNK_STREAMS {
            assert_eq!(get(&mut connect(&scene).await, "/").await, 200);
        }
        assert_eq!((get(&mut open[0], "/").await, scene.relay.all.get()), (200, 2));
    })
    .await;
}

#[tokio::test]
async fn what_carried_others_and_died_unnoticed_is_dialled_anew() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let scene = Scene::new(Some(Tunnel::Organza), backend.address, policy(None, 1024)).await;
        assert_eq!(get(&mut connect(&scene).await, "/").await, 200);
        scene.relay.open.borrow().iter().for_each(|one| one.shutdown(std::net::Shutdown::Both).unwrap());
        assert_eq!(get(&mut connect(&scene).await, "/").await, 200);
        assert_eq!(scene.relay.all.get(), 2);
    })
    .await;
}

#[tokio::test]
async fn who_reads_nothing_does_not_hold_up_the_others_of_its_connection() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut scene = Scene::new(Some(Tunnel::Organza), backend.address, policy(None, 1024)).await;
        let door = scene.web.named("catalog", HTTP);
        let mut silent = Vec::new();
        for _ in 0..limits::TRUNK_STREAMS - 1 {
            let mut caller = TcpStream::connect(door).await.unwrap();
            caller.write_all(b"GET /bytes/16000000 HTTP/1.1\r\nHost: catalog\r\n\r\n").await.unwrap();
            caller.readable().await.unwrap();
            silent.push(caller);
        }
        // Until nothing goes on any more: too early is no failure, but proves nothing.
        let (mut before, mut calm) = (0, 0);
        while calm < 20 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            let now: u64 = silent.iter().map(|caller| rustix::io::ioctl_fionread(caller).unwrap()).sum();
            calm = if now == before { calm + 1 } else { 0 };
            before = now;
        }
        for _ in 0..20 {
            assert_eq!(fetch_one(door).await, 200);
        }
        assert_eq!(scene.relay.all.get(), 1);
    })
    .await;
}

/// Opens an opaque connection and has so many bytes come back on it.
async fn echoed(door: SocketAddr, size: u64) -> TcpStream {
    let mut caller = TcpStream::connect(door).await.unwrap();
    let (mut read, mut write) = caller.split();
    let sent = async { tokio::io::copy(&mut tokio::io::repeat(7).take(size), &mut write).await.unwrap() };
    let came = async { tokio::io::copy(&mut (&mut read).take(size), &mut tokio::io::sink()).await.unwrap() };
    let (sent, came) = futures_util::future::join(sent, came).await;
    assert_eq!((sent, came), (size, size));
    caller
}

#[tokio::test]
async fn bytes_are_streams_of_one_connection_until_one_carries_much() {
    bounded(async {
        let backend = Backend::tcp("").await;
        let mut scene = Scene::new(Some(Tunnel::Organza), backend.address, policy(None, 1024)).await;
        let door = scene.web.named("catalog", TCP);
        let few = futures_util::future::join_all((0..8).map(|_| echoed(door, 100_000))).await;
        assert_eq!(scene.relay.all.get(), 1);
        // Each goes on after more than its window, and ends as its caller ends it.
        let mut much = echoed(door, crate::limits::BULK / 2).await;
        assert_eq!(scene.relay.all.get(), 1);
        much.shutdown().await.unwrap();
        assert_eq!(much.read(&mut [0]).await.unwrap(), 0);
        let place = (key(Kind::Service, "catalog"), TCP);
        while !scene.web.worker.trunks.borrow().is_bulk(&place.0, place.1) {
            tokio::task::yield_now().await;
        }
        let alone = futures_util::future::join_all((0..3).map(|_| echoed(door, 10))).await;
        assert_eq!(scene.relay.all.get(), 4);
        // An hour later nothing begins on that trunk any more, and who did not carry much since shares the next.
        scene.web.worker.trunks.borrow_mut().sweep(rt::now() + crate::limits::BULK_KNOWN);
        let later = futures_util::future::join_all((0..3).map(|_| echoed(door, 10))).await;
        assert_eq!(scene.relay.all.get(), 5);
        drop((few, alone, later));
    })
    .await;
}

/// A proxy of a release before trunks: it takes `organza/1` alone.
#[tokio::test]
async fn a_proxy_that_knows_no_trunks_gets_connections_of_their_own() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let scene = Scene::new(Some(Tunnel::Organza), backend.address, policy(None, 1024)).await;
        let credentials = &scene._catalog.worker.shared.credentials;
        let config =
            identity::server_config(credentials, ClientAuth::Required, &[alpn::ORGANZA, alpn::H2], Arc::new(rt::Here::now())).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (older, accepted, worker) = (listener.local_addr().unwrap(), Rc::new(Cell::new(0)), scene._catalog.worker.clone());
        let application = Rc::new(Application { workload: key(Kind::Workload, "catalog-1"), host: "127.0.0.1".parse().unwrap() });
        let count = accepted.clone();
        tokio::task::spawn_local(async move {
            while let Ok((stream, address)) = listener.accept().await {
                count.set(count.get() + 1);
                let (worker, config, application) = (worker.clone(), config.clone(), application.clone());
                let room = Room::new(100, 100);
                tokio::task::spawn_local(async move {
                    inbound::serve(worker, Stream::Tcp(stream), address, config, application, &room).await;
                });
            }
        });
        let via = Via::Organza { expected: [id("catalog")].into(), service: key(Kind::Service, "catalog"), port: HTTP };
        let to = UpstreamKey { address: older, via, framing: Framing::Http1, counted: None, told: None };
        let mut open = Vec::new();
        for _ in 0..3 {
            let mut way = Way::H1(scene.web.worker.connect(&to, true).await.unwrap());
            assert_eq!(get(&mut way, "/").await, 200);
            open.push(way);
        }
        assert_eq!(accepted.get(), 3);
        // A crowd waits for nobody's handshake, and each has its own.
        let crowd = futures_util::future::join_all((0..8).map(|_| scene.web.worker.connect(&to, true))).await;
        assert!(crowd.iter().all(Result::is_ok));
        assert_eq!(accepted.get(), 11);
    })
    .await;
}
