//! HTTP/2 and gRPC from an application through two proxies to another: streams, trailers, resets, windows.

use super::resources::{self, DETECT, GRPC, HTTP, Place};
use super::{Shop, bounded};
use bytes::{Bytes, BytesMut};
use model::{Method, RequestHead, ResponseHead};
use std::cell::Cell;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;
use testkit::backend::Backend;
use testkit::streams::{Kind as StreamKind, Streams};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use transport::body::Length;
use transport::h2::{self, BodyReader, BodyWriter, Client, Exchange, code};
use transport::{Error, Listener, Stream, rt};

/// A server that does with each request what `handle` says; counts connections.
pub async fn server<F: Future<Output = ()> + 'static>(handle: impl Fn(Exchange) -> F + Clone + 'static) -> (SocketAddr, Rc<Cell<usize>>) {
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.address().unwrap();
    let connections = Rc::new(Cell::new(0));
    let count = connections.clone();
    rt::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.set(count.get() + 1);
            let handle = handle.clone();
            rt::spawn(async move {
                let server = h2::Server::new(stream, BytesMut::new(), h2::Who::Member).await.unwrap();
                let _ = h2::serve(server, std::future::pending(), handle).await;
            });
        }
    });
    (address, connections)
}

/// In front of a server, whose connections are all cut when it is told so.
async fn cuttable(backend: SocketAddr) -> (SocketAddr, Rc<Notify>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, cut) = (listener.local_addr().unwrap(), Rc::new(Notify::new()));
    let told = cut.clone();
    rt::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let told = told.clone();
            rt::spawn(async move {
                let mut far = TcpStream::connect(backend).await.unwrap();
                let through = tokio::io::copy_bidirectional(&mut near, &mut far);
                futures_util::future::select(pin!(through), pin!(told.notified())).await;
            });
        }
    });
    (address, cut)
}

pub async fn client(door: SocketAddr) -> Client {
    Client::new(Stream::connect(door).await.unwrap(), BytesMut::new()).await.unwrap()
}

pub fn post(host: &str, target: &str, grpc: bool) -> RequestHead {
    let mut head = RequestHead::default();
    head.method = Method::Post;
    head.set_authority(host);
    head.set_target(target);
    if grpc {
        head.headers.push("content-type", b"application/grpc");
    }
    head
}

pub async fn answer(answer: &mut h2::Answer) -> Result<(ResponseHead, BodyReader), Error> {
    let mut head = ResponseHead::default();
    loop {
        if let Some(body) = answer.head(&mut head).await? {
            return Ok((head, body));
        }
    }
}

async fn text(body: &mut BodyReader) -> String {
    let mut all = Vec::new();
    while let Some(piece) = body.chunk().await.unwrap() {
        all.extend_from_slice(&piece);
    }
    String::from_utf8(all).unwrap()
}

#[tokio::test]
async fn streams_both_ways_with_trailers() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        // Where gRPC is declared, and where nobody said anything.
        for port in [GRPC, DETECT] {
            let door = shop.web.named("catalog", port);
            let streams = Streams::start(StreamKind::Grpc, door, "catalog", "/books.Books/Watch", 4);
            tokio::time::sleep(Duration::from_millis(100)).await;
            let tally = streams.finish().await;
            assert!(tally.total() >= 4 && tally.lost() == 0, "{tally:?}");
            for proxy in [&shop.web, &shop.catalog] {
                let record = proxy.record().await;
                assert_eq!((&record["protocol"], &record["grpc_status"]), (&"grpc".into(), &0.into()), "{record}");
                assert_eq!(record["security"], "mutual_tls");
                for _ in 1..tally.total() {
                    proxy.record().await;
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn many_calls_share_a_connection() {
    bounded(async {
        let (backend, connections) = server(|Exchange { head, mut body, responder }: Exchange| async move {
            assert_eq!(head.headers.get("te"), Some(&b"trailers"[..]));
            while body.chunk().await.unwrap().is_some() {}
            let mut trailers = model::HeaderBlock::default();
            trailers.push("grpc-status", b"5");
            let mut to = responder.respond(&ResponseHead::with_status(200), Length::Open).unwrap();
            to.finish(Some(&trailers)).await.unwrap();
        })
        .await;
        let mut shop = Shop::new(backend);
        let client = client(shop.web.named("catalog", GRPC)).await;
        let calls = (0..100).map(|_| async {
            let (mut body, mut reply) = client.request(&post("catalog", "/b.B/Get", true), Length::Open).unwrap();
            body.send(Bytes::from_static(b"\0\0\0\0\x01x")).await.unwrap();
            body.finish(None).await.unwrap();
            let (head, mut body) = answer(&mut reply).await.unwrap();
            assert_eq!((head.status, text(&mut body).await.as_str()), (200, ""));
            body.trailers().unwrap().text("grpc-status").unwrap().to_owned()
        });
        let statuses = futures_util::future::join_all(calls).await;
        assert!(statuses.iter().all(|s| s == "5"), "{statuses:?}");
        assert_eq!(connections.get(), 1);
        assert_eq!(shop.web.record().await["grpc_status"], 5);
    })
    .await;
}

#[tokio::test]
async fn resets_travel_both_ways() {
    bounded(async {
        let seen = Rc::new(Cell::new(None));
        let tell = seen.clone();
        let (backend, _) = server(move |Exchange { head, mut body, responder }: Exchange| {
            let tell = tell.clone();
            async move {
                let mut to: BodyWriter = responder.respond(&ResponseHead::with_status(200), Length::Open).unwrap();
                to.send(Bytes::from_static(b"begun")).await.unwrap();
                match head.target() {
                    "/b.B/Broken" => {
                        // A reset overtakes what still waits to be written.
                        rt::sleep(Duration::from_millis(100)).await;
                        to.abort(code::CANCEL);
                    }
                    _ => loop {
                        match body.chunk().await {
                            Ok(Some(_)) => {}
                            Ok(None) => break,
                            Err(error) => break tell.set(error.reset),
                        }
                    },
                }
            }
        })
        .await;
        let mut shop = Shop::new(backend);
        let client = client(shop.web.named("catalog", GRPC)).await;
        let (_up, mut reply) = client.request(&post("catalog", "/b.B/Broken", true), Length::Open).unwrap();
        let (_, mut body) = answer(&mut reply).await.unwrap();
        assert_eq!(body.chunk().await.unwrap().unwrap(), "begun");
        assert_eq!(body.chunk().await.unwrap_err().reset, Some(code::CANCEL));
        let (mut up, mut reply) = client.request(&post("catalog", "/b.B/Left", true), Length::Open).unwrap();
        let (_, mut body) = answer(&mut reply).await.unwrap();
        assert_eq!(body.chunk().await.unwrap().unwrap(), "begun");
        up.abort(code::CANCEL);
        for _ in 0..500 {
            if seen.get().is_some() {
                break;
            }
            rt::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(seen.get(), Some(code::CANCEL));
    })
    .await;
}

#[tokio::test]
async fn a_stream_whose_server_is_lost_ends_by_a_status_of_grpc_and_whatever_else_by_a_reset() {
    bounded(async {
        let (backend, _) = server(|Exchange { head, responder, .. }: Exchange| async move {
            let length = if head.target() == "/b.B/Known" { Length::Known(10) } else { Length::Open };
            let mut answer = ResponseHead::with_status(200);
            let kind = if head.target() == "/b.B/Html" { &b"text/html"[..] } else { b"application/grpc+proto" };
            answer.headers.push("content-type", kind);
            if head.target() == "/b.B/Told" {
                answer.headers.push("grpc-status", b"0");
            }
            let mut to = responder.respond(&answer, length).unwrap();
            to.send(Bytes::from_static(b"begun")).await.unwrap();
            std::future::pending::<()>().await;
        })
        .await;
        let (relay, cut) = cuttable(backend).await;
        let mut shop = Shop::new(relay);
        let client = client(shop.web.named("catalog", GRPC)).await;
        let reset = Err(Some(code::INTERNAL_ERROR));
        // What is no answer of gRPC, or has said before how it ends, would be taken for whole.
        let known = ["/b.B/Known", "/b.B/Html", "/b.B/Told"].map(|target| (target, true, reset));
        for (target, grpc, wanted) in [("/b.B/Watch", true, Ok("14")), ("/b.B/Watch", false, reset)].into_iter().chain(known) {
            let (_up, mut reply) = client.request(&post("catalog", target, grpc), Length::Open).unwrap();
            let (_, mut body) = answer(&mut reply).await.unwrap();
            assert_eq!(body.chunk().await.unwrap().unwrap(), "begun");
            cut.notify_waiters();
            let ended = body.chunk().await.map_err(|error| error.reset);
            let status = ended.map(|piece| (piece, body.trailers().unwrap().text("grpc-status").unwrap().to_owned()));
            assert_eq!(status, wanted.map(|status| (None, status.to_owned())), "{target}");
            let (lost, told) = (shop.catalog.failed("upstream_reset").await, shop.web.record().await);
            let status = wanted.map_or(serde_json::Value::Null, |_| 14.into());
            assert_eq!((&lost["grpc_status"], &told["grpc_status"]), (&status, &status), "{lost} {told}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_caller_that_gives_up_while_it_waits_is_noticed() {
    bounded(async {
        let (begun, seen) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(false)));
        let tell = (begun.clone(), seen.clone());
        let (backend, _) = server(move |mut exchange: Exchange| {
            let tell = tell.clone();
            async move {
                tell.0.set(true);
                exchange.responder.gone().await;
                tell.1.set(true);
            }
        })
        .await;
        let mut shop = Shop::new(backend);
        let client = client(shop.web.named("catalog", GRPC)).await;
        let (body, reply) = client.request(&post("catalog", "/b.B/Wait", true), Length::None).unwrap();
        // One that is given up before it has come anywhere is nobody's work.
        while !begun.get() {
            rt::sleep(Duration::from_millis(1)).await;
        }
        drop((body, reply));
        assert_eq!(shop.web.record().await["fault"], "downstream_closed");
        for _ in 0..500 {
            if seen.get() {
                return;
            }
            rt::sleep(Duration::from_millis(10)).await;
        }
        panic!("the application was left to work for nobody");
    })
    .await;
}

#[tokio::test]
async fn what_was_refused_unprocessed_is_tried_again() {
    bounded(async {
        let count = Rc::new(Cell::new(0));
        let (backend, _) = server(move |exchange: Exchange| {
            count.set(count.get() + 1);
            let first = count.get() == 1;
            async move {
                match first {
                    true => exchange.responder.abort(code::REFUSED_STREAM),
                    false => drop(exchange.responder.respond(&ResponseHead::with_status(204), Length::None)),
                }
            }
        })
        .await;
        let mut shop = Shop::new(backend);
        let client = client(shop.web.named("catalog", GRPC)).await;
        let (_body, mut reply) = client.request(&post("catalog", "/b.B/Get", false), Length::None).unwrap();
        assert_eq!(answer(&mut reply).await.unwrap().0.status, 204);
        let attempts = [shop.web.record().await["attempt"].clone(), shop.catalog.record().await["attempt"].clone()];
        assert!(attempts.contains(&2.into()), "{attempts:?}");
    })
    .await;
}

#[tokio::test]
async fn an_http1_application_hears_http1() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let client = client(shop.web.named("catalog", HTTP)).await;
        let (mut up, mut reply) = client.request(&post("catalog", "/upload", false), Length::Open).unwrap();
        for _ in 0..50 {
            up.send(Bytes::from(vec![b'x'; 10_000])).await.unwrap();
        }
        up.finish(None).await.unwrap();
        let (head, mut body) = answer(&mut reply).await.unwrap();
        let text = text(&mut body).await;
        assert_eq!(head.status, 200);
        assert!(text.starts_with("catalog POST /upload 500000\n") && text.contains("transfer-encoding: chunked"), "{text}");
        assert!(text.contains("host: catalog\n"), "{text}");
    })
    .await;
}

#[tokio::test]
async fn a_receiver_that_does_not_read_stops_the_sender() {
    bounded(async {
        let (backend, _) = server(|exchange: Exchange| async move {
            let _held = exchange;
            std::future::pending::<()>().await;
        })
        .await;
        let mut shop = Shop::new(backend);
        let client = client(shop.web.named("catalog", GRPC)).await;
        let (mut up, _reply) = client.request(&post("catalog", "/b.B/Flood", true), Length::Open).unwrap();
        let mut sent = 0;
        while let Some(result) = rt::timeout(Duration::from_millis(500), up.send(Bytes::from(vec![0; 16 * 1024]))).await {
            result.unwrap();
            sent += 16 * 1024;
            assert!(sent < 4 * 1024 * 1024, "nothing holds the sender back");
        }
        assert!(sent >= 64 * 1024, "{sent}");
    })
    .await;
}

#[tokio::test]
async fn faults_are_told_as_grpc_has_them() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        shop.mesh.put(resources::catalog(&[]));
        let client = client(shop.web.named("catalog", GRPC)).await;
        let (_up, mut reply) = client.request(&post("catalog", "/b.B/Get", true), Length::Open).unwrap();
        let (head, body) = answer(&mut reply).await.unwrap();
        assert_eq!((head.status, head.headers.text("grpc-status")), (200, Some("14")));
        assert!(body.is_finished());
        assert_eq!(shop.web.record().await["fault"], "no_endpoint");
        // The connection lives on.
        shop.mesh.put(resources::catalog(&[Place::organza("catalog-1", shop.tunnel, backend.address.port())]));
        let (_up, mut reply) = client.request(&post("catalog", "/", false), Length::None).unwrap();
        assert_eq!(answer(&mut reply).await.unwrap().0.status, 200);
    })
    .await;
}

#[tokio::test]
async fn a_connection_between_proxies_carries_any_number_of_streams() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let door = shop.web.named("catalog", GRPC);
        for i in 0..300 {
            // The caller has a connection of its own for each, as short-lived clients do.
            let client = client(door).await;
            let (mut body, mut reply) = client.request(&post("catalog", "/b.B/Echo", true), Length::Open).unwrap();
            body.send(Bytes::from_static(b"\0\0\0\0\x01x")).await.unwrap();
            let (head, mut back) = answer(&mut reply).await.unwrap_or_else(|e| panic!("stream {i}: {e:?}"));
            assert_eq!(head.status, 200, "stream {i}");
            // The echo of the end is an empty frame that ends nothing, and there is no bound to how many of them a server may send.
            body.finish(None).await.unwrap();
            let mut whole = Vec::new();
            while let Some(piece) = back.chunk().await.unwrap_or_else(|e| panic!("stream {i}: {e:?}")) {
                whole.extend_from_slice(&piece);
            }
            assert_eq!(whole, b"\0\0\0\0\x01x");
            assert_eq!(back.trailers().unwrap().text("grpc-status"), Some("0"));
        }
    })
    .await;
}
