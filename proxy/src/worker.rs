//! One worker: a thread, a single-threaded runtime, and everything that a request touches without a lock. What workers share is in [`Shared`].

use crate::flows::ContextCounts;
use crate::guard::{self, Guard};
use crate::limits;
use crate::lines::LogSink;
use crate::map::Map;
use crate::pick::{Called, Choice, Picked, Tried};
use crate::snapshot::Snapshot;
use crate::spare::Words;
use crate::upstream::{Alpn, Kept, Members, Multiplexing, Names, Queued, Trunks, UpstreamKey, Via};

use identity::Credentials;
use model::{Endpoint, Key, Service, SpiffeId};
use routing::retry::Budget;
use rustls::ClientConfig;
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use telemetry::{Destination, Metrics, Peer, Reporter, Sampler, Sampling, WorkerMetrics};
use tokio::sync::watch;
use transport::detect::ServerFirst;
use transport::hbone::Tunnels;
use transport::pool::Pool;
use transport::preface::PeerMetadata;
use transport::rt::Stream;

/// Who this proxy is.
#[derive(Debug, Clone)]
pub struct Me {
    /// Name shown in `Proxy-Status` to members of the mesh.
    pub name: String,
    pub namespace: String,
    pub peer: Arc<Peer>,
    pub metadata: PeerMetadata,
    /// Where it runs, as far as it is known.
    pub locality: model::Locality,
}

/// How far a proxy's life is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Serving,
    /// A successor has the doors: connections that are open go on until they end, each with a last request where it can say so.
    Lingering,
    /// The process ends soon.
    Ending,
}

/// What all threads of the process share.
pub struct Shared {
    pub snapshot: crate::snapshot::Shared,
    pub credentials: Credentials,
    pub metrics: Metrics,
    pub me: Me,
    pub resolver: crate::rim::Resolver,
    pub log: LogSink,
    /// What keeps callers and endpoints of each service from harming each other.
    pub guards: Arc<guard::Guards>,
    /// Single requests that are told to the control plane.
    pub flows: Arc<crate::flows::Flows>,
    /// What is told collectors.
    pub otlp: Arc<crate::otlp::Queue>,
    /// For hosts outside the mesh.
    pub system_roots: identity::pem::SystemRoots,
    /// Keys of issuers of tokens that were fetched.
    pub keys: Arc<crate::tokens::Store>,
    /// Told whenever policies of access changed.
    pub access: watch::Sender<u64>,
    /// From [`Stage::Lingering`] on there are no new requests on kept connections.
    pub stage: watch::Sender<Stage>,
    /// Requests and connections under way.
    pub busy: AtomicUsize,
    /// Bytes of bodies that are held for authorizers.
    pub bodies: Arc<AtomicUsize>,
}

impl Shared {
    pub fn stage(&self) -> Stage {
        *self.stage.borrow()
    }

    pub fn is_draining(&self) -> bool {
        self.stage() != Stage::Serving
    }
}

/// What one worker keeps. Shared by its tasks through `Rc`; no borrow is held across a wait.
pub struct Worker {
    pub shared: Arc<Shared>,
    pub pool: RefCell<Pool<UpstreamKey, Kept>>,
    /// Those who wait for a connection where there may be so many.
    pub queue: RefCell<Vec<Rc<Queued>>>,
    /// Rings when somebody of any worker does.
    pub bell: Arc<guard::Bell>,
    /// HTTP/2 connections, each for many requests at once.
    pub multiplexed: RefCell<Multiplexing>,
    pub tunnels: Tunnels<(SocketAddr, Arc<[SpiffeId]>)>,
    pub trunks: RefCell<Trunks>,
    /// What is open towards members.
    pub members: Members,
    pub configs: RefCell<Map<(Via, Alpn), Arc<ClientConfig>>>,
    pub names: RefCell<Names>,
    /// Undeclared ports on which the server was heard first.
    pub server_first: RefCell<ServerFirst<(Key, u16)>>,
    pub balancers: RefCell<crate::pick::Balancers>,
    /// Ports of the application by the names under which they are called.
    pub called: RefCell<crate::access::Known>,
    /// How often rules allowed something.
    pub allowed: RefCell<crate::access::allowed::Allowed>,
    /// Tokens that were believed.
    pub tokens: RefCell<crate::tokens::Known>,
    /// What the last member showed above its own certificate.
    pub above: RefCell<crate::shown::Above>,
    /// How often consumers asked what.
    consumed: RefCell<crate::consumers::Counts>,
    /// What is under way and is judged again when policies change.
    pub again: crate::access::again::Again,
    known_guards: RefCell<Map<guard::Place, Arc<Guard>>>,
    peers: RefCell<Map<Arc<str>, Arc<Peer>>>,
    destinations: RefCell<Map<Key, Arc<Destination>>>,
    metrics: RefCell<WorkerMetrics>,
    random: Cell<u64>,
    sampler: RefCell<Sampler>,
    /// How programs treat traces, since it was last told.
    context: Cell<ContextCounts>,
    /// Who nobody knows, as labels name them.
    unknown: Arc<Peer>,
    /// Memory of what records were called by, for the next ones.
    pub(crate) words: Words,
}

impl Worker {
    /// `seed` makes its draws repeatable.
    pub fn new(shared: Arc<Shared>, seed: u64) -> Rc<Self> {
        let metrics = RefCell::new(shared.metrics.worker());
        let bell = shared.guards.bell();
        Rc::new(Self {
            shared,
            pool: RefCell::default(),
            queue: RefCell::default(),
            bell,
            multiplexed: RefCell::default(),
            tunnels: Tunnels::default(),
            trunks: RefCell::default(),
            members: Members::default(),
            configs: RefCell::default(),
            names: RefCell::default(),
            server_first: RefCell::default(),
            balancers: RefCell::default(),
            called: RefCell::default(),
            allowed: RefCell::default(),
            tokens: RefCell::default(),
            above: RefCell::new(std::rc::Rc::from([])),
            consumed: RefCell::default(),
            again: Default::default(),
            known_guards: RefCell::default(),
            peers: RefCell::default(),
            destinations: RefCell::default(),
            metrics,
            random: Cell::new(seed | 1),
            sampler: RefCell::default(),
            context: Cell::default(),
            unknown: Arc::new(Peer::unknown()),
            words: Words::default(),
        })
    }

    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.shared.snapshot.load_full()
    }

    pub fn unknown(&self) -> Arc<Peer> {
        self.unknown.clone()
    }

    /// SplitMix64: good enough to draw shares and jitter, never used for secrets.
    pub fn draw(&self) -> u64 {
        let next = self.random.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.random.set(next);
        let mut z = next;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn draw32(&self) -> u32 {
        (self.draw() >> 32) as u32
    }

    /// Whether a trace that begins here is recorded.
    pub fn samples(&self, sampling: Sampling, draw: u32) -> bool {
        self.sampler.borrow_mut().decide(sampling, draw, transport::rt::now())
    }

    /// Counts whether the program beside this proxy passes on the traces that it is called with.
    pub fn traced(&self, reporter: Reporter, with_context: bool) {
        let mut counts = self.context.get();
        match (reporter, with_context) {
            (Reporter::Gateway, _) => return,
            (Reporter::Destination, _) => counts.served += 1,
            (Reporter::Source, true) => counts.passed_on += 1,
            (Reporter::Source, false) => counts.dropped += 1,
        }
        self.context.set(counts);
    }

    /// Hands over what was counted of contexts.
    pub fn tell_context(&self) {
        self.shared.flows.count_context(self.context.take());
    }

    /// Counts and logs what happened.
    pub fn record(&self, record: &telemetry::Record) {
        self.metrics.borrow_mut().observe(record);
        if record.consumer.is_some() {
            self.consumed.borrow_mut().count(&self.shared.metrics, record);
        }
        match &record.tell {
            Some(tell) => self.tell(record, tell),
            None => self.tell(record, self.shared.snapshot.load().telling.at_first()),
        }
    }

    /// Tells whoever is to know of it.
    fn tell(&self, record: &telemetry::Record, tell: &telemetry::Tell) {
        let redacted = tell.redactions.as_deref().and_then(|redactions| telemetry::headers::redacted(record, redactions));
        let record = redacted.as_ref().unwrap_or(record);
        let traced = tell.is_span(record);
        // Whoever is told is told the same line, and it is written once.
        let line = telemetry::access_log::Once::of(record);
        self.shared.flows.see(&line, traced);
        if traced {
            self.shared.otlp.span(&line);
        }
        if tell.has_line(record) {
            self.shared.otlp.line(&line);
            self.shared.log.write(&line, tell);
        }
    }

    /// Counts a caller's connection that was ended for what it did.
    pub fn ended(&self, error: &transport::Error) {
        if let Some(cause) = error.cause {
            self.ended_for(cause);
        }
    }

    fn ended_for(&self, cause: &'static str) {
        let help = "Connections of callers that were ended for what they did";
        self.shared.metrics.counter("organza_downstream_cx_ended", help, &[("cause", cause)]).add(1.0);
    }

    /// Has requests counted that HTTP/2 resets for what their caller did; the connection goes on.
    pub fn watch_resets(self: &Rc<Self>, server: &mut transport::h2::Server) {
        let (worker, help) = (self.clone(), "Requests of callers that were reset for what they did");
        server.when_reset(move |cause| worker.shared.metrics.counter("organza_downstream_rq_reset", help, &[("cause", cause)]).add(1.0));
    }

    /// Has it counted if TLS is broken off by the caller after the handshake.
    pub fn watch(self: &Rc<Self>, stream: &mut Stream) {
        let worker = self.clone();
        stream.when_broken(move |cause| worker.ended_for(cause));
    }

    /// Counts that a listener has no room, so that connections wait.
    pub fn full(&self, listener: Option<SocketAddr>) {
        let listener = listener.map(|address| address.to_string()).unwrap_or_default();
        let help = "Times that a listener stopped accepting because it had as many connections or handshakes as it may";
        self.shared.metrics.counter("organza_listener_full", help, &[("listener", &listener)]).add(1.0);
    }

    pub fn opened(&self, record: &telemetry::Record) {
        self.metrics.borrow_mut().opened(record);
    }

    /// An endpoint of a service; see [`crate::pick::Balancers::pick`].
    pub fn pick<'t>(
        &self,
        snapshot: &'t Snapshot,
        called: &Called<'_>,
        to: &model::ServiceRef,
        tried: Tried<'_>,
        hash: Option<u64>,
    ) -> Result<Picked<'t>, crate::pick::Nobody> {
        let (guards, metrics, here) = (&self.shared.guards, &self.shared.metrics, &self.shared.me.locality);
        let choice = Choice { guards, metrics, here, tried, hash, draw: self.draw(), now: transport::rt::now() };
        self.balancers.borrow_mut().pick(snapshot, called, to, &choice)
    }

    /// The guard of a service's port.
    pub fn guard(&self, place: &guard::Place) -> Arc<Guard> {
        let mut known = self.known_guards.borrow_mut();
        if let Some(guard) = known.get(place) {
            return guard.clone();
        }
        if known.len() >= limits::LABELS {
            known.clear();
        }
        let guard = self.shared.guards.of(place, &self.shared.metrics);
        known.insert(place.clone(), guard.clone());
        guard
    }

    /// Uses the retry budget towards a service, or towards what is none.
    pub fn budget<T>(&self, service: Option<&guard::Place>, work: impl FnOnce(&mut Budget) -> T) -> T {
        let now = transport::rt::now();
        match service {
            Some(place) => self.guard(place).budget(now, work),
            None => self.shared.guards.outside(now, work),
        }
    }

    /// The endpoint as labels name it. Kept ready, since making it costs.
    pub fn peer(&self, snapshot: &Snapshot, endpoint: &Endpoint) -> Arc<Peer> {
        if let Some(peer) = self.peers.borrow().get(&endpoint.id) {
            return peer.clone();
        }
        let workload = endpoint.workload.as_ref().and_then(|key| snapshot.workloads.get(key));
        let peer = Arc::new(match workload {
            Some(workload) => Peer::of_workload(workload),
            None => {
                let label = |name: &str| endpoint.labels.get(name).map_or("", |v| v);
                let namespace = endpoint.workload.as_ref().map_or("", |key| &key.namespace);
                Peer::claimed(&endpoint.id, namespace, label("app"), label("version"), "", endpoint.identity.as_ref())
            }
        });
        let mut peers = self.peers.borrow_mut();
        if peers.len() >= limits::LABELS {
            peers.clear();
        }
        peers.insert(endpoint.id.clone(), peer.clone());
        peer
    }

    /// The service as labels name it.
    pub fn destination(&self, service: &Service) -> Arc<Destination> {
        if let Some(destination) = self.destinations.borrow().get(&service.key) {
            return destination.clone();
        }
        let host = service.hostnames.last().map_or_else(|| service.key.name.clone(), |name| name.as_str().into());
        let made = Arc::new(Destination { host, name: service.key.name.clone(), namespace: service.key.namespace.clone() });
        let mut destinations = self.destinations.borrow_mut();
        if destinations.len() >= limits::LABELS {
            destinations.clear();
        }
        destinations.insert(service.key.clone(), made.clone());
        made
    }

    /// Forgets what names endpoints had: a workload may have come back under the same name with other labels.
    pub fn forget_labels(&self) {
        self.peers.borrow_mut().clear();
        self.destinations.borrow_mut().clear();
    }

    /// Marks something as under way until the guard is dropped.
    pub fn busy(&self) -> Busy<'_> {
        self.shared.busy.fetch_add(1, Ordering::Relaxed);
        Busy(&self.shared.busy)
    }

    /// Shows each second what this worker holds: what a leak would make grow.
    async fn count(&self, index: usize) {
        let (metrics, name) = (&self.shared.metrics, index.to_string());
        let gauge = |family, help| metrics.gauge(family, help, &[("worker", &name)]);
        let tasks = gauge("organza_worker_tasks", "Tasks of a worker: its own, and those of connections, requests and streams");
        let pooled = gauge("organza_worker_pooled_connections", "Unused connections that a worker keeps towards endpoints");
        let rests = "Rests of a busy worker, after which what came meanwhile goes out together";
        let rests = metrics.counter("organza_worker_rests", rests, &[("worker", &name)]);
        let mut warned = false;
        loop {
            if index == 0 {
                let telling = self.shared.snapshot.load().telling.clone();
                let most = telling.series();
                metrics.limit_series(most);
                metrics.drop_labels(telling.base().dropped_labels.unwrap_or_default());
                if !warned && metrics.folded() > 0 {
                    warned = true;
                    tracing::warn!(
                        "more than {most} label sets: further requests are counted under `other` (organza_metrics_folded_total)"
                    );
                }
            }
            tasks.set(transport::rt::tasks() as f64);
            pooled.set(self.pool.borrow().len() as f64);
            rests.set(transport::rt::rests() as f64);
            self.tell_context();
            transport::rt::sleep(limits::COUNT).await;
        }
    }

    /// Whom we believe changed: nothing begins on a connection whose peer was believed before, and what is under way towards somebody who is believed no more
    /// ends.
    pub fn doubt(&self) {
        self.members.judge(self);
        self.pool.borrow_mut().doubt(transport::rt::now());
        self.multiplexed.borrow_mut().doubt();
        self.tunnels.sweep(|_| true);
        self.trunks.borrow_mut().doubt();
    }

    /// The machine at this address acknowledges nothing any more: what is kept open to it is closed, so that nothing else is sent there for nobody to take. Whoever
    /// goes there next dials, and so finds out whether it is back.
    pub fn leave(&self, address: SocketAddr) {
        self.pool.borrow_mut().drop_where(|key| key.address == address);
    }

    /// Closes what nobody will use again.
    pub fn sweep(&self) {
        self.pool.borrow_mut().sweep(transport::rt::now());
        self.multiplexed.borrow_mut().sweep(transport::rt::now());
        self.tunnels.sweep(|_| false);
        self.trunks.borrow_mut().sweep(transport::rt::now());
        self.forget_labels();
        self.metrics.borrow_mut().sweep(limits::DNS_TIME);
        self.consumed.borrow_mut().sweep(limits::DNS_TIME);
    }
}

pub struct Busy<'w>(&'w AtomicUsize);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Starts a worker thread that runs `work` to its end.
///
/// # Errors
/// If the thread cannot be made.
pub fn spawn<F>(index: usize, shared: Arc<Shared>, seed: u64, work: F) -> std::io::Result<()>
where
    F: AsyncFnOnce(Rc<Worker>) + Send + 'static,
{
    let life = async move || {
        if transport::rt::has_ring() {
            tracing::info!("worker {index} serves its sockets by io_uring");
        }
        let worker = Worker::new(shared, seed);
        let sweeper = worker.clone();
        transport::rt::spawn(async move {
            loop {
                transport::rt::sleep(limits::DNS_TIME).await;
                sweeper.sweep();
            }
        });
        let counted = worker.clone();
        transport::rt::spawn(async move { counted.count(index).await });
        transport::rt::spawn(worker.clone().give_way());
        work(worker).await;
    };
    transport::rt::start(format!("worker-{index}"), life, move |e| tracing::error!("worker {index} has no event queue: {e}"))
}

/// The identities that may answer for an endpoint: those registered for its service, narrowed to its own where that is known.
pub fn expected_identities(service: &model::Service, endpoint: &model::Endpoint) -> Arc<[SpiffeId]> {
    match &endpoint.identity {
        Some(own) if service.identities.contains(own) => Arc::from([own.clone()]),
        // An endpoint that claims an identity which is not registered for the service is answered by nobody.
        Some(_) => Arc::from([]),
        None => service.identities.iter().cloned().collect(),
    }
}

#[cfg(test)]
mod tests;
