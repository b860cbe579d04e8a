//! The mesh of the world: one control plane, one gateway, one caller's proxy, and replicas of two versions of a service. All of it is the code that
//! ships; a node keeps its folder over restarts, the control plane its store.

use crate::ledger::Ledger;
use crate::network::{Door, Network, Node, address};
use crate::node::Process;
use crate::random::Random;
use crate::stream::VirtualWire;
use crate::traffic::{self, Speaks};
use crate::tunnel::{Known, Peer};
use crate::wish::Wish;
use control::ControlConfig;
use control::core::Core;
use control::serve::Entrance;
use control::store::Memory;
use identity::{Authority, Csr, SignRequest, Signer, Svid};
use model::{Key, Kind, Source, SpiffeId, TrustDomain};
use proxy::Begin;
use proxy::config::{Config, Control, GatewayPorts, Log, Outbound, Role, Workload};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use transport::rt::Machine;
use wire::api::{RegistrationRequest, WorkloadPort};

pub const CONTROL: Node = 1;
pub const GATEWAY: Node = 2;
pub const WEB: Node = 3;
/// Replicas come after.
pub const REPLICAS: Node = 4;
/// A peer of another make, beyond callers and replicas.
pub const PEER: Node = 250;

pub const XDS: u16 = 15_010;
pub const TUNNEL: u16 = 15_008;
pub const HTTP: u16 = 8080;
pub const OUTBOUND: u16 = 4140;
const APPLICATION: u16 = 8000;
/// Replicas that each version keeps.
const LEAST: usize = 2;
/// A proxy has one to so many.
const WORKERS: u64 = 3;
/// Proxies begin a release before the control plane's, and each hot restart is by the next one, and from the last by the first again.
const RELEASES: [&str; 3] = ["0.9.0", env!("CARGO_PKG_VERSION"), "99.0.0"];
/// Longest that a successor takes to have the doors.
const TAKEN_OVER: Duration = Duration::from_secs(10);
const SECRET: &str = "sixteen-characters";
/// Short, so that each proxy asks for the next one while a seed runs.
pub const SVID_LIFE: Duration = Duration::from_secs(24);

struct Knock(Arc<Door>);

impl Entrance for Knock {
    type Stream = VirtualWire;
    async fn accept(&mut self) -> std::io::Result<VirtualWire> {
        Ok(self.0.next().await)
    }
}

struct ControlPlane {
    core: Arc<Core>,
    tasks: Vec<JoinHandle<()>>,
}

/// One proxy with its application.
pub struct Member {
    name: String,
    config: Config,
    /// Of a replica.
    version: Option<u8>,
    proxy: Option<Running>,
    /// Processes of the proxy that have a successor, and some connections still.
    elders: Vec<Running>,
    application: Option<Process>,
}

/// One process of a proxy.
struct Running {
    process: Process,
    /// Dropping it asks for its end.
    stop: oneshot::Sender<()>,
}

impl Member {
    /// Starts a process of its proxy.
    fn run(&self, machine: Arc<dyn Machine>, begin: Begin) -> Running {
        let (stop, stopped) = oneshot::channel::<()>();
        let (config, name) = (self.config.clone(), self.name.clone());
        let life = async move {
            let stopped = async { drop(stopped.await) };
            if let Err(e) = proxy::run(config, begin, Arc::new(|_: &str| Ok(())), stopped).await {
                panic!("{name} ends: {e}");
            }
        };
        Running { process: Process::start(machine, life), stop }
    }

    /// Which file the admin socket is, of those that had its name.
    fn admin(&self) -> Option<u64> {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata(&self.config.admin).ok().map(|about| about.ino())
    }

    /// What the proxy's process says of itself, as its supervisor asks for it.
    async fn says(&self) -> std::io::Result<String> {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = tokio::net::UnixStream::connect(&self.config.admin).await?;
        stream.write_all(b"GET /process HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n").await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await.map(|_| text)
    }
}

pub struct Mesh {
    pub network: Network,
    pub ledger: Rc<RefCell<Ledger>>,
    pub members: BTreeMap<Node, Member>,
    folder: tempfile::TempDir,
    store: Memory,
    control: Option<ControlPlane>,
    random: Random,
    wish: Wish,
    edits: u32,
    known: Rc<RefCell<Known>>,
}

fn domain() -> TrustDomain {
    TrustDomain::parse("organza.local").expect("a trust domain")
}

impl Mesh {
    pub fn new(network: Network, ledger: Rc<RefCell<Ledger>>, random: Random) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the disks");
        let store = Memory::default();
        Self {
            network,
            ledger,
            members: BTreeMap::new(),
            folder,
            store,
            control: None,
            random,
            wish: Wish::default(),
            edits: 0,
            known: Rc::default(),
        }
    }

    fn core(&self) -> &Arc<Core> {
        &self.control.as_ref().expect("the control plane is there").core
    }

    /// Starts the control plane on what it kept.
    pub fn start_control(&mut self) {
        let state = self.folder.path().join("control");
        std::fs::create_dir_all(&state).expect("a folder");
        let config = ControlConfig {
            mesh: "world".into(),
            state,
            paths: Vec::new(),
            trust_domain: domain(),
            listen: SocketAddr::new(address(CONTROL).into(), XDS),
            // Not opened here.
            dashboard: SocketAddr::new(address(CONTROL).into(), 0),
            metrics: None,
            svid_life: SVID_LIFE,
            own_ca: None,
            cluster: None,
            beyond: Default::default(),
        };
        let (core, credentials) = control::open(&config, Arc::new(self.store.clone())).expect("a control plane");
        let door = Knock(self.network.listen(CONTROL, config.listen).expect("nobody else is there"));
        let (served, kept, shown) = (core.clone(), core.clone(), credentials.clone());
        let tasks = vec![
            tokio::spawn(async move { control::serve::serve(served, door, shown).await.expect("proxies are served") }),
            tokio::spawn(control::keep(kept, credentials)),
        ];
        self.known.borrow_mut().core = Some(core.clone());
        self.control = Some(ControlPlane { core, tasks });
        self.read();
    }

    /// As SIGKILL.
    pub async fn kill_control(&mut self) {
        let Some(control) = self.control.take() else { return };
        self.known.borrow_mut().core = None;
        self.network.sever(CONTROL);
        control.core.end();
        for task in control.tasks {
            task.abort();
            let _ = task.await;
        }
    }

    /// The user edits the file.
    pub fn edit(&mut self, change: impl FnOnce(&mut Wish)) {
        change(&mut self.wish);
        let before = self.core().world();
        self.read();
        let problems = control::summary::new_problems(&before, &self.core().world());
        assert!(problems.is_empty(), "{problems:?}");
    }

    /// As `organza ca rotate`; says whether it could begin.
    pub fn rotate(&self) -> bool {
        self.core().rotate().is_ok()
    }

    /// As `organza ca revoke`.
    pub fn revoke(&self, node: Node) {
        let proxy = &self.members.get(&node).expect("a member").config.proxy;
        assert!(self.core().revoke(proxy).is_ok(), "{proxy} came from another machine");
    }

    /// Fingerprints of the roots that are believed, the one that signs first.
    pub fn roots(&self) -> Vec<String> {
        self.core().roots().items.into_iter().map(|root| root.fingerprint).collect()
    }

    /// A folder for each edit: when a file changed is the machine's clock's to say, which is not ours.
    fn read(&mut self) {
        self.edits += 1;
        let folder = self.folder.path().join(format!("edit-{}", self.edits));
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("mesh.yaml"), self.wish.yaml()).expect("a file");
        let read = control::files::Files::new(vec![folder]).look().expect("new files are news");
        assert!(read.problems.is_empty(), "{:?}", read.problems);
        self.core().read(read);
    }

    /// Registers a member, gives it a certificate and a configuration, and starts it.
    fn join(&mut self, node: Node, name: &str, request: RegistrationRequest, role: Role, version: Option<u8>) {
        let core = self.core().clone();
        let entry = core.register(request, None).expect("a registration");
        let id = SpiffeId::parse(&entry.identity).expect("an identity");
        let csr = Csr::generate(&id).expect("a key");
        let (issued, roots) = core.sign(&csr.der, &id, &entry.proxy).expect("a certificate");
        let svid = Svid::new(issued.chain, csr.key()).expect("an SVID");
        let state = self.folder.path().join(format!("node-{node}"));
        std::fs::create_dir_all(&state).expect("a folder");
        std::fs::write(state.join("svid"), svid.to_pem().as_bytes()).expect("a file");
        let config = Config {
            mesh: "world".into(),
            proxy: entry.proxy,
            namespace: "shop".into(),
            identity: id,
            role,
            locality: None,
            control: Control {
                addresses: vec![SocketAddr::new(address(CONTROL).into(), XDS)],
                trust_roots: identity::pem::encode_chain(roots.iter().map(|der| &der[..])),
                trust_domain: domain(),
            },
            svid: state.join("svid"),
            admin: state.join("admin.sock"),
            state,
            metrics: None,
            workers: Some(self.random.within(1, WORKERS) as usize),
            log: Log::default(),
            drain_seconds: 30,
            linger_seconds: 3600,
            release: RELEASES[0].into(),
        };
        let member = Member { name: name.to_owned(), config, version, proxy: None, elders: Vec::new(), application: None };
        self.members.insert(node, member);
        self.start(node);
    }

    /// Starts what of a member is not running, on the disk that it left.
    pub fn start(&mut self, node: Node) {
        let machine = self.network.node(node);
        let Some(member) = self.members.get_mut(&node) else { return };
        if member.application.is_none() && matches!(&member.config.role, Role::Workload(w) if w.application.is_some()) {
            let door = self.network.listen(node, loopback(APPLICATION)).expect("nobody else is there");
            let random = Random::new(self.random.next());
            let life = traffic::serve(door, node, speaks(member.version.unwrap_or(1)), self.ledger.clone(), random);
            member.application = Some(Process::start(machine.clone(), life));
        }
        member.proxy = Some(member.run(machine, Begin::Alone));
    }

    /// As `organza up --upgrade`: another process of the proxy takes over its doors, and the one before lets its connections end. Says why it did not.
    pub async fn upgrade(&mut self, node: Node) -> Result<(), String> {
        let machine = self.network.node(node);
        let Some(member) = self.members.get_mut(&node) else { return Err("there is no such node".into()) };
        let before = member.admin();
        let at = RELEASES.iter().position(|release| *release == member.config.release).unwrap_or(0);
        let release = RELEASES[(at + 1) % RELEASES.len()];
        member.config.release = release.into();
        let successor = member.run(machine, Begin::AsSuccessor);
        member.elders.extend(member.proxy.replace(successor));
        let begun = Instant::now();
        loop {
            // Until it has the doors, what is said under this name is the elder's word.
            let said = if member.admin() == before { String::new() } else { member.says().await.unwrap_or_default() };
            if said.contains("\"serving\":true") && said.contains("\"took_over\":\"") {
                break;
            }
            if begun.elapsed() > TAKEN_OVER {
                return Err(format!("the successor does not have the doors of node {node}: {said:?}"));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Proxies that the control plane does not know as what they are: connected, and of their release. Those that are cut off from it are left out.
    pub fn misknown(&self) -> Vec<String> {
        let known = self.core().lock();
        let of = |member: &Member| known.sessions.get(&member.config.proxy);
        let wrong = |member: &&Member| of(member).is_some_and(|session| session.connected && session.release != member.config.release);
        self.members.values().filter(wrong).map(|member| format!("{} is of release {}", member.name, member.config.release)).collect()
    }

    /// Processes that have a successor and are not over yet.
    pub fn elders(&self, node: Node) -> usize {
        self.members.get(&node).map_or(0, |member| member.elders.iter().filter(|elder| !elder.process.is_over()).count())
    }

    /// The whole node dies; its disk stays.
    pub async fn kill(&mut self, node: Node) {
        let Some(member) = self.members.get_mut(&node) else { return };
        let proxies = std::mem::take(&mut member.elders).into_iter().chain(member.proxy.take()).map(|running| running.process);
        let processes: Vec<_> = proxies.chain(member.application.take()).collect();
        self.network.sever(node);
        for process in processes {
            process.kill().await;
        }
    }

    /// The proxy drains and ends; its application goes on.
    pub async fn drain(&mut self, node: Node) {
        let Some(member) = self.members.get_mut(&node) else { return };
        let (stops, processes): (Vec<_>, Vec<_>) = member
            .proxy
            .take()
            .into_iter()
            .chain(std::mem::take(&mut member.elders))
            .map(|running| (running.stop, running.process))
            .unzip();
        drop(stops);
        for process in processes {
            process.ended().await;
        }
    }

    /// Takes a member out as `organza run` does when it ends: the registration first, then the drain.
    pub async fn leave(&mut self, node: Node) {
        let Some(member) = self.members.get(&node) else { return };
        self.core().deregister(&member.config.proxy);
        self.known.borrow_mut().replicas.remove(&node);
        self.drain(node).await;
        self.kill(node).await;
        self.members.remove(&node);
    }

    /// The proxy alone, or the application with it.
    pub fn pause(&self, node: Node, whole: bool, paused: bool) {
        let Some(member) = self.members.get(&node) else { return };
        let application = member.application.as_ref().filter(|_| whole);
        let proxies = member.proxy.iter().chain(&member.elders).map(|running| &running.process);
        proxies.chain(application).for_each(|process| process.pause(paused));
    }

    pub fn replica(&mut self, node: Node, version: u8) {
        let tunnel = SocketAddr::new(address(node).into(), TUNNEL);
        let service = format!("catalog-v{version}");
        let name = format!("{service}-{node}");
        let request = RegistrationRequest {
            ports: vec![WorkloadPort { service: 80, target: APPLICATION }],
            protocol: Some(match speaks(version) {
                Speaks::Http1 => "http".into(),
                Speaks::Http2 => "http2".into(),
            }),
            addresses: vec![tunnel.to_string()],
            service: Some(service),
            ..nobody(&name, "catalog")
        };
        let role = Workload { application: Some(loopback(APPLICATION)), inbound: Some(tunnel), ..workload() };
        self.join(node, &name, request, Role::Workload(role), Some(version));
        self.known.borrow_mut().replicas.insert(node, version);
    }

    /// A peer that speaks HBONE and has an identity of the mesh. It is no proxy of ours: the control plane signs for it, and waits for it with nothing.
    pub fn peer(&mut self) -> Peer {
        let id = SpiffeId::new(domain(), "shop", "ztunnel").expect("an identity");
        let random = Random::new(self.random.next());
        Peer::new(self.network.clone(), PEER, self.known.clone(), random, id, APPLICATION)
    }

    /// A peer as [`Self::peer`], whose certificate was signed with a copy of the authority's key: the authority does not know of it, so that no rotation waits
    /// for its end.
    pub fn thief(&mut self) -> Peer {
        let peer = self.peer();
        let (files, roots, now) = {
            let inner = self.core().lock();
            (inner.authority.files(), inner.authority.roots(), control::shell::wall())
        };
        let mut stolen = Authority::load(domain(), &files, now).expect("the authority's files");
        let csr = Csr::generate(&peer.identity).expect("a key");
        let request = SignRequest::parse(&csr.der).expect("a request");
        let issued = stolen.sign(&request, &peer.identity, now).expect("a certificate");
        peer.showing(Svid::new(issued.chain, csr.key()).expect("an SVID"), &roots)
    }

    pub fn web(&mut self) {
        let outbound = Some(Outbound { address: loopback(OUTBOUND), secret: SECRET.into() });
        self.join(WEB, "web", nobody("web", "web"), Role::Workload(Workload { outbound, ..workload() }), None);
    }

    pub fn gateway(&mut self) {
        let gateway = Key::new(Source::files(), Kind::Gateway, "shop", "edge");
        let role = Role::Gateway { gateway, ports: GatewayPorts::Exact };
        self.join(GATEWAY, "edge", nobody("gateway-edge", "gateway-edge"), role, None);
    }

    /// Replicas of a version that has more than it needs: one may die while another restarts.
    pub fn spare(&self) -> Vec<Node> {
        let of = |version| self.members.iter().filter(move |(_, member)| member.version == Some(version)).map(|(node, _)| *node);
        [1, 2].into_iter().filter(|version| of(*version).count() > LEAST).flat_map(of).collect()
    }

    /// When the certificate on a member's disk was signed.
    pub fn certified(&self, node: Node) -> Option<std::time::SystemTime> {
        let path: &PathBuf = &self.members.get(&node)?.config.svid;
        Svid::from_pem(&std::fs::read(path).ok()?).ok().map(|svid| svid.not_after())
    }
}

/// Of requests to web's proxy.
pub fn authorization() -> String {
    use base64::Engine;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("organza:{SECRET}")))
}

pub fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

fn nobody(name: &str, account: &str) -> RegistrationRequest {
    RegistrationRequest {
        name: name.into(),
        namespace: "shop".into(),
        service_account: account.into(),
        service: None,
        ports: Vec::new(),
        protocol: None,
        labels: BTreeMap::new(),
        addresses: Vec::new(),
    }
}

fn workload() -> Workload {
    Workload { services: Vec::new(), application: None, inbound: None, outbound: None, upstreams: Vec::new(), strict: false }
}

/// What a version of the service speaks.
pub fn speaks(version: u8) -> Speaks {
    if version == 2 { Speaks::Http2 } else { Speaks::Http1 }
}
