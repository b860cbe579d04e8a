//! HTTP/2 as a caller may speak it: anything behind the preface. What is taken as a request can be sent on as HTTP/1, and hyper then reads that
//! request and no other.

use crate::oracle::{self, Request};
use crate::run::run;
use bytes::{Bytes, BytesMut};
use model::{HeaderBlock, Method, RequestHead, ResponseHead};
use std::cell::RefCell;
use std::rc::Rc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use transport::Stream;
use transport::body::Length;
use transport::h1::{Connection, strip_hop_by_hop};
use transport::h2::{self, Exchange};

pub fn check(bytes: &[u8]) {
    run(async {
        let (mut client, server) = Stream::pair(1 << 20);
        let read = BytesMut::from(h2::CLIENT_PREFACE);
        client.write_all(bytes).await.expect("the pipe holds it");
        transport::rt::spawn(async move {
            let _ = client.shutdown().await;
            let _ = client.read_to_end(&mut Vec::new()).await;
        });
        let taken = Rc::new(RefCell::new(Vec::new()));
        let seen = taken.clone();
        if let Ok(server) = h2::Server::new(server, read, h2::Who::Stranger).await {
            let _ = h2::serve(server, std::future::pending(), move |exchange| answer(exchange, seen.clone())).await;
        }
        for (head, body, length) in taken.take() {
            sent_on(head, body, length).await;
        }
    });
}

type Taken = (RequestHead, Vec<u8>, Length);

async fn answer(exchange: Exchange, taken: Rc<RefCell<Vec<Taken>>>) {
    let Exchange { head, mut body, responder } = exchange;
    let length = body.length();
    let mut bytes = Vec::new();
    loop {
        match body.chunk().await {
            Ok(Some(piece)) => bytes.extend_from_slice(&piece),
            Ok(None) => break,
            Err(_) => return,
        }
    }
    let trailers: Option<HeaderBlock> = body.trailers();
    taken.borrow_mut().push((*head, bytes, length));
    let Ok(mut to) = responder.respond(&ResponseHead::with_status(200), Length::Open) else { return };
    if to.send(Bytes::from_static(b"answer")).await.is_ok() {
        let _ = to.finish(trailers.as_ref()).await;
    }
}

async fn sent_on(mut head: RequestHead, body: Vec<u8>, length: Length) {
    const REWRITTEN: [&str; 4] = ["content-length", "transfer-encoding", "host", "te"];
    // Tunnels and upgrades take ways of their own.
    if head.method == Method::Connect {
        return;
    }
    let hop = strip_hop_by_hop(&mut head.headers, head.version);
    assert!(hop.upgrade.is_none(), "an upgrade in HTTP/2");
    let (mut backend, proxy) = Stream::pair(1 << 20);
    let mut connection = Connection::new(proxy);
    let mut to = connection.writer.request(&mut head, length, None);
    to.send(&body).await.expect("h2 has checked the length");
    to.finish(None).await.expect("h2 has checked the length");
    drop(connection);
    let mut bytes = Vec::new();
    backend.read_to_end(&mut bytes).await.expect("readable");
    let (read, refused) = oracle::requests(&bytes).await;
    assert!(!refused, "hyper refuses what we send: {:?}", String::from_utf8_lossy(&bytes));
    let own = Request::ours(&head, body).without(&REWRITTEN);
    let read: Vec<Request> = read.into_iter().map(|request| request.without(&REWRITTEN)).collect();
    assert_eq!(vec![own], read, "what was sent on is read otherwise");
}
