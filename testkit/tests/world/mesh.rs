//! The mesh of the world: one control plane, one gateway, one caller's proxy, and replicas of two versions of a service. All of it is the code that
//! ships; a node keeps its folder over restarts, the control plane its store.

use crate::ledger::Ledger;
use crate::network::{Door, Network, Node, address};
use crate::node::Process;
use crate::random::Random;
use crate::stream::VirtualWire;
use crate::traffic::{self, Speaks};
use crate::wish::Wish;
use control::ControlConfig;
use control::core::Core;
use control::serve::Entrance;
use control::store::Memory;
use identity::{Csr, Svid};
use model::{Key, Kind, Source, SpiffeId, TrustDomain};
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
use wire::api::{RegistrationRequest, WorkloadPort};

pub const CONTROL: Node = 1;
pub const GATEWAY: Node = 2;
pub const WEB: Node = 3;
/// Replicas come after.
pub const REPLICAS: Node = 4;

pub const XDS: u16 = 15_010;
pub const TUNNEL: u16 = 15_008;
pub const HTTP: u16 = 8080;
pub const OUTBOUND: u16 = 4140;
const APPLICATION: u16 = 8000;
/// Replicas that each version keeps.
const LEAST: usize = 2;
/// A proxy has one to so many.
const WORKERS: u64 = 3;
pub const SECRET: &str = "sixteen-characters";
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
    proxy: Option<Process>,
    application: Option<Process>,
    stop: Option<oneshot::Sender<()>>,
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
}

fn domain() -> TrustDomain {
    TrustDomain::parse("organza.local").expect("a trust domain")
}

impl Mesh {
    pub fn new(network: Network, ledger: Rc<RefCell<Ledger>>, random: Random) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the disks");
        let store = Memory::default();
        Self { network, ledger, members: BTreeMap::new(), folder, store, control: None, random, wish: Wish::default(), edits: 0 }
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
            svid_life: SVID_LIFE,
            own_ca: None,
            cluster: None,
            beyond: Default::default(),
        };
        let (core, credentials) = control::open(&config, Arc::new(self.store.clone())).expect("a control plane");
        let door = Knock(self.network.listen(CONTROL, XDS).expect("nobody else is there"));
        let (served, kept, shown) = (core.clone(), core.clone(), credentials.clone());
        let tasks = vec![
            tokio::spawn(async move { control::serve::serve(served, door, shown).await.expect("proxies are served") }),
            tokio::spawn(control::keep(kept, credentials)),
        ];
        self.control = Some(ControlPlane { core, tasks });
        self.read();
    }

    /// As SIGKILL.
    pub async fn kill_control(&mut self) {
        let Some(control) = self.control.take() else { return };
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
            release: proxy::config::release(),
        };
        let member = Member { name: name.to_owned(), config, version, proxy: None, application: None, stop: None };
        self.members.insert(node, member);
        self.start(node);
    }

    /// Starts what of a member is not running, on the disk that it left.
    pub fn start(&mut self, node: Node) {
        let machine = self.network.node(node);
        let Some(member) = self.members.get_mut(&node) else { return };
        if member.application.is_none() && matches!(&member.config.role, Role::Workload(w) if w.application.is_some()) {
            let door = self.network.listen(node, APPLICATION).expect("nobody else is there");
            let random = Random::new(self.random.next());
            let life = traffic::serve(door, node, speaks(member.version.unwrap_or(1)), self.ledger.clone(), random);
            member.application = Some(Process::start(machine.clone(), life));
        }
        let (stop, stopped) = oneshot::channel::<()>();
        let (config, name) = (member.config.clone(), member.name.clone());
        let life = async move {
            let stopped = async { drop(stopped.await) };
            if let Err(e) = proxy::run(config, proxy::Begin::Alone, Arc::new(|_: &str| Ok(())), stopped).await {
                panic!("{name} ends: {e}");
            }
        };
        member.proxy = Some(Process::start(machine, life));
        member.stop = Some(stop);
    }

    /// The whole node dies; its disk stays.
    pub async fn kill(&mut self, node: Node) {
        let Some(member) = self.members.get_mut(&node) else { return };
        let (proxy, application) = (member.proxy.take(), member.application.take());
        member.stop = None;
        self.network.sever(node);
        for process in proxy.into_iter().chain(application) {
            process.kill().await;
        }
    }

    /// The proxy drains and ends; its application goes on.
    pub async fn drain(&mut self, node: Node) {
        let Some(member) = self.members.get_mut(&node) else { return };
        // Dropping it says so too.
        member.stop = None;
        if let Some(proxy) = member.proxy.take() {
            proxy.ended().await;
        }
    }

    /// Takes a member out as `organza run` does when it ends: the registration first, then the drain.
    pub async fn leave(&mut self, node: Node) {
        let Some(member) = self.members.get(&node) else { return };
        self.core().deregister(&member.config.proxy);
        self.drain(node).await;
        self.kill(node).await;
        self.members.remove(&node);
    }

    /// The proxy alone, or the application with it.
    pub fn pause(&self, node: Node, whole: bool, paused: bool) {
        let Some(member) = self.members.get(&node) else { return };
        let application = member.application.as_ref().filter(|_| whole);
        member.proxy.iter().chain(application).for_each(|process| process.pause(paused));
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
fn speaks(version: u8) -> Speaks {
    if version == 2 { Speaks::Http2 } else { Speaks::Http1 }
}
