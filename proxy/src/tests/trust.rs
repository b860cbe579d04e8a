//! Whom a connection is shared with, and whose word is believed.

use super::resources::{self, GRPC, HTTP, Place, TCP};
use super::{Proxy, Shop, bounded, id, key};
use crate::upstream::{self, UpstreamKey, Via};
use model::{Fault, Kind, Resource};
use std::net::SocketAddr;
use std::sync::Arc;
use testkit::backend::Backend;
use testkit::client::{Shot, fetch};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use transport::preface::Framing;

#[tokio::test]
async fn connections_are_shared_only_where_the_same_identity_is_expected() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let door = shop.web.named("catalog", HTTP);
        for _ in 0..2 {
            assert_eq!(fetch(&Shot::get(door, "catalog", "/")).await.unwrap().0.as_u16(), 200);
        }
        // The service moves to another identity; who is at the old address has not moved, and a connection to it lies in the pool.
        let place = Place { identity: Some(id("moved")), ..Place::organza("catalog-1", shop.tunnel, backend.address.port()) };
        let moved = resources::catalog(&[place]).into_iter().map(|resource| match resource {
            Resource::Service(service) => {
                Resource::Service(Arc::new(model::Service { identities: vec![id("moved")], ..(*service).clone() }))
            }
            other => other,
        });
        shop.mesh.put(moved.collect());
        assert_eq!(fetch(&Shot::get(door, "catalog", "/")).await.unwrap().0.as_u16(), 503);
        assert_eq!(backend.requests(), 2, "the old connection is not for those who expect somebody else");
        let faults: Vec<_> = [shop.web.record().await, shop.web.record().await, shop.web.record().await].map(|r| r["fault"].clone()).into();
        assert_eq!(faults[2], "identity_mismatch");
    })
    .await;
}

#[tokio::test]
async fn a_service_that_this_workload_does_not_back_is_not_believed() {
    bounded(async {
        let backend = Backend::tcp("hello\n").await;
        let mut shop = Shop::new(backend.address);
        // Another service of the mesh, which another workload backs at the very port where catalog's application listens.
        shop.mesh.put(resources::service("reviews", &[Place::organza("reviews-1", shop.tunnel, backend.address.port())]));
        let dial = async |service: &str| {
            let via = Via::Organza { expected: [id("catalog")].into(), service: key(Kind::Service, service), port: TCP };
            let mut up = shop
                .web
                .worker
                .connect(&UpstreamKey { address: shop.tunnel, via, framing: Framing::Tcp, counted: None, told: None }, true)
                .await?;
            up.pooled.connection.writer.flush().await.unwrap();
            upstream::welcome(&mut up.pooled.connection.reader).await
        };
        assert!(dial("catalog").await.is_ok());
        for forged in ["reviews", "nobody"] {
            assert_eq!(dial(forged).await.unwrap_err().fault, Fault::MisdirectedRequest, "{forged}");
        }
        assert_eq!(backend.requests(), 1);
    })
    .await;
}

async fn opened(door: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(door).await.unwrap();
    assert!(still_echoes(&mut stream).await);
    stream
}

/// Whether bytes come back; not where the connection was ended.
async fn still_echoes(stream: &mut TcpStream) -> bool {
    let mut back = [0; 4];
    stream.write_all(b"ping").await.is_ok() && stream.read_exact(&mut back).await.is_ok()
}

#[tokio::test]
async fn who_is_under_a_root_that_is_dropped_is_cut_and_the_rest_lives_on() {
    bounded(async {
        let bytes = Backend::tcp("").await;
        for by in [Place::organza, Place::hbone] {
            let mut shop = Shop::new(bytes.address);
            shop.mesh.put(resources::catalog(&[by("catalog-1", shop.tunnel, bytes.address.port())]));
            let mut other = shop.mesh.second_root();
            let mut dev = shop.mesh.proxy_under(&mut other, "dev");
            let (ours, theirs) = (shop.web.named("catalog", TCP), dev.named("catalog", TCP));
            let (mut kept, mut cut) = (opened(ours).await, opened(theirs).await);
            shop.mesh.first_root_alone();
            let mut rest = Vec::new();
            let _ = cut.read_to_end(&mut rest).await;
            let record = shop.catalog.failed("unauthenticated").await;
            assert_eq!(record["source_principal"], "spiffe://organza.local/ns/shop/sa/dev");
            assert!(record["reason"].as_str().unwrap().contains("is believed no more"), "{record}");
            assert!(still_echoes(&mut kept).await, "who is believed still is not touched");
            opened(ours).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_request_under_way_ends_with_the_trust_in_its_caller_and_its_record_says_so() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let mut other = shop.mesh.second_root();
        let mut dev = shop.mesh.proxy_under(&mut other, "dev");
        let (ours, theirs) = (shop.web.named("catalog", HTTP), dev.named("catalog", HTTP));
        let begin = async |door: SocketAddr| {
            let mut stream = TcpStream::connect(door).await.unwrap();
            stream.write_all(b"POST / HTTP/1.1\r\nHost: catalog\r\nContent-Length: 4\r\n\r\nab").await.unwrap();
            stream
        };
        let get = async |door: SocketAddr| fetch(&Shot::get(door, "catalog", "/")).await.unwrap().0.as_u16();
        let (mut kept, mut cut) = (begin(ours).await, begin(theirs).await);
        // Both are there once two more have gone through beside them.
        assert_eq!((get(ours).await, get(theirs).await), (200, 200));
        while backend.requests() < 4 {
            tokio::task::yield_now().await;
        }
        shop.mesh.first_root_alone();
        let record = shop.catalog.failed("unauthenticated").await;
        assert_eq!(record["source_principal"], "spiffe://organza.local/ns/shop/sa/dev");
        let mut answer = Vec::new();
        let _ = cut.read_to_end(&mut answer).await;
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
        kept.write_all(b"cd").await.unwrap();
        let mut answer = [0; 12];
        kept.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
        assert_eq!(get(ours).await, 200, "nothing begins on what was opened before, and all goes on");
        assert_ne!(get(theirs).await, 200);
    })
    .await;
}

#[tokio::test]
async fn who_was_taken_out_with_its_certificate_is_cut_and_others_of_its_name_live_on() {
    bounded(async {
        let bytes = Backend::tcp("").await;
        for by in [Place::organza, Place::hbone] {
            let mut shop = Shop::new(bytes.address);
            shop.mesh.put(resources::catalog(&[by("catalog-1", shop.tunnel, bytes.address.port())]));
            let mut twin = shop.mesh.proxy("web");
            let (ours, theirs) = (shop.web.named("catalog", TCP), twin.named("catalog", TCP));
            let (mut kept, mut cut) = (opened(ours).await, opened(theirs).await);
            shop.mesh.revoke(&twin);
            let mut rest = Vec::new();
            let _ = cut.read_to_end(&mut rest).await;
            let record = shop.catalog.failed("unauthenticated").await;
            assert!(record["reason"].as_str().unwrap().contains("was taken out of the mesh"), "{record}");
            assert!(still_echoes(&mut kept).await, "who has the same name and another certificate is not touched");
            opened(ours).await;
            let mut again = TcpStream::connect(theirs).await.unwrap();
            assert!(!still_echoes(&mut again).await, "it opens nothing any more");
            assert!(shop.catalog.worker.shared.metrics.encode().contains("tls_client_certificate_revoked"));
        }
    })
    .await;
}

/// `catalog` is who is taken out, and `other` one of the same name beside it; both answer by `by`.
fn twins(by: fn(&'static str, SocketAddr, u16) -> Place, port: u16) -> (Shop, Proxy) {
    let mut shop = Shop::new(SocketAddr::from(([127, 0, 0, 1], port)));
    let mut twin = shop.mesh.proxy("catalog");
    let tunnel = twin.inbound("other-1");
    shop.mesh.put(resources::catalog(&[by("catalog-1", shop.tunnel, port)]));
    shop.mesh.put(resources::service("other", &[by("other-1", tunnel, port)]));
    (shop, twin)
}

#[tokio::test]
async fn bytes_towards_who_was_taken_out_end_and_those_towards_others_of_its_name_live_on() {
    bounded(async {
        let bytes = Backend::tcp("").await;
        for by in [Place::organza, Place::hbone] {
            let (mut shop, _twin) = twins(by, bytes.address.port());
            let (theirs, others) = (shop.web.named("catalog", TCP), shop.web.named("other", TCP));
            let (mut cut, mut kept) = (opened(theirs).await, opened(others).await);
            shop.mesh.revoke(&shop.catalog);
            let _ = cut.read_to_end(&mut Vec::new()).await;
            let record = shop.web.failed("upstream_reset").await;
            assert!(record["reason"].as_str().unwrap().contains("was taken out of the mesh"), "{record}");
            assert!(still_echoes(&mut kept).await, "who has the same name and another certificate is not touched");
            opened(others).await;
            let mut again = TcpStream::connect(theirs).await.unwrap();
            assert!(!still_echoes(&mut again).await, "nothing is opened towards it any more");
        }
    })
    .await;
}

#[tokio::test]
async fn requests_under_way_and_upgrades_towards_who_was_taken_out_end_and_the_rest_lives_on() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let begin = async |door: SocketAddr| {
            let mut stream = TcpStream::connect(door).await.unwrap();
            stream.write_all(b"POST / HTTP/1.1\r\nHost: any\r\nContent-Length: 4\r\n\r\nab").await.unwrap();
            stream
        };
        let upgrade = async |door: SocketAddr| {
            let mut stream = TcpStream::connect(door).await.unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\nHost: any\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n").await.unwrap();
            let mut seen = Vec::new();
            while !seen.ends_with(b"\r\n\r\n") {
                seen.push(stream.read_u8().await.unwrap());
            }
            assert!(seen.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&seen));
            assert!(still_echoes(&mut stream).await);
            stream
        };
        let mut asked = 0;
        for by in [Place::organza, Place::hbone] {
            let (mut shop, _twin) = twins(by, backend.address.port());
            // By a connection alone, and by one that others share.
            for port in [HTTP, GRPC] {
                let (theirs, others) = (shop.web.named("catalog", port), shop.web.named("other", port));
                let (mut cut, mut kept) = (begin(theirs).await, begin(others).await);
                asked += 2;
                while backend.requests() < asked {
                    tokio::task::yield_now().await;
                }
                shop.mesh.revoke(&shop.catalog);
                let mut answer = Vec::new();
                let _ = cut.read_to_end(&mut answer).await;
                assert!(answer.starts_with(b"HTTP/1.1 50"), "{}", String::from_utf8_lossy(&answer));
                let record = shop.web.failed("upstream_reset").await;
                assert!(record["reason"].as_str().unwrap().contains("was taken out of the mesh"), "{record}");
                kept.write_all(b"cd").await.unwrap();
                let mut answer = [0; 12];
                kept.read_exact(&mut answer).await.unwrap();
                assert_eq!(&answer, b"HTTP/1.1 200");
                shop.mesh.believe_again();
            }
            let (mut cut, mut kept) = (upgrade(shop.web.named("catalog", HTTP)).await, upgrade(shop.web.named("other", HTTP)).await);
            asked += 2;
            shop.mesh.revoke(&shop.catalog);
            let _ = cut.read_to_end(&mut Vec::new()).await;
            assert!(still_echoes(&mut kept).await);
        }
    })
    .await;
}
