//! HTTP/1 from an application through two proxies to another.

use super::resources::{self, DETECT, HTTP, Place, TCP};
use super::{Mesh, Shop, bounded};
use crate::explain::{Asker, explain_live};
use bytes::Bytes;
use model::route::HeaderEdits;
use model::{Filter, Retry, Timeouts};
use routing::explain::Outcome;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use testkit::backend::Backend;
use testkit::client::{Shot, fetch};
use testkit::streams::{Kind as StreamKind, Streams};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// All that comes until the end of the connection.
async fn raw(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).await.unwrap();
    String::from_utf8(all).unwrap()
}

/// Answers every connection with these bytes, one after another, then the last one for ever.
async fn scripted(answers: &'static [&'static str]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut n = 0;
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = [0; 4096];
            let _ = stream.read(&mut buffer).await;
            let _ = stream.write_all(answers[n.min(answers.len() - 1)].as_bytes()).await;
            n += 1;
        }
    });
    address
}

const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const FINE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nfine";

#[tokio::test]
async fn requests_cross_the_mesh_by_mutual_tls() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let door = shop.web.named("catalog", HTTP);
        let (status, headers, body) = fetch(&Shot::get(door, "catalog", "/books?page=2")).await.unwrap();
        assert_eq!((status.as_u16(), headers["x-backend"].as_bytes()), (200, &b"catalog"[..]));
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert!(text.starts_with("catalog GET /books?page=2 0\n"), "{text}");
        let (source, destination) = (shop.web.record().await, shop.catalog.record().await);
        assert_eq!(
            (&source["reporter"], &source["security"], &source["response_code"]),
            (&"source".into(), &"mutual_tls".into(), &200.into())
        );
        assert_eq!(destination["source_principal"], "spiffe://organza.local/ns/shop/sa/web");
        assert_eq!(destination["security"], "mutual_tls");
        let upload = Shot::upload(door, "catalog", "/books", 3_000_000);
        let (status, _, body) = fetch(&upload).await.unwrap();
        assert_eq!(status.as_u16(), 200);
        assert!(body.starts_with(b"catalog POST /books 3000000\n"));
        assert_eq!(shop.web.record().await["bytes_received"], 3_000_000);
    })
    .await;
}

#[tokio::test]
async fn pipelining_head_and_expect() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let door = shop.web.named("catalog", HTTP);
        let three = raw(
            door,
            "GET /1 HTTP/1.1\r\nHost: catalog\r\n\r\nHEAD /2 HTTP/1.1\r\nHost: catalog\r\n\r\nGET /3 HTTP/1.1\r\nHost: catalog\r\nConnection: close\r\n\r\n",
        )
        .await;
        assert_eq!(three.matches("HTTP/1.1 200").count(), 3, "{three}");
        assert!(three.contains("catalog GET /1 0") && three.contains("catalog GET /3 0"), "{three}");
        assert!(!three.contains("catalog HEAD"), "an answer to HEAD has no body: {three}");
        let mut stream = TcpStream::connect(door).await.unwrap();
        let head = "POST /e HTTP/1.1\r\nHost: catalog\r\nExpect: 100-continue\r\nContent-Length: 4\r\nConnection: close\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut go = [0; 25];
        stream.read_exact(&mut go).await.unwrap();
        assert_eq!(&go, b"HTTP/1.1 100 Continue\r\n\r\n");
        stream.write_all(b"body").await.unwrap();
        let mut rest = String::new();
        stream.read_to_string(&mut rest).await.unwrap();
        assert!(rest.starts_with("HTTP/1.1 200") && rest.contains("catalog POST /e 4"), "{rest}");
    })
    .await;
}

#[tokio::test]
async fn web_sockets_cross_the_mesh() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let door = shop.web.named("catalog", HTTP);
        let streams = Streams::start(StreamKind::WebSocket, door, "catalog", "/ws", 2);
        tokio::time::sleep(Duration::from_millis(200)).await;
        let tally = streams.finish().await;
        assert!(tally.total() >= 2 && tally.lost() == 0, "{tally:?}");
        let record = shop.web.record().await;
        assert_eq!(record["response_code"], 101);
        assert!(record["bytes_sent"].as_u64() > Some(500), "{record}");
    })
    .await;
}

#[tokio::test]
async fn opaque_connections_keep_their_half_close() {
    bounded(async {
        let backend = Backend::tcp("hello\n").await;
        let mut shop = Shop::new(backend.address);
        // One that is declared, and one that is found out: the server speaks first there.
        for port in [TCP, DETECT] {
            let door = shop.web.named("catalog", port);
            let mut stream = TcpStream::connect(door).await.unwrap();
            let mut greeting = [0; 6];
            stream.read_exact(&mut greeting).await.unwrap();
            assert_eq!(&greeting, b"hello\n");
            stream.write_all(&[7; 200_000]).await.unwrap();
            stream.shutdown().await.unwrap();
            let mut back = Vec::new();
            stream.read_to_end(&mut back).await.unwrap();
            assert_eq!(back.len(), 200_000, "what was under way still comes back after our end");
            let record = shop.web.record().await;
            assert_eq!((&record["protocol"], &record["security"]), (&"tcp".into(), &"mutual_tls".into()));
            assert_eq!((&record["bytes_received"], &record["bytes_sent"]), (&200_000.into(), &200_006.into()));
        }
    })
    .await;
}

#[tokio::test]
async fn an_identity_that_is_not_registered_answers_nobody() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        // Someone else of the mesh listens where catalog is said to be.
        let mut thief = shop.mesh.proxy("thief");
        let tunnel = thief.inbound("catalog-1");
        shop.mesh.put(resources::catalog(&[Place::organza("catalog-1", tunnel, backend.address.port())]));
        let door = shop.web.named("catalog", HTTP);
        let (status, headers, _) = fetch(&Shot::get(door, "catalog", "/")).await.unwrap();
        assert_eq!(status.as_u16(), 503);
        assert!(headers["proxy-status"].to_str().unwrap().contains("tls_certificate_error"), "{headers:?}");
        assert_eq!(shop.web.record().await["fault"], "identity_mismatch");
        assert_eq!(backend.requests(), 0);
        // And an endpoint that claims an identity which the service does not have is not even dialled.
        let claim = Place { identity: Some(super::id("thief")), ..Place::organza("catalog-1", tunnel, backend.address.port()) };
        shop.mesh.put(resources::catalog(&[claim]));
        assert_eq!(fetch(&Shot::get(door, "catalog", "/")).await.unwrap().0.as_u16(), 503);
        assert_eq!((shop.web.record().await["fault"].clone(), backend.requests()), ("identity_mismatch".into(), 0));
    })
    .await;
}

#[tokio::test]
async fn busy_answers_are_tried_again_within_the_budget() {
    bounded(async {
        let backend = scripted(&[BUSY, BUSY, FINE]).await;
        let mut shop = Shop::new(backend);
        let retry = Some(Box::new(Retry { codes: vec![503], attempts: 3, backoff: Duration::from_millis(1) }));
        let rule = model::Rule { retry, ..resources::rule(vec![resources::backend("catalog", HTTP, 1)]) };
        shop.mesh.put(vec![resources::on_service("catalog", rule)]);
        let door = shop.web.named("catalog", HTTP);
        let mut shot = Shot::upload(door, "catalog", "/", 100);
        let (status, _, body) = fetch(&shot).await.unwrap();
        assert_eq!((status.as_u16(), body), (200, Bytes::from_static(b"fine")));
        assert_eq!(shop.web.record().await["attempt"], 3);
        // A body too large to hold is sent once.
        let busy = scripted(&[BUSY]).await;
        shop.mesh.put(resources::catalog(&[Place::organza("catalog-1", shop.tunnel, busy.port())]));
        shot.body = Bytes::from(vec![0; 100_000]);
        assert_eq!(fetch(&shot).await.unwrap().0.as_u16(), 503);
        assert_eq!(shop.web.record().await["attempt"], 1);
        // Nothing but failures: 600 retries are wanted, and the budget has a hundred, ten a second and a fifth of the requests.
        shot.body = Bytes::new();
        let begun = Instant::now();
        let all = futures_util::future::join_all((0..200).map(|_| fetch(&shot))).await;
        assert!(all.iter().all(|answer| answer.as_ref().is_ok_and(|(status, ..)| status.as_u16() == 503)), "{all:?}");
        let mut attempts = 0;
        for _ in 0..200 {
            attempts += shop.web.record().await["attempt"].as_u64().unwrap();
        }
        let most = 200 + 100 + 40 + 10 * (begun.elapsed().as_secs() + 1);
        assert!((250..=most).contains(&attempts), "{attempts} tries of 200 requests, of at most {most}");
    })
    .await;
}

#[tokio::test]
async fn time_limits_are_kept() {
    bounded(async {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut shop = Shop::new(silent.local_addr().unwrap());
        let door = shop.web.named("catalog", HTTP);
        let limit = Some(Duration::from_millis(80));
        let each = [
            (Timeouts { request: limit, backend_request: None }, "request_timeout"),
            (Timeouts { request: None, backend_request: limit }, "backend_timeout"),
        ];
        for (timeouts, fault) in each {
            let rule = model::Rule { timeouts, ..resources::rule(vec![resources::backend("catalog", HTTP, 1)]) };
            shop.mesh.put(vec![resources::on_service("catalog", rule)]);
            assert_eq!(fetch(&Shot::get(door, "catalog", "/")).await.unwrap().0.as_u16(), 504);
            assert_eq!(shop.web.record().await["fault"], fault);
        }
    })
    .await;
}

#[tokio::test]
async fn a_host_outside_gets_its_copies() {
    bounded(async {
        let (backend, outside) = (Backend::http("catalog").await, Backend::http("outside").await);
        let mut shop = Shop::new(backend.address);
        let mut rule = resources::rule(vec![resources::backend("catalog", HTTP, 1)]);
        let host = model::ExternalHost {
            key: super::key(model::Kind::External, "shadow"),
            host: model::backend::ExternalName::Address(outside.address.ip()),
            port: outside.address.port(),
            protocol: model::AppProtocol::Http,
            tls: None,
        };
        rule.filters.push(Filter::Mirror(model::route::Mirror { backend: model::Backend::External(Arc::new(host)), fraction: (1, 1) }));
        shop.mesh.put(vec![resources::on_service("catalog", rule)]);
        let door = shop.web.named("catalog", HTTP);
        assert_eq!(fetch(&Shot::upload(door, "catalog", "/", 10)).await.unwrap().0.as_u16(), 200);
        let record = shop.web.record().await;
        assert_eq!(record["filters"], serde_json::json!([format!("RequestMirror external shop/shadow {}", outside.address)]), "{record}");
        while outside.requests() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn that_nobody_answers_is_told_by_the_record_and_before_it_by_explain() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let door = shop.web.named("catalog", HTTP);
        let mut sick = resources::catalog(&[Place::plain("catalog-1", 1), Place::plain("catalog-2", 2)]);
        for resource in &mut sick {
            if let model::Resource::Endpoints(set) = resource {
                Arc::make_mut(set).endpoints.iter_mut().for_each(|endpoint| endpoint.health = model::Health::Unhealthy);
            }
        }
        let none = "service shop/catalog has no endpoint";
        for (resources, reason) in [(resources::catalog(&[]), none), (sick, "service shop/catalog has no healthy endpoint among 2")] {
            shop.mesh.put(resources);
            assert_eq!(fetch(&Shot::get(door, "catalog", "/")).await.unwrap().0.as_u16(), 503);
            let record = shop.web.record().await;
            assert_eq!((&record["fault"], &record["reason"]), (&"no_endpoint".into(), &reason.into()));
            let mut head = model::RequestHead::default();
            head.set_authority("catalog");
            head.set_target("/");
            let told = explain_live(&shop.mesh.snapshot.load(), Asker::Workload { namespace: "shop" }, &head);
            let Outcome::Refused(refused) = &told.outcome else { panic!("{told:?}") };
            assert_eq!((refused.fault, &*refused.reason), (model::Fault::NoEndpoint, reason));
            assert_eq!(told.chain.unwrap().split[0].refused.as_ref(), Some(refused));
        }
    })
    .await;
}

#[tokio::test]
async fn weights_split_and_mirrors_copy() {
    bounded(async {
        let (one, two) = (Backend::http("one").await, Backend::http("two").await);
        let shadow = Backend::http("shadow").await;
        let mut shop = Shop::new(one.address);
        shop.mesh.put(resources::service("other", &[Place::plain("other-1", two.address.port())]));
        shop.mesh.put(resources::service("shadow", &[Place::plain("shadow-1", shadow.address.port())]));
        let mut rule = resources::rule(vec![resources::backend("catalog", HTTP, 3), resources::backend("other", HTTP, 1)]);
        let mirror = model::route::Mirror { backend: resources::backend("shadow", HTTP, 1).backend, fraction: (1, 1) };
        rule.filters.push(Filter::Mirror(mirror));
        shop.mesh.put(vec![resources::on_service("catalog", rule)]);
        let door = shop.web.named("catalog", HTTP);
        for _ in 0..200 {
            assert_eq!(fetch(&Shot::upload(door, "catalog", "/", 10)).await.unwrap().0.as_u16(), 200);
        }
        assert_eq!(one.requests() + two.requests(), 200);
        assert!((120..=180).contains(&one.requests()), "{} of 200", one.requests());
        for _ in 0..200 {
            if shadow.requests() == 200 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{} of 200 copies came", shadow.requests());
    })
    .await;
}

#[tokio::test]
async fn the_record_tells_a_decision_whole_and_a_rules_mirror_sees_no_edits_of_the_backend() {
    bounded(async {
        let (one, mut shadow) = (Backend::http("one").await, TcpListener::bind("127.0.0.1:0").await.unwrap());
        let mut shop = Shop::new(one.address);
        let port = shadow.local_addr().unwrap().port();
        shop.mesh.put(resources::service("shadow", &[Place::plain("shadow-1", port)]));
        let set = |name: &str| Filter::RequestHeaders(HeaderEdits { set: vec![(name.into(), "1".into())], ..HeaderEdits::default() });
        let mut rule = resources::rule(vec![resources::backend("catalog", HTTP, 3), resources::backend("catalog", HTTP, 0)]);
        let mirror = model::route::Mirror { backend: resources::backend("shadow", HTTP, 1).backend, fraction: (1, 1) };
        rule.filters = vec![Filter::Mirror(mirror), set("x-rule")];
        rule.backends[0].filters.push(set("x-backend"));
        shop.mesh.put(vec![resources::on_service("catalog", rule)]);
        let door = shop.web.named("catalog", HTTP);
        let (status, _, body) = fetch(&Shot::get(door, "catalog", "/")).await.unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert!(status.as_u16() == 200 && text.contains("x-rule: 1") && text.contains("x-backend: 1"), "{text}");
        let copy = head_of(&mut shadow).await;
        assert!(copy.contains("x-rule: 1") && !copy.contains("x-backend: 1"), "{copy}");
        let record = shop.web.record().await;
        let filters = serde_json::json!(["RequestHeaderModifier", "RequestMirror shop/shadow:80", "backend RequestHeaderModifier"]);
        let split = serde_json::json!([{"backend": "shop/catalog:80", "weight": 3}, {"backend": "shop/catalog:80", "weight": 0}]);
        assert_eq!((&record["route"], &record["rule"]), (&"HTTPRoute shop/test".into(), &"rule-0".into()), "{record}");
        assert_eq!((&record["filters"], &record["split"], &record["backend"]), (&filters, &split, &"shop/catalog:80".into()), "{record}");
    })
    .await;
}

/// The first head that comes.
async fn head_of(listener: &mut TcpListener) -> String {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut all = Vec::new();
    while !all.windows(4).any(|end| end == b"\r\n\r\n") {
        assert_ne!(stream.read_buf(&mut all).await.unwrap(), 0);
    }
    String::from_utf8(all).unwrap()
}

#[tokio::test]
async fn lines_that_nobody_writes_are_dropped_and_counted() {
    bounded(async {
        let web = Mesh::new().proxy("web");
        let record = telemetry::Record::begin(
            std::time::SystemTime::UNIX_EPOCH,
            telemetry::Reporter::Source,
            web.worker.shared.me.peer.clone(),
            web.worker.shared.me.peer.clone(),
        );
        for _ in 0..crate::limits::LOG_LINES + 3 {
            web.worker.record(&record);
        }
        let metrics = web.worker.shared.metrics.encode();
        assert!(metrics.lines().any(|line| line.starts_with("organza_access_log_dropped_total") && line.ends_with(" 3.0")), "{metrics}");
        web.record().await;
        web.worker.record(&record);
        assert_eq!(web.worker.shared.log.dropped(), 3.0, "there is room again");
    })
    .await;
}
