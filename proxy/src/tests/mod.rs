//! Whole paths over loopback: two or three proxies of one thread, a test authority, resources written by hand, real backends. Nothing here
//! leaves the machine, and everything is bounded in time.

pub(crate) mod access;
mod authorizers;
pub(crate) mod backend_tls;
mod canary;
mod checks;
mod clients;
pub(crate) mod connections;
mod consumers;
mod dead;
mod deadline;
mod detect;
mod explain;
mod explicit;
mod front;
mod grpc;
mod guard;
mod hbone;
mod hostile;
mod http1;
mod leaving;
mod levels;
mod listeners;
mod locality;
mod origin;
mod patience;
mod plain;
pub(crate) mod quiet;
mod rates;
pub(crate) mod resources;
mod said;
mod scripted;
mod session;
mod strangers;
mod tokens;
mod told;
mod traces;
mod trust;

use crate::doors::{ApplicationDoor, Door, Doors, work};
use crate::limits;
use crate::lines::{Line, LogSink};
use crate::rim::Resolver;
use crate::snapshot::{Shared as Pointer, Snapshot};
use crate::worker::{Me, Shared, Stage, Worker};
use arc_swap::ArcSwap;
use identity::pem::SystemRoots;
use identity::{Authority, Credentials, Csr, SignRequest, Signer, Svid, TrustStore};
use model::{Key, Kind, Resource, Source, SpiffeId, TrustDomain};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::Receiver;
use std::time::{Duration, SystemTime};
use telemetry::{Metrics, Peer, access_log};
use tokio::sync::{Notify, mpsc, watch};
use transport::preface::PeerMetadata;

pub fn key(kind: Kind, name: &str) -> Key {
    Key::new(Source::files(), kind, "shop", name)
}

pub fn id(name: &str) -> SpiffeId {
    SpiffeId::parse(&format!("spiffe://organza.local/ns/shop/sa/{name}")).unwrap()
}

/// What all proxies of a test share: who is who, and what there is.
pub struct Mesh {
    authority: Authority,
    trust: TrustStore,
    pub snapshot: Pointer,
    /// What proxies take for the machine's own roots.
    pub system_roots: SystemRoots,
    generation: u64,
    access: watch::Sender<u64>,
    /// Told of each new snapshot.
    news: Arc<Notify>,
}

impl Mesh {
    pub fn new() -> Self {
        let domain = TrustDomain::parse("organza.local").unwrap();
        let authority = Authority::create(domain.clone(), SystemTime::now()).unwrap();
        let trust = TrustStore::new();
        trust.put(&domain, &authority.roots()).unwrap();
        Self {
            authority,
            trust,
            snapshot: Arc::new(ArcSwap::from_pointee(Snapshot::default())),
            system_roots: SystemRoots::Given(Arc::from([])),
            generation: 0,
            access: watch::Sender::new(0),
            news: Arc::default(),
        }
    }

    pub fn put(&mut self, resources: Vec<Resource>) {
        self.generation += 1;
        // As it comes from a control plane: what may sleep does.
        let told = |resource: Resource| {
            let bytes = wire::encode(&resource)[..].into();
            wire::change(resource, &bytes)
        };
        let changes: Vec<_> = resources.into_iter().map(told).collect();
        self.snapshot.store(Arc::new(self.snapshot.load().apply(self.generation, &changes, &BTreeMap::new())));
        self.access.send_replace(self.generation);
        self.news.notify_waiters();
    }

    /// One more root of the same mesh, which is believed from now on.
    pub fn second_root(&mut self) -> Authority {
        let domain = TrustDomain::parse("organza.local").unwrap();
        let other = Authority::create(domain.clone(), SystemTime::now()).unwrap();
        let roots: Vec<_> = self.authority.roots().into_iter().chain(other.roots()).collect();
        self.trust.put(&domain, &roots).unwrap();
        other
    }

    /// Believes the first root alone, and tells all proxies.
    pub fn first_root_alone(&mut self) {
        self.trust.put(&TrustDomain::parse("organza.local").unwrap(), &self.authority.roots()).unwrap();
        self.generation += 1;
        self.access.send_replace(self.generation);
    }

    /// Has nobody believe this proxy any more, and tells all.
    pub fn revoke(&mut self, proxy: &Proxy) {
        let leaf = proxy.worker.shared.credentials.svid().unwrap().chain()[0].clone();
        self.revoked(vec![::identity::pem::sha256(&leaf)]);
    }

    /// Has everybody believe those again who were revoked.
    pub fn believe_again(&mut self) {
        self.revoked(Vec::new());
    }

    fn revoked(&mut self, revoked: Vec<[u8; 32]>) {
        let trust_domain = TrustDomain::parse("organza.local").unwrap();
        let roots = self.authority.roots().into_iter().map(Arc::from).collect();
        self.trust.put_bundle(&model::TrustBundle { key: key(Kind::TrustBundle, "organza.local"), trust_domain, roots, revoked }).unwrap();
        self.generation += 1;
        self.access.send_replace(self.generation);
    }

    pub fn credentials(&mut self, name: &str) -> Credentials {
        Self::signed(&mut self.authority, &self.trust, name)
    }

    fn signed(authority: &mut Authority, trust: &TrustStore, name: &str) -> Credentials {
        let csr = Csr::generate(&id(name)).unwrap();
        let issued = authority.sign(&SignRequest::parse(&csr.der).unwrap(), &id(name), SystemTime::now()).unwrap();
        Credentials::with_svid(Svid::new(issued.chain, csr.key()).unwrap(), trust.clone())
    }

    /// A proxy whose certificate is under another root.
    pub fn proxy_under(&mut self, authority: &mut Authority, identity: &str) -> Proxy {
        let credentials = Self::signed(authority, &self.trust, identity);
        self.proxy_with(identity, credentials)
    }

    /// A proxy that shows `identity`.
    pub fn proxy(&mut self, identity: &str) -> Proxy {
        let credentials = self.credentials(identity);
        self.proxy_with(identity, credentials)
    }

    fn proxy_with(&mut self, identity: &str, credentials: Credentials) -> Proxy {
        let (lines, records) = crate::lines::queue();
        let format = access_log::Format::Json;
        let name = identity.to_owned();
        let metrics = Metrics::new();
        let log = LogSink::to(lines, true, format, &metrics);
        let shared = Arc::new(Shared {
            snapshot: self.snapshot.clone(),
            credentials,
            metrics,
            me: Me {
                name: name.clone(),
                namespace: "shop".into(),
                peer: Arc::new(Peer::claimed(identity, "shop", identity, "v1", "test", Some(&id(identity)))),
                locality: model::Locality::parse("eu/eu-1").unwrap(),
                metadata: PeerMetadata { workload: name.clone(), namespace: "shop".into(), app: name, ..PeerMetadata::default() },
            },
            resolver: Resolver::alone(self.snapshot.clone()),
            log,
            guards: Default::default(),
            flows: Default::default(),
            keys: Default::default(),
            otlp: Default::default(),
            system_roots: self.system_roots.clone(),
            access: self.access.clone(),
            stage: watch::Sender::new(Stage::Serving),
            busy: AtomicUsize::new(0),
            bodies: Arc::default(),
        });
        let worker = Worker::new(shared, 42);
        let (sender, receiver) = mpsc::unbounded_channel();
        transport::rt::spawn(worker.clone().give_way());
        transport::rt::spawn(work(worker.clone(), receiver));
        Proxy { worker, doors: Doors::new(vec![sender]), log: records, news: self.news.clone() }
    }
}

pub struct Proxy {
    pub worker: Rc<Worker>,
    doors: Doors,
    log: Receiver<Line>,
    news: Arc<Notify>,
}

impl Proxy {
    pub fn open(&mut self, door: Door) -> SocketAddr {
        self.doors.open("127.0.0.1:0".parse().unwrap(), door).unwrap()
    }

    pub fn inbound(&mut self, workload: &str) -> SocketAddr {
        let host = "127.0.0.1".parse().unwrap();
        self.open(Door::Inbound(ApplicationDoor { workload: key(Kind::Workload, workload), host }))
    }

    pub fn named(&mut self, host: &str, port: u16) -> SocketAddr {
        self.open(Door::Named { host: host.to_owned(), port })
    }

    pub fn gateway(&mut self, port: u16) -> SocketAddr {
        self.open(Door::Gateway { gateway: key(Kind::Gateway, "edge"), port })
    }

    /// The records that are there, in the order in which their requests ended.
    pub fn records(&self) -> impl Iterator<Item = Value> {
        self.log.try_iter().map(|line| serde_json::from_str(&line.text).unwrap())
    }

    /// The next record, which may take a moment: it is written when all else is done.
    pub async fn record(&self) -> Value {
        for _ in 0..500 {
            if let Ok(line) = self.log.try_recv() {
                return serde_json::from_str(&line.text).unwrap();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("no record came")
    }

    /// Until so many requests were recorded since the beginning, whether they have lines or not.
    pub async fn counted(&self, requests: u64) {
        while self.worker.shared.metrics.edges().values().map(|edge| edge.requests).sum::<u64>() < requests {
            transport::rt::sleep(limits::LOOK).await;
        }
    }

    /// The next record of this fault.
    pub async fn failed(&self, fault: &str) -> Value {
        loop {
            let record = self.record().await;
            if record["fault"] == fault {
                return record;
            }
        }
    }
}

/// A test that takes so long hangs. How fast anything is, is not judged by it: machines are busy with other things.
const HANGS: Duration = Duration::from_secs(300);

/// Runs a test on one thread, to its end.
pub async fn bounded(test: impl Future<Output = ()>) {
    Box::pin(within(HANGS, test)).await;
}

pub async fn within(time: Duration, test: impl Future<Output = ()>) {
    let local = tokio::task::LocalSet::new();
    tokio::time::timeout(time, local.run_until(test)).await.expect("the test ends in time");
}

/// The usual mesh: `web` calls, one `catalog` answers.
pub struct Shop {
    pub mesh: Mesh,
    pub web: Proxy,
    pub catalog: Proxy,
    pub tunnel: SocketAddr,
}

impl Shop {
    /// `backend` is where catalog's application is, whatever the port that is dialled.
    pub fn new(backend: SocketAddr) -> Self {
        let mut mesh = Mesh::new();
        let web = mesh.proxy("web");
        let mut catalog = mesh.proxy("catalog");
        let tunnel = catalog.inbound("catalog-1");
        mesh.put(resources::catalog(&[resources::Place::organza("catalog-1", tunnel, backend.port())]));
        Self { mesh, web, catalog, tunnel }
    }
}
