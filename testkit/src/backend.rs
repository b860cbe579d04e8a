//! A backend that answers whatever it is asked: GET and POST, WebSocket-style upgrades, gRPC-shaped streams, plain TCP. It names itself in every
//! answer, so that a test sees where a request went.

use bytes::Bytes;
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{CONNECTION, CONTENT_TYPE, UPGRADE};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

type Answer = Response<BoxBody<Bytes, hyper::Error>>;

/// Answers until dropped.
pub struct Backend {
    pub address: SocketAddr,
    requests: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

impl Backend {
    /// HTTP/1 and HTTP/2 with prior knowledge on a free port of loopback.
    ///
    /// # Panics
    /// If loopback has no port left.
    pub async fn http(name: &'static str) -> Self {
        Self::http_on(name, "127.0.0.1:0").await
    }

    /// # Panics
    /// If the address cannot be bound.
    pub async fn http_on(name: &'static str, address: &str) -> Self {
        let listener = TcpListener::bind(address).await.expect("the backend's address is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let requests = Arc::new(AtomicU64::new(0));
        let count = requests.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                let count = count.clone();
                let service = service_fn(move |request| {
                    count.fetch_add(1, Ordering::Relaxed);
                    answer(name, request)
                });
                tokio::spawn(async move {
                    let _ = Builder::new(TokioExecutor::new()).serve_connection_with_upgrades(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { address, requests, task }
    }

    /// Sends back every byte; the greeting, if any, comes first.
    ///
    /// # Panics
    /// If loopback has no port left.
    pub async fn tcp(greeting: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port on loopback");
        let address = listener.local_addr().expect("a bound socket has an address");
        let requests = Arc::new(AtomicU64::new(0));
        let count = requests.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(echo(stream, greeting));
            }
        });
        Self { address, requests, task }
    }

    /// Requests (or connections) so far.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn echo(mut stream: TcpStream, greeting: &'static str) {
    if stream.write_all(greeting.as_bytes()).await.is_err() {
        return;
    }
    let (mut read, mut write) = stream.split();
    let _ = tokio::io::copy(&mut read, &mut write).await;
    let _ = write.shutdown().await;
}

async fn answer(name: &'static str, mut request: Request<Incoming>) -> Result<Answer, Infallible> {
    if request.headers().contains_key(UPGRADE) {
        let wanted = request.headers()[UPGRADE].clone();
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            if let Ok(upgraded) = upgrade.await {
                echo_upgraded(TokioIo::new(upgraded)).await;
            }
        });
        let mut answer = Response::new(full(""));
        *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        answer.headers_mut().insert(UPGRADE, wanted);
        answer.headers_mut().insert(CONNECTION, "Upgrade".parse().expect("a header value"));
        return Ok(answer);
    }
    let grpc = request.headers().get(CONTENT_TYPE).is_some_and(|v| v.as_bytes().starts_with(b"application/grpc"));
    Ok(if grpc { grpc_echo(request) } else { plain(name, request).await })
}

/// Longest answer that can be asked for by `/bytes/N`.
const MOST: usize = 16 * 1024 * 1024;

/// `NAME METHOD TARGET BYTES` and the headers that came, each on a line; for `/bytes/N` as many bytes.
async fn plain(name: &'static str, request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    let bytes = body.collect().await.map(|b| b.to_bytes().len()).unwrap_or_default();
    if let Some(length) = head.uri.path().strip_prefix("/bytes/").and_then(|n| n.parse::<usize>().ok()) {
        return Response::new(full(vec![b'x'; length.min(MOST)]));
    }
    let mut text = format!("{name} {} {} {bytes}\n", head.method, head.uri);
    for (key, value) in &head.headers {
        text.push_str(&format!("{key}: {}\n", String::from_utf8_lossy(value.as_bytes())));
    }
    let mut answer = Response::new(full(text));
    answer.headers_mut().insert("x-backend", name.parse().expect("a header value"));
    answer
}

/// Every frame comes back as it came; trailers say `grpc-status: 0`.
fn grpc_echo(request: Request<Incoming>) -> Answer {
    let body = request.into_body();
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Frame<Bytes>, hyper::Error>>(8);
    tokio::spawn(async move {
        let mut body = body;
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return };
            if frame.is_data() && sender.send(Ok(frame)).await.is_err() {
                return;
            }
        }
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().expect("a header value"));
        let _ = sender.send(Ok(Frame::trailers(trailers))).await;
    });
    let stream = StreamBody::new(Frames(receiver));
    let mut answer = Response::new(BodyExt::boxed(stream));
    answer.headers_mut().insert(CONTENT_TYPE, "application/grpc".parse().expect("a header value"));
    answer
}

struct Frames(tokio::sync::mpsc::Receiver<Result<Frame<Bytes>, hyper::Error>>);

impl futures_util::Stream for Frames {
    type Item = Result<Frame<Bytes>, hyper::Error>;
    fn poll_next(mut self: std::pin::Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> std::task::Poll<Option<Self::Item>> {
        self.0.poll_recv(cx)
    }
}

async fn echo_upgraded(mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(n) = stream.read(&mut buffer).await {
        if n == 0 || stream.write_all(&buffer[..n]).await.is_err() {
            break;
        }
    }
    let _ = stream.shutdown().await;
}

fn full(text: impl Into<Bytes>) -> BoxBody<Bytes, hyper::Error> {
    Full::new(text.into()).map_err(|never| match never {}).boxed()
}
