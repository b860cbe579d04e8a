//! How an endpoint is reached: plainly, by TLS to a host outside, or through another Organza proxy by mutual TLS. Connections are pooled by
//! everything that makes them interchangeable, the identities that may answer included.

use crate::guard::Counted;
use crate::map::Map;
use crate::snapshot::Snapshot;
use crate::worker::Worker;
use crate::{limits, worker};
use bytes::BytesMut;
use identity::alpn;
use model::backend::{BackendTls, ExternalName, Shown, UpstreamTls};
use model::{Certificate, Endpoint, ExternalHost, Fault, Key, Service, SpiffeId, Tunnel};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;
use telemetry::{Peer, Security};
use transport::h1::Reader;
use transport::open::Open;
use transport::preface::{Framing, Hello, Preface, Welcome, read};
use transport::proxy_protocol::{self, Told};
use transport::{Error, Stream, h1, h2, rt, tls};

mod members;
mod seats;
mod trunks;
mod turns;
use members::Dialled;
pub use members::Members;
use seats::Got;
pub use seats::{Kept, Pooled, Queued, REFUSED, Room};
pub use trunks::Trunks;
use turns::Turns;

/// How bytes go to an address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Via {
    Plain,
    Tls(Outside),
    /// `organza/1`: whoever answers must be one of these, and is told which service was dialled.
    Organza {
        expected: Arc<[SpiffeId]>,
        service: Key,
        port: u16,
    },
    /// HBONE: CONNECT to this authority on a connection to one of these.
    Hbone {
        expected: Arc<[SpiffeId]>,
        authority: Arc<str>,
    },
}

impl Via {
    /// Out of the mesh, with the certificate that is to be shown.
    ///
    /// # Errors
    /// If there is none to show where one must be.
    fn outside(snapshot: &Snapshot, tls: Option<&Arc<UpstreamTls>>) -> Result<Self, Error> {
        let Some(tls) = tls else { return Ok(Self::Plain) };
        let shown = match &tls.shown {
            Shown::Nothing => None,
            Shown::Gateways => snapshot.shown.clone().map_err(|why| Error::new(Fault::InvalidBackend, why.to_string()))?,
            Shown::Own(key) => {
                let why = || Error::new(Fault::InvalidBackend, format!("certificate {key} is to be shown, and is not here"));
                Some(snapshot.certificates.get(key).cloned().ok_or_else(why)?)
            }
        };
        Ok(Self::Tls(Outside { tls: tls.clone(), shown }))
    }
}

/// TLS that is not the mesh's own: what is believed, and what is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outside {
    pub tls: Arc<UpstreamTls>,
    pub shown: Option<Arc<Certificate>>,
}

/// Equal ones have equal hashes, and no request hashes a bundle of roots for it.
impl Hash for Outside {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.tls.server_name.hash(state);
        self.shown.as_ref().map(|shown| &shown.key).hash(state);
    }
}

/// The protocols that are offered within TLS.
pub type Alpn = &'static [&'static [u8]];

/// What makes two connections interchangeable.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UpstreamKey {
    pub address: SocketAddr,
    pub via: Via,
    /// What is spoken on it, inside whatever protects it.
    pub framing: Framing,
    /// Whose connections it is counted among; absent for what is no service, and for checks.
    pub counted: Option<Counted>,
    /// What the server is told by the PROXY protocol before all else: then a connection is one caller's.
    pub told: Option<Arc<[u8]>>,
}

impl UpstreamKey {
    pub fn plain(address: SocketAddr, framing: Framing) -> Self {
        Self { address, via: Via::Plain, framing, counted: None, told: None }
    }

    /// The way to an endpoint of a service.
    ///
    /// # Errors
    /// If the endpoint has no such port or no registered identity, or is called by TLS that cannot be used.
    pub fn endpoint(snapshot: &Snapshot, service: &Service, endpoint: &Endpoint, port: u16, framing: Framing) -> Result<Self, Error> {
        Self::towards(service, endpoint, port, framing, || match (&endpoint.tls, service.tls(port)) {
            (Some(tls), _) | (None, Some(BackendTls::Verified(tls))) => Via::outside(snapshot, Some(tls)),
            (None, Some(BackendTls::Broken(why))) => Err(Error::new(Fault::InvalidBackend, why.to_string())),
            (None, None) => Ok(Via::Plain),
        })
    }

    /// The same for bytes that are the caller's own TLS: none is put around them.
    ///
    /// # Errors
    /// If the endpoint has no such port or no registered identity.
    pub fn sealed(service: &Service, endpoint: &Endpoint, port: u16) -> Result<Self, Error> {
        Self::towards(service, endpoint, port, Framing::Tcp, || Ok(Via::Plain))
    }

    fn towards(
        service: &Service,
        endpoint: &Endpoint,
        port: u16,
        framing: Framing,
        outside: impl FnOnce() -> Result<Via, Error>,
    ) -> Result<Self, Error> {
        let target = || endpoint.target_port(port).ok_or_else(|| Error::new(Fault::NoEndpoint, "the endpoint has no such port"));
        let registered = || {
            let expected = worker::expected_identities(service, endpoint);
            match expected.is_empty() {
                true => Err(Error::new(Fault::IdentityMismatch, "the endpoint's identity is not registered for the service")),
                false => Ok(expected),
            }
        };
        let (address, via) = match &endpoint.tunnel {
            Tunnel::Organza(address) => (*address, Via::Organza { expected: registered()?, service: service.key.clone(), port }),
            Tunnel::Hbone(address) => {
                let authority = SocketAddr::new(endpoint.address, target()?).to_string().into();
                (*address, Via::Hbone { expected: registered()?, authority })
            }
            Tunnel::None => (SocketAddr::new(endpoint.address, target()?), outside()?),
        };
        Ok(Self { address, via, framing, counted: None, told: None })
    }

    /// As one of the service's connections, of which there may be so many.
    pub fn counted(self, by: Counted) -> Self {
        Self { counted: Some(by), ..self }
    }

    /// As the policy of the service's port has servers outside the mesh told who calls. Within it they know.
    pub fn told(self, service: &Service, port: u16, caller: Option<SocketAddr>) -> Self {
        let Some(version) = service.policy(port).and_then(|policy| policy.proxy_header) else { return self };
        match self.via {
            Via::Plain | Via::Tls(_) => {
                let told = caller.map_or(Told::Nothing, |source| Told::Caller { source, destination: self.address });
                Self { told: Some(proxy_protocol::header(version, told).into()), ..self }
            }
            Via::Organza { .. } | Via::Hbone { .. } => self,
        }
    }

    pub fn security(&self) -> Security {
        match self.via {
            Via::Plain => Security::Plain,
            Via::Tls(_) => Security::Tls,
            Via::Organza { .. } | Via::Hbone { .. } => Security::MutualTls,
        }
    }
}

/// A connection that is ready for a request, and whether it still owes us the peer's preface.
pub struct Upstream {
    pub pooled: Pooled,
    pub owes_welcome: bool,
}

/// Reads the peer's preface; a refusal is the fault that the peer names.
///
/// # Errors
/// The peer's refusal, or that it speaks something else.
pub async fn welcome(reader: &mut Reader) -> Result<Peer, Error> {
    welcomed(reader.preface().await?)
}

fn welcomed(welcome: Welcome) -> Result<Peer, Error> {
    match welcome {
        Welcome::Accepted(own) => Ok(Peer::claimed(&own.workload, &own.namespace, &own.app, &own.version, &own.cluster, None)),
        Welcome::Refused(fault) => Err(Error::new(fault, format!("refused by the peer: {}", fault.label()))),
    }
}

/// What carries one request: a connection of its own, or a place on one that is shared.
pub enum Way {
    H1(Upstream),
    H2(Multiplexed),
}

impl Way {
    /// Whether it carried a request before: only then can it have died unnoticed.
    pub fn is_reused(&self) -> bool {
        match self {
            Self::H1(up) => up.pooled.reused,
            Self::H2(up) => up.reused,
        }
    }

    /// Gives an HTTP/1 connection back for the next request.
    pub fn release(self, worker: &Worker) {
        if let Self::H1(up) = self {
            up.release(worker);
        }
    }
}

/// A place on an HTTP/2 connection.
pub struct Multiplexed {
    pub client: h2::Client,
    /// What the proxy at the other end says of itself.
    pub peer: Option<Peer>,
    pub reused: bool,
    _room: Option<Room>,
}

struct Shared {
    client: h2::Client,
    peer: Option<Peer>,
    opened: Instant,
    used: Instant,
}

/// The HTTP/2 connections of one worker, by everything that makes them interchangeable.
#[derive(Default)]
pub struct Multiplexing {
    open: Map<UpstreamKey, Vec<Shared>>,
    dialling: Turns<UpstreamKey>,
}

impl Multiplexing {
    fn take(&mut self, worker: &Rc<Worker>, key: &UpstreamKey, now: Instant) -> Option<Multiplexed> {
        let open = self.open.get_mut(key)?;
        open.retain(|one| one.client.is_usable());
        let young = |one: &&mut Shared| now.duration_since(one.opened) < transport::limits::POOL_LIFE && one.client.has_room();
        let one = open.iter_mut().find(young)?;
        one.used = now;
        Some(Multiplexed { client: one.client.clone(), peer: one.peer.clone(), reused: true, _room: Room::of(worker, key) })
    }

    fn put(&mut self, key: UpstreamKey, client: h2::Client, peer: Option<Peer>, now: Instant) {
        // Nobody else may say what its server was told.
        if key.told.is_some() {
            return;
        }
        let open = self.open.entry(key).or_default();
        // What is beyond the limit serves one request and ends with it.
        if open.len() < limits::H2_CONNECTIONS {
            open.push(Shared { client, peer, opened: now, used: now });
        }
    }

    /// No request begins on a connection that is open now.
    pub fn doubt(&mut self) {
        self.open.clear();
    }

    /// Closes what is closed already, too old, or was not used for long.
    pub fn sweep(&mut self, now: Instant) {
        self.open.retain(|_, open| {
            open.retain(|one| {
                let fresh = now.duration_since(one.used) < transport::limits::POOL_IDLE;
                one.client.is_usable() && (fresh || one.client.active() > 0)
            });
            !open.is_empty()
        });
        self.dialling.sweep();
    }
}

impl Worker {
    /// A connection that nobody waits for: from the pool, or a place on one that is shared.
    pub fn at_hand(self: &Rc<Self>, key: &UpstreamKey) -> Option<Way> {
        match key.framing {
            Framing::Http2 => self.multiplexed.borrow_mut().take(self, key, rt::now()).map(Way::H2),
            Framing::Http1 | Framing::Tcp => {
                let pooled = self.pool.borrow_mut().take(key, rt::now())?;
                Some(Way::H1(Upstream { pooled, owes_welcome: false }))
            }
        }
    }

    /// A new connection, or one that somebody else has done with meanwhile; with `fresh` only a new one.
    ///
    /// # Errors
    /// If it cannot be opened, or whoever answers is not who was expected.
    pub async fn connect(self: &Rc<Self>, key: &UpstreamKey, fresh: bool) -> Result<Upstream, Error> {
        let with = match self.seat(key, fresh).await? {
            Got::Seat(seat) => seat,
            Got::Used(pooled) => return Ok(Upstream { pooled, owes_welcome: false }),
            Got::Shared(_) => return Err(Error::new(Fault::Internal, "a shared connection for HTTP/1")),
        };
        let Dialled { stream, hello, shown } = Box::pin(self.dial(key)).await?;
        let mut connection = h1::Connection::new(stream);
        if let Some(shown) = shown {
            self.members.put(self, shown, Open::of(&connection))?;
        }
        let owes_welcome = hello.is_some();
        if let Some(hello) = hello {
            connection.writer.hold_first(&hello);
        }
        Ok(Upstream { pooled: transport::pool::Pooled::new(key.clone(), connection, rt::now(), with), owes_welcome })
    }

    /// A connection for one request, of the protocol that the key names. `fresh` asks for a new one in any case.
    ///
    /// # Errors
    /// As [`Worker::connect`].
    pub async fn reach(self: &Rc<Self>, key: &UpstreamKey, fresh: bool) -> Result<Way, Error> {
        if !fresh && let Some(way) = self.at_hand(key) {
            return Ok(way);
        }
        // What is seldom done takes no room in every request.
        match key.framing {
            Framing::Http2 => Box::pin(self.multiplex(key, fresh)).await.map(Way::H2),
            Framing::Http1 | Framing::Tcp => Box::pin(self.connect(key, fresh)).await.map(Way::H1),
        }
    }

    async fn multiplex(self: &Rc<Self>, key: &UpstreamKey, fresh: bool) -> Result<Multiplexed, Error> {
        let turn = self.multiplexed.borrow_mut().dialling.of(key);
        let mut turn = turn.take().await?;
        let open = if fresh { None } else { self.multiplexed.borrow_mut().take(self, key, rt::now()) };
        if let Some(open) = open {
            return Ok(open);
        }
        let seat = match self.seat(key, fresh).await {
            Ok(Got::Shared(open)) => return Ok(open),
            Ok(Got::Seat(seat)) => Ok(seat),
            Ok(Got::Used(_)) => Err(Error::new(Fault::Internal, "a connection of HTTP/1 for HTTP/2")),
            Err(error) => Err(error),
        };
        let dialled = match seat {
            Ok(seat) => self.dial_h2(key, seat).await,
            Err(error) => Err(error),
        };
        match dialled {
            Ok((client, peer)) => {
                let room = Room::of(self, key);
                let guard = key.counted.as_ref().map(|counted| counted.guard.clone());
                self.multiplexed.borrow_mut().put(key.clone(), client.clone(), peer.clone(), rt::now());
                // Whoever rang while it was dialled found nothing.
                if let Some(guard) = guard.filter(|guard| guard.wanted() > 0) {
                    self.bell.ring(&guard);
                }
                Ok(Multiplexed { client, peer, reused: false, _room: room })
            }
            Err(error) => {
                turn.failed(&error);
                Err(error)
            }
        }
    }

    async fn dial_h2(self: &Rc<Self>, key: &UpstreamKey, seat: Kept) -> Result<(h2::Client, Option<Peer>), Error> {
        let Dialled { mut stream, hello, shown } = Box::pin(self.dial(key)).await?;
        if let Some(seat) = seat {
            stream = stream.with(seat);
        }
        let mut buffer = BytesMut::new();
        let is_proxy = hello.is_some();
        let peer = match hello {
            None => None,
            Some(hello) => {
                let lost = |e: std::io::Error| Error::new(Fault::UpstreamReset, e.to_string()).with_nothing_received();
                let (recv, mut send) = stream.split();
                send.send(&hello, &[]).await.map_err(lost)?;
                stream = recv.reunite(send).ok_or_else(|| Error::new(Fault::Internal, "halves of a connection were kept"))?;
                Some(welcomed(read(&mut stream, &mut buffer).await?)?)
            }
        };
        let mut client = h2::Client::new(stream, buffer).await?;
        if is_proxy {
            client = client.of_proxy();
        }
        if let Some(shown) = shown {
            self.members.put(self, shown, Open::shared(&client))?;
        }
        Ok((client, peer))
    }

    /// Opens a stream to what the key says.
    ///
    /// # Errors
    /// As [`Worker::connect`].
    async fn dial(self: &Rc<Self>, key: &UpstreamKey) -> Result<Dialled, Error> {
        match &key.via {
            Via::Plain => Ok(Dialled::outside(dial_outside(key).await?)),
            Via::Tls(Outside { tls: outside, shown }) => {
                let tcp = dial_outside(key).await?;
                let alpn: Alpn = match key.framing {
                    Framing::Http2 => &[alpn::H2],
                    Framing::Http1 => &[alpn::HTTP1],
                    // What is spoken inside is between the two ends.
                    Framing::Tcp => &[],
                };
                let config = self.config(key, alpn, || {
                    let time = Arc::new(rt::Here::now());
                    identity::outside_client_config(outside, &self.shared.system_roots, shown.as_deref(), alpn, time)
                })?;
                let name = ServerName::try_from(outside.server_name.as_str().to_owned())
                    .map_err(|e| Error::new(Fault::TlsFailed, e.to_string()))?;
                Ok(Dialled::outside(tls::connect(tcp, config, name).await?))
            }
            Via::Organza { expected, service, port } => {
                let alone = match key.framing {
                    Framing::Http1 => false,
                    // Has streams of its own.
                    Framing::Http2 => true,
                    Framing::Tcp => self.trunks.borrow().is_bulk(service, *port),
                };
                let (stream, shown) = match alone {
                    false => self.dial_stream(key, expected).await?,
                    true => {
                        let (stream, shown, _) = self.dial_member(key, expected, &[alpn::ORGANZA]).await?;
                        (stream, Some(shown))
                    }
                };
                let source = self.shared.me.metadata.clone();
                let hello = Hello { framing: key.framing, service: service.clone(), service_port: *port, source }.encode()?;
                Ok(Dialled { stream, hello: Some(hello), shown })
            }
            Via::Hbone { expected, authority } => {
                let dial = self.dial_tunnels(key, expected);
                let own = &self.shared.me.metadata;
                let stream = self.tunnels.open((key.address, expected.clone()), authority, own, dial).await?;
                // What carries the tunnel is watched itself.
                Ok(Dialled::outside(stream))
            }
        }
    }

    /// One configuration per set of identities and kind of TLS, and what is offered to be spoken on it, kept for the life of the worker.
    fn config(
        &self,
        key: &UpstreamKey,
        alpn: Alpn,
        make: impl FnOnce() -> Result<Arc<ClientConfig>, identity::Error>,
    ) -> Result<Arc<ClientConfig>, Error> {
        let place = (key.via.clone(), alpn);
        if let Some(config) = self.configs.borrow().get(&place) {
            return Ok(config.clone());
        }
        let config = make().map_err(|e| Error::new(Fault::TlsFailed, e.to_string()))?;
        let mut configs = self.configs.borrow_mut();
        if configs.len() >= limits::TLS_CONFIGS {
            configs.clear();
        }
        configs.insert(place, config.clone());
        Ok(config)
    }

    /// Where a host outside the mesh is, remembered for a while.
    ///
    /// # Errors
    /// If the name leads nowhere.
    pub async fn outside(self: &Rc<Self>, host: &ExternalName, port: u16) -> Result<SocketAddr, Error> {
        let name = match host {
            ExternalName::Address(address) => return Ok(SocketAddr::new(*address, port)),
            ExternalName::Dns(name) => name.as_str(),
        };
        let now = rt::now();
        let known = self.names.borrow().get(name, now);
        let addresses = match known {
            Some(addresses) => addresses,
            None => {
                let failed = |e: std::io::Error| Error::new(Fault::DnsFailed, format!("{name}: {e}"));
                let looked = rt::timeout(transport::limits::CONNECT_TIME, rt::lookup(name, port)).await;
                let found = looked.ok_or_else(|| Error::new(Fault::DnsFailed, format!("{name}: no answer in time")))?;
                let found: Arc<[SocketAddr]> = found.map_err(failed)?.into();
                self.names.borrow_mut().put(name, found.clone(), now);
                found
            }
        };
        let count = addresses.len().max(1);
        let mut address = *addresses.get(self.draw() as usize % count).ok_or_else(|| Error::new(Fault::DnsFailed, "no address"))?;
        address.set_port(port);
        Ok(address)
    }

    /// The way to a host outside the mesh that has an object of its own.
    ///
    /// # Errors
    /// If its name leads nowhere, or a certificate is missing that must be shown.
    pub async fn external(self: &Rc<Self>, snapshot: &Snapshot, host: &ExternalHost, framing: Framing) -> Result<UpstreamKey, Error> {
        let via = Via::outside(snapshot, host.tls.as_ref())?;
        let address = self.outside(&host.host, host.port).await?;
        Ok(UpstreamKey { address, via, framing, counted: None, told: None })
    }
}

async fn dial_outside(key: &UpstreamKey) -> Result<Stream, Error> {
    let mut stream = dial_tcp(key.address).await?;
    if let Some(header) = &key.told {
        proxy_protocol::tell(&mut stream, header).await?;
    }
    Ok(stream)
}

async fn dial_tcp(address: SocketAddr) -> Result<Stream, Error> {
    let why = |fault, text: String| Error::new(fault, text).with_nothing_received();
    match rt::timeout(transport::limits::CONNECT_TIME, Stream::connect(address)).await {
        Some(Ok(stream)) => Ok(stream),
        Some(Err(e)) if e.kind() == std::io::ErrorKind::ConnectionRefused => Err(why(Fault::ConnectRefused, format!("{address}: {e}"))),
        Some(Err(e)) => Err(why(Fault::ConnectFailed, format!("{address}: {e}"))),
        None => Err(why(Fault::ConnectTimeout, format!("{address}: no connection within 5 s"))),
    }
}

/// Hosts outside the mesh and where they are.
#[derive(Debug, Default)]
pub struct Names(HashMap<String, (Arc<[SocketAddr]>, Instant)>);

impl Names {
    fn get(&self, name: &str, now: Instant) -> Option<Arc<[SocketAddr]>> {
        let (addresses, since) = self.0.get(name)?;
        (now.duration_since(*since) < limits::DNS_TIME).then(|| addresses.clone())
    }

    fn put(&mut self, name: &str, addresses: Arc<[SocketAddr]>, now: Instant) {
        if self.0.len() >= limits::DNS_NAMES {
            self.0.retain(|_, (_, since)| now.duration_since(*since) < limits::DNS_TIME);
            if self.0.len() >= limits::DNS_NAMES {
                self.0.clear();
            }
        }
        self.0.insert(name.to_owned(), (addresses, now));
    }
}

#[cfg(test)]
mod tests;
