//! One request to a collector, on a connection of its own: each second one is no cost, and nothing is kept that could be stale.

use super::words::{self, Sender};
use crate::{limits, parts};
use bytes::Bytes;
use futures_util::future::{self, Either};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use identity::alpn;
use identity::pem::SystemRoots;
use model::telemetry::{Collector, CollectorProtocol, SpanWords};
use model::{BaseUrl, UpstreamTls};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tonic::transport::{Endpoint, Uri};
use transport::rt;
use wire::otlp;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Path {
    Traces,
    Logs,
}

/// Whom collectors by TLS are known by.
#[derive(Debug)]
pub(super) struct Trust {
    system_roots: SystemRoots,
    /// Of the last one: roots are many, and read once.
    known: RefCell<Option<(Collector, Arc<ClientConfig>)>>,
}

impl Trust {
    pub fn new(system_roots: SystemRoots) -> Self {
        Self { system_roots, known: RefCell::default() }
    }

    fn config(&self, to: &Collector, tls: &UpstreamTls) -> Result<Arc<ClientConfig>, String> {
        if let Some((_, config)) = self.known.borrow().as_ref().filter(|(known, _)| known == to) {
            return Ok(config.clone());
        }
        let alpn: &[&[u8]] = match to.protocol {
            CollectorProtocol::Grpc => &[alpn::H2],
            CollectorProtocol::Http => &[alpn::HTTP1],
        };
        let config = identity::outside_client_config(tls, &self.system_roots, None, alpn, Arc::new(rt::Here::now()));
        let config = config.map_err(|error| error.to_string())?;
        *self.known.borrow_mut() = Some((to.clone(), config.clone()));
        Ok(config)
    }
}

/// A connection, by TLS or not.
trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// How many of them the collector refused.
pub(super) async fn send(to: &Collector, path: Path, trust: &Trust, sender: &Sender, lines: &[String]) -> Result<u64, String> {
    let usual = SpanWords::default();
    let answer = match path {
        Path::Traces => {
            let spans = parts::of_lines(lines, |line| words::spans_of(line, &usual)).await;
            ask(to, trust, ("/v1/traces", otlp::TRACES), words::traces(spans, sender, &usual)).await?
        }
        Path::Logs => {
            let records = parts::of_lines(lines, words::record_of).await;
            ask(to, trust, ("/v1/logs", otlp::LOGS), words::logs(records, sender)).await?
        }
    };
    Ok(refused(&answer))
}

pub(super) fn refused(answer: &otlp::Answer) -> u64 {
    answer.partial_success.as_ref().map_or(0, |partial| u64::try_from(partial.rejected).unwrap_or(0))
}

async fn open(
    here: &rt::Here,
    address: SocketAddr,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
) -> std::io::Result<Box<dyn Wire>> {
    let tcp = here.connect(address).await?;
    Ok(match tls {
        None => Box::new(tcp),
        Some((config, name)) => Box::new(TlsConnector::from(config).connect(name, tcp).await?),
    })
}

fn secured(to: &Collector, trust: &Trust) -> Result<Option<(Arc<ClientConfig>, ServerName<'static>)>, String> {
    let Some(tls) = &to.tls else { return Ok(None) };
    let name = ServerName::try_from(tls.server_name.as_str().to_owned()).map_err(|error| error.to_string())?;
    Ok(Some((trust.config(to, tls)?, name)))
}

async fn address(to: &Collector) -> Result<SocketAddr, String> {
    if let Ok(ip) = to.host.parse::<std::net::IpAddr>() {
        return Ok(SocketAddr::new(ip, to.port));
    }
    let mut found = tokio::net::lookup_host((&*to.host, to.port)).await.map_err(|error| error.to_string())?;
    found.next().ok_or_else(|| format!("{} has no address", to.host))
}

/// `paths`: by HTTP and by gRPC.
async fn ask<M: otlp::Sent>(to: &Collector, trust: &Trust, paths: (&str, &'static str), request: M) -> Result<otlp::Answer, String> {
    match to.protocol {
        CollectorProtocol::Grpc => grpc(to, trust, paths.1, request).await,
        CollectorProtocol::Http => {
            let body = otlp::bytes(&request);
            drop(request);
            parts::rest().await;
            http(to, trust, paths.0, body).await
        }
    }
}

async fn grpc<M: otlp::Sent>(to: &Collector, trust: &Trust, method: &'static str, request: M) -> Result<otlp::Answer, String> {
    let (address, here, tls) = (address(to).await?, rt::Here::now(), secured(to, trust)?);
    let connector = tower::service_fn(move |_: Uri| {
        let (here, tls) = (here.clone(), tls.clone());
        async move { open(&here, address, tls).await.map(TokioIo::new) }
    });
    // TLS is our own, by the roots that the policy names: to tonic it is a connection like any.
    let plain = BaseUrl { tls: false, host: to.host.clone(), port: Some(to.port), prefix: to.prefix.clone() };
    let endpoint = Endpoint::from_shared(plain.to_string()).map_err(|error| error.to_string())?;
    let channel = endpoint.connect_with_connector(connector).await.map_err(|error| error.to_string())?;
    otlp::export(channel, method, request).await.map_err(|status| format!("{:?}: {}", status.code(), status.message()))
}

async fn http(to: &Collector, trust: &Trust, path: &str, body: Vec<u8>) -> Result<otlp::Answer, String> {
    let stream = open(&rt::Here::now(), address(to).await?, secured(to, trust)?).await.map_err(|error| error.to_string())?;
    parts::rest().await;
    let (mut client, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let request = Request::post(format!("{}{path}", to.prefix))
        .header("host", format!("{}:{}", BaseUrl::bracketed(&to.host), to.port))
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
