//! Servers outside the mesh that are told who calls, by the PROXY protocol, before all else on a connection: a connection is one request's then.

use super::checks::{check, checking};
use super::resources::{self, GRPC, HTTP, Place, TCP};
use super::{Proxy, Shop, backend_tls, bounded, id, key};
use crate::upstream::{UpstreamKey, Via};
use ::identity::pem::SystemRoots;
use model::traffic::{ProxyHeader, TrafficPolicy};
use model::*;
use rustls::time_provider::DefaultTimeProvider;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use testkit::backend::Backend;
use testkit::client::{Shot, fetch};
use testkit::outsider::Outsider;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use transport::preface::Framing;
use transport::proxy_protocol::{self, Told};
use transport::{Stream, rt, tls};

type Heard = Rc<RefCell<Vec<Told>>>;

/// Reads a header first of each connection, and leaves the rest to `serve`.
fn hearing<S: Future<Output = ()> + 'static>(serve: impl Fn(Stream) -> S + 'static) -> (SocketAddr, Heard) {
    let socket = transport::Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let (address, heard, serve) = (socket.address().unwrap(), Heard::default(), Rc::new(serve));
    let hears = heard.clone();
    rt::spawn(async move {
        while let Ok((mut stream, _)) = socket.accept().await {
            let (serve, hears) = (serve.clone(), hears.clone());
            rt::spawn(async move {
                let Ok(told) = proxy_protocol::read(&mut stream).await else { return };
                hears.borrow_mut().push(told);
                serve(stream).await;
            });
        }
    });
    (address, heard)
}

/// Does TLS after the header where it has a certificate, and then answers each request and nothing else.
fn server(shown: Option<&Certificate>) -> (SocketAddr, Heard) {
    let certificates = Arc::new(tls::Certificates::default());
    certificates.put(shown.map(|shown| (HostPattern::Any, shown))).unwrap();
    let config = tls::gateway_config(certificates, &ClientCertificates::Unasked, Arc::new(DefaultTimeProvider)).unwrap();
    let secured = shown.is_some();
    hearing(move |mut stream| {
        let config = config.clone();
        async move {
            if secured {
                let Ok(opened) = tls::accept(stream, config).await else { return };
                stream = opened;
            }
            let mut read = Vec::new();
            while stream.read_buf(&mut read).await.is_ok_and(|count| count > 0) {
                if read.ends_with(b"\r\n\r\n") {
                    read.clear();
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nxx").await;
                }
            }
        }
    })
}

/// What comes after the header is `backend`'s.
fn before(backend: SocketAddr) -> (SocketAddr, Heard) {
    hearing(move |mut stream| async move {
        let Ok(mut behind) = TcpStream::connect(backend).await else { return };
        let _ = tokio::io::copy_bidirectional(&mut stream, &mut behind).await;
    })
}

/// The Service `api` at one address, whose endpoints are told who calls.
fn api(address: SocketAddr, tls: Option<BackendTls>, policy: TrafficPolicy) -> Vec<Resource> {
    let policies = vec![AttachedPolicy { port: None, policy: Arc::new(policy) }];
    let tls: Vec<AttachedTls> = tls.into_iter().map(|tls| AttachedTls { port: None, tls }).collect();
    let told = |resource| match resource {
        Resource::Service(service) => {
            Resource::Service(Arc::new(Service { policies: policies.clone(), tls: tls.clone(), ..(*service).clone() }))
        }
        other => other,
    };
    resources::service("api", &[Place::plain("api-1", address.port())]).into_iter().map(told).collect()
}

fn telling(version: ProxyHeader) -> TrafficPolicy {
    TrafficPolicy { proxy_header: Some(version), ..TrafficPolicy::default() }
}

fn edge(shop: &mut Shop) -> (Proxy, SocketAddr) {
    edge_to(shop, HTTP)
}

/// A gateway whose requests go to this port of `api`.
fn edge_to(shop: &mut Shop, port: u16) -> (Proxy, SocketAddr) {
    let target = Target::Listener(key(Kind::Listener, "edge.web"));
    let rule = resources::rule(vec![resources::backend("api", port, 1)]);
    shop.mesh.put(vec![resources::listener(80, None), resources::route(target, rule)]);
    let mut gateway = shop.mesh.proxy("gateway");
    let door = gateway.gateway(80);
    (gateway, door)
}

/// Asks twice on one connection; gives back who asked.
async fn asks_twice(door: SocketAddr) -> SocketAddr {
    let mut stream = TcpStream::connect(door).await.unwrap();
    for _ in 0..2 {
        stream.write_all(b"GET /bytes/2 HTTP/1.1\r\nHost: api.example\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"xx") {
            assert!(stream.read_buf(&mut answer).await.unwrap() > 0, "{}", String::from_utf8_lossy(&answer));
        }
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    }
    stream.local_addr().unwrap()
}

#[tokio::test]
async fn each_request_has_a_connection_that_says_who_calls() {
    bounded(async {
        let (address, heard) = server(None);
        let mut shop = Shop::new(address);
        let (_gateway, door) = edge(&mut shop);
        for version in [ProxyHeader::V1, ProxyHeader::V2] {
            shop.mesh.put(api(address, None, telling(version)));
            heard.borrow_mut().clear();
            let (first, second) = (asks_twice(door).await, asks_twice(door).await);
            let told = [first, first, second, second].map(|source| Told::Caller { source, destination: address });
            assert_eq!(*heard.borrow(), told, "{version:?}");
        }
    })
    .await;
}

/// A connection of HTTP/2 could carry more, and its caller's next one would find it.
#[tokio::test]
async fn each_request_by_http2_has_one_too() {
    bounded(async {
        let backend = Backend::http("api").await;
        let (address, heard) = before(backend.address);
        let mut shop = Shop::new(address);
        let (_gateway, door) = edge_to(&mut shop, GRPC);
        shop.mesh.put(api(address, None, telling(ProxyHeader::V2)));
        let source = asks_twice(door).await;
        assert_eq!(*heard.borrow(), [Told::Caller { source, destination: address }; 2]);
        assert_eq!(backend.requests(), 2);
    })
    .await;
}

#[tokio::test]
async fn it_comes_before_tls() {
    bounded(async {
        let authority = Outsider::new("ours");
        let shown = backend_tls::certificate("api", &authority, &["api.example"]);
        let (address, heard) = server(Some(&shown));
        let mut shop = Shop::new(address);
        shop.mesh.system_roots = SystemRoots::Given(authority.root.as_bytes().into());
        let (_gateway, door) = edge(&mut shop);
        let verified = BackendTls::Verified(backend_tls::verified(&authority, "api.example", &[]));
        shop.mesh.put(api(address, Some(verified), telling(ProxyHeader::V2)));
        let source = asks_twice(door).await;
        assert_eq!(*heard.borrow(), [Told::Caller { source, destination: address }; 2]);
    })
    .await;
}

#[tokio::test]
async fn bytes_that_are_carried_unread_come_after_it() {
    bounded(async {
        let (address, heard) = server(None);
        let mut shop = Shop::new(address);
        shop.mesh.put(api(address, None, telling(ProxyHeader::V1)));
        let (_gateway, door) = super::listeners::tcp(&mut shop, vec![resources::backend("api", TCP, 1)]);
        let source = asks_twice(door).await;
        assert_eq!(*heard.borrow(), [Told::Caller { source, destination: address }], "one connection, one header");
    })
    .await;
}

/// A way that tells it carries one request: within the mesh connections would not be shared any more.
#[test]
fn a_way_within_the_mesh_tells_nothing() {
    let address: SocketAddr = "127.0.0.1:2".parse().unwrap();
    let all = api(address, None, telling(ProxyHeader::V2));
    let service = all.iter().find_map(|resource| if let Resource::Service(service) = resource { Some(service) } else { None }).unwrap();
    let told = |via| UpstreamKey { address, via, framing: Framing::Http1, counted: None, told: None }.told(service, HTTP, None).told;
    assert_eq!(told(Via::Organza { expected: [id("api")].into(), service: service.key.clone(), port: HTTP }), None);
    assert_eq!(told(Via::Hbone { expected: [id("api")].into(), authority: "127.0.0.1:2".into() }), None);
    assert!(told(Via::Plain).is_some());
}

#[tokio::test]
async fn who_is_in_the_mesh_is_told_nothing_before_its_bytes() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let policies = vec![AttachedPolicy { port: None, policy: Arc::new(telling(ProxyHeader::V2)) }];
        let told = |resource| match resource {
            Resource::Service(service) => Resource::Service(Arc::new(Service { policies: policies.clone(), ..(*service).clone() })),
            other => other,
        };
        let place = Place::organza("catalog-1", shop.tunnel, backend.address.port());
        shop.mesh.put(resources::catalog(&[place]).into_iter().map(told).collect());
        let target = Target::Listener(key(Kind::Listener, "edge.web"));
        let rule = resources::rule(vec![resources::backend("catalog", HTTP, 1)]);
        shop.mesh.put(vec![resources::listener(80, None), resources::route(target, rule)]);
        let mut gateway = shop.mesh.proxy("gateway");
        let door = gateway.gateway(80);
        assert_eq!(fetch(&Shot::get(door, "a", "/")).await.unwrap().0.as_u16(), 200);
    })
    .await;
}

#[tokio::test]
async fn health_checks_speak_for_themselves() {
    bounded(async {
        let (address, heard) = server(None);
        let mut shop = Shop::new(address);
        let health = Some(checking(super::checks::http()));
        shop.mesh.put(api(address, None, TrafficPolicy { health, ..telling(ProxyHeader::V2) }));
        let (gateway, _) = edge(&mut shop);
        check(&gateway);
        while heard.borrow().is_empty() {
            rt::sleep(std::time::Duration::from_millis(5)).await;
        }
        assert_eq!(heard.borrow()[0], Told::Nothing);
    })
    .await;
}
