//! Limits that a Gateway sets for its callers' connections: each holds as it was set, by HTTP/1 and HTTP/2, for connections that come after it was, and
//! those that were there before go on.

use super::grpc::{answer, client, post};
use super::resources::{self, HTTP};
use super::strangers::certificate;
use super::{Proxy, Shop, bounded, key};
use bytes::Bytes;
use model::{Front, FrontLimits, Kind, Listener, Method, Resource, Target};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use testkit::backend::Backend;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::yield_now;
use transport::body::Length;

const SHORT: Duration = Duration::from_millis(50);
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n";

struct Edge {
    shop: Shop,
    gateway: Proxy,
    door: SocketAddr,
    _backend: Backend,
}

fn limited(limits: FrontLimits, certificate: Option<model::Key>) -> Resource {
    let Resource::Listener(plain) = resources::listener(80, certificate) else { panic!("a listener") };
    Resource::Listener(Arc::new(Listener { front: Front { limits, ..Front::default() }, ..Listener::clone(&plain) }))
}

impl Edge {
    async fn new(limits: FrontLimits, tls: bool) -> Self {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let target = Target::Listener(key(Kind::Listener, "edge.web"));
        let rule = resources::rule(vec![resources::backend("catalog", HTTP, 1)]);
        let shown = tls.then(|| certificate(&mut shop));
        let name = shown.as_ref().map(|shown| shown.key().clone());
        shop.mesh.put(shown.into_iter().chain([limited(limits, name), resources::route(target, rule)]).collect());
        let mut gateway = shop.mesh.proxy("gateway");
        let door = gateway.gateway(80);
        Self { shop, gateway, door, _backend: backend }
    }

    /// What comes until the connection ends.
    async fn says(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.door).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.unwrap();
        String::from_utf8_lossy(&all).into_owned()
    }

    async fn reason(&self) -> String {
        self.gateway.record().await["reason"].to_string()
    }
}

async fn one(stream: &mut TcpStream, request: &[u8]) -> String {
    stream.write_all(request).await.unwrap();
    let mut all = Vec::new();
    while !all.ends_with(b"\r\n\r\n") {
        all.push(stream.read_u8().await.unwrap());
    }
    let text = String::from_utf8_lossy(&all).into_owned();
    let length = text.to_lowercase().split("content-length: ").nth(1).map_or(0, |rest| rest.lines().next().unwrap().parse().unwrap());
    stream.read_exact(&mut vec![0; length]).await.unwrap();
    text
}

#[tokio::test]
async fn heads_are_as_long_as_the_gateway_takes_and_a_change_holds_for_the_next_connection() {
    bounded(async {
        let mut edge = Edge::new(FrontLimits { head_bytes: Some(1024), ..FrontLimits::default() }, false).await;
        let long = [b"GET / HTTP/1.1\r\nHost: shop.example\r\nX-Long: ", &*vec![b'x'; 1500], b"\r\n\r\n"].concat();
        let mut kept = TcpStream::connect(edge.door).await.unwrap();
        assert!(one(&mut kept, GET).await.starts_with("HTTP/1.1 200"));
        assert!(edge.says(&long).await.starts_with("HTTP/1.1 431"));
        let (plain, mut head) = (client(edge.door).await, post("shop.example", "/", false));
        head.headers.push("x-long", &vec![b'x'; 1500]);
        let (_up, mut reply) = plain.request(&head, Length::None).unwrap();
        assert_eq!(answer(&mut reply).await.unwrap().0.status, 431);
        edge.shop.mesh.put(vec![limited(FrontLimits::default(), None)]);
        assert!(one(&mut kept, GET).await.starts_with("HTTP/1.1 200"), "whoever was there is there");
        let mut next = TcpStream::connect(edge.door).await.unwrap();
        assert!(one(&mut next, &long).await.starts_with("HTTP/1.1 200"));
        let (_up, mut reply) = client(edge.door).await.request(&head, Length::None).unwrap();
        assert_eq!(answer(&mut reply).await.unwrap().0.status, 200);
    })
    .await;
}

#[tokio::test]
async fn slow_heads_and_bodies_end_when_the_gateway_says() {
    bounded(async {
        let edge = Edge::new(FrontLimits { head_time: Some(SHORT), body_idle: Some(SHORT), ..FrontLimits::default() }, false).await;
        assert!(edge.says(b"GET / HT").await.starts_with("HTTP/1.1 408"));
        assert!(edge.reason().await.contains("head took longer than 50ms"));
        // What may become HTTP/2 is waited for no longer than any head, and not as long as an idle connection.
        assert!(edge.says(b"PRI * HT").await.starts_with("HTTP/1.1 408"));
        assert!(edge.reason().await.contains("head took longer than 50ms"));
        let post_head = b"POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 10\r\n\r\nabc";
        assert!(edge.says(post_head).await.starts_with("HTTP/1.1 408"));
        assert!(edge.reason().await.contains("body stood still for 50ms"));
        let (mut up, mut reply) = client(edge.door).await.request(&post("shop.example", "/", false), Length::Known(10)).unwrap();
        up.send(Bytes::from_static(b"abc")).await.unwrap();
        up.flush().await.unwrap();
        assert_eq!(answer(&mut reply).await.unwrap().0.status, 408);
    })
    .await;
}

const DATA: u8 = 0;
const RST_STREAM: u8 = 3;

/// Kind and stream of each frame that came whole, and the first word of what it carries.
fn frames(mut bytes: &[u8]) -> Vec<(u8, u8, u32)> {
    let mut all = Vec::new();
    while let [_, high, low, kind, _, _, _, _, stream, rest @ ..] = bytes {
        let Some((payload, next)) = rest.split_at_checked(usize::from(*high) << 8 | usize::from(*low)) else { break };
        all.push((*kind, *stream, payload.first_chunk().map_or(0, |word| u32::from_be_bytes(*word))));
        bytes = next;
    }
    all
}

#[tokio::test]
async fn a_window_that_is_held_shut_ends_its_request_with_its_code_and_is_counted_by_name() {
    bounded(async {
        let edge = Edge::new(FrontLimits { body_idle: Some(SHORT), ..FrontLimits::default() }, false).await;
        let mut stream = TcpStream::connect(edge.door).await.unwrap();
        // GET http / of shop.example.
        let get = [&[0x82, 0x86, 0x84, 0x01, 12][..], b"shop.example"].concat();
        let headers = |id: u8| [&[0, 0, get.len() as u8, 1, 5, 0, 0, 0, id][..], &get].concat();
        let shut = [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0];
        stream.write_all(&[transport::h2::CLIENT_PREFACE, &shut, &headers(1)].concat()).await.unwrap();
        let (mut seen, mut buffer, mut opened) = (Vec::new(), [0; 4096], false);
        // Its connection goes on: whoever opens its windows then gets an answer.
        while !frames(&seen).iter().any(|(kind, stream, _)| (*kind, *stream) == (DATA, 3)) {
            if !opened && frames(&seen).contains(&(RST_STREAM, 1, transport::h2::code::ENHANCE_YOUR_CALM)) {
                opened = true;
                let open = [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0];
                stream.write_all(&[&open[..], &headers(3)].concat()).await.unwrap();
            }
            let count = stream.read(&mut buffer).await.unwrap();
            assert!(count > 0, "{seen:?}");
            seen.extend_from_slice(&buffer[..count]);
        }
        let metrics = edge.gateway.worker.shared.metrics.encode();
        assert!(metrics.contains("organza_downstream_rq_reset_total{cause=\"h2_window_shut\"} 1"), "{metrics}");
        assert!(!metrics.contains("organza_downstream_cx_ended_total{"), "{metrics}");
    })
    .await;
}

#[tokio::test]
async fn idle_connections_end_when_the_gateway_says() {
    bounded(async {
        let edge = Edge::new(FrontLimits { idle: Some(SHORT), ..FrontLimits::default() }, false).await;
        let mut stream = TcpStream::connect(edge.door).await.unwrap();
        assert!(one(&mut stream, GET).await.starts_with("HTTP/1.1 200"));
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
        let client = client(edge.door).await;
        let (_up, mut reply) = client.request(&post("shop.example", "/", false), Length::None).unwrap();
        assert_eq!(answer(&mut reply).await.unwrap().0.status, 200);
        while client.is_usable() {
            yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn connections_carry_as_many_requests_as_the_gateway_says() {
    bounded(async {
        let edge = Edge::new(FrontLimits { requests: Some(2), ..FrontLimits::default() }, false).await;
        let mut stream = TcpStream::connect(edge.door).await.unwrap();
        assert!(!one(&mut stream, GET).await.to_lowercase().contains("connection: close"));
        assert!(one(&mut stream, GET).await.to_lowercase().contains("connection: close"));
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
        let client = client(edge.door).await;
        for _ in 0..2 {
            assert!(client.is_usable());
            let mut head = post("shop.example", "/", false);
            head.method = Method::Get;
            let (_up, mut reply) = client.request(&head, Length::None).unwrap();
            assert_eq!(answer(&mut reply).await.unwrap().0.status, 200);
        }
        while client.is_usable() {
            yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn callers_have_as_many_streams_as_the_gateway_says() {
    bounded(async {
        let edge = Edge::new(FrontLimits { streams: Some(1), ..FrontLimits::default() }, false).await;
        let client = client(edge.door).await;
        let (_up, _reply) = client.request(&post("shop.example", "/", false), Length::Open).unwrap();
        // Known once the gateway's settings have come.
        while client.has_room() {
            yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn handshakes_are_as_many_and_as_long_as_the_gateway_says() {
    bounded(async {
        let edge = Edge::new(FrontLimits { handshake_time: Some(SHORT), ..FrontLimits::default() }, true).await;
        assert_eq!(edge.says(b"\x16\x03\x01").await, "");
        let ended = "organza_downstream_cx_ended_total{cause=\"tls_handshake_timeout\"} 1";
        assert!(edge.gateway.worker.shared.metrics.encode().contains(ended));
        let edge = Edge::new(FrontLimits { handshakes: Some(1), ..FrontLimits::default() }, true).await;
        let dial = || TcpStream::connect(edge.door);
        // It is looked before the next is accepted.
        let _shaking = (dial().await.unwrap(), dial().await.unwrap(), dial().await.unwrap());
        while !edge.gateway.worker.shared.metrics.encode().contains("organza_listener_full_total") {
            yield_now().await;
        }
    })
    .await;
}
