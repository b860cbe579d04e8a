//! Tunnels end to end, and what they refuse.

use super::*;
use crate::h2::{Server, Who, serve};
use crate::rt;
use bytes::BytesMut;
use std::cell::Cell;
use std::io;
use std::rc::Rc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, work)
}

fn own() -> PeerMetadata {
    PeerMetadata {
        workload: "web".into(),
        namespace: "shop".into(),
        app: "web, the first".into(),
        version: "v1".into(),
        cluster: String::new(),
    }
}

fn connect_to(authority: &str) -> RequestHead {
    let mut head = RequestHead::default();
    head.method = Method::Connect;
    head.set_authority(authority);
    head
}

/// A peer that lets in only 10.0.0.1:80, echoes in upper case, and ends its direction when the other has ended.
async fn peer(stream: Stream) {
    let server = Server::new(stream, BytesMut::new(), Who::Member).await.unwrap();
    let served = serve(server, std::future::pending(), |exchange| async move {
        let mine = Target::Address("10.0.0.1:80".parse().unwrap());
        if target(&exchange.head).ok() != Some(mine) || read_baggage(&exchange.head.headers) != own() {
            return refuse(exchange, 404);
        }
        let mut stream = accept(exchange).unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.unwrap();
        stream.write_all(&all.to_ascii_uppercase()).await.unwrap();
        stream.shutdown().await.unwrap();
    });
    // Ends with the connection.
    let _ = served.await;
}

/// Says goodbye at once, in good order.
async fn leaving(stream: Stream) {
    let server = Server::new(stream, BytesMut::new(), Who::Member).await.unwrap();
    let _ = serve(server, std::future::pending(), |exchange| async move { accept(exchange).unwrap().shutdown().await.unwrap() }).await;
}

#[test]
fn what_crosses_with_a_goodbye_is_taken_once_and_then_no_more() {
    run(async {
        let (a, b) = Stream::pair(1 << 16);
        rt::spawn(leaving(b));
        let client = h2::Client::new(a, BytesMut::new()).await.unwrap();
        let mut tunnel = Tunnel::open(&client, &connect_to("10.0.0.1:80")).await.unwrap();
        let mut rest = Vec::new();
        tunnel.read_to_end(&mut rest).await.unwrap();
        // The reset that lets go of the stream follows upon its end.
        while client.active() > 0 && tunnel.write(b"once").await.is_ok() {
            rt::turn().await;
        }
        assert!(tunnel.write(b"again").await.is_err(), "nobody takes it any more");
    });
}

#[test]
fn what_is_more_than_a_window_goes_uncopied_and_several_frames_are_read_at_once() {
    run(async {
        let tunnel = Tunnels::default().open("peer", "10.0.0.1:80", &own(), dial(Rc::default())).await;
        let (mut recv, mut send) = tunnel.unwrap().split();
        let said: Vec<u8> = b"abcdefg".iter().copied().cycle().take(3 * limits::H2_STREAM_WINDOW as usize).collect();
        send.send_bytes(said.clone().into()).await.unwrap();
        send.shutdown().await.unwrap();
        let (mut came, mut most) = (BytesMut::new(), 0);
        while let read @ 1.. = recv.recv(&mut came, limits::BODY_BUFFER).await.unwrap() {
            most = most.max(read);
        }
        assert!(came == said.to_ascii_uppercase());
        assert!(most > 16 * 1024, "no more than {most} bytes at a time");
        assert_eq!(send.send_bytes("more".into()).await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    });
}

#[test]
fn who_sends_on_a_tunnel_that_is_cut_is_told_why() {
    run(async {
        let tunnel = Tunnels::default().open("peer", "10.0.0.1:80", &own(), dial(Rc::default())).await;
        let (recv, mut send) = tunnel.unwrap().split();
        let sent = send.send_bytes(vec![0; 4 * limits::H2_STREAM_WINDOW as usize].into());
        // Polled after the sender, which waits for a window then.
        let cut = async { recv.watched().upgrade().unwrap().borrow_mut().cut("it was taken out") };
        let (sent, ()) = futures_util::future::join(sent, cut).await;
        assert_eq!(sent.unwrap_err().to_string(), "it was taken out");
    });
}

async fn dial(dialled: Rc<Cell<u32>>) -> Result<h2::Client, Error> {
    dialled.set(dialled.get() + 1);
    let (a, b) = Stream::pair(1 << 16);
    rt::spawn(peer(b));
    h2::Client::new(a, BytesMut::new()).await
}

#[test]
fn tunnels_share_a_connection_and_each_direction_ends_on_its_own() {
    run(async {
        let (tunnels, dialled) = (Tunnels::default(), Rc::new(Cell::new(0)));
        let mut open = Vec::new();
        for _ in 0..3 {
            open.push(tunnels.open("peer", "10.0.0.1:80", &own(), dial(dialled.clone())).await.unwrap());
        }
        assert_eq!(dialled.get(), 1);
        for mut stream in open {
            // More than all windows together.
            let sent = vec![b'a'; 300_000];
            let (mut read, mut write) = tokio::io::split(&mut stream);
            write.write_all(&sent).await.unwrap();
            write.shutdown().await.unwrap();
            let mut got = Vec::new();
            read.read_to_end(&mut got).await.unwrap();
            assert!(got.len() == sent.len() && got.iter().all(|b| *b == b'A'));
        }
        tunnels.sweep(|_| false);
        assert!(tunnels.open.borrow().is_empty());
    });
}

#[test]
fn a_forged_authority_reaches_nothing() {
    run(async {
        let tunnels = Tunnels::default();
        for authority in ["10.0.0.2:80", "10.0.0.1:81", "127.0.0.1:80", "[::1]:80", "catalog:80"] {
            let refused = tunnels.open("peer", authority, &own(), dial(Rc::default())).await.unwrap_err();
            assert_eq!(refused.fault, Fault::ConnectFailed, "{authority}");
        }
    });
}

#[test]
fn what_a_tunnel_asks_for_is_read_strictly() {
    assert_eq!(target(&connect_to("[fd00::1]:80")).unwrap(), Target::Address("[fd00::1]:80".parse().unwrap()));
    assert_eq!(target(&connect_to("Catalog.shop:80")).unwrap(), Target::Name("catalog.shop".into(), 80));
    for bad in ["", "a", "a:", "a:0", "a:65536", ":80", "[]:80", "[a]:80"] {
        assert!(target(&connect_to(bad)).is_err(), "{bad}");
    }
    let mut upgrade = connect_to("10.0.0.1:80");
    upgrade.protocol = Some("websocket".into());
    assert!(target(&upgrade).is_err());
    let mut get = connect_to("10.0.0.1:80");
    get.method = Method::Get;
    assert!(target(&get).is_err());
}

#[test]
fn baggage_is_read_as_ztunnel_writes_it() {
    let mut headers = HeaderBlock::default();
    headers.push(
        "baggage",
        b"k8s.cluster.name=c1,k8s.namespace.name=shop, k8s.pod.name = web-1 ;p=1,service.name=web,service.version=v%202,x,%=1",
    );
    let peer = read_baggage(&headers);
    assert_eq!((&*peer.cluster, &*peer.namespace, &*peer.workload, &*peer.app, &*peer.version), ("c1", "shop", "web-1", "web", "v 2"));
    let mut bad = HeaderBlock::default();
    bad.push("baggage", b"service.name=%0a,service.version=%f");
    assert_eq!(read_baggage(&bad), PeerMetadata::default());
}

#[test]
fn baggage_is_read_up_to_a_length() {
    let read = |bytes: usize| {
        let mut headers = HeaderBlock::default();
        let member = "service.name=web,x=";
        headers.push("baggage", format!("{member}{}", "y".repeat(bytes - member.len())).as_bytes());
        read_baggage(&headers).app
    };
    assert_eq!((read(limits::BAGGAGE_BYTES).as_str(), read(limits::BAGGAGE_BYTES + 1).as_str()), ("web", ""));
}

/// A peer that takes streams and never answers.
async fn silent(stream: Stream) {
    let server = Server::new(stream, BytesMut::new(), Who::Member).await.unwrap();
    let served = serve(server, std::future::pending(), |exchange| async move {
        let _held = exchange;
        std::future::pending().await
    });
    let _ = served.await;
}

#[test]
fn a_peer_that_does_not_answer_is_given_so_long_and_no_longer() {
    run(async {
        let (a, b) = Stream::pair(1 << 16);
        rt::spawn(silent(b));
        let begun = rt::now();
        let opened = Tunnels::default().open("peer", "10.0.0.1:80", &own(), h2::Client::new(a, BytesMut::new())).await;
        assert_eq!(opened.unwrap_err().fault, Fault::ConnectTimeout);
        assert_eq!(rt::now().saturating_duration_since(begun), limits::CONNECT_TIME);
    });
}

#[test]
fn connections_to_one_peer_are_so_many_and_no_more() {
    run(async {
        let (tunnels, dialled) = (Tunnels::default(), Rc::new(Cell::new(0)));
        let mut open = Vec::new();
        for _ in 0..limits::HBONE_CONNECTIONS * limits::H2_STREAMS as usize {
            open.push(tunnels.open("peer", "10.0.0.1:80", &own(), dial(dialled.clone())).await.unwrap());
        }
        assert_eq!(dialled.get() as usize, limits::HBONE_CONNECTIONS);
        let full = tunnels.open("peer", "10.0.0.1:80", &own(), dial(dialled.clone())).await.unwrap_err();
        assert_eq!((full.fault, dialled.get() as usize), (Fault::Overflow, limits::HBONE_CONNECTIONS));
        assert!(tunnels.open("another", "10.0.0.1:80", &own(), dial(dialled.clone())).await.is_ok());
        // All of whom dial before the first has one; what is beyond the limit is not kept for others.
        let late = || async {
            tokio::task::yield_now().await;
            dial(dialled.clone()).await
        };
        let (many, identity) = (limits::HBONE_CONNECTIONS + 3, own());
        let open = futures_util::future::join_all((0..many).map(|_| tunnels.open("third", "10.0.0.1:80", &identity, late()))).await;
        assert!(open.iter().all(Result::is_ok));
        assert_eq!(tunnels.open.borrow()["third"].len(), limits::HBONE_CONNECTIONS);
    });
}
