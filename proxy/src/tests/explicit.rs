//! The application's `http_proxy`: requests, tunnels, tunnels that are read, and who may use it.

use super::grpc::{answer, post};
use super::resources::{self, DETECT, GRPC, HTTP, Place, TCP};
use super::{Proxy, Shop, bounded};
use crate::doors::Door;
use bytes::BytesMut;
use std::net::SocketAddr;
use testkit::backend::Backend;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use transport::Stream;
use transport::body::Length;
use transport::h2::Client;

const SECRET: &str = "Basic b3JnYW56YTpzZWNyZXQ=";

fn door(proxy: &mut Proxy) -> SocketAddr {
    proxy.open(Door::ExplicitProxy { authorization: SECRET.into() })
}

/// A tunnel to this host and port.
async fn tunnel(door: SocketAddr, to: &str) -> Stream {
    let mut stream = Stream::connect(door).await.unwrap();
    let head = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\nProxy-Authorization: {SECRET}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.unwrap());
    }
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
    stream
}

#[tokio::test]
async fn requests_name_their_service_and_know_the_secret() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let door = door(&mut shop.web);
        for (secret, status) in [(SECRET, "200"), ("Basic b3JnYW56YTpzZWNyZXR=", "407"), ("", "407")] {
            let mut stream = Stream::connect(door).await.unwrap();
            let head =
                format!("GET http://catalog/1 HTTP/1.1\r\nHost: catalog\r\nProxy-Authorization: {secret}\r\nConnection: close\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).await.unwrap();
            assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{text}");
            assert!(!text.to_ascii_lowercase().contains("proxy-authorization"), "{text}");
        }
        assert_eq!(backend.requests(), 1);
    })
    .await;
}

#[tokio::test]
async fn tunnels_to_services_that_speak_http_are_read() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let door = door(&mut shop.web);
        let mut stream = tunnel(door, &format!("catalog:{HTTP}")).await;
        stream.write_all(b"GET /inside HTTP/1.1\r\nHost: catalog\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert!(text.starts_with("HTTP/1.1 200 ") && text.contains("catalog GET /inside 0"), "{text}");
        assert_eq!(shop.web.record().await["method"], "CONNECT");
        assert_eq!(shop.web.record().await["path"], "/inside");
        // As gRPC clients do with `http_proxy`.
        let client = Client::new(tunnel(door, &format!("catalog:{GRPC}")).await, BytesMut::new()).await.unwrap();
        let (mut up, mut reply) = client.request(&post("catalog", "/b.B/Get", true), Length::Open).unwrap();
        up.finish(None).await.unwrap();
        let (head, mut body) = answer(&mut reply).await.unwrap();
        assert!(body.chunk().await.unwrap().is_none());
        assert_eq!((head.status, body.trailers().unwrap().text("grpc-status")), (200, Some("0")));
        assert_eq!(shop.web.record().await["method"], "CONNECT");
        assert_eq!(shop.web.record().await["security"], "mutual_tls");
    })
    .await;
}

#[tokio::test]
async fn other_tunnels_are_carried_unread() {
    bounded(async {
        let backend = Backend::tcp("hello\n").await;
        let mut shop = Shop::new(backend.address);
        let door = door(&mut shop.web);
        let outside = Backend::tcp("hello\n").await;
        for to in [format!("catalog:{TCP}"), outside.address.to_string()] {
            let mut stream = tunnel(door, &to).await;
            stream.write_all(b"bytes").await.unwrap();
            stream.shutdown().await.unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).await.unwrap();
            assert_eq!(text, "hello\nbytes");
            assert_eq!(shop.web.record().await["protocol"], "tcp");
        }
    })
    .await;
}

#[tokio::test]
async fn prior_knowledge_reaches_the_application() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let client = super::grpc::client(shop.web.named("catalog", DETECT)).await;
        let (_up, mut reply) = client.request(&post("catalog", "/", false), Length::None).unwrap();
        let (_, mut body) = answer(&mut reply).await.unwrap();
        let text = String::from_utf8(body.chunk().await.unwrap().unwrap().to_vec()).unwrap();
        // The backend names the URI whole where HTTP/2 brought it.
        assert!(text.starts_with("catalog POST http://catalog/ 0\n"), "{text}");
    })
    .await;
}

#[tokio::test]
async fn a_drain_ends_connections_and_not_requests() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let client = super::grpc::client(shop.web.named("catalog", GRPC)).await;
        let (mut up, mut reply) = client.request(&post("catalog", "/b.B/Watch", true), Length::Open).unwrap();
        up.send("before".into()).await.unwrap();
        let (_, mut body) = answer(&mut reply).await.unwrap();
        assert_eq!(body.chunk().await.unwrap().unwrap(), "before");
        shop.web.worker.shared.stage.send_replace(crate::worker::Stage::Ending);
        for _ in 0..300 {
            if !client.is_usable() {
                break;
            }
            transport::rt::sleep(std::time::Duration::from_millis(10)).await;
        }
        assert!(!client.is_usable(), "GOAWAY is said");
        up.send("after".into()).await.unwrap();
        assert_eq!(body.chunk().await.unwrap().unwrap(), "after");
        up.finish(None).await.unwrap();
        assert!(body.chunk().await.unwrap().is_none());
        assert_eq!(body.trailers().unwrap().text("grpc-status"), Some("0"));
    })
    .await;
}

#[tokio::test]
async fn all_who_wait_for_a_dial_hear_of_its_failure_at_once() {
    bounded(async {
        let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut shop = Shop::new(gone);
        shop.mesh.put(resources::catalog(&[Place::organza("catalog-1", gone, 1)]));
        let client = super::grpc::client(shop.web.named("catalog", GRPC)).await;
        let calls = (0..50).map(|_| async {
            let (_up, mut reply) = client.request(&post("catalog", "/", false), Length::None).unwrap();
            answer(&mut reply).await.unwrap().0.status
        });
        assert!(futures_util::future::join_all(calls).await.iter().all(|status| *status == 503));
        assert_eq!(shop.web.record().await["fault"], "connect_refused");
    })
    .await;
}
