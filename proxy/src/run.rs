//! A proxy's life: the rim comes up with the last acknowledged state, workers start once it is known who this proxy is, doors open, and at the end
//! everything that is under way is let finish.

use crate::admin::{self, Admin, SetLevel};
use crate::config::{Config, GatewayPorts, Role, Workload};
use crate::doors::{ApplicationDoor, Door, Doors, work};
use crate::rim::{Handle, Rim, RimError};
use crate::worker::{self, LogSink, Me, Shared};
use crate::{checks, limits, snapshot};
use model::{Key, Kind, Listener, Source};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
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
}

/// Runs until `stop` completes or the admin socket asks for a drain. Call it on a single-threaded tokio runtime: that thread becomes the rim.
///
/// # Errors
/// If it cannot start, or a port that the user named is taken.
pub async fn run(config: Config, set_level: SetLevel, stop: impl Future<Output = ()>) -> Result<(), RunError> {
    tokio::task::LocalSet::new().run_until(serve(config, set_level, stop)).await
}

async fn serve(config: Config, set_level: SetLevel, stop: impl Future<Output = ()>) -> Result<(), RunError> {
    let metrics = Metrics::new();
    let rim = Rim::open(config.clone(), metrics.clone(), rt::seed(), rt::wall())?;
    if let Some(problem) = &rim.snapshot_problem {
        tracing::warn!("{problem}; starting without it");
    }
    let handle = rim.handle();
    let (serving, served) = watch::channel(false);
    let (drain, drained) = watch::channel(false);
    let admin = Admin {
        config: Arc::new(config.clone()),
        shared: handle.shared.clone(),
        metrics: metrics.clone(),
        serving: served,
        drain: drain.clone(),
        set_level,
        leaver: handle.leaver.clone(),
    };
    let socket = admin::bind(&config.admin).map_err(|e| RunError::Admin(config.admin.clone(), e))?;
    tokio::task::spawn_local(admin::serve(socket, admin.clone().router()));
    if let Some(address) = config.metrics {
        let door = |why| RunError::Door { address, what: "metrics".into(), why };
        let listener = tokio::net::TcpListener::bind(address).await.map_err(door)?;
        tokio::task::spawn_local(admin::serve_metrics(listener, admin.metrics_router()));
    }
    tokio::task::spawn_local(rim.run());
    let ended = async {
        let asked = async { drop(drained.clone().wait_for(|on| *on).await) };
        futures_util::future::select(std::pin::pin!(stop), std::pin::pin!(asked)).await;
    };
    let mut ended = std::pin::pin!(ended);
    let Some(me) = until(ended.as_mut(), known(&config, &handle)).await else { return Ok(()) };
    let mut proxy = Proxy::start(&config, &handle, metrics, me)?;
    let own = match &config.role {
        Role::Workload(workload) => workload.services.clone(),
        Role::Gateway { .. } => Vec::new(),
    };
    tokio::task::spawn_local(checks::run(worker::Worker::new(proxy.shared.clone(), rt::seed()), own));
    proxy.open_fixed(&config)?;
    let (config_ref, serving_ref) = (&config, &serving);
    let watched = proxy.watch(config_ref, serving_ref);
    if let Some(failed) = until(ended, watched).await {
        failed?;
    }
    drain.send_replace(true);
    proxy.drain(&config).await;
    Ok(())
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
        if let Some(me) = me(config, &handle.shared.load()) {
            return me;
        }
        rt::sleep(limits::LOOK).await;
    }
}

fn me(config: &Config, snapshot: &snapshot::Snapshot) -> Option<Me> {
    let peer = match &config.role {
        Role::Workload(Workload { inbound: Some(_), .. }) => Peer::of_workload(own_workload(snapshot, &config.namespace, &config.proxy)?),
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
    Some(Me { name: config.proxy.clone(), namespace: config.namespace.clone(), peer: Arc::new(peer), metadata })
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
    /// Where each of a gateway's ports really is.
    ports: BTreeMap<u16, SocketAddr>,
}

impl Proxy {
    fn start(config: &Config, handle: &Handle, metrics: Metrics, me: Me) -> Result<Self, RunError> {
        let count = config.workers.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
        let shared = Arc::new(Shared {
            snapshot: handle.shared.clone(),
            credentials: handle.credentials.clone(),
            log: config.log.access.then(|| log_sink(config.log.json, &metrics)),
            metrics,
            me,
            resolver: handle.resolver.clone(),
            guards: handle.guards.clone(),
            system_roots: system_roots(),
            draining: watch::Sender::new(false),
            busy: AtomicUsize::new(0),
        });
        let mut senders = Vec::new();
        for index in 0..count {
            let (sender, receiver) = mpsc::unbounded_channel();
            worker::spawn(index, shared.clone(), rt::seed(), async move |worker| work(worker, receiver).await)
                .map_err(RunError::Workers)?;
            senders.push(sender);
        }
        Ok(Self { shared, doors: Doors::new(senders), ports: BTreeMap::new() })
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

    fn open(&mut self, address: SocketAddr, door: Door, what: &str) -> Result<SocketAddr, RunError> {
        self.doors.open(address, door).map_err(|why| RunError::Door { address, what: what.to_owned(), why })
    }

    /// Opens and closes a gateway's ports as its listeners come and go.
    async fn watch(&mut self, config: &Config, serving: &watch::Sender<bool>) -> Result<(), RunError> {
        let mut seen = None;
        loop {
            let snapshot = self.shared.snapshot.load_full();
            if seen != Some(snapshot.generation) {
                seen = Some(snapshot.generation);
                self.gauge(snapshot.generation);
                if let Role::Gateway { gateway, ports } = &config.role {
                    self.sync(config, gateway, *ports, snapshot.table.listeners_of(gateway))?;
                }
                serving.send_replace(true);
            }
            rt::sleep(limits::LOOK).await;
        }
    }

    fn gauge(&self, generation: u64) {
        self.shared.metrics.gauge("organza_config_generation", "Generation of the configuration in force", &[]).set(generation as f64);
        if let Some(svid) = self.shared.credentials.svid() {
            let end = identity::unix_seconds(svid.not_after()) as f64;
            let name = "organza_certificate_expiry_timestamp_seconds";
            self.shared.metrics.gauge(name, "End of the certificate that this proxy shows", &[]).set(end);
        }
    }

    fn sync(&mut self, config: &Config, gateway: &Key, ports: GatewayPorts, listeners: &[Arc<Listener>]) -> Result<(), RunError> {
        let wanted: BTreeMap<u16, IpAddr> = listeners
            .iter()
            .filter(|l| l.protocol != model::ListenerProtocol::Udp)
            .map(|l| (l.port, l.addresses.first().copied().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))))
            .collect();
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
            let address = match ports {
                GatewayPorts::Exact => self.open(SocketAddr::new(ip, port), door, &format!("gateway {}", gateway.name))?,
                GatewayPorts::Preferred => self.open_near(ip, port, &door, gateway)?,
            };
            tracing::info!("gateway {} listens on {address} for port {port}", gateway.name);
            self.ports.insert(port, address);
        }
        let told: BTreeMap<String, String> = self.ports.iter().map(|(port, at)| (port.to_string(), at.to_string())).collect();
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
        self.shared.draining.send_replace(true);
        rt::sleep(limits::DRAIN_GRACE).await;
        self.doors.close_all();
        let idle = async {
            while self.shared.busy.load(Ordering::Relaxed) > 0 {
                rt::sleep(limits::LOOK).await;
            }
        };
        if rt::timeout(config.drain(), idle).await.is_none() {
            tracing::warn!(
                "{} requests or connections are cut off: the drain took longer than allowed",
                self.shared.busy.load(Ordering::Relaxed)
            );
        }
        drop(self.doors);
    }
}

/// As curl and all others send the user and password of a proxy's URL.
fn basic(user: &str, secret: &str) -> String {
    use base64::Engine;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{secret}")))
}

fn log_sink(json: bool, metrics: &Metrics) -> LogSink {
    let (lines, receiver) = std::sync::mpsc::sync_channel::<String>(limits::LOG_LINES);
    let format = if json { access_log::Format::Json } else { access_log::Format::Text };
    let written = std::thread::Builder::new().name("access-log".into()).spawn(move || {
        let mut out = io::BufWriter::new(io::stdout());
        while let Ok(line) = receiver.recv() {
            // A full disk loses lines, never requests.
            let _ = out.write_all(line.as_bytes());
            for line in receiver.try_iter() {
                let _ = out.write_all(line.as_bytes());
            }
            let _ = out.flush();
        }
    });
    if let Err(e) = written {
        tracing::error!("no access log: {e}");
    }
    LogSink::new(lines, format, metrics)
}

/// Roots of the machine, for hosts outside the mesh.
fn system_roots() -> Arc<[u8]> {
    let places = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"];
    places.iter().find_map(|place| std::fs::read(place).ok()).unwrap_or_default().into()
}

#[cfg(test)]
mod tests;
