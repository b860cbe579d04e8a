//! The kit tested on itself: clients against the backend with nothing in between lose nothing, and see what is lost.

use std::time::Duration;
use testkit::backend::Backend;
use testkit::client::{Counter, Shot, fetch};
use testkit::streams::{Kind, Streams};

#[tokio::test]
async fn all_clients_find_the_backend_whole() {
    let backend = Backend::http("b").await;
    let get = Counter::start(&Shot::get(backend.address, "b", "/x"), 2);
    let upload = Counter::start(&Shot::upload(backend.address, "b", "/u", 100_000), 1);
    let sockets = Streams::start(Kind::WebSocket, backend.address, "b", "/ws", 1);
    let grpc = Streams::start(Kind::Grpc, backend.address, "b", "/echo.Echo/Stream", 1);
    tokio::time::sleep(Duration::from_millis(300)).await;
    for tally in [get.finish().await, upload.finish().await, sockets.finish().await, grpc.finish().await] {
        assert!(tally.total() > 0 && tally.lost() == 0, "{tally:?}");
    }
    let (status, headers, body) = fetch(&Shot::upload(backend.address, "b", "/u?q=1", 10)).await.unwrap();
    assert_eq!((status.as_u16(), headers["x-backend"].to_str().unwrap()), (200, "b"));
    assert!(body.starts_with(b"b POST /u?q=1 10\n"), "{body:?}");
}

#[tokio::test]
async fn losses_are_seen() {
    let backend = Backend::http("b").await;
    let address = backend.address;
    drop(backend);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let tally = Counter::start(&Shot::get(address, "b", "/"), 1);
    let sockets = Streams::start(Kind::WebSocket, address, "b", "/ws", 1);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(tally.finish().await.lost() > 0);
    assert!(sockets.finish().await.lost() > 0);
}
