//! A gateway's port: strangers' connections, in plain or by TLS with the certificate that their SNI asks for; HTTP/1 or HTTP/2, as ALPN or the
//! first bytes say, or bytes that are carried unread. Where listeners of several kinds share a port, the SNI says whose a connection is.

mod vouched;

pub use vouched::Vouched;

use crate::access::again;
use crate::doors::Room;
use crate::http::{self, Client, Ingress, Stop};
use crate::l4::listener::{self, Knock};
use crate::snapshot::Snapshot;
use crate::worker::Worker;
use bytes::BytesMut;
use identity::alpn;
use model::{Certificate, ClientCertificates, Fault, FrontLimits, HostPattern, Hostname, Key, Listener, ListenerProtocol, ProxyProtocol};
use routing::Spoken;
use rustls::ServerConfig;
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use telemetry::Security;
use transport::proxy_protocol::{self, Told};
use transport::tls::{Certificates, Peeked, Proof};
use transport::{Bounds, Error, Stream, h1, tls};

/// A certificate, and the names that it is shown to.
type Shown = (HostPattern, Arc<Certificate>);

/// TLS with HTTP inside, as one answer to the question of what clients must show.
#[derive(Clone)]
struct Http {
    clients: ClientCertificates,
    config: Arc<ServerConfig>,
}

/// What one port of a gateway can show, kept in step with the snapshot.
pub struct Tls {
    gateway: Key,
    certificates: Arc<Certificates>,
    /// For HTTP inside, with what its clients must show. Without one nobody is let in.
    http: RefCell<Option<Http>>,
    /// For bytes.
    opaque: Option<Arc<ServerConfig>>,
    seen: Cell<Option<u64>>,
    shown: RefCell<Vec<Shown>>,
    /// Of the listener.
    room: Arc<Room>,
}

impl Tls {
    pub fn new(gateway: &Key, room: Arc<Room>) -> Self {
        let certificates = Arc::new(Certificates::default());
        let time = Arc::new(transport::rt::Here::now());
        let opaque = tls::opaque_config(certificates.clone(), time).inspect_err(|e| tracing::error!("no TLS: {e}")).ok();
        let (http, seen, shown) = (RefCell::default(), Cell::new(None), RefCell::default());
        Self { gateway: gateway.clone(), certificates, http, opaque, seen, shown, room }
    }

    /// Brings what is shown on the port in step with the snapshot.
    fn refresh(&self, snapshot: &Snapshot, port: u16) {
        if self.seen.replace(Some(snapshot.generation)) != Some(snapshot.generation) {
            let listeners = snapshot.table.listeners_of(&self.gateway);
            self.put(usable(snapshot, listeners.iter().filter(|l| l.port == port)));
            self.ask(asked(listeners.iter().filter(|l| l.port == port)));
        }
    }

    /// Sets what clients must show from now on. Connections that are open stay; whether their requests are still taken, each listener says.
    fn ask(&self, clients: Option<&ClientCertificates>) {
        let mut http = self.http.borrow_mut();
        if http.as_ref().map(|http| &http.clients) == clients {
            return;
        }
        // Whatever goes wrong here, the port is closed rather than open to those who show nothing.
        *http = clients.and_then(|clients| {
            let made = tls::gateway_config(self.certificates.clone(), clients, Arc::new(transport::rt::Here::now()));
            let config = made.inspect_err(|e| tracing::error!("no TLS for {}: {e}", self.gateway)).ok()?;
            Some(Http { clients: clients.clone(), config })
        });
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

/// What HTTPS clients of one port must show; `None` where its listeners do not agree, for it is asked before a name is believed.
fn asked<'s>(mut listeners: impl Iterator<Item = &'s Arc<Listener>>) -> Option<&'s ClientCertificates> {
    let serving = |l: &&'s Arc<Listener>| l.protocol == ListenerProtocol::Https && l.broken.is_none();
    let of = |listener: &'s Arc<Listener>| listener.tls.as_ref().map(|tls| &tls.clients);
    // Where nothing is served nobody need show anything to hear so.
    let Some(first) = listeners.find(serving).map(of) else { return Some(&ClientCertificates::Unasked) };
    if listeners.filter(serving).all(|listener| of(listener) == first) {
        return first;
    }
    tracing::error!("no TLS: listeners of one port ask clients for different certificates");
    None
}

/// Certificates of these listeners; one that cannot be used costs its own listener only.
fn usable<'s>(snapshot: &Snapshot, listeners: impl Iterator<Item = &'s Arc<Listener>>) -> Vec<Shown> {
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

/// One connection of a stranger, and what is still to be done with it.
pub async fn serve(worker: Rc<Worker>, stream: Stream, address: SocketAddr, gateway: Key, port: u16, tls: &Tls) -> Option<http::Serving> {
    let limits = front(&worker, &gateway, port).map(|listener| listener.front.limits).unwrap_or_default();
    tls.room.allow(limits.connections.map(|most| most as usize), limits.handshakes.map(|most| most as usize));
    let Ok((stream, address)) = Box::pin(fronted(&worker, stream, address, &gateway, port)).await else { return None };
    // No connection holds a snapshot longer than it takes to decide.
    let snapshot = worker.snapshot();
    let gate = Gate { worker, address, gateway, port, tls, bounds: bounds(limits), requests: limits.requests };
    match snapshot.table.spoken(&gate.gateway, port) {
        Spoken::Nothing => {}
        Spoken::Http => {
            drop(snapshot);
            return Some(gate.requests(stream, None, None));
        }
        Spoken::Https => {
            drop(snapshot);
            Box::pin(gate.https(stream, &[])).await;
        }
        Spoken::Tls => {
            drop(snapshot);
            Box::pin(gate.by_name(stream)).await;
        }
        Spoken::Tcp(listener) => {
            let knock = Knock { address, listener: listener.clone(), sni: None };
            drop(snapshot);
            Box::pin(listener::carry(&gate.worker, h1::Connection::new(stream), knock)).await;
        }
    }
    None
}

/// Any listener of the port: what is in front of all of them is the same.
fn front(worker: &Worker, gateway: &Key, port: u16) -> Option<Arc<Listener>> {
    worker.snapshot().table.listeners_of(gateway).iter().find(|listener| listener.port == port).cloned()
}

/// What holds for a connection for as long as it lives; others that come later may have other bounds.
fn bounds(limits: FrontLimits) -> Bounds {
    let default = Bounds::default();
    Bounds {
        head_bytes: limits.head_bytes.map_or(default.head_bytes, |most| (most as usize).min(default.head_bytes)),
        head_time: limits.head_time.unwrap_or(default.head_time),
        idle: limits.idle.unwrap_or(default.idle),
        body_idle: limits.body_idle.unwrap_or(default.body_idle),
        handshake_time: limits.handshake_time.unwrap_or(default.handshake_time),
        streams: limits.streams.unwrap_or(default.streams),
        ..default
    }
}

/// What comes before the caller's own bytes: who it is, where a load balancer says so. Refusals are recorded here.
async fn fronted(
    worker: &Rc<Worker>,
    mut stream: Stream,
    address: SocketAddr,
    gateway: &Key,
    port: u16,
) -> Result<(Stream, SocketAddr), ()> {
    let Some(listener) = front(worker, gateway, port) else { return Ok((stream, address)) };
    let ProxyProtocol::Require(trusted) = &listener.front.proxy_protocol else { return Ok((stream, address)) };
    let told = match trusted.iter().any(|block| block.contains(address.ip())) {
        true => proxy_protocol::read(&mut stream).await,
        false => {
            Err(Error::new(Fault::AccessDenied, "only trusted sources may bring connections here").with_cause("proxy_protocol_untrusted"))
        }
    };
    match told {
        Ok(Told::Caller { source, .. }) => Ok((stream, source)),
        Ok(Told::Nothing) => Ok((stream, address)),
        Err(error) => {
            worker.ended(&error);
            listener::refuse(worker, address, None, error.into());
            Err(())
        }
    }
}

/// Where a stranger came in.
struct Gate<'t> {
    worker: Rc<Worker>,
    address: SocketAddr,
    gateway: Key,
    port: u16,
    tls: &'t Tls,
    bounds: Bounds,
    /// That the connection may carry.
    requests: Option<u32>,
}

impl Gate<'_> {
    /// `vouched`: the certificate that was required of the client. When it is believed no more the connection ends, and first what is under way on it.
    async fn http(self, stream: Stream, proof: Option<Proof>, vouched: Option<Rc<Vouched>>) {
        let Some(shown) = vouched.clone() else { return self.requests(stream, proof, None).await };
        let (worker, gateway, port) = (self.worker.clone(), self.gateway.clone(), self.port);
        let sni = proof.as_ref().and_then(|proof| proof.sni.clone()).unwrap_or_default();
        let judge = || {
            let snapshot = worker.snapshot();
            let roots = snapshot.table.listener_for(&gateway, port, true, &sni).and_then(|listener| listener.roots_of_clients());
            roots.map_or(Ok(()), |roots| shown.still(roots))
        };
        let served = self.requests(stream, proof, vouched);
        if let Err(stop) = again::while_believed(&worker.again, judge, served).await {
            worker.ended(&Error::new(stop.fault, stop.why).with_cause("tls_client_certificate_untrusted"));
        }
    }

    fn requests(self, stream: Stream, proof: Option<Proof>, vouched: Option<Rc<Vouched>>) -> http::Serving {
        let security = if proof.is_some() { Security::Tls } else { Security::Plain };
        let is_h2 = proof.as_ref().is_some_and(|proof| proof.alpn.as_deref() == Some(alpn::H2));
        let tls = proof.map(|proof| http::Secured { sni: proof.sni, vouched });
        let ingress = Ingress::Gateway { gateway: self.gateway, port: self.port, tls };
        let client = Client::new(ingress, Some(self.address), self.worker.unknown(), security).bounded(self.bounds, self.requests);
        match is_h2 {
            true => Box::pin(http::serve_h2(self.worker, stream, BytesMut::new(), client)),
            false => http::serve(self.worker, h1::Connection::new(stream).bounded(self.bounds), client),
        }
    }

    /// `read` was read of the ClientHello before.
    async fn https(self, stream: Stream, read: &[u8]) {
        self.tls.refresh(&self.worker.snapshot(), self.port);
        let Some(Http { clients, config }) = self.tls.http.borrow().clone() else { return };
        let shaking = self.tls.room.handshake();
        let mut stream = match tls::accept_read(stream, read, config, self.bounds.handshake_time).await {
            Ok(stream) => stream,
            // Strangers whose handshake fails are told by TLS itself.
            Err(error) => return self.worker.ended(&self.tls.certificates.missed().unwrap_or(error)),
        };
        drop(shaking);
        self.worker.watch(&mut stream);
        let proof = tls::proof(&stream).unwrap_or_default();
        let vouched = match clients {
            ClientCertificates::Required(roots) => Some(Rc::new(Vouched::new(tls::chain(&stream), roots, transport::rt::wall()))),
            ClientCertificates::Unasked | ClientCertificates::Insecure(_) => None,
        };
        self.http(stream, Some(proof), vouched).await;
    }

    /// TLS of which the server name says whose it is.
    async fn by_name(self, stream: Stream) {
        let shaking = self.tls.room.handshake();
        let Peeked { stream, read, sni } = match tls::peek(stream, self.bounds.handshake_time).await {
            Ok(peeked) => peeked,
            // Who only looks whether the port is open is no news.
            Err(error) if error.nothing_received && error.fault == Fault::DownstreamClosed => return,
            Err(error) => return listener::refuse(&self.worker, self.address, None, error.into()),
        };
        let sni = sni.as_ref().map(Hostname::as_str);
        let found = self.worker.snapshot().table.listener_for(&self.gateway, self.port, true, sni.unwrap_or("")).cloned();
        let Some(listener) = found else {
            let stop = Stop::new(Fault::NoRoute, routing::Reason::NoListener.to_string());
            return listener::refuse(&self.worker, self.address, sni, stop);
        };
        let connection = match listener.protocol {
            ListenerProtocol::Https => {
                drop(shaking);
                return Box::pin(self.https(stream, &read)).await;
            }
            // What cannot serve is refused with its reason, before a certificate is missed.
            ListenerProtocol::TlsTerminate if listener.broken.is_none() => {
                self.tls.refresh(&self.worker.snapshot(), self.port);
                let Some(config) = self.tls.opaque.clone() else { return };
                match tls::accept_read(stream, &read, config, self.bounds.handshake_time).await {
                    Ok(mut stream) => {
                        self.worker.watch(&mut stream);
                        h1::Connection::new(stream)
                    }
                    Err(error) => {
                        let error = self.tls.certificates.missed().unwrap_or(error);
                        self.worker.ended(&error);
                        return listener::refuse(&self.worker, self.address, sni, error.into());
                    }
                }
            }
            _ => h1::Connection::with_read(stream, read),
        };
        drop(shaking);
        let knock = Knock { address: self.address, listener, sni: sni.map(Arc::from) };
        Box::pin(listener::carry(&self.worker, connection, knock)).await;
    }
}
