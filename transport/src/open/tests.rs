//! What is ended from aside, over real sockets.

use super::*;
use crate::body::Length;
use crate::rt;
use bytes::BytesMut;
use model::{Fault, Method, RequestHead, ResponseHead};
use std::cell::Cell;
use std::rc::Rc;
use tokio::net::TcpListener;

/// The other end, which says nothing and closes nothing.
async fn connected() -> (Stream, tokio::net::TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = Stream::connect(listener.local_addr().unwrap()).await.unwrap();
    (stream, listener.accept().await.unwrap().0)
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        tokio::time::timeout(std::time::Duration::from_secs(60), test).await.expect("nobody waits for ever");
    });
}

#[test]
fn who_waits_for_bytes_is_woken_and_told_why() {
    run(async {
        let (stream, mut peer) = connected().await;
        let mut connection = h1::Connection::new(stream);
        let open = Open::of(&connection);
        let told = Rc::new(Cell::new(None));
        let tell = told.clone();
        rt::spawn(async move {
            let error = connection.reader.piece(16).await.unwrap_err();
            let sent = connection.writer.send_half().send(b"more", &[]).await.unwrap_err();
            tell.set(Some((error.to_string(), sent.to_string())));
        });
        tokio::task::yield_now().await;
        assert!(open.is_open());
        open.cut("it was taken out");
        let mut rest = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut peer, &mut rest).await.unwrap();
        while open.is_open() {
            tokio::task::yield_now().await;
        }
        assert_eq!(told.take(), Some(("it was taken out".to_owned(), "it was taken out".to_owned())));
        // What has ended is not ended again.
        open.cut("once more");
    });
}

#[test]
fn who_waits_for_an_answer_on_a_shared_connection_is_told_why() {
    run(async {
        let (stream, peer) = connected().await;
        let client = h2::Client::new(stream, BytesMut::new()).await.unwrap();
        let open = Open::shared(&client);
        let mut head = RequestHead::default();
        head.method = Method::Get;
        head.set_authority("catalog");
        head.set_target("/");
        let (_, mut answer) = client.request(&head, Length::Known(0)).unwrap();
        tokio::task::yield_now().await;
        open.cut("it was taken out");
        let error = answer.head(&mut ResponseHead::default()).await.unwrap_err();
        assert_eq!((error.fault, &*error.why), (Fault::UpstreamReset, "it was taken out"));
        assert!(!client.is_usable());
        drop((client, answer));
        let mut rest = Vec::new();
        let mut peer = peer;
        tokio::io::AsyncReadExt::read_to_end(&mut peer, &mut rest).await.unwrap();
        while open.is_open() {
            tokio::task::yield_now().await;
        }
    });
}
