//! The sample's ways of sending back what it got: HTTP bodies, gRPC messages, WebSocket frames, plain bytes. Tests of the mesh compare
//! what they sent with what came back.

use bytes::{Buf, Bytes, BytesMut};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{HeaderMap, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

pub type Body = BoxBody<Bytes, hyper::Error>;

/// A frame's payload that is longer ends the connection.
const FRAME: usize = 1 << 20;

pub fn full(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed()
}

pub async fn serve_tcp(listener: TcpListener) -> std::io::Result<()> {
    loop {
        let (mut stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            let (mut from, mut to) = stream.split();
            // Either side may close at any time; then there is nobody left to tell.
            let _ = tokio::io::copy(&mut from, &mut to).await;
            let _ = to.shutdown().await;
        });
    }
}

/// Streams the body back as it comes, trailers too.
pub async fn body(request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let mut answer = Response::new(body.boxed());
    if let Some(kind) = head.headers.get(header::CONTENT_TYPE) {
        answer.headers_mut().insert(header::CONTENT_TYPE, kind.clone());
    }
    answer
}

pub fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

/// Whatever the method: each message comes back as it was, then `grpc-status: 0`.
pub async fn grpc(request: Request<Incoming>) -> Response<Body> {
    let kind = request.headers().get(header::CONTENT_TYPE).cloned();
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", header::HeaderValue::from_static("0"));
    let body = request.into_body().with_trailers(std::future::ready(Some(Ok(trailers))));
    let mut answer = Response::new(body.boxed());
    if let Some(kind) = kind {
        answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    answer
}

pub fn is_websocket(headers: &HeaderMap) -> bool {
    headers.get(header::UPGRADE).is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

pub fn websocket(request: &mut Request<Incoming>) -> Response<Body> {
    let mut answer = Response::new(full(Bytes::new()));
    let Some(accept) = request.headers().get("sec-websocket-key").map(|key| accept_key(key.as_bytes())) else {
        *answer.status_mut() = StatusCode::BAD_REQUEST;
        return answer;
    };
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = answer.headers_mut();
    headers.insert(header::UPGRADE, header::HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, header::HeaderValue::from_static("Upgrade"));
    if let Ok(value) = header::HeaderValue::from_str(&accept) {
        headers.insert("sec-websocket-accept", value);
    }
    let upgrade = hyper::upgrade::on(request);
    tokio::spawn(async move {
        if let Ok(upgraded) = upgrade.await {
            // The peer closes when it has seen enough.
            let _ = frames(TokioIo::new(upgraded)).await;
        }
    });
    answer
}

/// RFC 6455, section 4.2.2: SHA-1 is what the handshake demands, and protects nothing.
pub fn accept_key(key: &[u8]) -> String {
    use base64::Engine;
    let mut text = key.to_vec();
    text.extend_from_slice(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, &text);
    base64::engine::general_purpose::STANDARD.encode(digest)
}

async fn frames<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(mut stream: S) -> std::io::Result<()> {
    let mut bytes = BytesMut::new();
    loop {
        while let Some(answer) = next_frame(&mut bytes)? {
            let closing = answer[0] & 0x0f == 8;
            stream.write_all(&answer).await?;
            if closing {
                return stream.shutdown().await;
            }
        }
        let read = tokio::time::timeout(Duration::from_secs(600), stream.read_buf(&mut bytes)).await;
        if matches!(read, Err(_) | Ok(Ok(0) | Err(_))) {
            return Ok(());
        }
    }
}

/// Takes one masked frame off the front and gives what to send back: the same frame unmasked, a ping as a pong.
pub fn next_frame(bytes: &mut BytesMut) -> std::io::Result<Option<Vec<u8>>> {
    let [first, second, ..] = bytes[..] else { return Ok(None) };
    let (length, head) = match second & 0x7f {
        126 if bytes.len() >= 4 => (usize::from(u16::from_be_bytes([bytes[2], bytes[3]])), 4),
        126 => return Ok(None),
        127 => return Err(std::io::Error::other("frame too long")),
        short => (usize::from(short), 2),
    };
    if length > FRAME || second & 0x80 == 0 {
        return Err(std::io::Error::other("frame too long or not masked"));
    }
    if bytes.len() < head + 4 + length {
        return Ok(None);
    }
    let mask = [bytes[head], bytes[head + 1], bytes[head + 2], bytes[head + 3]];
    let payload: Vec<u8> = bytes[head + 4..head + 4 + length].iter().zip(mask.iter().cycle()).map(|(b, m)| b ^ m).collect();
    let opcode = if first & 0x0f == 9 { first & 0xf0 | 10 } else { first };
    let mut answer = vec![opcode];
    match u8::try_from(length) {
        Ok(short) if short < 126 => answer.push(short),
        _ => {
            answer.push(126);
            answer.extend_from_slice(&(length as u16).to_be_bytes());
        }
    }
    answer.extend_from_slice(&payload);
    bytes.advance(head + 4 + length);
    Ok(Some(answer))
}

#[cfg(test)]
mod tests;
