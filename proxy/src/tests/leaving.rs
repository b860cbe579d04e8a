//! Callers that leave, close one half, or send what nobody wants; servers that answer before they were asked to the end.

use super::resources::HTTP;
use super::{Shop, bounded, id, key};
use crate::http::exchange::ask;
use crate::upstream::{UpstreamKey, Via, Way};
use crate::worker::Stage;
use bytes::Bytes;
use model::{Kind, Method, RequestHead};
use std::time::Duration;
use testkit::backend::Backend;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use transport::Incoming;
use transport::preface::Framing;

const REQUEST: &[u8] = b"GET /slow HTTP/1.1\r\nHost: catalog\r\n\r\n";

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

/// Reads one head.
async fn head(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    while !all.windows(4).any(|w| w == b"\r\n\r\n") {
        assert_ne!(stream.read_buf(&mut all).await.unwrap(), 0, "the head is whole");
    }
    String::from_utf8_lossy(&all).into_owned()
}

#[tokio::test]
async fn a_caller_that_resets_takes_its_request_back_all_the_way() {
    bounded(async {
        let backend = listener().await;
        let mut shop = Shop::new(backend.local_addr().unwrap());
        let mut caller = TcpStream::connect(shop.web.named("catalog", HTTP)).await.unwrap();
        caller.write_all(REQUEST).await.unwrap();
        let (mut server, _) = backend.accept().await.unwrap();
        head(&mut server).await;
        socket2::SockRef::from(&caller).set_linger(Some(Duration::ZERO)).unwrap();
        drop(caller);
        // It has not answered, and is told by the end of its connection that it need not.
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(5), server.read_to_end(&mut rest)).await;
        assert!(ended.is_ok() && rest.is_empty(), "the server would have worked for nobody");
        for proxy in [&shop.web, &shop.catalog] {
            let record = proxy.record().await;
            assert_eq!(record["fault"], "downstream_closed", "{record}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_caller_that_closes_one_half_is_answered() {
    bounded(async {
        let backend = listener().await;
        let mut shop = Shop::new(backend.local_addr().unwrap());
        let mut caller = TcpStream::connect(shop.web.named("catalog", HTTP)).await.unwrap();
        caller.write_all(REQUEST).await.unwrap();
        caller.shutdown().await.unwrap();
        let (mut server, _) = backend.accept().await.unwrap();
        head(&mut server).await;
        // Long enough for the end to be seen.
        tokio::time::sleep(Duration::from_millis(200)).await;
        server.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine").await.unwrap();
        let mut answer = String::new();
        caller.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("fine"), "{answer}");
    })
    .await;
}

#[tokio::test]
async fn a_request_that_comes_early_is_no_sign_of_leaving() {
    bounded(async {
        let backend = listener().await;
        let mut shop = Shop::new(backend.local_addr().unwrap());
        let mut caller = TcpStream::connect(shop.web.named("catalog", HTTP)).await.unwrap();
        caller.write_all(REQUEST).await.unwrap();
        let (mut server, _) = backend.accept().await.unwrap();
        head(&mut server).await;
        caller.write_all(b"GET /next HTTP/1.1\r\nHost: catalog\r\nConnection: close\r\n\r\n").await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        server.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1").await.unwrap();
        assert!(head(&mut server).await.starts_with("GET /next "));
        server.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2").await.unwrap();
        let mut answers = String::new();
        caller.read_to_string(&mut answers).await.unwrap();
        assert_eq!(answers.matches("HTTP/1.1 200").count(), 2, "{answers}");
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_comes_before_the_body_has_ended_reaches_the_caller_whole() {
    bounded(async {
        let backend = listener().await;
        let mut shop = Shop::new(backend.local_addr().unwrap());
        let door = shop.web.named("catalog", HTTP);
        tokio::spawn(async move {
            while let Ok((mut server, _)) = backend.accept().await {
                head(&mut server).await;
                let _ = server.write_all(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 8\r\nConnection: close\r\n\r\ntoo much").await;
                // Ends its half in order and reads no more of the rest than a server would.
                let _ = server.shutdown().await;
                let mut rest = [0; 16 * 1024];
                let _ = server.read(&mut rest).await;
            }
        });
        for i in 0..30 {
            let mut caller = TcpStream::connect(door).await.unwrap();
            caller.write_all(b"POST /big HTTP/1.1\r\nHost: catalog\r\nContent-Length: 5000000\r\n\r\n").await.unwrap();
            let (mut read, mut write) = caller.split();
            let upload = async {
                // The proxy may stop reading at any time.
                for _ in 0..50 {
                    if write.write_all(&[7; 100_000]).await.is_err() {
                        return;
                    }
                }
            };
            let mut answer = Vec::new();
            let download = async {
                let _ = read.read_to_end(&mut answer).await;
            };
            futures_util::future::join(upload, download).await;
            let answer = String::from_utf8_lossy(&answer);
            assert!(answer.starts_with("HTTP/1.1 413") && answer.ends_with("too much"), "{i}: {answer}");
        }
    })
    .await;
}

/// A draining proxy, its peer's connection, and a request that crosses with the news: it is answered, body and all. Only then the door closes, in good order.
#[tokio::test]
async fn a_request_that_crosses_with_a_drain_is_answered_and_one_that_comes_too_late_knows_that_it_was_not_read() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let shop = Shop::new(backend.address);
        let via = Via::Organza { expected: [id("catalog")].into(), service: key(Kind::Service, "catalog"), port: HTTP };
        let to = UpstreamKey { address: shop.tunnel, via, framing: Framing::Http1, counted: None, told: None };
        let mut way = Way::H1(shop.web.worker.connect(&to, true).await.unwrap());
        let post = async |way: &mut Way| {
            let mut head = RequestHead::default();
            head.method = Method::Post;
            head.set_authority("catalog");
            head.set_target("/");
            ask(way, &mut head, Incoming::Held(Some(Bytes::from_static(b"body"))), Some(4096), true).await
        };
        let first = post(&mut way).await.unwrap();
        assert_eq!((first.status, first.reusable), (200, true));
        shop.catalog.worker.shared.stage.send_replace(Stage::Ending);
        let Way::H1(up) = &mut way else { unreachable!() };
        while !up.pooled.connection.is_stale() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // Whoever looks first does not use it; this one did not look.
        let second = post(&mut way).await.unwrap();
        assert_eq!((second.status, second.reusable), (200, false), "it is the last");
        let third = post(&mut way).await.map(|asked| asked.status).unwrap_err();
        assert!(third.nothing_received && third.orderly, "{third:?}");
        assert_eq!(backend.requests(), 2);
    })
    .await;
}
