//! The control plane: files or a cluster's objects, and registrations in, worlds and views out.
//!
//! `files or kubernetes → core → world → view → serve`, with `api` for the owner's commands. [`registry`], [`tokens`] and [`graph`] are what it remembers,
//! [`store`] where, [`ca`] the authority's files. It carries no request: it cannot name `routing` or `transport`.

pub mod api;
pub mod ca;
pub mod calls;
pub mod checks;
pub mod consumption;
pub mod contexts;
pub mod core;
pub mod dashboard;
pub mod ejections;
pub mod files;
pub mod flows;
pub mod graph;
mod heard;
pub mod kubernetes;
pub mod limits;
pub mod logs;
mod metrics;
mod presence;
pub mod processes;
pub mod prometheus;
pub mod registry;
pub mod roots;
pub mod serve;
mod sessions;
pub mod shelf;
pub mod shell;
mod stand_in;
pub mod store;
pub mod summary;
pub mod tokens;
pub mod traces;
pub mod verdicts;
pub mod view;
pub mod views;
pub mod world;

use crate::core::Core;
use identity::{Credentials, Csr, SignRequest, Signer, Svid, TrustStore};
use model::{SpiffeId, TrustDomain};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;

/// What a control plane is started with.
#[derive(Debug, Clone)]
pub struct ControlConfig {
    pub mesh: String,
    /// Holds `control.sock`, `ca/` and `store.redb`; 0700.
    pub state: PathBuf,
    /// Files and folders of YAML.
    pub paths: Vec<PathBuf>,
    pub trust_domain: TrustDomain,
    /// Where proxies connect; port 0 takes a free one, the same again after a restart.
    pub listen: SocketAddr,
    /// Where browsers find the dashboard; port 0 as above.
    pub dashboard: SocketAddr,
    /// Where a scraper may read numbers about the control plane itself; whoever reaches it may.
    pub metrics: Option<SocketAddr>,
    /// Life of workloads' certificates.
    pub svid_life: Duration,
    /// Chain and key of an authority of the user's own.
    pub own_ca: Option<(PathBuf, PathBuf)>,
    /// Objects come from a cluster, and no files are read.
    pub cluster: Option<kubernetes::Cluster>,
    /// What the dashboard shows beside what is known here.
    pub beyond: Beyond,
}

/// What others know more of.
#[derive(Debug, Clone, Default)]
pub struct Beyond {
    /// Has long history.
    pub prometheus: Option<model::BaseUrl>,
    /// Pages of others, for services and traces.
    pub links: Vec<wire::api::LinkTemplate>,
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Ca(#[from] ca::CaError),
    #[error(transparent)]
    Identity(#[from] identity::Error),
    #[error(transparent)]
    Store(#[from] store::StoreError),
    #[error("{0}: {1}")]
    Listen(String, std::io::Error),
    #[error("the authority that replicas share: {0}")]
    SharedCa(#[from] kubernetes::SharedCaError),
    #[error("path {0} is too long for a socket (at most 100 bytes); set XDG_STATE_HOME to a shorter folder")]
    LongPath(PathBuf),
}

/// A running control plane; it ends when dropped.
pub struct Control {
    pub core: Arc<Core>,
    pub xds_address: SocketAddr,
    socket: PathBuf,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    /// Whether what there is to know is known: files are read at once, a cluster is listed first. Proxies are served from then on.
    pub synced: watch::Receiver<bool>,
}

impl Control {
    /// Ends every stream and gives files and addresses free.
    pub async fn stop(mut self) {
        self.core.end();
        // The door first: it waits until its streams have ended.
        let door = self.tasks.remove(DOOR);
        let others = std::mem::take(&mut self.tasks);
        let all = async {
            let _ = door.await;
            for (place, task) in others.into_iter().enumerate() {
                // A cluster is told that we end.
                if place + 1 != SOURCE {
                    task.abort();
                }
                let _ = task.await;
            }
            // Tasks of single connections still hold the store.
            while Arc::strong_count(&self.core) > 1 {
                tokio::time::sleep(limits::LOOK).await;
            }
        };
        if tokio::time::timeout(limits::SHUTDOWN, all).await.is_err() {
            tracing::debug!("streams did not end in time");
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.core.end();
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
        let _ = std::fs::remove_file(&self.socket);
    }
}

/// Place of the door of the proxies among the tasks.
const DOOR: usize = 1;
/// Place of what brings the objects.
const SOURCE: usize = 3;

/// Longest path that a Unix socket may have, with room for the suffix under which it is first bound.
const SOCKET_PATH: usize = 100;

impl Control {
    /// Starts everything; when this returns, the socket answers and the files have been read once.
    ///
    /// # Errors
    /// If the authority, the store or an address cannot be had.
    pub async fn start(config: ControlConfig) -> Result<Self, StartError> {
        let socket = config.state.join("control.sock");
        if socket.as_os_str().len() > SOCKET_PATH {
            return Err(StartError::LongPath(socket));
        }
        let store = Arc::new(store::Embedded::open(&config.state.join("store.redb"))?);
        let listener = listen(config.listen, "listen", store.as_ref()).await?;
        let browsers = listen(config.dashboard, "listen-dashboard", store.as_ref()).await?;
        let address = listener.local_addr().map_err(|e| StartError::Listen(config.listen.to_string(), e))?;
        if let Some(cluster) = &config.cluster {
            kubernetes::prepare(cluster, &config.state.join("ca"), &config.trust_domain).await?;
        }
        let questions = match &config.cluster {
            Some(cluster) if cluster.is_pod() => {
                let address = SocketAddr::from(([127, 0, 0, 1], kubernetes::QUESTIONS));
                Some(TcpListener::bind(address).await.map_err(|e| StartError::Listen(address.to_string(), e))?)
            }
            _ => None,
        };
        let scraped = match config.metrics {
            Some(address) => Some(TcpListener::bind(address).await.map_err(|e| StartError::Listen(address.to_string(), e))?),
            None => None,
        };
        let (core, credentials) = open(&config, store)?;
        let advertised = config.cluster.as_ref().and_then(|cluster| cluster.deployment.as_ref()?.control);
        let callers = config.cluster.as_ref().map(|cluster| Arc::new(cluster.callers(&config.mesh)));
        // In a cluster logs are the kubelets'.
        let logs = config.cluster.is_none().then(|| config.state.join("logs").into());
        let (synced, is_synced) = watch::channel(config.cluster.is_none());
        let (serving, is_serving) = watch::channel(config.cluster.is_none());
        let source: Pin<Box<dyn Future<Output = ()> + Send>> = match config.cluster {
            Some(cluster) => Box::pin(kubernetes::run(cluster, core.clone(), config.svid_life, synced, serving)),
            None => {
                let mut files = files::Files::new(config.paths);
                // Without a file there are members and roots all the same.
                core.read(files.look().unwrap_or_default());
                Box::pin(look(core.clone(), files))
            }
        };
        let here = browsers.local_addr().map_err(|e| StartError::Listen(config.dashboard.to_string(), e))?;
        let desk = Arc::new(dashboard::Desk::new(core.secret(), here)?);
        let prometheus = config.beyond.prometheus.map(prometheus::Prometheus::new).transpose()?.map(Arc::new);
        let api = api::Api {
            core: core.clone(),
            xds_address: advertised.unwrap_or(address).to_string(),
            control_identity: control_identity(&config.trust_domain)?.to_string(),
            release: env!("CARGO_PKG_VERSION"),
            synced: is_synced.clone(),
            desk: desk.clone(),
            prometheus,
            links: config.beyond.links.into(),
            logs,
            callers,
        };
        let page = dashboard::router(desk, api.clone().for_browsers());
        let scraped =
            scraped.map(|door| tokio::spawn(dashboard::serve("metrics", door, metrics::router(core.clone(), is_serving.clone()))));
        let unix = bind(&socket)?;
        let questions =
            questions.map(|questions| tokio::spawn(dashboard::serve("the API server's questions", questions, api.clone().questions())));
        let mut tasks = vec![
            tokio::spawn(api::serve(unix, api.router())),
            tokio::spawn(door(core.clone(), listener, credentials.clone(), is_serving)),
            tokio::spawn(dashboard::serve("dashboard", browsers, page)),
            tokio::spawn(source),
            tokio::spawn(keep(core.clone(), credentials)),
        ];
        tasks.extend(questions.into_iter().chain(scraped));
        Ok(Self { core, xds_address: address, socket, tasks, synced: is_synced })
    }
}

/// Serves proxies as soon as there is a world, by the replica that leads: before, they would be told that nothing is there any more.
async fn door(core: Arc<Core>, listener: TcpListener, credentials: Credentials, serving: watch::Receiver<bool>) {
    if comes(&core, serving).await
        && let Err(e) = serve::serve(core, listener, credentials).await
    {
        tracing::error!("proxies are no longer served: {e}");
    }
}

/// Waits for it; false where the end comes before.
async fn comes(core: &Core, mut awaited: watch::Receiver<bool>) -> bool {
    tokio::select! {
        biased;
        () = core.ending() => false,
        came = awaited.wait_for(|came| *came) => came.is_ok(),
    }
}

/// What a control plane is before anything is opened: its authority, what it remembers, and the certificate that it shows.
///
/// # Errors
/// If the authority or the store cannot be had.
pub fn open(config: &ControlConfig, store: Arc<dyn store::Store>) -> Result<(Arc<Core>, Credentials), StartError> {
    let now = core::now();
    let folder = config.state.join("ca");
    let own = config.own_ca.as_ref().map(|(chain, key)| (chain.as_path(), key.as_path()));
    let authority = ca::open(&folder, &config.trust_domain, own, now)?.with_svid_life(config.svid_life);
    let ca_folder = config.own_ca.is_none().then_some(folder);
    let next_root = ca_folder.as_deref().map(|folder| ca::load_next(folder, &authority)).transpose()?.flatten();
    let core = Arc::new(Core::new(config.mesh.clone(), config.trust_domain.clone(), authority, ca_folder, store));
    core.lock().next_root = next_root;
    let credentials = own_credentials(&core, now)?;
    Ok((core, credentials))
}

/// What time brings: proxies that are gone are taken out, certificates renewed. Until dropped.
pub async fn keep(core: Arc<Core>, credentials: Credentials) {
    let swept = async {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            core.sweep();
        }
    };
    futures_util::future::join(swept, renew(core.clone(), credentials)).await;
}

/// Looks at the files, and makes the next world where they changed.
async fn look(core: Arc<Core>, files: files::Files) {
    let ending = core.ending();
    tokio::select! {
        biased;
        () = ending => {}
        () = look_always(core, files) => {}
    }
}

/// A thread of its own sleeps and looks, and is heard of where something changed: to have the runtime's threads do it wakes several of them ten times a second,
/// beside proxies that answer within a tenth of a millisecond.
async fn look_always(core: Arc<Core>, mut files: files::Files) {
    let (tell, mut told) = tokio::sync::mpsc::channel(1);
    let looks = move || {
        let mut pause = limits::FILES_LOOK;
        loop {
            std::thread::sleep(pause);
            if tell.is_closed() {
                return;
            }
            let read = files.look();
            pause = if files.is_changing() { limits::LOOK } else { limits::FILES_LOOK };
            if read.is_some_and(|read| tell.blocking_send(read).is_err()) {
                return;
            }
        }
    };
    if let Err(error) = std::thread::Builder::new().name("files".into()).spawn(looks) {
        tracing::error!(%error, "no thread looks at the files: what changes in them is not seen");
        return std::future::pending().await;
    }
    while let Some(read) = told.recv().await {
        core.read(read);
    }
}

/// The control plane's own certificate and the intermediate that signs, renewed long before they end.
async fn renew(core: Arc<Core>, credentials: Credentials) {
    loop {
        tokio::time::sleep(limits::RENEW_LOOK).await;
        let now = core::now();
        core.lock().processes.look(shell::monotone());
        core.renew_authority(now);
        // What proxies come with is believed before the first of it is signed.
        if let Err(e) = credentials.trust.put_bundle(&core.bundle()) {
            tracing::error!("the control plane's own trust: {e}");
        }
        core.rotation_step(now);
        let signing = core.lock().authority.roots().into_iter().next();
        let due = credentials
            .svid()
            .is_none_or(|svid| now > svid.signed_at() + svid.life() / 2 || svid.chain().last().map(|der| der.to_vec()) != signing);
        if due {
            match own_svid(&core, now) {
                Ok(svid) => credentials.put_svid(svid),
                Err(e) => tracing::error!("the control plane's own certificate: {e}"),
            }
        }
    }
}

fn control_identity(domain: &TrustDomain) -> Result<SpiffeId, identity::Error> {
    Ok(SpiffeId::new(domain.clone(), "organza-system", "control")?)
}

fn own_credentials(core: &Core, now: SystemTime) -> Result<Credentials, identity::Error> {
    let trust = TrustStore::new();
    trust.put_bundle(&core.bundle())?;
    Ok(Credentials::with_svid(own_svid(core, now)?, trust))
}

/// With its root at the end: joiners know the root's hash alone.
fn own_svid(core: &Core, now: SystemTime) -> Result<Svid, identity::Error> {
    let id = control_identity(&core.trust_domain)?;
    let csr = Csr::generate(&id)?;
    let mut inner = core.lock();
    let issued = inner.authority.sign(&SignRequest::parse(&csr.der)?, &id, now)?;
    let root = inner.authority.roots().into_iter().next().unwrap_or_default();
    Svid::new(issued.chain, csr.key())?.with_root(&root)
}

/// The port of the last time, if it is free: proxies and browsers that outlived the control plane look for it there.
async fn listen(wanted: SocketAddr, kept: &str, store: &impl store::Store) -> Result<TcpListener, StartError> {
    let last = store.get(kept)?.and_then(|v| String::from_utf8(v).ok()?.parse::<SocketAddr>().ok());
    if wanted.port() == 0
        && let Some(last) = last.filter(|last| last.ip() == wanted.ip())
        && let Ok(listener) = TcpListener::bind(last).await
    {
        return Ok(listener);
    }
    let listener = TcpListener::bind(wanted).await.map_err(|e| StartError::Listen(wanted.to_string(), e))?;
    let address = listener.local_addr().map_err(|e| StartError::Listen(wanted.to_string(), e))?;
    store.txn(store::Txn { put: vec![(kept.into(), address.to_string().into_bytes())], delete: Vec::new() })?;
    Ok(listener)
}

/// For its owner alone, never open to others in between. The mesh's lock is held by the caller: what lies here is left over.
fn bind(path: &Path) -> Result<UnixListener, StartError> {
    let fail = |e| StartError::Listen(path.display().to_string(), e);
    let beside = path.with_extension("new");
    let _ = std::fs::remove_file(&beside);
    let listener = UnixListener::bind(&beside).map_err(fail)?;
    std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o600)).map_err(fail)?;
    std::fs::rename(&beside, path).map_err(fail)?;
    Ok(listener)
}

#[cfg(test)]
mod tests;
