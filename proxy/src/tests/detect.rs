//! Ports of which nobody said what they speak: whoever speaks first decides, however late.

use super::resources::{self, DETECT};
use super::{Shop, bounded};
use std::time::{Duration, Instant};
use testkit::backend::Backend;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test]
async fn a_server_that_greets_is_heard_and_remembered() {
    bounded(async {
        let backend = Backend::tcp("220 hello\r\n").await;
        let mut shop = Shop::new(backend.address);
        let door = shop.web.named("catalog", DETECT);
        let place = (super::key(model::Kind::Service, "catalog"), DETECT);
        for call in 0..3 {
            let known = shop.web.worker.server_first.borrow().knows(&place, Instant::now());
            assert_eq!(known, call > 0, "call {call}");
            let mut stream = TcpStream::connect(door).await.unwrap();
            let mut greeting = [0; 11];
            stream.read_exact(&mut greeting).await.unwrap();
            assert_eq!(&greeting, b"220 hello\r\n");
            stream.write_all(b"GET / is carried unread here\r\n").await.unwrap();
            stream.shutdown().await.unwrap();
            let mut rest = String::new();
            stream.read_to_string(&mut rest).await.unwrap();
            assert_eq!(rest, "GET / is carried unread here\r\n");
            assert_eq!(shop.web.record().await["protocol"], "tcp");
        }
    })
    .await;
}

#[tokio::test]
async fn a_caller_that_is_late_is_read_all_the_same() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let door = shop.web.named("catalog", DETECT);
        let mut stream = TcpStream::connect(door).await.unwrap();
        // Upstream is dialled meanwhile, and says nothing.
        tokio::time::sleep(Duration::from_millis(300)).await;
        stream.write_all(b"GET /late HTTP/1.1\r\nHo").await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        stream.write_all(b"st: catalog\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("catalog GET /late 0"), "{answer}");
        let record = shop.web.record().await;
        assert_eq!((&record["protocol"], &record["path"]), (&"http".into(), &"/late".into()), "{record}");
    })
    .await;
}

#[tokio::test]
async fn where_routes_hang_on_the_port_what_is_not_http_is_closed_with_a_reason() {
    bounded(async {
        let backend = Backend::tcp("").await;
        let mut shop = Shop::new(backend.address);
        let to = resources::rule(vec![resources::backend("catalog", DETECT, 1)]);
        shop.mesh.put(vec![resources::on_service("catalog", to)]);
        let door = shop.web.named("catalog", DETECT);
        for said in [&b"\x00\x01\x02\x03"[..], b"EHLO example\r\n", b"\x16\x03\x01\x00\x2f\x01\x00\x00\x2b\x03\x03"] {
            let mut stream = TcpStream::connect(door).await.unwrap();
            stream.write_all(said).await.unwrap();
            stream.shutdown().await.unwrap();
            let mut answer = Vec::new();
            // It may be closed with what we said unread.
            let _ = stream.read_to_end(&mut answer).await;
            assert!(answer.is_empty(), "{said:?} came back");
            let record = shop.web.record().await;
            assert_eq!(record["fault"], "unrecognised_protocol", "{record}");
            assert!(record["reason"].as_str().is_some_and(|why| !why.is_empty()), "{record}");
        }
        assert_eq!(backend.requests(), 0, "it fell back to bytes");
    })
    .await;
}
