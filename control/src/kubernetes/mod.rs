//! The control plane on Kubernetes: objects of a cluster instead of files, and their statuses back.
//!
//! `discover → watch → cache → core.read`, the same translation as files take; `status → write` and `deploy → gateways` lead back, by the one replica that
//! holds the `lease`. `authority` is what replicas share, `pods` who may join, `webhook` and `admission` what the API server is told before it takes an object.
//! This room alone of all names Kubernetes' client; what objects mean is `frontends`' business.

mod addresses;
mod admission;
mod apply;
mod ask;
mod authority;
mod backends;
mod cache;
pub mod callers;
mod classes;
mod deploy;
mod discover;
mod gateways;
mod lease;
mod notes;
pub mod pods;
mod reach;
mod said;
mod status;
mod watch;
mod webhook;
mod write;

use crate::core::Core;
use crate::files::Read;
use crate::limits;
use crate::shell::monotone;
pub use apply::{Applied, apply};
pub use ask::{AskError, get, may};
pub use authority::SharedCaError;
pub use cache::KindName;
use cache::{Cache, Changed, News};
use callers::Callers;
pub use discover::{Bundle, Found, REQUIRED, is_understood};
pub use kube::Client;
use kube::api::ApiResource;
use kube::config::{Config, KubeConfigOptions};
use lease::Lead;
use model::TrustDomain;
pub use reach::{Inside, Leader, QUESTIONS, ReachError};
pub use said::{Speaker, lines, speakers};
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch::{Receiver, Sender};
pub use watch::chain;
pub use webhook::PORT as WEBHOOK_PORT;
use wire::api::{Located, Severity};

/// The Service by which proxies find the control plane, and its port.
pub const SERVICE: &str = "organza-control";
pub const PORT: u16 = 15010;
/// Who writes what is written to a cluster.
pub const FIELD_MANAGER: &str = frontends::gateway_api::CONTROLLER;

/// A cluster, and who we are in it.
#[derive(Clone)]
pub struct Cluster {
    pub client: Client,
    /// The control plane's own: its lease stands there.
    pub namespace: String,
    /// This process among the replicas of the control plane: the name of its pod, or of its machine.
    pub replica: String,
    /// How Gateways are deployed; `None`: they are not, and the authority is this process's own.
    pub deployment: Option<Deployment>,
    /// Where the API server is answered before it takes an object; `None`: it is not asked to ask.
    pub webhook: Option<SocketAddr>,
}

/// What proxies of Gateways in the cluster are made from.
#[derive(Debug, Clone)]
pub struct Deployment {
    pub image: String,
    /// Of their Services: `LoadBalancer`, `NodePort` or `ClusterIP`.
    pub service_type: String,
    /// Where they find the control plane, if not by its Service.
    pub control: Option<SocketAddr>,
    /// Where this replica is found, while it leads; `None`: the Service is somebody else's matter.
    pub pod_ip: Option<IpAddr>,
}

impl Cluster {
    /// Whether this process is one of the cluster's pods, and reached through the API server alone.
    pub fn is_pod(&self) -> bool {
        self.deployment.as_ref().is_some_and(|deployment| deployment.pod_ip.is_some())
    }

    /// Who says who asks by a token, and whether he may.
    pub fn callers(&self, mesh: &str) -> Callers {
        Callers { client: self.client.clone(), namespace: self.namespace.clone(), mesh: mesh.to_owned() }
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("namespace", &self.namespace).field("replica", &self.replica).finish_non_exhaustive()
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("kubeconfig: {0}")]
    Kubeconfig(#[from] kube::config::KubeconfigError),
    #[error("neither a kubeconfig nor the environment of a pod: {0}")]
    Nowhere(#[from] kube::config::InferConfigError),
    #[error("API server: {0}")]
    Client(#[from] kube::Error),
}

/// A client for the API server of a kubeconfig's context, or as `KUBECONFIG`, `~/.kube/config` or the pod that this runs in have it.
///
/// # Errors
/// If there is no such context, or what it says cannot be used.
pub async fn connect(context: Option<&str>) -> Result<Client, ConnectError> {
    let mut config = config(context).await?;
    bound(&mut config);
    Ok(Client::try_from(config)?)
}

/// The same for what is followed for as long as somebody listens: it may say nothing for hours, and is not given up for that.
///
/// # Errors
/// As [`connect`].
pub async fn connect_to_follow(context: Option<&str>) -> Result<Client, ConnectError> {
    let mut config = config(context).await?;
    bound_to_follow(&mut config);
    Ok(Client::try_from(config)?)
}

async fn config(context: Option<&str>) -> Result<Config, ConnectError> {
    let Some(context) = context else { return Ok(Config::infer().await?) };
    let options = KubeConfigOptions { context: Some(context.to_owned()), ..KubeConfigOptions::default() };
    Ok(Config::from_kubeconfig(&options).await?)
}

/// The token by which the user of a kubeconfig's context is known to the API server, where it stands there or in a file; `None` for who is known by a
/// certificate, or by what a plugin says.
pub async fn token(context: Option<&str>) -> Option<String> {
    let options = KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
    let user = serde_json::to_value(Config::from_kubeconfig(&options).await.ok()?.auth_info).ok()?;
    if let Some(token) = user["token"].as_str() {
        return Some(token.to_owned());
    }
    let text = tokio::fs::read_to_string(user["tokenFile"].as_str()?).await.ok()?;
    Some(text.trim().to_owned())
}

fn bound(config: &mut Config) {
    // Pauses are ours: a watch says what is wrong while it waits.
    config.default_retry = false;
    config.connect_timeout = Some(limits::API_CONNECT);
    // A little longer than a watch is quiet.
    config.read_timeout = Some(limits::API_QUIET);
    config.reset_reader_on_write = true;
}

fn bound_to_follow(config: &mut Config) {
    bound(config);
    config.read_timeout = None;
}

/// Which of the kinds that we read an API server has, for who only asks.
///
/// # Errors
/// In words for people.
pub async fn look(client: &Client) -> Result<Found, String> {
    discover::look(client).await.map_err(|e| watch::told(&e))
}

/// What the tasks of this room share.
struct Shared {
    cache: Mutex<Cache>,
    found: Mutex<Found>,
    /// Why it is not known which kinds the API server has, as a sentence.
    silent: Mutex<Option<String>>,
    /// Numbers of the last change of objects, and of anything at all.
    objects: Sender<u64>,
    anything: Sender<u64>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What a panic leaves behind is a whole value.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn new() -> Self {
        let (cache, found, silent) = Default::default();
        Self { cache, found, silent, objects: Sender::new(0), anything: Sender::new(0) }
    }

    fn hear(&self, kind: &KindName, news: News) {
        let changed = lock(&self.cache).hear(kind, news);
        self.note(changed);
    }

    fn note(&self, changed: Changed) {
        if changed == Changed::Objects {
            self.objects.send_modify(|n| *n += 1);
        }
        if changed != Changed::Nothing {
            self.anything.send_modify(|n| *n += 1);
        }
    }

    /// What the cluster says, with what is wrong about it; before all of it was listed once, only the latter.
    fn read(&self) -> Result<Read, Vec<Located>> {
        let cache = lock(&self.cache);
        let mut problems = self.problems(&cache);
        if cache.is_synced() {
            return Ok(Read { objects: cache.objects(), problems });
        }
        let message = "the cluster's objects are not listed yet, and no proxy is served before".to_owned();
        problems.push(problem(Severity::Warning, "NotSynced", message, None));
        Err(problems)
    }

    fn problems(&self, cache: &Cache) -> Vec<Located> {
        let mut problems = missing(&lock(&self.found));
        problems.extend(lock(&self.silent).iter().map(|why| {
            let fix = "what it said last is in force; it is asked again and again";
            problem(Severity::Warning, "Unreachable", why.clone(), Some(fix.into()))
        }));
        problems.extend(cache.troubles().map(|(kind, why)| {
            let message = format!("{} objects are not told anew: {why}", kind.kind);
            problem(Severity::Warning, "NotWatched", message, Some("what was said last is in force; it is asked again and again".into()))
        }));
        problems
    }
}

fn problem(severity: Severity, reason: &str, message: String, fix: Option<String>) -> Located {
    let (file, object, path) = Default::default();
    Located { severity, file, line: 0, column: 0, object, path, reason: reason.into(), message, fix }
}

/// What a whole answer says. One without kinds that are defined comes from an API server that has just begun: by it routes would be gone that are there, and
/// policies too.
fn listed(found: Found) -> Result<Found, String> {
    if found.unlisted.is_empty() {
        return Ok(found);
    }
    Err(format!("the API server does not list {} yet, though defined", names(&found.unlisted)))
}

fn names<'k>(kinds: impl IntoIterator<Item = &'k KindName>) -> String {
    kinds.into_iter().map(|kind| kind.kind.as_str()).collect::<Vec<_>>().join(", ")
}

/// Kinds that the API server does not have, and a release of Gateway API that is not known.
fn missing(found: &Found) -> Vec<Located> {
    let (required, others): (Vec<&KindName>, Vec<&KindName>) =
        found.missing.iter().partition(|kind| discover::REQUIRED.contains(&&*kind.kind));
    let mut problems = Vec::new();
    if !required.is_empty() {
        let message = format!("the cluster has no {}: no Gateway is served", names(required));
        let fix = "install the CRDs of Gateway API, v1.6 or newer; they are taken up when they are there";
        problems.push(problem(Severity::Error, "NoGatewayApi", message, Some(fix.into())));
    }
    if !others.is_empty() {
        let message = format!("the cluster has no {}: objects of these kinds cannot be written", names(others));
        problems.push(problem(Severity::Note, "NoKind", message, Some("install their CRDs if you want to use them".into())));
    }
    if let Some(Bundle { version, channel }) = found.bundle.as_ref().filter(|bundle| !discover::is_understood(bundle)) {
        let message = format!("Gateway API {version} ({channel} channel) is not known here: what is new in it has no effect");
        problems.push(problem(Severity::Warning, "UnknownRelease", message, Some("use a newer organza".into())));
    }
    problems
}

/// Before a control plane is opened: the authority that its replicas share is in the folder.
///
/// # Errors
/// If the API server does not give or take it.
pub async fn prepare(cluster: &Cluster, folder: &Path, domain: &TrustDomain) -> Result<(), SharedCaError> {
    match cluster.deployment {
        Some(_) => authority::fetch(cluster, folder, domain).await,
        None => Ok(()),
    }
}

/// Watches and writes until dropped, or until another replica leads after this one did. `synced` becomes true when the first world was made of all that
/// the cluster has, `serving` when this replica is the one that proxies are served by.
pub async fn run(cluster: Cluster, core: Arc<Core>, svid_life: Duration, synced: Sender<bool>, serving: Sender<bool>) {
    let shared = Arc::new(Shared::new());
    let leads = Sender::new(Lead::Nobody);
    core.join_cluster(cluster.client.clone());
    let all = async {
        tokio::join!(
            discover_always(&cluster.client, &shared),
            feed(&shared, &core, &synced),
            lease::run(&cluster, &leads),
            lead(&cluster, &shared, &core, svid_life, (leads.subscribe(), synced.subscribe()), &serving),
        )
    };
    tokio::select! {
        biased;
        () = core.ending() => {}
        _ = all => {}
    }
    if *leads.borrow() == Lead::Us {
        lease::leave(&cluster).await;
    }
}

/// What the one replica does that leads. While the API server is away nobody else can lead either: then it goes on serving, and writes nothing.
async fn lead(
    cluster: &Cluster,
    shared: &Shared,
    core: &Arc<Core>,
    svid_life: Duration,
    (mut leads, mut synced): (Receiver<Lead>, Receiver<bool>),
    serving: &Sender<bool>,
) {
    // The senders live as long as we do.
    let _ = synced.wait_for(|synced| *synced).await;
    let _ = leads.wait_for(|lead| *lead == Lead::Us).await;
    let stand = || core.stand(write::standing(&core.world(), &lock(&shared.cache)));
    stand();
    if cluster.deployment.is_some() {
        while let Err(e) = authority::take_over(cluster, core, svid_life).await {
            tracing::warn!("the authority that replicas share: {e}");
            tokio::time::sleep(limits::WRITE_RETRY).await;
        }
    }
    while let Err(e) = gateways::announce(cluster, SERVICE, "xds", PORT).await {
        tracing::warn!("the Service {SERVICE}: {}", watch::told(&e));
        tokio::time::sleep(limits::WRITE_RETRY).await;
    }
    // Proxies can come from now on.
    stand();
    serving.send_replace(true);
    let mut others = leads.clone();
    let work = async {
        let authority = async {
            match cluster.deployment {
                Some(_) => authority::keep(cluster, core).await,
                None => std::future::pending().await,
            }
        };
        tokio::join!(write::run(cluster, shared, core, leads), authority, webhook::run(cluster, core))
    };
    tokio::select! {
        biased;
        _ = others.wait_for(|lead| *lead == Lead::Other) => {
            tracing::warn!("another control plane leads: this one ends, to begin anew");
            core.end();
        }
        _ = work => {}
    }
}

/// Keeps watches of what the API server has.
async fn discover_always(client: &Client, shared: &Arc<Shared>) {
    let mut watches: BTreeMap<KindName, (ApiResource, watch::Task)> = BTreeMap::new();
    loop {
        let found = tokio::time::timeout(limits::DISCOVER.1, discover::look(client)).await;
        let found = found.map_err(|_| "nothing within 30 s".to_owned()).and_then(|found| found.map_err(|e| watch::told(&e)));
        let found = found.map_err(|why| format!("the API server does not answer: {why}")).and_then(listed);
        let (silent, pause) = match found {
            Ok(found) => {
                watches.retain(|name, (resource, _)| found.kinds.iter().any(|served| served.name == *name && served.resource == *resource));
                let names: Vec<KindName> = found.kinds.iter().map(|served| served.name.clone()).collect();
                let lacks = found.missing.iter().any(|kind| discover::REQUIRED.contains(&&*kind.kind));
                let changed = lock(&shared.cache).serve(&names);
                for served in &found.kinds {
                    watches.entry(served.name.clone()).or_insert_with(|| (served.resource.clone(), watch::start(client, served, shared)));
                }
                *lock(&shared.found) = found;
                shared.note(changed);
                (None, if lacks { limits::DISCOVER.0 } else { limits::DISCOVER.1 })
            }
            Err(why) => (Some(why), limits::DISCOVER.0),
        };
        let news = std::mem::replace(&mut *lock(&shared.silent), silent.clone()) != silent;
        if news {
            silent.iter().for_each(|why| tracing::warn!("{why}"));
            shared.note(Changed::Beside);
        }
        tokio::time::sleep(pause).await;
    }
}

/// Hands what the cluster says to the core, once a burst of changes is over.
async fn feed(shared: &Shared, core: &Core, synced: &Sender<bool>) {
    let (mut objects, mut anything) = (shared.objects.subscribe(), shared.anything.subscribe());
    let mut problems = Vec::new();
    let mut fed: Option<Instant> = None;
    loop {
        tokio::select! {
            biased;
            _ = anything.changed() => {}
            () = tokio::time::sleep(limits::TROUBLE) => {
                let changed = lock(&shared.cache).forgive(monotone());
                shared.note(changed);
                continue;
            }
        }
        // Where nothing happened for a while, what happens first is in force at once; what comes with it, a little later.
        let is_calm = fed.is_some_and(|at| monotone().duration_since(at) > limits::CALM);
        settle(&mut anything, if is_calm { Duration::ZERO } else { limits::SETTLE }).await;
        lock(&shared.cache).forgive(monotone());
        let is_new = objects.has_changed().unwrap_or(false) || fed.is_none();
        objects.mark_unchanged();
        // Statuses come one after another, and are no matter of the core's.
        if !is_new && shared.problems(&lock(&shared.cache)) == problems {
            continue;
        }
        let read = match shared.read() {
            Ok(read) => read,
            Err(problems) => {
                core.lock().problems = problems;
                continue;
            }
        };
        problems.clone_from(&read.problems);
        core.read(read);
        fed = Some(monotone());
        synced.send_replace(true);
    }
}

/// What comes while one waits is no news afterwards.
async fn settle(receiver: &mut Receiver<u64>, pause: Duration) {
    if pause > Duration::ZERO {
        tokio::time::sleep(pause).await;
    }
    receiver.mark_unchanged();
}

#[cfg(test)]
mod tests;
