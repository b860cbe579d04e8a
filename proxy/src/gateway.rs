//! A gateway's port: strangers' connections, in plain or by TLS with the certificate that their SNI asks for.

use crate::http::{self, Client, Ingress};
use crate::worker::Worker;
use model::{Key, ListenerProtocol};
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use telemetry::{Peer, Security};
use transport::{Stream, h1, tls};

/// Certificates of a gateway by SNI, made anew when the snapshot changes.
pub struct Tls {
    gateway: Key,
    made: RefCell<Option<(u64, Arc<ServerConfig>)>>,
}

impl Tls {
    pub fn new(_worker: &Worker, gateway: &Key) -> Self {
        Self { gateway: gateway.clone(), made: RefCell::new(None) }
    }

    /// The configuration for a port, or `None` where its listeners speak plainly.
    fn config(&self, worker: &Worker, port: u16) -> Option<Arc<ServerConfig>> {
        let snapshot = worker.snapshot();
        let listeners = snapshot.table.listeners_of(&self.gateway);
        let mut secured = listeners.iter().filter(|l| l.port == port && l.protocol == ListenerProtocol::Https).peekable();
        secured.peek()?;
        if let Some((generation, config)) = &*self.made.borrow()
            && *generation == snapshot.generation
        {
            return Some(config.clone());
        }
        let mut names = Vec::new();
        for listener in secured {
            for key in listener.tls.iter().flat_map(|tls| &tls.certificates) {
                let made = snapshot.certificates.get(key).map(|c| identity::certified_key(&c.chain, &c.private_key));
                match made {
                    Some(Ok(certified)) => names.push((listener.hostname.clone(), Arc::new(certified))),
                    Some(Err(e)) => tracing::warn!("certificate {key} cannot be used: {e}"),
                    None => tracing::warn!("certificate {key} is not here yet"),
                }
            }
        }
        names.sort_by_key(|(pattern, _)| std::cmp::Reverse(pattern.specificity()));
        let config = identity::gateway_server_config(Arc::new(BySni(names))).ok()?;
        *self.made.borrow_mut() = Some((snapshot.generation, config.clone()));
        Some(config)
    }
}

#[derive(Debug)]
struct BySni(Vec<(model::HostPattern, Arc<CertifiedKey>)>);

impl ResolvesServerCert for BySni {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().unwrap_or("").to_ascii_lowercase();
        self.0.iter().find(|(pattern, _)| pattern.matches(&name)).map(|(_, certified)| certified.clone())
    }
}

/// One connection of a stranger.
pub async fn serve(worker: Rc<Worker>, stream: Stream, address: SocketAddr, gateway: Key, port: u16, tls: &Tls) {
    let (stream, sni, security) = match tls.config(&worker, port) {
        None => (stream, None, Security::Plain),
        Some(config) => match tls::accept(stream, config).await {
            Ok(stream) => {
                let sni = tls::proof(&stream).and_then(|proof| proof.sni);
                (stream, Some(sni), Security::Tls)
            }
            // Strangers whose handshake fails are told by TLS itself.
            Err(_) => return,
        },
    };
    let peer = Arc::new(Peer::unknown());
    let client = Client { ingress: Ingress::Gateway { gateway, port, sni }, address: Some(address), peer, security };
    http::serve(worker, h1::Connection::new(stream), client).await;
}
