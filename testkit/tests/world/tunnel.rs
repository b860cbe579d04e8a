//! A peer of another make, which calls replicas by HBONE as ztunnel does: mutual TLS, one HTTP/2 connection to each, a CONNECT for each of its
//! application's connections, and in it whatever the application speaks. It knows no route and no policy of traffic; what it has not sent it may send to
//! another, and nothing else.

use crate::mesh::{TUNNEL, speaks};
use crate::network::{Network, Node, address};
use crate::random::Random;
use crate::traffic::Speaks;
use control::core::Core;
use identity::{Credentials, Csr, Expected, SignRequest, Signer, Svid, TrustStore, alpn};
use model::SpiffeId;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use transport::h2;
use transport::hbone::Tunnels;
use transport::preface::PeerMetadata;
use transport::rt::{Here, Stream, on};

/// Between two tries to reach anybody.
const AGAIN: Duration = Duration::from_millis(20);
/// So often nobody is reached before a request is given up.
const TRIES: u32 = 200;

/// What every node may know of the mesh.
#[derive(Default)]
pub struct Known {
    /// The control plane, while it is there.
    pub core: Option<Arc<Core>>,
    /// Replicas that are called, by their version.
    pub replicas: BTreeMap<Node, u8>,
}

pub struct Peer {
    network: Network,
    node: Node,
    known: Rc<RefCell<Known>>,
    random: RefCell<Random>,
    pub identity: SpiffeId,
    /// Of applications.
    port: u16,
    trust: TrustStore,
    credentials: RefCell<Option<Credentials>>,
    /// Its certificate is for good.
    alone: bool,
    tunnels: Tunnels<Node>,
}

impl Peer {
    pub fn new(network: Network, node: Node, known: Rc<RefCell<Known>>, random: Random, identity: SpiffeId, port: u16) -> Self {
        let random = RefCell::new(random);
        let (trust, credentials) = (TrustStore::new(), RefCell::default());
        Self { network, node, known, random, identity, port, trust, credentials, alone: false, tunnels: Tunnels::default() }
    }

    /// As one that asks nobody for a certificate, and shows this one for good.
    pub fn showing(self, svid: Svid, roots: &[Vec<u8>]) -> Self {
        self.trust.put(self.identity.trust_domain(), roots).expect("roots");
        self.credentials.replace(Some(Credentials::with_svid(svid, self.trust.clone())));
        Self { alone: true, ..self }
    }

    /// A certificate of its own, as new as the control plane gives one; without it, the last.
    fn credentials(&self) -> Option<Credentials> {
        if let Some(core) = self.known.borrow().core.clone().filter(|_| !self.alone) {
            let csr = Csr::generate(&self.identity).expect("a key");
            // It is of another mesh's making, and nobody of this one's: what it is given is the authority's alone.
            let request = SignRequest::parse(&csr.der).expect("a request");
            let mut inner = core.lock();
            let signed = inner.authority.sign(&request, &self.identity, control::shell::wall());
            let (Ok(issued), roots) = (signed, inner.authority.roots()) else { return self.credentials.borrow().clone() };
            core.ca_folder().map_or(Ok(()), |folder| control::ca::save_use(folder, &inner.authority)).expect("written");
            drop(inner);
            self.trust.put(self.identity.trust_domain(), &roots).expect("roots");
            let svid = Svid::new(issued.chain, csr.key()).expect("an SVID");
            self.credentials.replace(Some(Credentials::with_svid(svid, self.trust.clone())));
        }
        self.credentials.borrow().clone()
    }

    async fn dial(&self, to: Node) -> Result<h2::Client, transport::Error> {
        let failed = |why: String| transport::Error::new(model::Fault::ConnectFailed, why);
        let credentials = self.credentials().ok_or_else(|| failed("nobody gave it a certificate yet".into()))?;
        let at = SocketAddr::new(address(to).into(), TUNNEL);
        let wire = self.network.connect(self.node, at).await.map_err(|e| failed(e.to_string()))?;
        let time = Arc::new(on(&self.network.node(self.node), Here::now));
        let config = identity::client_config(&credentials, Expected::AnyTrusted, &[alpn::H2], time);
        let name = "mesh".try_into().expect("a name");
        let config = config.map_err(|e| failed(e.to_string()))?;
        let stream = transport::tls::connect(Stream::Wire(Box::new(wire)), config, name).await?;
        h2::Client::new(stream, Default::default()).await
    }

    /// A connection to the application of some replica, which of them, and what it speaks.
    ///
    /// # Errors
    /// If nobody is reached for long.
    pub async fn open(&self) -> Result<(Stream, Node, Speaks), String> {
        let own = PeerMetadata { workload: "ztunnel".into(), ..PeerMetadata::default() };
        let mut last = String::new();
        for _ in 0..TRIES {
            let replicas: Vec<(Node, u8)> = self.known.borrow().replicas.iter().map(|(node, version)| (*node, *version)).collect();
            let (node, version) = *self.random.borrow_mut().one_of(&replicas);
            let authority = SocketAddr::new(address(node).into(), self.port).to_string();
            match self.tunnels.open(node, &authority, &own, self.dial(node)).await {
                Ok(stream) => return Ok((stream, node, speaks(version))),
                // Nothing of the application's was sent.
                Err(why) => last = format!("node {node}: {why}"),
            }
            tokio::time::sleep(AGAIN).await;
        }
        Err(format!("no replica takes a tunnel: {last}"))
    }
}
