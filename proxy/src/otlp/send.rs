//! One request to a collector, on a connection of its own: each second one is no cost, and nothing is kept that could be stale.

use super::words::{self, Sender};
use crate::limits;
use bytes::Bytes;
use futures_util::future::{self, Either};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use model::telemetry::{Collector, CollectorProtocol};
use std::net::SocketAddr;
use tonic::transport::{Endpoint, Uri};
use transport::rt;
use wire::otlp;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Path {
    Traces,
    Logs,
}

/// How many of them the collector refused.
pub(super) async fn send(to: &Collector, path: Path, sender: &Sender, lines: &[String]) -> Result<u64, String> {
    let answer = match (to.protocol, path) {
        (CollectorProtocol::Grpc, Path::Traces) => grpc(to, otlp::TRACES, words::of_spans(lines, sender)).await?,
        (CollectorProtocol::Grpc, Path::Logs) => grpc(to, otlp::LOGS, words::of_lines(lines, sender)).await?,
        (CollectorProtocol::Http, Path::Traces) => http(to, "/v1/traces", otlp::bytes(&words::of_spans(lines, sender))).await?,
        (CollectorProtocol::Http, Path::Logs) => http(to, "/v1/logs", otlp::bytes(&words::of_lines(lines, sender))).await?,
    };
    Ok(answer.partial_success.map_or(0, |partial| u64::try_from(partial.rejected).unwrap_or(0)))
}

async fn address(to: &Collector) -> Result<SocketAddr, String> {
    if let Ok(ip) = to.host.parse::<std::net::IpAddr>() {
        return Ok(SocketAddr::new(ip, to.port));
    }
    let mut found = tokio::net::lookup_host((&*to.host, to.port)).await.map_err(|error| error.to_string())?;
    found.next().ok_or_else(|| format!("{} has no address", to.host))
}

async fn grpc<M: otlp::Sent>(to: &Collector, method: &'static str, request: M) -> Result<otlp::Answer, String> {
    let (address, here) = (address(to).await?, rt::Here::now());
    let connector = tower::service_fn(move |_: Uri| {
        let here = here.clone();
        async move { here.connect(address).await.map(TokioIo::new) }
    });
    let endpoint = Endpoint::from_shared(to.to_string()).map_err(|error| error.to_string())?;
    let channel = endpoint.connect_with_connector(connector).await.map_err(|error| error.to_string())?;
    otlp::export(channel, method, request).await.map_err(|status| format!("{:?}: {}", status.code(), status.message()))
}

async fn http(to: &Collector, path: &str, body: Vec<u8>) -> Result<otlp::Answer, String> {
    let stream = rt::Here::now().connect(address(to).await?).await.map_err(|error| error.to_string())?;
    let (mut client, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let request = Request::post(format!("{}{path}", to.prefix))
        .header("host", format!("{}:{}", to.host, to.port))
        .header("content-type", "application/x-protobuf")
        .header("user-agent", concat!("organza/", env!("CARGO_PKG_VERSION")))
        .body(Full::new(Bytes::from(body)));
    let request = request.map_err(|error| error.to_string())?;
    let exchange = std::pin::pin!(async move {
        let answer = client.send_request(request).await?;
        Ok::<_, hyper::Error>((answer.status(), Limited::new(answer.into_body(), limits::OTLP_ANSWER).collect().await))
    });
    // The connection moves only while it is awaited, and ends with what it is for.
    let told = match future::select(exchange, std::pin::pin!(connection)).await {
        Either::Left((told, _)) => told,
        Either::Right((_, exchange)) => exchange.await,
    };
    let (status, body) = told.map_err(|error| error.to_string())?;
    let body = body.map_err(|error| error.to_string())?.to_bytes();
    match status {
        StatusCode::OK => otlp::read(&body),
        status => Err(format!("it answered {status}")),
    }
}
