//! Servers outside the mesh that are told who calls, by the PROXY protocol, before all else on a connection: a connection is one request's then.

use super::checks::{check, checking};
use super::resources::{self, HTTP, Place, TCP};
use super::{Proxy, Shop, backend_tls, bounded, key};
use ::identity::pem::SystemRoots;
use model::traffic::{ProxyHeader, TrafficPolicy};
use model::*;
use rustls::time_provider::DefaultTimeProvider;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use testkit::client::{Shot, fetch};
use testkit::outsider::Outsider;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use transport::proxy_protocol::{self, Told};
use transport::{rt, tls};

type Heard = Rc<RefCell<Vec<Told>>>;

/// Reads a header first of each connection, then does its TLS where it has a certificate, and then answers each request and nothing else.
fn server(shown: Option<&Certificate>) -> (SocketAddr, Heard) {
    let certificates = Arc::new(tls::Certificates::default());
    certificates.put(shown.map(|shown| (HostPattern::Any, shown))).unwrap();
    let config = tls::gateway_config(certificates, &ClientCertificates::Unasked, Arc::new(DefaultTimeProvider)).unwrap();
    let socket = transport::Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let (address, heard, secured) = (socket.address().unwrap(), Heard::default(), shown.is_some());
    let hears = heard.clone();
    rt::spawn(async move {
        while let Ok((mut stream, _)) = socket.accept().await {
            let (config, hears) = (config.clone(), hears.clone());
            rt::spawn(async move {
                let Ok(told) = proxy_protocol::read(&mut stream).await else { return };
                hears.borrow_mut().push(told);
                if secured {
                    let Ok(opened) = tls::accept(stream, config).await else { return };
                    stream = opened;
                }
                let mut read = Vec::new();
                while stream.read_buf(&mut read).await.is_ok_and(|count| count > 0) {
                    if read.ends_with(b"\r\n\r\n") {
                        read.clear();
                        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
                    }
                }
            });
        }
    });
    (address, heard)
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
    let target = Target::Listener(key(Kind::Listener, "edge.web"));
    let rule = resources::rule(vec![resources::backend("api", HTTP, 1)]);
    shop.mesh.put(vec![resources::listener(80, None), resources::route(target, rule)]);
    let mut gateway = shop.mesh.proxy("gateway");
    let door = gateway.gateway(80);
    (gateway, door)
}

/// Asks twice on one connection; gives back who asked.
async fn asks_twice(door: SocketAddr) -> SocketAddr {
    let mut stream = TcpStream::connect(door).await.unwrap();
    for _ in 0..2 {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: api.example\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"ok") {
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

#[tokio::test]
async fn who_is_in_the_mesh_is_told_nothing_before_its_bytes() {
    bounded(async {
        let backend = testkit::backend::Backend::http("catalog").await;
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
