//! Datagrams through a gateway over loopback: real sockets, one worker, resources written by hand.

use super::ports::Ports;
use crate::doors::Handed;
use crate::tests::resources::{self, origin};
use crate::tests::{Mesh, Proxy, bounded, key};
use model::*;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, UdpSocket as StdSocket};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use transport::rt;

pub const PORT: u16 = 53;
const SOON: Duration = Duration::from_secs(20);

pub fn listener(limits: FrontLimits) -> Resource {
    listener_at(PORT, limits)
}

pub fn listener_at(port: u16, limits: FrontLimits) -> Resource {
    Resource::Listener(Arc::new(Listener {
        key: key(Kind::Listener, "edge.dns"),
        origin: origin("Gateway", "edge"),
        gateway: key(Kind::Gateway, "edge"),
        section: "dns".into(),
        addresses: vec![[127, 0, 0, 1].into()],
        port,
        protocol: ListenerProtocol::Udp,
        hostname: HostPattern::Any,
        tls: None,
        normalisation: Normalisation::Base,
        front: Front { limits, ..Front::default() },
        shown: GatewayCertificate::default(),
        asks: Vec::new(),
        broken: None,
    }))
}

pub fn route(backends: Vec<WeightedBackend>) -> Resource {
    let target = Target::Listener(key(Kind::Listener, "edge.dns"));
    Resource::Route(Arc::new(Route {
        key: key(Kind::Route, "udproute.dns"),
        origin: origin("UDPRoute", "dns"),
        protocol: RouteProtocol::Udp,
        attachments: vec![Attachment { target, hosts: vec![HostPattern::Any] }],
        rules: vec![resources::rule(backends)],
    }))
}

pub fn backend(name: &str, weight: u32) -> WeightedBackend {
    resources::backend(name, PORT, weight)
}

/// A service whose endpoints, `NAME-0` and so on, are at these ports of this machine.
pub fn service(name: &'static str, ports: &[u16]) -> Vec<Resource> {
    let mut all = resources::service(name, &[]);
    for resource in &mut all {
        match resource {
            Resource::Service(service) => {
                Arc::make_mut(service).ports = vec![ServicePort { number: PORT, name: None, protocol: AppProtocol::Udp }];
            }
            Resource::Endpoints(set) => {
                Arc::make_mut(set).endpoints = ports.iter().enumerate().map(|(i, port)| endpoint(&format!("{name}-{i}"), *port)).collect();
            }
            _ => {}
        }
    }
    all
}

fn endpoint(id: &str, port: u16) -> Endpoint {
    Endpoint {
        id: id.into(),
        workload: None,
        address: [127, 0, 0, 1].into(),
        ports: Vec::new(),
        datagrams: vec![(PORT, port)],
        tunnel: Tunnel::None,
        identity: None,
        health: Health::Healthy,
        weight: 1,
        priority: 0,
        locality: Locality::default(),
        labels: Labels::new(),
        tls: None,
    }
}

/// Answers each datagram with its name, where the datagram came from, and what it said.
pub async fn echo(name: &'static str) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = vec![0; 65_536];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let mut answer = format!("{name} {} ", from.port()).into_bytes();
            answer.extend_from_slice(&buffer[..length.min(60_000)]);
            let _ = socket.send_to(&answer, from).await;
        }
    });
    address
}

/// A policy that lets nobody through the gateway.
fn denied() -> Resource {
    let here = access::AccessMatch::PeerAddress(Cidr::parse("127.0.0.0/8").unwrap());
    let target = access::AccessTarget::Gateway(key(Kind::Gateway, "edge"));
    crate::tests::access::policy("nobody", access::Action::Deny, target, vec![crate::tests::access::any_of([here])])
}

/// A port of this machine where nobody listens.
fn nobody() -> u16 {
    StdSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

struct Client(UdpSocket);

impl Client {
    async fn new(gateway: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(gateway).await.unwrap();
        Self(socket)
    }

    async fn say(&self, word: &[u8]) {
        self.0.send(word).await.unwrap();
    }

    /// The next answer, in its words.
    async fn hear(&self) -> String {
        let mut buffer = vec![0; 65_536];
        let length = tokio::time::timeout(SOON, self.0.recv(&mut buffer)).await.expect("an answer comes").unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    /// The next answer, to whatever was said or is said again until one comes.
    async fn heard_in_the_end(&self) -> String {
        let asking = async {
            loop {
                self.say(b"?").await;
                if let Ok(answer) = tokio::time::timeout(Duration::from_millis(100), self.hear()).await {
                    return answer;
                }
            }
        };
        tokio::time::timeout(SOON, asking).await.expect("an answer comes")
    }

    async fn ask(&self, word: &str) -> String {
        self.say(word.as_bytes()).await;
        let answer = self.hear().await;
        assert!(answer.ends_with(&format!(" {word}")), "{answer}");
        answer
    }

    /// Who answered, and the port that it saw.
    async fn led(&self) -> (String, String) {
        let answer = self.ask("?").await;
        let mut words = answer.split(' ').map(str::to_owned);
        (words.next().unwrap(), words.next().unwrap())
    }

    fn name(&self) -> String {
        self.0.local_addr().unwrap().to_string()
    }
}

struct Edge {
    mesh: Mesh,
    gateway: Proxy,
    ports: Ports,
    address: SocketAddr,
}

impl Edge {
    fn new(resources: Vec<Resource>) -> Self {
        let mut mesh = Mesh::new();
        mesh.put(resources);
        let gateway = mesh.proxy("gateway");
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let worker = gateway.worker.clone();
        rt::spawn(async move {
            while let Some(handed) = receiver.recv().await {
                if let Handed::Datagrams(open) = handed {
                    rt::spawn(super::serve(worker.clone(), open));
                }
            }
        });
        let mut ports = Ports::new(vec![sender], gateway.worker.shared.metrics.clone());
        let address = ports.open(&key(Kind::Gateway, "edge"), PORT, "127.0.0.1:0".parse().unwrap()).unwrap();
        Self { mesh, gateway, ports, address }
    }

    async fn client(&self) -> Client {
        Client::new(self.address).await
    }

    /// Of a metric, the value of the series with this label.
    fn metric(&self, name: &str, label: &str) -> f64 {
        let text = self.gateway.worker.shared.metrics.encode();
        let line = text.lines().find(|line| line.starts_with(name) && line.contains(label));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_default()
    }

    async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let wait = async {
            while !holds(self) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(SOON, wait).await.unwrap_or_else(|_| panic!("{what}"));
    }

    async fn dropped(&self, cause: &str, count: f64) {
        let label = format!("cause=\"{cause}\"");
        self.until(cause, |edge| edge.metric("organza_datagrams_dropped_total", &label) == count).await;
    }

    fn sessions(&self) -> f64 {
        self.metric("organza_datagram_sessions", "port=\"53\"")
    }
}

fn usual(at: SocketAddr) -> Vec<Resource> {
    let mut all = vec![listener(FrontLimits::default()), route(vec![backend("dns", 1)])];
    all.extend(service("dns", &[at.port()]));
    all
}

#[tokio::test]
async fn datagrams_go_there_and_back_and_a_session_is_recorded_when_it_is_over() {
    bounded(async {
        let at = echo("one").await;
        let mut edge = Edge::new(usual(at));
        let (a, b) = (edge.client().await, edge.client().await);
        let first = a.led().await;
        assert_eq!(a.led().await, first, "it has one socket to its endpoint");
        assert_ne!(b.led().await.1, first.1, "each client has its own");
        // Sizes: nothing, and the most that goes back with what the echo adds.
        a.ask("").await;
        a.ask(&"x".repeat(60_000)).await;
        assert_eq!(edge.sessions(), 2.0);
        edge.ports.close_all();
        let mut told = BTreeMap::new();
        for _ in 0..2 {
            let record = edge.gateway.record().await;
            told.insert(record["source_address"].as_str().unwrap().to_owned(), record);
        }
        let record = &told[&a.name()];
        assert_eq!((&record["protocol"], &record["security"], &record["fault"]), (&"udp".into(), &"none".into(), &serde_json::Value::Null));
        assert_eq!((&record["listener"], &record["route"]), (&"shop/edge/dns".into(), &"UDPRoute shop/dns".into()), "{record}");
        assert_eq!((&record["destination_service"], &record["endpoint"]), (&"dns.shop".into(), &at.to_string().into()));
        let answers = 4 * format!("one {} ", first.1).len() + 2 + 60_000;
        assert_eq!((&record["bytes_received"], &record["bytes_sent"]), (&60_002.into(), &answers.into()));
        let opened = edge.metric("istio_tcp_connections_opened_total", "request_protocol=\"udp\"");
        assert_eq!((opened, edge.metric("istio_tcp_connections_closed_total", "request_protocol=\"udp\"")), (2.0, 2.0));
        edge.until("no session is left", |edge| edge.sessions() == 0.0).await;
    })
    .await;
}

#[tokio::test]
async fn weights_are_drawn_for_each_session_and_a_broken_backend_keeps_its_share() {
    bounded(async {
        let (one, two) = (echo("one").await, echo("two").await);
        let gone = Backend::Invalid { reason: InvalidBackend::BackendNotFound, message: "Service shop/gone does not exist.".into() };
        let broken = WeightedBackend { weight: 2, backend: gone, filters: Vec::new() };
        let mut all = vec![listener(FrontLimits::default()), route(vec![backend("one", 6), backend("two", 2), broken, backend("no", 0)])];
        all.extend(service("one", &[one.port()]).into_iter().chain(service("two", &[two.port()])));
        let edge = Edge::new(all);
        let mut clients = Vec::new();
        for _ in 0..300 {
            let client = edge.client().await;
            client.say(b"?").await;
            clients.push(client);
        }
        let mut counts = BTreeMap::new();
        edge.until("each was led or refused", |edge| {
            edge.sessions() + edge.metric("organza_datagrams_dropped_total", "cause=\"invalid_backend\"") == 300.0
        })
        .await;
        let refused: BTreeSet<String> = edge
            .gateway
            .records()
            .map(|record| {
                assert_eq!(record["reason"], "backend is invalid (BackendNotFound): Service shop/gone does not exist.", "{record}");
                record["source_address"].as_str().unwrap().to_owned()
            })
            .collect();
        for client in &clients {
            if !refused.contains(&client.name()) {
                let (first, again) = (client.hear().await, client.led().await);
                assert!(first.starts_with(&again.0), "it stays with {first}");
                *counts.entry(again.0).or_insert(0) += 1;
            }
        }
        // Draws are seeded: four standard deviations are more than enough.
        assert!(
            (146..=214).contains(&counts["one"]) && (32..=88).contains(&counts["two"]) && (32..=88).contains(&refused.len()),
            "{counts:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn what_a_dead_endpoint_did_not_hear_is_said_to_another() {
    bounded(async {
        let one = echo("one").await;
        let mut all = vec![listener(FrontLimits::default()), route(vec![backend("dns", 1)])];
        // The balancer goes round: half of the clients are led to the dead one first.
        all.extend(service("dns", &[nobody(), one.port()]));
        let mut edge = Edge::new(all);
        for _ in 0..20 {
            assert_eq!(edge.client().await.led().await.0, "one");
        }
        // Endpoints that have no such port are passed over.
        let mut some = service("dns", &[0, 0, one.port()]);
        let Resource::Endpoints(set) = &mut some[1] else { panic!("endpoints") };
        Arc::make_mut(set).endpoints.iter_mut().take(2).for_each(|endpoint| endpoint.datagrams.clear());
        edge.mesh.put(some);
        for _ in 0..6 {
            assert_eq!(edge.client().await.led().await.0, "one");
        }
        // Where nobody else is there, the client is told nothing, and the record says why.
        edge.mesh.put(service("dns", &[nobody()]));
        edge.client().await.say(b"?").await;
        let refused = loop {
            let record = edge.gateway.record().await;
            if !record["fault"].is_null() {
                break record;
            }
        };
        assert_eq!((&refused["fault"], &refused["protocol"]), (&"connect_refused".into(), &"udp".into()), "{refused}");
        // And one that dies while it is used is left too: what comes next goes elsewhere.
        let (dies, stays) = (UdpSocket::bind("127.0.0.1:0").await.unwrap(), echo("stays").await);
        edge.mesh.put(service("dns", &[dies.local_addr().unwrap().port()]));
        let client = edge.client().await;
        client.say(b"?").await;
        let (_, from) = dies.recv_from(&mut [0; 8]).await.unwrap();
        dies.send_to(b"dies 0 ?", from).await.unwrap();
        assert_eq!(client.hear().await, "dies 0 ?");
        let port = dies.local_addr().unwrap().port();
        drop(dies);
        edge.mesh.put(service("dns", &[port, stays.port()]));
        client.say(b"lost").await;
        assert!(client.heard_in_the_end().await.starts_with("stays "));
    })
    .await;
}

#[tokio::test]
async fn what_is_too_long_to_be_kept_is_lost_with_the_endpoint_that_did_not_hear_it() {
    bounded(async {
        let one = echo("one").await;
        let most = crate::limits::DATAGRAM_KEPT;
        for length in [most, most + 1] {
            let mut all = vec![listener(FrontLimits::default()), route(vec![backend("dns", 1)])];
            // Half of the clients are led to the dead one first.
            all.extend(service("dns", &[nobody(), one.port()]));
            let edge = Edge::new(all);
            let long = "x".repeat(length);
            let mut lost = 0;
            for _ in 0..4 {
                let client = edge.client().await;
                client.say(long.as_bytes()).await;
                // What is lost is made up for by a shorter one, which would take the place of what is kept if it came too soon.
                let patience = if length <= most { SOON } else { Duration::from_millis(300) };
                let heard = match tokio::time::timeout(patience, client.hear()).await {
                    Ok(heard) => heard,
                    Err(_) => client.heard_in_the_end().await,
                };
                lost += usize::from(!heard.ends_with(&long));
            }
            assert_eq!(lost > 0, length > most, "{length}: {lost}");
        }
    })
    .await;
}

#[tokio::test]
async fn beyond_the_limit_new_clients_are_dropped_and_old_ones_live() {
    bounded(async {
        let mut all = usual(echo("one").await);
        all.push(listener(FrontLimits { sessions: Some(2), ..FrontLimits::default() }));
        let mut edge = Edge::new(all);
        let old = [edge.client().await, edge.client().await];
        let led = [old[0].led().await, old[1].led().await];
        let new = edge.client().await;
        new.say(b"?").await;
        edge.dropped("sessions_full", 1.0).await;
        assert_eq!([old[0].led().await, old[1].led().await], led);
        edge.mesh.put(vec![listener(FrontLimits { sessions: Some(3), ..FrontLimits::default() })]);
        assert_eq!(new.led().await.0, "one");
    })
    .await;
}

#[test]
fn a_port_has_so_many_sessions_and_no_more() {
    let port = Arc::new(super::Port {
        gateway: key(Kind::Gateway, "edge"),
        number: PORT,
        taken: Default::default(),
        sessions: ::telemetry::Metrics::new().gauge("organza_datagram_sessions", "", &[]),
    });
    let most = super::most(&FrontLimits::default());
    assert_eq!(most, crate::limits::SESSIONS);
    let seats: Vec<_> = (0..most).map(|_| port.seat(most).unwrap()).collect();
    assert!(port.seat(most).is_none());
    drop(seats);
    assert!(port.seat(most).is_some());
}

#[tokio::test]
async fn a_session_ends_when_it_is_quiet_and_not_before() {
    bounded(async {
        let mut all = usual(echo("one").await);
        all.push(listener(FrontLimits { session_idle: Some(Duration::from_millis(300)), ..FrontLimits::default() }));
        let edge = Edge::new(all);
        let client = edge.client().await;
        let first = client.led().await;
        edge.until("it is quiet for long enough", |edge| edge.sessions() == 0.0).await;
        let record = edge.gateway.record().await;
        assert!(record["duration_ms"].as_f64().unwrap() >= 300.0 && record["fault"].is_null(), "{record}");
        assert_ne!(client.led().await.1, first.1, "what comes later begins anew");
    })
    .await;
}

#[tokio::test]
async fn datagrams_longer_than_the_gateway_takes_are_dropped_both_ways() {
    bounded(async {
        let mut all = usual(echo("one").await);
        all.push(listener(FrontLimits { datagram_bytes: Some(600), ..FrontLimits::default() }));
        let edge = Edge::new(all);
        let client = edge.client().await;
        client.say(&[b'x'; 601]).await;
        edge.dropped("too_large", 1.0).await;
        // The echo adds its name.
        client.say(&[b'x'; 600]).await;
        edge.dropped("too_large", 2.0).await;
        client.ask(&"x".repeat(500)).await;
        assert_eq!(super::longest(&FrontLimits::default()), crate::limits::DATAGRAM_BYTES);
    })
    .await;
}

#[tokio::test]
async fn sessions_follow_their_routes_and_endpoints() {
    bounded(async {
        let (one, two) = (echo("one").await, echo("two").await);
        let mut all = usual(one);
        all.extend(service("two", &[two.port()]));
        let mut edge = Edge::new(all);
        let client = edge.client().await;
        let first = client.led().await;
        // Other weights are for those who come: whoever is led somewhere stays.
        edge.mesh.put(vec![route(vec![backend("dns", 0), backend("two", 1)])]);
        assert_eq!(client.led().await, first);
        assert_eq!(edge.client().await.led().await.0, "two");
        // A route that leads there no more is another matter, and so is an endpoint that moved.
        edge.mesh.put(vec![route(vec![backend("two", 1)])]);
        assert_eq!(client.led().await.0, "two");
        let moved = echo("moved").await;
        edge.mesh.put(service("two", &[moved.port()]));
        assert_eq!(client.led().await.0, "moved");
        // Nobody is there any more.
        edge.mesh.put(service("two", &[]));
        client.say(b"?").await;
        edge.dropped("no_endpoint", 1.0).await;
        edge.mesh.put(vec![route(Vec::new())]);
        client.say(b"?").await;
        edge.dropped("no_backend", 1.0).await;
    })
    .await;
}

#[tokio::test]
async fn a_policy_that_denies_ends_sessions_and_lets_none_begin() {
    bounded(async {
        let mut edge = Edge::new(usual(echo("one").await));
        let client = edge.client().await;
        client.led().await;
        edge.mesh.put(vec![denied()]);
        let record = edge.gateway.record().await;
        assert_eq!(record["fault"], "access_denied", "{record}");
        client.say(b"?").await;
        edge.dropped("access_denied", 1.0).await;
    })
    .await;
}

#[tokio::test]
async fn a_proxy_that_ends_lets_none_begin_and_waits_until_the_others_are_quiet() {
    bounded(async {
        let mut edge = Edge::new(usual(echo("one").await));
        let client = edge.client().await;
        let led = client.led().await;
        edge.ports.end();
        let late = edge.client().await;
        late.say(b"?").await;
        edge.dropped("draining", 1.0).await;
        assert_eq!(client.led().await, led);
        // Long before it would be over for being quiet.
        edge.until("it is quiet", |edge| edge.sessions() == 0.0).await;
    })
    .await;
}
