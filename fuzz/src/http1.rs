//! Requests of HTTP/1, with hyper as the oracle. What we take, hyper takes, and reads the same in it; what hyper reads further, we have
//! refused or closed before; what we would send on, hyper reads as the requests that we read. The first byte says where the rest is cut into
//! two reads.

use crate::oracle::{self, Request};
use crate::run::run;
use model::{Fault, Method, RequestHead};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use transport::Stream;
use transport::body::{Incoming, Length};
use transport::h1::{Connection, strip_hop_by_hop};

pub fn check(bytes: &[u8]) {
    let Some((cut, bytes)) = bytes.split_first() else { return };
    let at = usize::from(*cut) * bytes.len() / 256;
    run(async {
        let ours = read(&[&bytes[..at], &bytes[at..]]).await;
        let (theirs, refused) = oracle::requests(bytes).await;
        for (i, (head, body, _)) in ours.requests.iter().enumerate() {
            let own = Request::ours(head, body.clone());
            let Some(other) = theirs.get(i) else {
                panic!("hyper {} what we take: {own:?}", if refused { "refuses" } else { "does not read" });
            };
            assert_same(&own, other);
        }
        let further = theirs.get(ours.requests.len());
        assert!(further.is_none() || ours.end != End::Waits, "hyper reads on where we wait for more: {further:?}");
        forwarded(ours.requests).await;
    });
}

fn assert_same(own: &Request, other: &Request) {
    let mut own = own.clone();
    // `OPTIONS http://a` asks about the server, which hyper does not tell from `OPTIONS http://a/`.
    if own.method == "OPTIONS" && own.target == "*" && other.target == "/" {
        own.target.clone_from(&other.target);
    }
    // A connection's authority has no path for hyper either.
    if own.method == "CONNECT" {
        own.target.clear();
    }
    assert_eq!(&own, other, "two readings");
}

#[derive(Debug, PartialEq, Eq)]
enum End {
    /// Something was refused, or the connection ends as it was asked to: nothing more is read from it.
    Closed,
    /// All was read.
    Waits,
}

struct Ours {
    requests: Vec<(RequestHead, Vec<u8>, Length)>,
    end: End,
}

/// As a server reads it that keeps a connection alive.
async fn read(pieces: &[&[u8]]) -> Ours {
    let (mut client, server) = Stream::pair(1 << 20);
    let mut connection = Connection::new(server);
    let mut requests = Vec::new();
    let (first, rest) = pieces.split_first().expect("a piece");
    client.write_all(first).await.expect("the pipe holds it");
    let rest = rest.concat();
    transport::rt::spawn(async move {
        tokio::task::yield_now().await;
        let _ = client.write_all(&rest).await;
        let _ = client.shutdown().await;
        // The other direction stays open until the server is done.
        let _ = client.read_to_end(&mut Vec::new()).await;
    });
    loop {
        let mut head = RequestHead::default();
        let framing = match connection.reader.request(&mut head, Duration::from_secs(1)).await {
            Ok(Some(framing)) => framing,
            Ok(None) => return Ours { requests, end: End::Waits },
            Err(e) => return Ours { requests, end: ended(e.fault) },
        };
        let mut body = Incoming::H1(connection.reader.body(framing, Fault::MalformedRequest));
        let mut bytes = Vec::new();
        loop {
            match body.chunk().await {
                Ok(Some(piece)) => bytes.extend_from_slice(&piece),
                Ok(None) => break,
                Err(e) => return Ours { requests, end: ended(e.fault) },
            }
        }
        let hop = strip_hop_by_hop(&mut head.headers.clone(), head.version);
        let last = hop.close || head.method == Method::Connect;
        requests.push((head, bytes, framing.length()));
        if last {
            return Ours { requests, end: End::Closed };
        }
    }
}

fn ended(fault: Fault) -> End {
    if fault == Fault::DownstreamClosed { End::Waits } else { End::Closed }
}

/// What goes upstream, on one connection.
async fn forwarded(requests: Vec<(RequestHead, Vec<u8>, Length)>) {
    const REWRITTEN: [&str; 2] = ["content-length", "transfer-encoding"];
    let (mut backend, proxy) = Stream::pair(1 << 22);
    let mut connection = Connection::new(proxy);
    let mut sent = Vec::new();
    for (mut head, body, length) in requests {
        if head.method == Method::Connect {
            continue;
        }
        let hop = strip_hop_by_hop(&mut head.headers, head.version);
        // As `proxy` has it: one protocol or none.
        let upgrade = hop.upgrade.filter(|protocol| !protocol.contains(',') && !protocol.trim().eq_ignore_ascii_case("h2c"));
        let mut to = connection.writer.request(&mut head, length, upgrade.as_deref());
        to.send(&body).await.expect("as long as announced");
        to.finish(None).await.expect("as long as announced");
        let mut own = Request::ours(&head, body);
        own.fields.remove("host");
        if let Some(protocol) = upgrade {
            own.fields.insert("connection".into(), vec![b"Upgrade".to_vec()]);
            own.fields.insert("upgrade".into(), vec![protocol.into_bytes()]);
        }
        sent.push(own.without(&REWRITTEN));
    }
    drop(connection);
    let mut bytes = Vec::new();
    backend.read_to_end(&mut bytes).await.expect("readable");
    let (read, refused) = oracle::requests(&bytes).await;
    assert!(!refused, "hyper refuses what we send: {:?}", String::from_utf8_lossy(&bytes));
    let mut names = REWRITTEN.to_vec();
    names.push("host");
    let read: Vec<Request> = read.into_iter().map(|request| request.without(&names)).collect();
    assert_eq!(sent, read, "what was sent on is read otherwise");
}
