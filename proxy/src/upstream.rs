//! How an endpoint is reached: plainly, by TLS to a host outside, or through another Organza proxy by mutual TLS. Connections are pooled by
//! everything that makes them interchangeable, the identities that may answer included.

use crate::worker::Worker;
use crate::{limits, worker};
use identity::{Expected, alpn};
use model::backend::{ExternalName, UpstreamTls};
use model::{Endpoint, ExternalHost, Fault, Key, Service, SpiffeId, Tunnel};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls::time_provider::DefaultTimeProvider;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;
use telemetry::{Peer, Security};
use transport::h1::Reader;
use transport::pool::Pooled;
use transport::preface::{Framing, Hello, Preface, Welcome};
use transport::{Error, Stream, h1, rt, tls};

/// How bytes go to an address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Via {
    Plain,
    Tls(Arc<UpstreamTls>),
    /// `organza/1`: whoever answers must be one of these, and is told which service was dialled.
    Organza {
        expected: Arc<[SpiffeId]>,
        service: Key,
        port: u16,
        framing: Framing,
    },
}

/// What makes two connections interchangeable.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UpstreamKey {
    pub address: SocketAddr,
    pub via: Via,
}

impl UpstreamKey {
    pub fn plain(address: SocketAddr) -> Self {
        Self { address, via: Via::Plain }
    }

    /// The way to an endpoint of a service.
    ///
    /// # Errors
    /// If the endpoint has no such port, or speaks a tunnel that this proxy does not.
    pub fn endpoint(service: &Service, endpoint: &Endpoint, port: u16, framing: Framing) -> Result<Self, Error> {
        match &endpoint.tunnel {
            Tunnel::Organza(address) | Tunnel::Hbone(address) => {
                let expected = worker::expected_identities(service, endpoint);
                if expected.is_empty() {
                    return Err(Error::new(Fault::IdentityMismatch, "the endpoint's identity is not registered for the service"));
                }
                let via = Via::Organza { expected, service: service.key.clone(), port, framing };
                Ok(Self { address: *address, via })
            }
            Tunnel::None => {
                let target = endpoint.target_port(port).ok_or_else(|| Error::new(Fault::NoEndpoint, "the endpoint has no such port"))?;
                let via = endpoint.tls.clone().map_or(Via::Plain, Via::Tls);
                Ok(Self { address: SocketAddr::new(endpoint.address, target), via })
            }
        }
    }

    pub fn security(&self) -> Security {
        match self.via {
            Via::Plain => Security::Plain,
            Via::Tls(_) => Security::Tls,
            Via::Organza { .. } => Security::MutualTls,
        }
    }
}

/// A connection that is ready for a request, and whether it still owes us the peer's preface.
pub struct Upstream {
    pub key: UpstreamKey,
    pub pooled: Pooled,
    pub owes_welcome: bool,
}

impl Upstream {
    /// Gives the connection back for the next request.
    pub fn release(self, worker: &Worker) {
        worker.pool.borrow_mut().put(self.key, self.pooled, rt::now());
    }
}

/// Reads the peer's preface; a refusal is the fault that the peer names.
///
/// # Errors
/// The peer's refusal, or that it speaks something else.
pub async fn welcome(reader: &mut Reader) -> Result<Peer, Error> {
    match reader.preface().await? {
        Welcome::Accepted(own) => Ok(Peer::claimed(&own.workload, &own.namespace, &own.app, &own.version, &own.cluster, None)),
        Welcome::Refused(fault) => Err(Error::new(fault, format!("refused by the peer: {}", fault.label()))),
    }
}

impl Worker {
    /// A connection from the pool, or a new one. `fresh` asks for a new one in any case.
    ///
    /// # Errors
    /// If it cannot be opened, or whoever answers is not who was expected.
    pub async fn connect(self: &Rc<Self>, key: UpstreamKey, fresh: bool) -> Result<Upstream, Error> {
        if !fresh {
            let pooled = self.pool.borrow_mut().take(&key, rt::now());
            if let Some(pooled) = pooled {
                return Ok(Upstream { key, pooled, owes_welcome: false });
            }
        }
        let (stream, owes_welcome, hello) = self.dial(&key).await?;
        let mut connection = h1::Connection::new(stream);
        if let Some(hello) = hello {
            connection.writer.hold_first(&hello);
        }
        Ok(Upstream { key, pooled: Pooled { connection, opened: rt::now(), reused: false }, owes_welcome })
    }

    /// Opens a stream to what the key says; with the preface that has to go first.
    ///
    /// # Errors
    /// As [`Worker::connect`].
    pub async fn dial(self: &Rc<Self>, key: &UpstreamKey) -> Result<(Stream, bool, Option<Vec<u8>>), Error> {
        let tcp = dial_tcp(key.address).await?;
        match &key.via {
            Via::Plain => Ok((tcp, false, None)),
            Via::Tls(upstream) => {
                let config = self.config(key, || {
                    let time = Arc::new(DefaultTimeProvider);
                    identity::outside_client_config(upstream, &self.shared.system_roots, &[alpn::HTTP1], time)
                })?;
                let name = ServerName::try_from(upstream.server_name.as_str().to_owned())
                    .map_err(|e| Error::new(Fault::TlsFailed, e.to_string()))?;
                Ok((tls::connect(tcp, config, name).await?, false, None))
            }
            Via::Organza { expected, service, port, framing } => {
                if self.shared.credentials.svid().is_none() {
                    return Err(Error::new(Fault::NoIdentity, "this proxy has no certificate yet"));
                }
                let config = self.config(key, || {
                    let expected = Expected::AnyOf(expected.clone());
                    identity::client_config(&self.shared.credentials, expected, &[alpn::ORGANZA], Arc::new(DefaultTimeProvider))
                })?;
                let name = ServerName::try_from("mesh").map_err(|e| Error::new(Fault::Internal, e.to_string()))?;
                let stream = tls::connect(tcp, config, name).await?;
                let source = self.shared.me.metadata.clone();
                let hello = Hello { framing: *framing, service: service.clone(), service_port: *port, source }.encode()?;
                Ok((stream, true, Some(hello)))
            }
        }
    }

    /// One configuration per set of identities and kind of TLS, kept for the life of the worker.
    fn config(
        &self,
        key: &UpstreamKey,
        make: impl FnOnce() -> Result<Arc<ClientConfig>, identity::Error>,
    ) -> Result<Arc<ClientConfig>, Error> {
        if let Some(config) = self.configs.borrow().get(&key.via) {
            return Ok(config.clone());
        }
        let config = make().map_err(|e| Error::new(Fault::TlsFailed, e.to_string()))?;
        let mut configs = self.configs.borrow_mut();
        if configs.len() >= limits::TLS_CONFIGS {
            configs.clear();
        }
        configs.insert(key.via.clone(), config.clone());
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
    /// If its name leads nowhere.
    pub async fn external(self: &Rc<Self>, host: &ExternalHost) -> Result<UpstreamKey, Error> {
        let address = self.outside(&host.host, host.port).await?;
        Ok(UpstreamKey { address, via: host.tls.clone().map_or(Via::Plain, Via::Tls) })
    }
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
