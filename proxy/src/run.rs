//! A proxy's life: the rim comes up with the last acknowledged state, workers start once it is known who this proxy is, doors open, and at the end
//! everything that is under way is let finish.

use crate::admin::{Admin, SetLevel};
use crate::config::{Config, GatewayPorts, Role, Workload};
use crate::datagrams::Ports;
use crate::doors::{ApplicationDoor, Door, Doors, work};
use crate::gauges::Gauges;
use crate::handover::{self, HandoverError, Inheritance, Predecessor};
use crate::lines::LogSink;
use crate::names::Names;
use crate::rim::{Handle, Rim, RimError};
use crate::worker::{self, Me, Shared, Stage};
use crate::{checks, limits, otlp, snapshot};
use futures_util::future::Either;
use model::{Key, Kind, Listener, Locality, Source};
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use telemetry::{Metrics, Peer, access_log};
use tokio::sync::{mpsc, watch};
use transport::preface::PeerMetadata;
use transport::rt;

/// Why a proxy ends badly.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Rim(#[from] RimError),
    #[error("{0} cannot be opened: {1}")]
    Admin(std::path::PathBuf, io::Error),
    #[error("{address} cannot be opened for {what}: {why}")]
    Door { address: SocketAddr, what: String, why: io::Error },
    #[error("worker threads cannot be started: {0}")]
    Workers(io::Error),
    #[error("the running process does not hand over: {0}")]
    Handover(HandoverError),
    #[error("the doors that were handed over cannot be opened: {0}")]
    Unpark(io::Error),
}

/// How a proxy comes to its doors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// It opens them.
    Alone,
    /// It takes them over from the process that runs under its name, without a connection lost; where none runs, it opens them.
    AsSuccessor,
}

/// Runs until `stop` completes, the admin socket asks for a drain, or a successor has the doors and the connections that were open have ended.
/// Call it on a single-threaded tokio runtime: that thread becomes the rim.
///
/// # Errors
/// If it cannot start, or a port that the user named is taken.
pub async fn run(config: Config, begin: Begin, set_level: SetLevel, stop: impl Future<Output = ()>) -> Result<(), RunError> {
    // A whole life is large; on the heap it crowds no stack.
    tokio::task::LocalSet::new().run_until(Box::pin(serve(config, begin, set_level, stop))).await
}

async fn serve(config: Config, begin: Begin, set_level: SetLevel, stop: impl Future<Output = ()>) -> Result<(), RunError> {
    let (drain, drained) = watch::channel(false);
    let ended = async {
        let asked = async { drop(drained.clone().wait_for(|on| *on).await) };
        futures_util::future::select(std::pin::pin!(stop), std::pin::pin!(asked)).await;
    };
    let mut ended = std::pin::pin!(ended);
    let asked = match begin {
        Begin::Alone => None,
        Begin::AsSuccessor => match until(ended.as_mut(), handover::ask(&config)).await {
            Some(asked) => asked?,
            None => return Ok(()),
        },
    };
    let (successor, inheritance) = asked.unzip();
    let metrics = Metrics::new();
    let seed = rt::seed();
    let rim = Rim::open(config.clone(), metrics.clone(), seed, rt::wall())?;
    if let Some(problem) = &rim.snapshot_problem {
        tracing::warn!("{problem}; starting without it");
    }
    let handle = rim.handle();
    if let Role::Gateway { .. } = config.role {
        handle.opened.send_replace(0);
    }
    let mut rim = Some(rim);
    let (serving, served) = watch::channel(false);
    let mut names = Names::new(&config, answers(&config, &handle, &metrics, served, drain.clone(), set_level));
    match &successor {
        // Names and files are the predecessor's until it has said its last word.
        Some(_) => handle.saver.hold(),
        None => names.open().await?,
    }
    // A successor speaks to the control plane once it has the doors: until then its predecessor is the proxy. But without a snapshot it cannot know
    // by itself who it is.
    if successor.is_none() || me(&config, &handle.shared.load()).is_none() {
        keep_up(&mut rim);
    }
    let Some(me) = until(ended.as_mut(), known(&config, &handle)).await else { return Ok(()) };
    let mut proxy = Proxy::start(&config, &handle, metrics, me)?;
    let taking = successor.zip(inheritance).map(|(successor, inheritance)| (successor, proxy.inherit(inheritance)));
    proxy.open_fixed(&config)?;
    if let Some((successor, (what, metrics))) = taking {
        proxy.open_gateway(&config)?;
        match until(ended.as_mut(), names.take_over(successor, metrics)).await {
            Some(rest) => {
                let rest = rest?;
                if let Some(elder) = rest.elder {
                    drop(elder.count(proxy.shared.clone()));
                }
                proxy.datagrams.unpark(rest.sessions).map_err(RunError::Unpark)?;
            }
            None => return Ok(()),
        }
        handle.saver.release();
        proxy.doors.unpark().map_err(RunError::Unpark)?;
        tracing::info!("took over {what}");
        names.tell(what);
    } else {
        names.open_to_successors();
    }
    keep_up(&mut rim);
    // What the rim itself calls by, of which connections are doubted too when trust changes.
    let caller = |seed: u64| {
        let worker = worker::Worker::new(proxy.shared.clone(), seed);
        tokio::task::spawn_local(crate::doors::judge_again(worker.clone()));
        worker
    };
    tokio::task::spawn_local(otlp::run(caller(seed.rotate_left(2))));
    let own = match &config.role {
        Role::Workload(workload) => workload.services.clone(),
        Role::Gateway { .. } => Vec::new(),
    };
    tokio::task::spawn_local(checks::run(caller(!seed), own, handle.news.clone()));
    tokio::task::spawn_local(crate::tokens::fetch::run(caller(seed.rotate_left(1))));
    let succeeded = Box::pin(proxy.live(&config, &handle, &serving, &mut names, ended.as_mut())).await?;
    if succeeded && !proxy.linger(&config, ended).await {
        handle.last.say().await;
        return Ok(());
    }
    drain.send_replace(true);
    proxy.drain(&config).await;
    handle.last.say().await;
    Ok(())
}

/// Starts the rim, unless it runs.
fn keep_up(rim: &mut Option<Rim>) {
    if let Some(rim) = rim.take() {
        tokio::task::spawn_local(rim.run());
    }
}

fn answers(
    config: &Config,
    handle: &Handle,
    metrics: &Metrics,
    serving: watch::Receiver<bool>,
    drain: watch::Sender<bool>,
    set_level: SetLevel,
) -> Admin {
    Admin {
        config: Arc::new(config.clone()),
        shared: handle.shared.clone(),
        metrics: metrics.clone(),
        serving,
        drain,
        succeeded: handle.succeeded.clone(),
        took_over: Arc::default(),
        set_level,
        leaver: handle.leaver.clone(),
    }
}

/// `None` where the end came first.
async fn until<T>(ended: std::pin::Pin<&mut impl Future<Output = ()>>, work: impl Future<Output = T>) -> Option<T> {
    match futures_util::future::select(ended, std::pin::pin!(work)).await {
        futures_util::future::Either::Left(_) => None,
        futures_util::future::Either::Right((value, _)) => Some(value),
    }
}

/// Who this proxy is, as soon as the control plane (or the snapshot on disk) says so.
async fn known(config: &Config, handle: &Handle) -> Me {
    loop {
        let news = handle.news.notified();
        if let Some(me) = me(config, &handle.shared.load()) {
            return me;
        }
        news.await;
    }
}

fn me(config: &Config, snapshot: &snapshot::Snapshot) -> Option<Me> {
    let mut locality = config.locality.as_deref().and_then(Locality::parse);
    let peer = match &config.role {
        Role::Workload(Workload { inbound: Some(_), .. }) => {
            let own = own_workload(snapshot, &config.namespace, &config.proxy)?;
            locality.get_or_insert_with(|| own.locality.clone());
            Peer::of_workload(own)
        }
        Role::Workload(_) => claimed(config, config.identity.service_account()),
        Role::Gateway { gateway, .. } => {
            // Anything that came proves that the control plane has told what there is.
            if snapshot.generation == 0 {
                return None;
            }
            claimed(config, &format!("gateway-{}", gateway.name))
        }
    };
    let text = |value: &Arc<str>| value.to_string();
    let metadata = PeerMetadata {
        workload: text(&peer.workload),
        namespace: text(&peer.namespace),
        app: text(&peer.app),
        version: text(&peer.version),
        cluster: text(&peer.cluster),
    };
    Some(Me {
        name: config.proxy.clone(),
        namespace: config.namespace.clone(),
        peer: Arc::new(peer),
        metadata,
        locality: locality.unwrap_or_default(),
    })
}

fn claimed(config: &Config, name: &str) -> Peer {
    Peer::claimed(name, &config.namespace, name, "latest", &config.mesh, Some(&config.identity))
}

/// The workload that the control plane registered this proxy as. Not one of its identity and port: replicas share both, each on a machine of its own.
fn own_workload<'s>(snapshot: &'s snapshot::Snapshot, namespace: &str, proxy: &str) -> Option<&'s model::Workload> {
    snapshot.workloads.get(&Key::new(Source::organza(), Kind::Workload, namespace, proxy)).map(|w| &**w)
}

struct Proxy {
    shared: Arc<Shared>,
    doors: Doors,
    /// For datagrams.
    datagrams: Ports,
    /// Where each of a gateway's ports really is.
    ports: BTreeMap<u16, SocketAddr>,
    /// Where a predecessor had them.
    inherited: BTreeMap<u16, SocketAddr>,
}

impl Proxy {
    fn start(config: &Config, handle: &Handle, metrics: Metrics, me: Me) -> Result<Self, RunError> {
        let count = config.workers.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
        let shared = Arc::new(Shared {
            snapshot: handle.shared.clone(),
            credentials: handle.credentials.clone(),
            log: log_sink(config, &metrics),
            metrics,
            me,
            resolver: handle.resolver.clone(),
            guards: handle.guards.clone(),
            flows: handle.flows.clone(),
            keys: handle.keys.clone(),
            otlp: Default::default(),
            system_roots: identity::pem::SystemRoots::OfMachine,
            access: handle.access.clone(),
            stage: watch::Sender::new(Stage::Serving),
            busy: AtomicUsize::new(0),
            bodies: Arc::default(),
        });
        let mut senders = Vec::new();
        for index in 0..count {
            let (sender, receiver) = mpsc::unbounded_channel();
            worker::spawn(index, shared.clone(), rt::seed(), async move |worker| work(worker, receiver).await)
                .map_err(RunError::Workers)?;
            senders.push(sender);
        }
        let datagrams = Ports::new(senders.clone(), shared.metrics.clone());
        Ok(Self { shared, doors: Doors::new(senders), datagrams, ports: BTreeMap::new(), inherited: BTreeMap::new() })
    }

    /// Opens with what a predecessor gave; what it was in words, and the socket of `/metrics`.
    fn inherit(&mut self, inheritance: Inheritance) -> (String, Option<OwnedFd>) {
        let what = inheritance.to_string();
        self.inherited = inheritance.ports.into_iter().collect();
        self.doors.inherit(inheritance.groups);
        self.datagrams.inherit(inheritance.datagrams);
        (what, inheritance.metrics)
    }

    /// What the configuration names itself: the tunnel port, the application's way out, listeners for single services.
    fn open_fixed(&mut self, config: &Config) -> Result<(), RunError> {
        let Role::Workload(workload) = &config.role else { return Ok(()) };
        if let (Some(inbound), Some(application)) = (workload.inbound, workload.application) {
            let own = own_workload(&self.shared.snapshot.load(), &config.namespace, &config.proxy).map(|w| w.key.clone());
            if let Some(workload) = own {
                self.open(inbound, Door::Inbound(ApplicationDoor { workload, host: application.ip() }), "the mesh")?;
            }
        }
        if let Some(outbound) = &workload.outbound {
            let authorization: Arc<str> = basic("organza", &outbound.secret).into();
            self.open(outbound.address, Door::ExplicitProxy { authorization }, "the application's calls")?;
        }
        for upstream in &workload.upstreams {
            let door = Door::Named { host: upstream.host.to_ascii_lowercase(), port: upstream.port };
            self.open(upstream.address, door, &format!("calls to {}", upstream.host))?;
        }
        Ok(())
    }

    /// The ports of a gateway's listeners, as far as they are known.
    fn open_gateway(&mut self, config: &Config) -> Result<(), RunError> {
        let Role::Gateway { gateway, ports } = &config.role else { return Ok(()) };
        let snapshot = self.shared.snapshot.load_full();
        self.sync(config, gateway, *ports, snapshot.table.listeners_of(gateway))
    }

    fn open(&mut self, address: SocketAddr, door: Door, what: &str) -> Result<SocketAddr, RunError> {
        self.doors.open(address, door).map_err(|why| RunError::Door { address, what: what.to_owned(), why })
    }

    /// Serves until it is to end, or until a successor has the doors, which is told by `true`.
    async fn live(
        &mut self,
        config: &Config,
        handle: &Handle,
        serving: &watch::Sender<bool>,
        names: &mut Names,
        mut ended: std::pin::Pin<&mut impl Future<Output = ()>>,
    ) -> Result<bool, RunError> {
        loop {
            let asked = {
                let names = &*names;
                let watched = std::pin::pin!(self.watch(config, handle, serving, names));
                let asked = std::pin::pin!(names.asked(config));
                match until(ended.as_mut(), futures_util::future::select(watched, asked)).await {
                    None => return Ok(false),
                    Some(Either::Left((failed, _))) => {
                        failed?;
                        continue;
                    }
                    Some(Either::Right((asked, _))) => asked,
                }
            };
            let (pid, release) = (asked.successor.pid, asked.successor.release.clone());
            tracing::info!("process {pid}, organza {release}, asks for the doors");
            match until(ended.as_mut(), self.hand_over(handle, names, asked)).await {
                // Who waits in the sockets is still let in.
                None => return self.unpark().map(|()| false),
                Some(Ok(())) => {
                    let open = self.shared.busy.load(Ordering::Relaxed);
                    tracing::info!("process {pid} has the doors; {open} connections go on here");
                    handle.succeeded.store(true, Ordering::Relaxed);
                    names.give_up();
                    return Ok(true);
                }
                Some(Err(why)) => {
                    tracing::warn!("process {pid} did not take over: {why}; this one goes on");
                    self.unpark()?;
                }
            }
        }
    }

    fn unpark(&mut self) -> Result<(), RunError> {
        self.datagrams.unpark(Vec::new()).and_then(|()| self.doors.unpark()).map_err(RunError::Unpark)
    }

    /// Until it returns well, all that is given can be taken back, and is where it fails; but for the doors, which stay parked.
    async fn hand_over(&mut self, handle: &Handle, names: &mut Names, mut to: Predecessor) -> Result<(), HandoverError> {
        // It begins with what is in force here.
        handle.saver.settle();
        let about = (self.shared.snapshot.load().generation, self.shared.busy.load(Ordering::Relaxed) as u64);
        to.offer(&self.doors, &self.datagrams, names.metrics().as_deref(), about).await?;
        self.doors.park();
        self.datagrams.park();
        handle.saver.hold();
        names.step_aside();
        let given = match to.released().await {
            Ok(()) => to.yours().await,
            Err(why) => Err(why),
        };
        match given {
            Ok(()) => {
                // The doors are the successor's: what goes wrong from here on costs sessions, and nothing else.
                let sessions = self.datagrams.give().await;
                if let Err(why) = to.sessions(&sessions).await {
                    tracing::warn!("{} clients of datagrams begin anew with the successor: {why}", sessions.len());
                }
                to.lend(self.shared.clone());
            }
            Err(_) => {
                names.step_back();
                handle.saver.release();
            }
        }
        given
    }

    /// Lets connections end in this process while a successor has the doors; says whether some are left that must end now.
    async fn linger(&mut self, config: &Config, ended: std::pin::Pin<&mut impl Future<Output = ()>>) -> bool {
        self.shared.stage.send_replace(Stage::Lingering);
        self.doors.close_all();
        self.datagrams.close_all();
        let idle = async {
            while self.shared.busy.load(Ordering::Relaxed) > 0 {
                rt::sleep(limits::LOOK).await;
            }
            // What they were is still to be told.
            rt::sleep(limits::REPORT * 2).await;
        };
        let over = until(ended, rt::timeout(config.linger(), idle)).await;
        if over == Some(None) {
            tracing::warn!("connections are still open {:?} after a successor came; they are ended", config.linger());
        }
        over != Some(Some(()))
    }

    /// Opens and closes a gateway's ports as its listeners come and go.
    async fn watch(&mut self, config: &Config, handle: &Handle, serving: &watch::Sender<bool>, names: &Names) -> Result<(), RunError> {
        let mut gauges = Gauges::new(self.shared.metrics.clone());
        loop {
            let news = handle.news.notified();
            let snapshot = self.shared.snapshot.load_full();
            if gauges.look(&snapshot, &self.shared.credentials, rt::wall()) {
                if let Role::Gateway { gateway, ports } = &config.role {
                    let listeners = snapshot.table.listeners_of(gateway);
                    names.make_room(tcp(listeners).map(|listener| listener.port)).await;
                    self.sync(config, gateway, *ports, listeners)?;
                    handle.opened.send_replace(snapshot.generation);
                }
                serving.send_replace(true);
            }
            // Nobody tells of a certificate of our own that was renewed.
            _ = rt::timeout(limits::RIM_LOOK, news).await;
        }
    }

    fn sync(&mut self, config: &Config, gateway: &Key, ports: GatewayPorts, listeners: &[Arc<Listener>]) -> Result<(), RunError> {
        let wanted: BTreeMap<u16, IpAddr> =
            tcp(listeners).map(|l| (l.port, l.addresses.first().copied().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)))).collect();
        let gone: Vec<u16> = self.ports.keys().copied().filter(|port| !wanted.contains_key(port)).collect();
        for port in gone {
            if let Some(address) = self.ports.remove(&port) {
                self.doors.close(&address);
            }
        }
        for (port, ip) in wanted {
            if self.ports.contains_key(&port) {
                continue;
            }
            let door = Door::Gateway { gateway: gateway.clone(), port };
            let inherited = self.inherited.remove(&port).filter(|address| address.ip() == ip);
            let address = match ports {
                _ if let Some(address) = inherited => self.open(address, door, &format!("gateway {}", gateway.name))?,
                GatewayPorts::Exact => self.open(SocketAddr::new(ip, port), door, &format!("gateway {}", gateway.name))?,
                GatewayPorts::Preferred => self.open_near(ip, port, &door, gateway)?,
            };
            tracing::info!("gateway {} listens on {address} for port {port}", gateway.name);
            self.ports.insert(port, address);
        }
        self.datagrams.sync(gateway, listeners, ports)?;
        let mut told: BTreeMap<String, String> = self.ports.iter().map(|(port, at)| (port.to_string(), at.to_string())).collect();
        told.extend(self.datagrams.groups().map(|(port, group)| (format!("{port}/udp"), group.address.to_string())));
        let file = config.state.join("listeners.json");
        let text = serde_json::to_vec(&told).unwrap_or_default();
        if let Err(e) = snapshot::file::write_private(&file, &text) {
            tracing::error!("{} cannot be written: {e}", file.display());
        }
        Ok(())
    }

    /// The port itself, or the next free one.
    fn open_near(&mut self, ip: IpAddr, port: u16, door: &Door, gateway: &Key) -> Result<SocketAddr, RunError> {
        for candidate in port..port.saturating_add(limits::PORTS_TRIED) {
            match self.doors.open(SocketAddr::new(ip, candidate), door.clone()) {
                Ok(address) => return Ok(address),
                Err(e) if matches!(e.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied) => {}
                Err(why) => {
                    let what = format!("gateway {}", gateway.name);
                    return Err(RunError::Door { address: SocketAddr::new(ip, candidate), what, why });
                }
            }
        }
        self.open(SocketAddr::new(ip, 0), door.clone(), &format!("gateway {}", gateway.name))
    }

    /// New requests are still taken for a moment, since peers learn of our leaving while we do; then what is under way may finish.
    async fn drain(mut self, config: &Config) {
        self.shared.stage.send_replace(Stage::Ending);
        rt::sleep(limits::DRAIN_GRACE + limits::DRAIN_GOODBYE).await;
        self.doors.close_all();
        self.datagrams.end();
        let idle = async {
            while self.shared.busy.load(Ordering::Relaxed) > 0 {
                rt::sleep(limits::LOOK).await;
            }
            // The last answers may still wait to go out together.
            rt::sleep(limits::LOOK).await;
        };
        if rt::timeout(config.drain(), idle).await.is_none() {
            tracing::warn!(
                "{} requests or connections are cut off: the drain took longer than allowed",
                self.shared.busy.load(Ordering::Relaxed)
            );
        }
        self.datagrams.close_all();
        drop(self.doors);
    }
}

/// Those that take connections.
fn tcp(listeners: &[Arc<Listener>]) -> impl Iterator<Item = &Arc<Listener>> {
    listeners.iter().filter(|listener| listener.protocol != model::ListenerProtocol::Udp)
}

/// As curl and all others send the user and password of a proxy's URL.
fn basic(user: &str, secret: &str) -> String {
    use base64::Engine;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{secret}")))
}

fn log_sink(config: &Config, metrics: &Metrics) -> LogSink {
    let format = if config.log.json { access_log::Format::Json } else { access_log::Format::Text };
    LogSink::new(config.log.access, format, metrics, config.state.join("logs"))
}

#[cfg(test)]
mod tests;
