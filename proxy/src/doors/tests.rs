//! A listener whose room is small.

use super::*;
use crate::tests::{Mesh, bounded};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: nobody\r\n\r\n";

/// A door of one worker with this room.
fn open(mesh: &mut Mesh, door: Door, room: &Arc<Room>) -> (SocketAddr, watch::Sender<bool>, crate::tests::Proxy) {
    let proxy = mesh.proxy("catalog");
    let group = rt::Group::bind("127.0.0.1:0".parse().unwrap(), 1).unwrap();
    let address = group.address;
    let (close, closed) = watch::channel(false);
    let (sender, receiver) = mpsc::unbounded_channel();
    rt::spawn(work(proxy.worker.clone(), receiver));
    let socket = group.into_sockets().remove(0);
    assert!(sender.send(Handed::Connections(Open { door, socket, closed, room: room.clone() })).is_ok());
    // The worker serves as long as it may be handed more.
    rt::spawn(async move {
        let _sender = sender;
        std::future::pending::<()>().await;
    });
    (address, close, proxy)
}

/// Waits until the worker has taken up so many.
async fn until(what: impl Fn() -> bool) {
    while !what() {
        rt::sleep(std::time::Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn at_the_limit_new_connections_wait_and_old_ones_live() {
    bounded(async {
        let room = Room::new(2, 100);
        let door = Door::ExplicitProxy { authorization: "Basic x".into() };
        let (address, _close, proxy) = open(&mut Mesh::new(), door, &room);
        let mut old = [TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap()];
        until(|| room.is_full()).await;
        let mut new = TcpStream::connect(address).await.unwrap();
        new.write_all(REQUEST).await.unwrap();
        let metric = "organza_listener_full_total";
        until(|| proxy.worker.shared.metrics.encode().lines().any(|line| line.starts_with(metric) && line.ends_with(" 1.0"))).await;
        for stream in &mut old {
            stream.write_all(REQUEST).await.unwrap();
            let mut answer = [0; 12];
            stream.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b"HTTP/1.1 407");
        }
        let mut byte = [0];
        assert_eq!(new.try_read(&mut byte).unwrap_err().kind(), io::ErrorKind::WouldBlock, "nobody has taken up the new one");
        drop(old);
        new.read_exact(&mut byte).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn workers_that_accept_at_once_serve_no_more_than_the_limit() {
    bounded(async {
        let room = Room::new(1, 100);
        let door = Door::ExplicitProxy { authorization: "Basic x".into() };
        let (address, _close, _proxy) = open(&mut Mesh::new(), door, &room);
        // It has looked, and waits for the next.
        rt::sleep(std::time::Duration::from_millis(20)).await;
        let anothers = room.try_connection().unwrap();
        assert!(room.try_connection().is_none());
        let mut new = TcpStream::connect(address).await.unwrap();
        new.write_all(REQUEST).await.unwrap();
        rt::sleep(std::time::Duration::from_millis(200)).await;
        let mut byte = [0];
        assert_eq!(new.try_read(&mut byte).unwrap_err().kind(), io::ErrorKind::WouldBlock, "it is not served");
        drop(anothers);
        new.read_exact(&mut byte).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn handshakes_under_way_are_limited_by_themselves() {
    bounded(async {
        let room = Room::new(100, 2);
        let host = "127.0.0.1".parse().unwrap();
        let workload = crate::tests::key(model::Kind::Workload, "catalog-1");
        let mut mesh = Mesh::new();
        let (address, close, proxy) = open(&mut mesh, Door::Inbound(ApplicationDoor { workload, host }), &room);
        // Two that say nothing.
        let silent = [TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap()];
        until(|| room.is_full()).await;
        let mut third = TcpStream::connect(address).await.unwrap();
        third.write_all(b"no TLS at all, and so much of it that it need not be waited for").await.unwrap();
        let mut byte = [0];
        assert_eq!(third.try_read(&mut byte).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(silent);
        let mut alert = Vec::new();
        let _ = third.read_to_end(&mut alert).await;
        until(|| proxy.worker.shared.metrics.encode().contains("organza_downstream_cx_ended_total{cause=\"tls_plaintext\"} 1")).await;
        until(|| !room.is_full()).await;
        // A door that closes while it is full is closed all the same.
        let _silent = [TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap()];
        until(|| room.is_full()).await;
        close.send(true).unwrap();
        until(|| std::net::TcpListener::bind(address).is_ok()).await;
    })
    .await;
}

#[tokio::test]
async fn a_door_has_room_for_so_many_handshakes_where_nobody_says_how_many() {
    let (sender, mut handed) = mpsc::unbounded_channel();
    let mut doors = Doors::new(vec![sender]);
    doors.open("127.0.0.1:0".parse().unwrap(), Door::ExplicitProxy { authorization: "Basic x".into() }).unwrap();
    let Handed::Connections(open) = handed.recv().await.unwrap() else { panic!("it is for connections") };
    let mut under_way: Vec<_> = (1..limits::HANDSHAKES).map(|_| open.room.handshake()).collect();
    assert!(!open.room.is_full());
    under_way.push(open.room.handshake());
    assert!(open.room.is_full());
}

#[test]
fn as_many_connections_as_files_leave_room_for() {
    let usual = [None, Some(1_000_000), Some(20_000), Some(1024)].map(room::usual);
    assert_eq!(usual, [limits::CONNECTIONS, limits::CONNECTIONS, 10_000, 512]);
    // What a gateway says holds until it says nothing any more.
    let room = Room::new(1, 1);
    let _one = room.connection();
    assert!(room.is_full());
    room.allow(Some(2), None);
    assert!(!room.is_full());
    room.allow(None, None);
    assert!(room.is_full());
}
