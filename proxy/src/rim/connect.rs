//! One connection to the control plane: TCP, mutual TLS, HTTP/2. Only the control plane's own identity is accepted at the other end.

use crate::config::Config;
use crate::limits;
use hyper_util::rt::TokioIo;
use identity::{Credentials, Expected, alpn};
use rustls::pki_types::ServerName;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::transport::{Channel, Endpoint, Uri};
use transport::rt;

/// The first of the configured addresses that answers as the control plane.
pub(super) async fn channel(config: &Config, credentials: &Credentials) -> Result<Channel, String> {
    let expected = config.control.identity().ok_or("trust domain names no control plane")?;
    // Taken along: tonic dials on a task of its own.
    let here = rt::Here::now();
    let time = Arc::new(here.clone());
    let tls = identity::client_config(credentials, Expected::one(expected), &[alpn::H2], time).map_err(|error| error.to_string())?;
    let mut why = String::new();
    for address in &config.control.addresses {
        let tls = TlsConnector::from(tls.clone());
        let (address, here) = (*address, here.clone());
        let connector = tower::service_fn(move |_: Uri| {
            let (tls, here) = (tls.clone(), here.clone());
            async move { dial(&here, address, &tls).await.map(TokioIo::new) }
        });
        let endpoint = Endpoint::from_static("http://control.organza").connect_timeout(limits::CONNECT);
        let endpoint = endpoint.http2_keep_alive_interval(limits::ANSWER).keep_alive_timeout(limits::ANSWER);
        match endpoint.connect_with_connector(connector).await {
            Ok(channel) => return Ok(channel),
            Err(error) => why = format!("{address}: {}", chain(&error)),
        }
    }
    Err(why)
}

async fn dial(here: &rt::Here, address: SocketAddr, tls: &TlsConnector) -> std::io::Result<TlsStream<rt::Socket>> {
    let stream = here.connect(address).await?;
    tls.connect(ServerName::IpAddress(address.ip().into()), stream).await
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    text
}

pub(super) fn text(status: &tonic::Status) -> String {
    format!("{:?}: {}", status.code(), status.message())
}
