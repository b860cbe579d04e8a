//! A gateway's port: strangers' connections, in plain or by TLS with the certificate that their SNI asks for; HTTP/1 or HTTP/2, as ALPN or the
//! first bytes say.

use crate::http::{self, Client, Ingress};
use crate::snapshot::Snapshot;
use crate::worker::Worker;
use bytes::BytesMut;
use identity::alpn;
use model::{Certificate, HostPattern, Key, Listener, ListenerProtocol};
use rustls::ServerConfig;
use rustls::time_provider::DefaultTimeProvider;
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use telemetry::Security;
use transport::tls::Certificates;
use transport::{Stream, h1, tls};

/// A certificate, and the names that it is shown to.
type Shown = (HostPattern, Arc<Certificate>);

/// What one port of a gateway can show, kept in step with the snapshot.
pub struct Tls {
    gateway: Key,
    certificates: Arc<Certificates>,
    config: Option<Arc<ServerConfig>>,
    seen: Cell<Option<u64>>,
    shown: RefCell<Vec<Shown>>,
}

impl Tls {
    pub fn new(gateway: &Key) -> Self {
        let certificates = Arc::new(Certificates::default());
        let config = tls::gateway_config(certificates.clone(), Arc::new(DefaultTimeProvider));
        let config = config.inspect_err(|e| tracing::error!("no TLS: {e}")).ok();
        Self { gateway: gateway.clone(), certificates, config, seen: Cell::new(None), shown: RefCell::default() }
    }

    /// The configuration for a port. Where its listeners speak TLS, nothing else is spoken there.
    fn config(&self, worker: &Worker, port: u16) -> Speaks {
        let snapshot = worker.snapshot();
        let listeners = snapshot.table.listeners_of(&self.gateway);
        let secured: Vec<_> = listeners.iter().filter(|l| l.port == port && l.protocol == ListenerProtocol::Https).collect();
        if secured.is_empty() {
            return Speaks::Plain;
        }
        if self.seen.replace(Some(snapshot.generation)) != Some(snapshot.generation) {
            self.put(usable(&snapshot, &secured));
        }
        self.config.clone().map_or(Speaks::Nothing, Speaks::Tls)
    }

    fn put(&self, all: Vec<Shown>) {
        let same = |(a, b): (&Shown, &Shown)| a.0 == b.0 && Arc::ptr_eq(&a.1, &b.1);
        let mut shown = self.shown.borrow_mut();
        if shown.len() == all.len() && shown.iter().zip(&all).all(same) {
            return;
        }
        match self.certificates.put(all.iter().map(|(pattern, certificate)| (pattern.clone(), &**certificate))) {
            Ok(()) => *shown = all,
            Err(e) => tracing::warn!("{e}"),
        }
    }
}

enum Speaks {
    Plain,
    Tls(Arc<ServerConfig>),
    /// TLS that cannot be spoken: nobody is let in.
    Nothing,
}

/// Certificates of these listeners; one that cannot be used costs its own listener only.
fn usable(snapshot: &Snapshot, listeners: &[&Arc<Listener>]) -> Vec<Shown> {
    let mut all = Vec::new();
    for listener in listeners {
        for key in listener.tls.iter().flat_map(|tls| &tls.certificates) {
            match snapshot.certificates.get(key) {
                None => tracing::warn!("certificate {key} is not here yet"),
                Some(certificate) => match identity::certified_key(&certificate.chain, &certificate.private_key) {
                    Ok(_) => all.push((listener.hostname.clone(), certificate.clone())),
                    Err(e) => tracing::warn!("certificate {key} cannot be used: {e}"),
                },
            }
        }
    }
    all
}

/// One connection of a stranger.
pub async fn serve(worker: Rc<Worker>, stream: Stream, address: SocketAddr, gateway: Key, port: u16, tls: &Tls) {
    let (stream, proof) = match tls.config(&worker, port) {
        Speaks::Nothing => return,
        Speaks::Plain => (stream, None),
        Speaks::Tls(config) => match tls::accept(stream, config).await {
            Ok(stream) => {
                let proof = tls::proof(&stream).unwrap_or_default();
                (stream, Some(proof))
            }
            // Strangers whose handshake fails are told by TLS itself.
            Err(_) => return,
        },
    };
    let security = if proof.is_some() { Security::Tls } else { Security::Plain };
    let is_h2 = proof.as_ref().is_some_and(|proof| proof.alpn.as_deref() == Some(alpn::H2));
    let ingress = Ingress::Gateway { gateway, port, sni: proof.map(|proof| proof.sni) };
    let client = Client::new(ingress, Some(address), worker.unknown(), security);
    match is_h2 {
        true => http::serve_h2(worker, stream, BytesMut::new(), client).await,
        false => http::serve(worker, h1::Connection::new(stream), client).await,
    }
}
