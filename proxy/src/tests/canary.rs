//! A secret that a caller sends, wherever it puts it, is in nothing that a proxy tells of the request: no line, no flow or span, no metric, no answer of
//! its own.

use super::resources::HTTP;
use super::{Shop, bounded};
use bytes::Bytes;
use std::time::Instant;
use testkit::backend::Backend;
use testkit::client::{Shot, fetch};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const SECRET: &str = "canary-5f2c91d0";

/// All that a proxy has told, by every way.
fn told(proxy: &super::Proxy) -> String {
    let lines: Vec<String> = proxy.log.try_iter().map(|line| line.text).collect();
    let (flows, _) = proxy.worker.shared.flows.take(Instant::now());
    let flows = flows.into_iter().map(|flow| flow.line).collect::<Vec<_>>();
    format!("{}\n{}\n{}", lines.join("\n"), flows.join("\n"), proxy.worker.shared.metrics.encode())
}

fn shot(address: std::net::SocketAddr, path: &str) -> Shot {
    let secrets = [
        ("authorization", format!("Bearer {SECRET}")),
        ("cookie", format!("session={SECRET}")),
        ("x-api-key", SECRET.to_owned()),
        ("x-request-id", "a-request".to_owned()),
        ("referer", format!("http://other/?token={SECRET}")),
        ("baggage", format!("user={SECRET}")),
        ("tracestate", format!("vendor={SECRET}")),
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned()),
    ];
    let headers = secrets.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let target = format!("{path}?access_token={SECRET}");
    Shot { method: "POST", headers, body: Bytes::from(format!("password={SECRET}")), ..Shot::get(address, "catalog", &target) }
}

#[tokio::test]
async fn a_secret_is_told_by_nobody() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let door = shop.web.named("catalog", HTTP);
        assert_eq!(fetch(&shot(door, "/good")).await.unwrap().0.as_u16(), 200);
        // One that fails is told more of: nobody is where the service should be.
        let nobody = format!("127.0.0.1:{}", testkit::free_port()).parse().unwrap();
        shop.mesh.put(super::resources::catalog(&[super::resources::Place::organza("catalog-2", nobody, 80)]));
        let (status, headers, body) = fetch(&shot(door, "/bad")).await.unwrap();
        assert_ne!(status.as_u16(), 200);
        let answer = format!("{headers:?}{}", String::from_utf8_lossy(&body));
        assert!(!answer.contains(SECRET), "{answer}");
        // A secret in the address itself, and in bytes that are no request.
        for request in [
            format!("GET http://user:{SECRET}@catalog/ HTTP/1.1\r\nhost: user:{SECRET}@catalog\r\nconnection: close\r\n\r\n"),
            format!("GET / HTTP/1.1\r\nhost: catalog\r\nauthorization {SECRET}\r\n\r\n"),
            format!("PRINT {SECRET} NOW\r\n\r\n"),
        ] {
            let mut stream = TcpStream::connect(door).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.unwrap();
            assert!(!String::from_utf8_lossy(&answer).contains(SECRET), "{request:?} is answered {}", String::from_utf8_lossy(&answer));
        }
        for proxy in [&shop.web, &shop.catalog] {
            let all = told(proxy);
            assert!(all.contains("/good") && all.contains("istio_requests_total"), "{all}");
            let line = all.lines().find(|line| line.contains(SECRET));
            assert_eq!(line, None);
        }
    })
    .await;
}
