//! A proxy as the control plane meets it: a real client over TLS on loopback, with the session that real proxies use, and nothing behind it.

use control::core::Core;
use hyper_util::rt::TokioIo;
use identity::{Credentials, Csr, Expected, Svid, TrustStore, alpn};
use model::{Key, SpiffeId, TrustDomain};
use rustls::pki_types::ServerName;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tonic::transport::{Channel, Endpoint, Uri};
use wire::delta::{ClientSession, Step};
use wire::discovery::{DeltaDiscoveryRequest, DeltaDiscoveryResponse, Node};

pub const PATIENCE: Duration = Duration::from_secs(10);

pub fn control_identity() -> SpiffeId {
    SpiffeId::parse("spiffe://organza.local/ns/organza-system/sa/control").unwrap()
}

pub async fn channel(address: SocketAddr, tls: Arc<rustls::ClientConfig>) -> Result<Channel, tonic::transport::Error> {
    let connector = tokio_rustls::TlsConnector::from(tls);
    let connect = tower::service_fn(move |_: Uri| {
        let connector = connector.clone();
        async move {
            let stream = TcpStream::connect(address).await?;
            connector.connect(ServerName::IpAddress(address.ip().into()), stream).await.map(TokioIo::new)
        }
    });
    Endpoint::from_static("http://control.organza").connect_timeout(PATIENCE).connect_with_connector(connect).await
}

/// What a proxy holds after it was signed for through the socket.
pub fn credentials(core: &Core, proxy: &str) -> Credentials {
    let entry = core.lock().registry.get(proxy).cloned().unwrap();
    let id = entry.identity().unwrap();
    let csr = Csr::generate(&id).unwrap();
    let (issued, roots) = core.sign(&csr.der, &id, proxy).unwrap();
    let trust = TrustStore::new();
    trust.put(&TrustDomain::parse("organza.local").unwrap(), &roots).unwrap();
    Credentials::with_svid(Svid::new(issued.chain, csr.key()).unwrap(), trust)
}

pub async fn secured(address: SocketAddr, credentials: &Credentials) -> Channel {
    let time = Arc::new(rustls::time_provider::DefaultTimeProvider);
    let tls = identity::client_config(credentials, Expected::one(control_identity()), &[alpn::H2], time).unwrap();
    channel(address, tls).await.unwrap()
}

pub struct Peer {
    session: ClientSession,
    requests: mpsc::Sender<DeltaDiscoveryRequest>,
    responses: tonic::Streaming<DeltaDiscoveryResponse>,
}

impl Peer {
    /// Opens the stream of `node`, subscribed to itself.
    pub async fn open(channel: Channel, node: &str) -> Result<Self, tonic::Status> {
        Self::open_as(channel, node, |_| {}).await
    }

    /// `prepare` has a word with the session before it says its first.
    pub async fn open_as(channel: Channel, node: &str, prepare: impl FnOnce(&mut ClientSession)) -> Result<Self, tonic::Status> {
        Self::open_saying(channel, node, prepare, |_| {}).await
    }

    /// And `edit` changes that first word.
    async fn open_saying(
        channel: Channel,
        node: &str,
        prepare: impl FnOnce(&mut ClientSession),
        edit: impl FnOnce(&mut DeltaDiscoveryRequest),
    ) -> Result<Self, tonic::Status> {
        let node = Node { id: node.into(), user_agent_version: "0.1.0".into(), ..Node::default() };
        let mut session = ClientSession::new(node, BTreeMap::new(), BTreeMap::new());
        prepare(&mut session);
        session.subscribe(wire::SELF);
        session.connected();
        let (requests, receiver) = mpsc::channel(16);
        let outgoing = tokio_stream::wrappers::ReceiverStream::new(receiver);
        let mut first = session.poll().unwrap();
        edit(&mut first);
        requests.send(first).await.unwrap();
        let mut client = wire::grpc::DiscoveryClient::new(channel);
        let responses = client.delta_aggregated_resources(outgoing).await?.into_inner();
        Ok(Self { session, requests, responses })
    }

    pub async fn join(core: &Core, address: SocketAddr, proxy: &str) -> Self {
        Self::open(secured(address, &credentials(core, proxy)).await, proxy).await.unwrap()
    }

    /// A proxy of a release that says nothing of what it knows.
    pub async fn older(core: &Core, address: SocketAddr, proxy: &str) -> Self {
        let channel = secured(address, &credentials(core, proxy)).await;
        let forget = |first: &mut DeltaDiscoveryRequest| first.node.iter_mut().for_each(|node| node.client_features.clear());
        Self::open_saying(channel, proxy, |_| {}, forget).await.unwrap()
    }

    pub async fn rejoin(core: &Core, address: SocketAddr, proxy: &str, prepare: impl FnOnce(&mut ClientSession)) -> Self {
        Self::open_as(secured(address, &credentials(core, proxy)).await, proxy, prepare).await.unwrap()
    }

    /// The next whole step, in force and acknowledged.
    pub async fn step(&mut self) -> Result<Step, tonic::Status> {
        loop {
            self.say().await;
            let message = tokio::time::timeout(PATIENCE, self.responses.message()).await.expect("a response in time");
            let response = message?.ok_or_else(|| tonic::Status::unavailable("ended"))?;
            if let Some(step) = self.session.on_response(response).unwrap() {
                self.session.applied(Vec::new());
                self.say().await;
                return Ok(step);
            }
        }
    }

    /// Steps until `done` says so of what it holds.
    pub async fn until(&mut self, what: &str, done: impl Fn(&BTreeSet<String>) -> bool) {
        let all = async {
            while !done(&self.held()) {
                self.step().await.unwrap();
            }
        };
        let held = tokio::time::timeout(PATIENCE, all).await;
        assert!(held.is_ok(), "{what} did not come; it holds {:?}", self.held());
    }

    pub async fn ask(&mut self, host: &str) -> Option<Key> {
        self.session.subscribe(host);
        while !self.session.answers().contains_key(host) {
            self.step().await.unwrap();
        }
        self.session.answers()[host].clone()
    }

    pub fn held(&self) -> BTreeSet<String> {
        self.session.held().keys().map(ToString::to_string).collect()
    }

    async fn say(&mut self) {
        while let Some(request) = self.session.poll() {
            // A stream that ended is seen where it is read.
            let _ = self.requests.send(request).await;
        }
    }
}
