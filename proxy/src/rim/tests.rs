//! A rim against a small control plane over loopback, with real certificates.

use super::{Question, Rim, is_judged_again};
use crate::config::Config;
use crate::snapshot::Snapshot;
use crate::snapshot::file::{self, Kept, Stored};
use crate::tests::quiet::{Network, on, took};
use crate::tests::resources;
use identity::{Authority, ClientAuth, Credentials, Csr, SignRequest, Signer, Svid, TrustStore, alpn};
use model::{Endpoints, Fault, Hostname, Key, ObjectRef, Origin, Resource, Service, SpiffeId, TrustDomain};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use telemetry::Metrics;
use tokio::net::TcpListener;
use tokio_stream::{Stream, StreamExt, wrappers::ReceiverStream};
use tonic::{Request, Response, Status, Streaming};
use wire::delta::{Encoded, ServerSession, Set, View};
use wire::discovery::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};
use wire::grpc::{Discovery, DiscoveryServer, Telemetry, TelemetryClient, TelemetryServer};

/// Serves one world to each stream and remembers what it heard.
#[derive(Clone)]
struct Fake {
    world: Arc<Mutex<View>>,
    heard: Arc<Mutex<Vec<wire::delta::Heard>>>,
    sent: Arc<Mutex<usize>>,
}

#[tonic::async_trait]
impl Discovery for Fake {
    type DeltaAggregatedResourcesStream = Pin<Box<dyn Stream<Item = Result<DeltaDiscoveryResponse, Status>> + Send>>;

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        let (this, mut requests) = (self.clone(), request.into_inner());
        let (sender, receiver) = tokio::sync::mpsc::channel(4);
        tokio::spawn(async move {
            let mut session = ServerSession::new();
            while let Some(Ok(request)) = requests.next().await {
                let heard = session.on_request(request).unwrap();
                if heard.resubscribed {
                    let mut view = this.world.lock().unwrap().clone();
                    for name in session.subscriptions().iter().filter(|name| name.starts_with("host/")) {
                        view.answers.entry(name.clone()).or_insert(None);
                    }
                    session.set_view(view);
                }
                this.heard.lock().unwrap().push(heard);
                while let Some(response) = session.poll() {
                    *this.sent.lock().unwrap() += response.resources.len();
                    if sender.send(Ok(response)).await.is_err() {
                        return;
                    }
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

fn issue(authority: &mut Authority, account: (&str, &str), now: SystemTime) -> Svid {
    let id = SpiffeId::new(authority.trust_domain().clone(), account.0, account.1).unwrap();
    let csr = Csr::generate(&id).unwrap();
    let issued = authority.sign(&SignRequest::parse(&csr.der).unwrap(), &id, now).unwrap();
    Svid::new(issued.chain, csr.key()).unwrap()
}

/// A server in its own task; dropping the handle's task takes it away.
async fn serve(fake: Fake, credentials: Credentials) -> (SocketAddr, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let time = Arc::new(rustls::time_provider::DefaultTimeProvider);
    let tls = identity::server_config(&credentials, ClientAuth::Required, &[alpn::H2], time).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(tls);
    let server = tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (acceptor, fake) = (acceptor.clone(), fake.clone());
            connections.spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let service = hyper_util::service::TowerToHyperService::new(DiscoveryServer::new(fake));
                let executor = hyper_util::rt::TokioExecutor::new();
                let io = hyper_util::rt::TokioIo::new(stream);
                _ = hyper::server::conn::http2::Builder::new(executor).serve_connection(io, service).await;
            });
        }
    });
    (address, server)
}

/// Whom reports are told, on one connection over loopback.
pub(super) async fn telemetry(fake: impl Telemetry) -> TelemetryClient<tonic::transport::Channel> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let service = hyper_util::service::TowerToHyperService::new(TelemetryServer::new(fake));
        let executor = hyper_util::rt::TokioExecutor::new();
        let io = hyper_util::rt::TokioIo::new(stream);
        _ = hyper::server::conn::http2::Builder::new(executor).serve_connection(io, service).await;
    });
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{address}")).unwrap();
    TelemetryClient::new(endpoint.connect().await.unwrap())
}

fn service(name: &str) -> Service {
    Service {
        key: Key::parse(&format!("files/service/shop/{name}")).unwrap(),
        origin: Origin::new(ObjectRef::new("", "Service", "shop", name), "services.yaml:1"),
        hostnames: vec![Hostname::parse(name).unwrap()],
        addresses: Vec::new(),
        ports: Vec::new(),
        identities: Vec::new(),
        balancer: Default::default(),
        nearest: None,
        policies: Vec::new(),
        normalisation: model::Normalisation::default(),
        tls: Vec::new(),
    }
}

fn world() -> View {
    let web = service("web");
    let endpoints = Endpoints { key: web.key.with_kind(model::Kind::Endpoints), endpoints: Vec::new() };
    let good = [Encoded::new(&Resource::Service(Arc::new(web))), Encoded::new(&Resource::Endpoints(Arc::new(endpoints)))];
    let bad = Encoded { name: "files/service/shop/bad".into(), version: "1".into(), bytes: b"\xff\xff"[..].into() };
    let items: Set = good.into_iter().chain([bad]).map(Arc::new).collect();
    View { generation: 12, items: Arc::new(items), answers: BTreeMap::new() }
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..500 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what} did not happen within five seconds");
}

/// A control plane that serves this world, and the configuration of a proxy of its.
async fn controlled(folder: &std::path::Path, world: View) -> (Config, Fake, tokio::task::JoinHandle<()>) {
    let now = SystemTime::now();
    let mut authority = Authority::create(TrustDomain::parse("organza.local").unwrap(), now).unwrap();
    let trust = TrustStore::new();
    trust.put(&authority.trust_domain().clone(), &authority.roots()).unwrap();
    let credentials = Credentials::with_svid(issue(&mut authority, ("organza-system", "control"), now), trust);
    let fake = Fake { world: Arc::new(Mutex::new(world)), heard: Arc::default(), sent: Arc::default() };
    let (address, server) = serve(fake.clone(), credentials).await;
    let svid = folder.join("svid");
    crate::snapshot::file::write_private(&svid, issue(&mut authority, ("shop", "web"), now).to_pem().as_bytes()).unwrap();
    let roots = identity::pem::encode_chain(authority.roots().iter().map(Vec::as_slice));
    let document = serde_json::json!({
        "mesh": "test", "proxy": "web", "namespace": "shop", "identity": "spiffe://organza.local/ns/shop/sa/web",
        "role": { "workload": { "services": ["files/service/shop/web"] } },
        "state": folder, "svid": svid, "admin": folder.join("admin.sock"),
        "control": { "addresses": [address], "trustRoots": roots, "trustDomain": "organza.local" },
    });
    (Config::parse(&document.to_string()).unwrap(), fake, server)
}

async fn scenario(folder: &std::path::Path) {
    let (config, fake, server) = controlled(folder, world()).await;
    let now = SystemTime::now();
    let rim = Rim::open(config.clone(), Metrics::new(), 1, now).unwrap();
    assert_eq!(rim.snapshot_problem, None);
    let handle = rim.handle();
    let running = tokio::task::spawn_local(rim.run());
    until("the first step", || handle.shared.load().generation == 12).await;
    let heard = fake.heard.clone();
    until("the acknowledgement", || heard.lock().unwrap().iter().any(|h| h.acknowledged == Some(12))).await;
    let refused: Vec<_> = heard.lock().unwrap().iter().flat_map(|h| h.refused.clone()).map(|(key, _)| key).collect();
    assert_eq!(refused, ["files/service/shop/bad"], "the NACK names the bad key, and the good ones are in force");
    assert_eq!(handle.resolver.resolve("web", "shop").await.unwrap().to_string(), "files/service/shop/web");
    assert_eq!(handle.resolver.resolve("nobody", "shop").await, Err(Fault::NoSuchService));
    server.abort();
    _ = server.await;
    running.abort();
    // What was in force last is on disk when all of the rim is gone.
    _ = running.await;
    drop(handle);

    // Restarted while the control plane is away: what was acknowledged is served from the start, what was not asked for is not known.
    let mut rim = Rim::open(config.clone(), Metrics::new(), 2, now).unwrap();
    let handle = rim.handle();
    assert_eq!(handle.shared.load().generation, 12);
    assert!(handle.shared.load().endpoints_of(&service("web").key).is_some());
    assert_eq!(handle.resolver.resolve("nobody", "shop").await, Err(Fault::NoSuchService));
    let start = transport::rt::now();
    rim.forget(start);
    assert_eq!(handle.shared.load().answer("nobody", "shop"), Some(None));
    rim.forget(start + crate::limits::NAME_OF_NOTHING);
    assert_eq!(handle.shared.load().answer("nobody", "shop"), None, "not known any more, and not denied");
    assert_eq!(handle.resolver.resolve("web", "shop").await.unwrap(), service("web").key, "its own service stays");
    let running = tokio::task::spawn_local(rim.run());
    assert_eq!(handle.resolver.resolve("stranger", "shop").await, Err(Fault::NotYetKnown));
    running.abort();

    let snapshot = config.snapshot_file();
    let bytes = std::fs::read(&snapshot).unwrap();
    std::fs::write(&snapshot, &bytes[..bytes.len() - 1]).unwrap();
    let rim = Rim::open(config, Metrics::new(), 3, now).unwrap();
    assert!(rim.snapshot_problem.as_ref().unwrap().contains("checksum"));
    assert_eq!(rim.handle().shared.load().generation, 0, "a broken snapshot is not used");
}

#[test]
fn a_rim_applies_refuses_resolves_and_restarts_without_control() {
    let folder = tempfile::tempdir().unwrap();
    transport::rt::run(scenario(folder.path())).unwrap();
}

async fn losing(folder: &std::path::Path) {
    let (config, fake, server) = controlled(folder, world()).await;
    let rim = Rim::open(config.clone(), Metrics::new(), 1, SystemTime::now()).unwrap();
    let handle = rim.handle();
    let running = tokio::task::spawn_local(rim.run());
    let path = config.snapshot_file();
    let stored = || file::read(&path).ok().flatten();
    until("the first snapshot", || stored().is_some_and(|stored| stored.held.len() == 2)).await;
    let Stored { generation, held, answers } = stored().unwrap();
    // Of what is lost one resource has a newer version that this release cannot read: the one in force is nowhere else.
    let bad = Encoded { name: "files/endpoints/shop/web".into(), version: "2".into(), bytes: b"\xff\xff"[..].into() };
    let items: Set = [Encoded::new(&Resource::Service(Arc::new(service("web")))), bad].into_iter().map(Arc::new).collect();
    *fake.world.lock().unwrap() = View { generation: 13, items: Arc::new(items), answers: BTreeMap::new() };
    std::fs::remove_file(&path).unwrap();
    let held = held.into_iter().map(|(key, applied)| (key, applied.version)).collect();
    handle.saver.put(Kept { generation, held, answers }, Default::default());
    until("a snapshot without what is lost for good", || stored().is_some_and(|stored| stored.generation == 13)).await;
    assert_eq!(stored().unwrap().held.keys().map(ToString::to_string).collect::<Vec<_>>(), ["files/service/shop/web"]);
    let is_acknowledged = || fake.heard.lock().unwrap().iter().any(|heard| heard.acknowledged == Some(13) && heard.refused.len() == 1);
    until("the acknowledgement", is_acknowledged).await;
    assert!(handle.shared.load().endpoints_of(&service("web").key).is_some(), "what is in force stays");
    // A stream that ended for it would be there again by now.
    let sent = *fake.sent.lock().unwrap();
    tokio::time::sleep(crate::limits::RECONNECT_MIN * 3).await;
    assert_eq!(*fake.sent.lock().unwrap(), sent, "it is asked for again once");
    server.abort();
    running.abort();
}

#[test]
fn a_snapshot_that_somebody_took_is_asked_for_again_and_whole_but_for_what_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    transport::rt::run(losing(folder.path())).unwrap();
}

async fn large(folder: &std::path::Path) {
    // What nobody can read is refused by its name where it came through.
    let of = |generation: u64, bytes: usize| {
        let one = Encoded { name: "files/service/shop/large".into(), version: "1".into(), bytes: vec![0xff; bytes].into() };
        View { generation, items: Arc::new([Arc::new(one)].into_iter().collect()), answers: BTreeMap::new() }
    };
    let most = wire::limits::MESSAGE_BYTES;
    // A little is not of the resource.
    let (config, fake, server) = controlled(folder, of(12, most - 1000)).await;
    let is_refused = |generation| {
        let heard = fake.heard.lock().unwrap();
        heard.iter().any(|heard| heard.acknowledged == Some(generation) && heard.refused.len() == 1)
    };
    let run = || tokio::task::spawn_local(Rim::open(config.clone(), Metrics::new(), 1, SystemTime::now()).unwrap().run());
    let running = run();
    until("what is as large as may be", || is_refused(12)).await;
    running.abort();
    _ = running.await;
    *fake.world.lock().unwrap() = of(13, most);
    let sent = *fake.sent.lock().unwrap();
    let running = run();
    until("a second stream: the first ended", || *fake.sent.lock().unwrap() >= sent + 2).await;
    assert!(!is_refused(13), "what is larger does not come through");
    running.abort();
    server.abort();
}

#[test]
fn a_message_of_the_control_plane_is_of_so_many_bytes_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    transport::rt::run(large(folder.path())).unwrap();
}

async fn opening(folder: &std::path::Path) {
    let items: Set = [Arc::new(Encoded::new(&resources::listener(443, None)))].into_iter().collect();
    let (config, fake, server) = controlled(folder, View { generation: 12, items: Arc::new(items), answers: BTreeMap::new() }).await;
    let rim = Rim::open(config, Metrics::new(), 1, SystemTime::now()).unwrap();
    let handle = rim.handle();
    handle.opened.send_replace(0);
    let running = tokio::task::spawn_local(rim.run());
    until("the step", || handle.shared.load().generation == 12).await;
    let is_acknowledged = || fake.heard.lock().unwrap().iter().any(|heard| heard.acknowledged == Some(12));
    // It would be on its way at once.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!is_acknowledged());
    handle.opened.send_replace(12);
    until("the acknowledgement", is_acknowledged).await;
    server.abort();
    running.abort();
}

#[test]
fn a_listener_is_acknowledged_when_its_port_is_open() {
    let folder = tempfile::tempdir().unwrap();
    transport::rt::run(opening(folder.path())).unwrap();
}

#[test]
fn ports_that_do_not_open_are_waited_for_so_long_and_no_longer() {
    let folder = tempfile::tempdir().unwrap();
    let rim = rim(folder.path());
    let waited = |generation| on(Network::Nowhere, took(rim.opened(generation))).1;
    assert_eq!(waited(5), Duration::ZERO, "nobody opens any");
    rim.handle.opened.send_replace(4);
    assert_eq!((waited(4), waited(5)), (Duration::ZERO, crate::limits::OPENING));
}

/// A rim whose control plane is wherever the network of the test leads.
fn rim(folder: &std::path::Path) -> Rim {
    let now = SystemTime::now();
    let mut authority = Authority::create(TrustDomain::parse("organza.local").unwrap(), now).unwrap();
    let svid = folder.join("svid");
    crate::snapshot::file::write_private(&svid, issue(&mut authority, ("shop", "web"), now).to_pem().as_bytes()).unwrap();
    let roots = identity::pem::encode_chain(authority.roots().iter().map(Vec::as_slice));
    let document = serde_json::json!({
        "mesh": "test", "proxy": "web", "namespace": "shop", "identity": "spiffe://organza.local/ns/shop/sa/web",
        "role": { "workload": {} }, "state": folder, "svid": svid, "admin": folder.join("admin.sock"),
        "control": { "addresses": ["10.0.0.1:15012"], "trustRoots": roots, "trustDomain": "organza.local" },
    });
    Rim::open(Config::parse(&document.to_string()).unwrap(), Metrics::new(), 1, now).unwrap()
}

#[test]
fn so_many_names_are_known_and_new_ones_are_refused_then() {
    let folder = tempfile::tempdir().unwrap();
    let mut rim = rim(folder.path());
    let mut ask = |name: usize| {
        let (reply, answer) = tokio::sync::oneshot::channel();
        rim.ask(Question { subscription: format!("host/shop/{name}").into(), reply });
        answer
    };
    // What is its own is one of them.
    let mut waiting: Vec<_> = (1..crate::limits::NAMES).map(&mut ask).collect();
    let closed =
        |answer: &mut tokio::sync::oneshot::Receiver<_>| answer.try_recv() == Err(tokio::sync::oneshot::error::TryRecvError::Closed);
    assert!(!waiting.iter_mut().any(closed));
    assert!(closed(&mut ask(0)));
}

#[test]
fn the_control_plane_is_dialled_for_so_long_and_its_answers_are_awaited_for_so_long() {
    let folder = tempfile::tempdir().unwrap();
    let mut rim = rim(folder.path());
    for network in [Network::Nowhere, Network::Silent] {
        let dialled = on(network, took(super::connect::channel(&rim.config, &rim.handle.credentials)));
        assert_eq!((dialled.0.is_err(), dialled.1), (true, crate::limits::CONNECT));
    }
    on(Network::Silent, async {
        let dial = tower::service_fn(|_: tonic::transport::Uri| async {
            transport::rt::Here::now().connect("10.0.0.1:1".parse().unwrap()).await.map(hyper_util::rt::TokioIo::new)
        });
        let channel = tonic::transport::Endpoint::from_static("http://control").connect_with_connector(dial).await.unwrap();
        let leaver = rim.handle.leaver.clone();
        let left = tokio::task::spawn_local(async move { took(leaver.leave()).await });
        rim.leaves.recv().await.unwrap().carry_out(channel, "web".to_owned());
        assert_eq!(left.await.unwrap(), (Err("no answer in time".to_owned()), crate::limits::ANSWER));
    });
}

#[test]
fn listeners_have_all_that_is_under_way_judged_again_and_endpoints_do_not() {
    let before = Snapshot::default();
    let is_heard = |resource: Resource| {
        let changes = [model::Change::Put(resource)];
        is_judged_again(&before, &before.apply(1, &changes, &BTreeMap::new()), &changes)
    };
    assert!(is_heard(resources::listener(443, None)));
    assert!(resources::catalog(&[]).into_iter().all(|resource| !is_heard(resource)));
}
