//! One question, one connection: nothing is kept that could be stale.

use crate::limits;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use identity::alpn;
use identity::pem::SystemRoots;
use model::backend::{Shown, UpstreamRoots};
use model::url::escaped;
use model::{BaseUrl, Hostname, UpstreamTls};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::fmt::{self, Write};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

#[derive(Debug)]
pub(super) struct Door {
    url: BaseUrl,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Prometheus at {}", self.url)
    }
}

impl Door {
    pub fn new(url: BaseUrl) -> Result<Self, identity::Error> {
        let named = Hostname::parse(&url.host).ok().zip(ServerName::try_from(url.host.to_string()).ok());
        let tls = match named.filter(|_| url.tls) {
            None => None,
            Some((server_name, name)) => {
                let tls = UpstreamTls { server_name, subject_alt_names: Vec::new(), roots: UpstreamRoots::System, shown: Shown::Nothing };
                let time = Arc::new(rustls::time_provider::DefaultTimeProvider);
                Some((identity::outside_client_config(&tls, &SystemRoots::OfMachine, None, &[alpn::HTTP1], time)?, name))
            }
        };
        Ok(Self { url, tls })
    }

    fn port(&self) -> u16 {
        self.url.port.unwrap_or(if self.url.tls { 443 } else { 80 })
    }

    /// The body of a 200, or of a refusal in Prometheus' own words. The caller bounds the time.
    pub async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Bytes, String> {
        let mut target = format!("{}{path}?", self.url.prefix);
        for (i, (name, value)) in query.iter().enumerate() {
            let _ = write!(target, "{}{name}={}", if i > 0 { "&" } else { "" }, escaped(value));
        }
        let tcp = TcpStream::connect((&*self.url.host, self.port())).await.map_err(|e| format!("is not reached: {e}"))?;
        match &self.tls {
            None => self.exchange(tcp, &target).await,
            Some((config, name)) => {
                let tls = TlsConnector::from(config.clone()).connect(name.clone(), tcp).await;
                self.exchange(tls.map_err(|e| format!("is not believed: {e}"))?, &target).await
            }
        }
    }

    async fn exchange(&self, io: impl AsyncRead + AsyncWrite + Unpin, target: &str) -> Result<Bytes, String> {
        let broken = |e: hyper::Error| format!("broke off: {e}");
        let (mut client, connection) = http1::handshake(TokioIo::new(io)).await.map_err(broken)?;
        let request = Request::get(target)
            .header("host", format!("{}:{}", BaseUrl::bracketed(&self.url.host), self.port()))
            .header("user-agent", concat!("organza/", env!("CARGO_PKG_VERSION")))
            .body(Empty::<Bytes>::new())
            .map_err(|e| e.to_string())?;
        let asked = async move {
            let answer = client.send_request(request).await.map_err(broken)?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), limits::PROMETHEUS_BYTES).collect().await;
            Ok::<_, String>((
                status,
                body.map_err(|_| format!("answers more than {} bytes, or broke off", limits::PROMETHEUS_BYTES))?.to_bytes(),
            ))
        };
        let (asked, connection) = (std::pin::pin!(asked), std::pin::pin!(connection));
        // The connection moves only while it is awaited, and ends with what it is for.
        let told = match futures_util::future::select(asked, connection).await {
            futures_util::future::Either::Left((told, _)) => told,
            futures_util::future::Either::Right((_, asked)) => asked.await,
        };
        match told? {
            (StatusCode::OK | StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY, body) => Ok(body),
            (status, _) => Err(format!("answers {status}")),
        }
    }
}
