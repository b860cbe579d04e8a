//! Answers of HTTP/1, with hyper's client as the oracle. The first byte says what was asked.

use crate::oracle::{self, Fields};
use crate::run::run;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use model::{Fault, Method, ResponseHead};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use transport::Stream;
use transport::body::Incoming;
use transport::h1::Connection;
use transport::limits;

const METHODS: [Method; 3] = [Method::Get, Method::Head, Method::Post];

#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    fields: Fields,
    body: Vec<u8>,
}

pub fn check(bytes: &[u8]) {
    let Some((which, bytes)) = bytes.split_first() else { return };
    let method = &METHODS[usize::from(*which) % METHODS.len()];
    run(async {
        let Some(own) = ours(method, bytes).await else { return };
        match theirs(method, bytes).await {
            Some(other) => assert_eq!(own, other, "two readings of an answer to {method:?}"),
            None => panic!("hyper refuses what we take: {own:?}"),
        }
    });
}

/// The final answer, where it comes whole.
async fn ours(method: &Method, bytes: &[u8]) -> Option<Answer> {
    let (mut server, client) = Stream::pair(1 << 20);
    server.write_all(bytes).await.expect("the pipe holds it");
    drop(server);
    let mut connection = Connection::new(client);
    let mut head = ResponseHead::default();
    for _ in 0..=limits::INFORMATIONAL {
        let framing = connection.reader.response(&mut head, method).await.ok()?;
        if head.status == 101 {
            // Nobody asked for it.
            return None;
        }
        if head.status < 200 {
            continue;
        }
        let mut body = Incoming::H1(connection.reader.body(framing, Fault::UpstreamProtocol));
        let mut bytes = Vec::new();
        while let Some(piece) = body.chunk().await.ok()? {
            bytes.extend_from_slice(&piece);
        }
        return Some(Answer { status: head.status, fields: oracle::fields(&head.headers), body: bytes });
    }
    None
}

async fn theirs(method: &Method, bytes: &[u8]) -> Option<Answer> {
    let (mut server, client) = Stream::pair(1 << 20);
    let mut builder = hyper::client::conn::http1::Builder::new();
    builder.max_headers(limits::HEADERS);
    let (mut send, connection) = builder.handshake::<_, Empty<Bytes>>(TokioIo::new(client)).await.ok()?;
    transport::rt::spawn(async move { drop(connection.await) });
    let mut request = hyper::Request::new(Empty::new());
    *request.method_mut() = method.as_str().parse().ok()?;
    let bytes = bytes.to_vec();
    transport::rt::spawn(async move {
        // What came before it was asked for would be no answer.
        let _ = server.read(&mut [0; 1024]).await;
        let _ = server.write_all(&bytes).await;
    });
    let (parts, body) = send.send_request(request).await.ok()?.into_parts();
    let body = body.collect().await.ok()?.to_bytes().to_vec();
    Some(Answer { status: parts.status.as_u16(), fields: oracle::header_map(&parts.headers), body })
}
