//! The rim: one thread that keeps the proxy up to date. It holds the control connection, applies each step, publishes it behind one pointer,
//! and only then acknowledges it; it renews the SVID and reports edges. While the control plane is away it changes nothing: traffic goes on
//! with what was last acknowledged. Never carries a request.

mod connect;
mod idle;
mod last;
mod leave;
mod loops;
mod names;
mod resolver;

pub use last::LastWord;
pub use leave::Leaver;
pub use resolver::Resolver;

use crate::config::Config;
use crate::limits;
use crate::snapshot::file::{self, Kept, Stored};
use crate::snapshot::saver::Saver;
use crate::snapshot::{Shared, Snapshot};
use arc_swap::ArcSwap;
use identity::{Credentials, Rotation, Svid, TrustStore};
use leave::Leave;
use model::{Change, Key, Kind, TrustDomain};
use resolver::Question;
use std::cell::RefCell;
use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};
use telemetry::Metrics;
use telemetry::edge::EdgeTracker;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use wire::delta::{ClientSession, Step, Unreadable};
use wire::discovery::Node;

/// Why a proxy cannot start.
#[derive(Debug, thiserror::Error)]
pub enum RimError {
    #[error("{0} cannot be read: {1}")]
    Read(PathBuf, std::io::Error),
    #[error("SVID {0}: {1}")]
    Svid(PathBuf, identity::Error),
    #[error("SVID names {found}, configuration {wanted}")]
    Identity { found: model::SpiffeId, wanted: model::SpiffeId },
    #[error("trust roots: {0}")]
    Roots(identity::Error),
    #[error("no thread for the snapshot: {0}")]
    Thread(std::io::Error),
}

/// What workers take from the rim.
#[derive(Clone)]
pub struct Handle {
    pub shared: Shared,
    pub credentials: Credentials,
    pub resolver: Resolver,
    /// What workers share of each service's state; reported to the control plane.
    pub guards: Arc<crate::guard::Guards>,
    /// Single requests that are told to the control plane.
    pub flows: Arc<crate::flows::Flows>,
    /// Keys of issuers that were fetched, and whose cannot be.
    pub keys: Arc<crate::tokens::Store>,
    pub leaver: Leaver,
    /// What is told before the process ends.
    pub last: LastWord,
    /// Told the generation in which policies of access changed, or whom anybody believes.
    pub access: watch::Sender<u64>,
    /// Writes the snapshot, and knows whether the proxy's files are this process's to write.
    pub saver: Arc<Saver>,
    /// Set once a successor serves under this proxy's name.
    pub succeeded: Arc<AtomicBool>,
    /// Up to which generation the ports are open that listeners ask for; beyond all where nobody opens any.
    pub opened: watch::Sender<u64>,
    /// Told of each new snapshot, once it is in force. No `watch`: that wakes several in an order of chance.
    pub news: Arc<Notify>,
}

impl Handle {
    fn put(&self, snapshot: crate::snapshot::Snapshot) {
        self.shared.store(Arc::new(snapshot));
        self.news.notify_waiters();
    }
}

/// A rim that is ready to run: the last acknowledged state is in force already.
pub struct Rim {
    config: Config,
    handle: Handle,
    session: ClientSession,
    questions: mpsc::Receiver<Question>,
    leaves: mpsc::Receiver<Leave>,
    waiting: HashMap<Arc<str>, Vec<oneshot::Sender<Option<Key>>>>,
    metrics: Metrics,
    edges: (Rc<RefCell<EdgeTracker>>, Rc<RefCell<loops::Period>>),
    idle: idle::Idle,
    /// Services that were called since names were last looked at.
    used: Rc<RefCell<idle::Used>>,
    rotation: Rc<RefCell<Rotation>>,
    draw: Rc<RefCell<Draw>>,
    failures: u32,
    /// Why the snapshot on disk was not used, where it was not.
    pub snapshot_problem: Option<String>,
}

impl Rim {
    /// Reads SVID, roots and snapshot. `seed` feeds jitter and the incarnation of edge reports.
    pub fn open(config: Config, metrics: Metrics, seed: u64, now: SystemTime) -> Result<Self, RimError> {
        let credentials = credentials(&config, now)?;
        let (stored, snapshot_problem) = match file::read(&config.snapshot_file()) {
            Ok(stored) => (stored.unwrap_or_default(), None),
            Err(error) => (Stored::default(), Some(format!("{}: {error}", config.snapshot_file().display()))),
        };
        let mut stored = stored;
        let (mut changes, mut versions) = (Vec::new(), Vec::new());
        // A release that reads less than the one before takes what it can; the rest is asked for again. Bytes stay on the disk, but for those of what sleeps.
        for (name, applied) in std::mem::take(&mut stored.held) {
            let Ok(read) = wire::decode(&applied.bytes) else { continue };
            let change = wire::change(read, &applied.bytes);
            if *change.key() == name {
                // Its own words, which others name it by, too.
                versions.push((change.key().clone(), applied.version));
                changes.push(change);
            }
        }
        let snapshot = Snapshot::default().apply(stored.generation, &changes, &stored.answers);
        trust(&credentials, &config.control.trust_domain, &changes);
        let node = Node {
            id: config.proxy.clone(),
            cluster: config.mesh.clone(),
            user_agent_name: "organza".into(),
            user_agent_version: config.release.clone(),
            locality: None,
            client_features: Vec::new(),
        };
        let mut session = ClientSession::new(node, versions.into_iter().collect(), stored.answers);
        session.subscribe(wire::SELF);
        let mut draw = Draw(seed);
        let rotation = match credentials.svid() {
            Some(svid) => Rotation::holding(svid.signed_at(), svid.not_after(), draw.next()),
            None => Rotation::start(now),
        };
        let shared: Shared = Arc::new(ArcSwap::from_pointee(snapshot));
        let (resolver, questions) = Resolver::new(shared.clone());
        let (leaver, leaves) = Leaver::new();
        let saver = Arc::new(Saver::start(config.snapshot_file()).map_err(RimError::Thread)?);
        let incarnation = u64::from(draw.next()) << 32 | u64::from(draw.next());
        Ok(Self {
            config,
            handle: Handle {
                shared,
                credentials,
                resolver,
                guards: Arc::default(),
                flows: Arc::default(),
                keys: Arc::default(),
                leaver,
                last: LastWord::new(),
                access: watch::Sender::new(0),
                saver,
                succeeded: Arc::default(),
                opened: watch::Sender::new(u64::MAX),
                news: Arc::default(),
            },
            session,
            questions,
            leaves,
            waiting: HashMap::new(),
            metrics,
            edges: (
                Rc::new(RefCell::new(EdgeTracker::new(incarnation))),
                Rc::new(RefCell::new(loops::Period::begin(transport::rt::now()))),
            ),
            idle: idle::Idle::default(),
            used: Rc::default(),
            rotation: Rc::new(RefCell::new(rotation)),
            draw: Rc::new(RefCell::new(draw)),
            failures: 0,
            snapshot_problem,
        })
    }

    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Keeps the proxy up to date until it is dropped. Runs on a `LocalSet`.
    pub async fn run(mut self) {
        loop {
            if let Err(error) = self.stream().await {
                tracing::warn!(%error, "control plane is not reachable; serving generation {}", self.handle.shared.load().generation);
            }
            let pause = self.pause();
            let mut wake = std::pin::pin!(tokio::time::sleep(pause));
            loop {
                tokio::select! { biased;
                    () = &mut wake => break,
                    Some(question) = self.questions.recv() => self.ask(question),
                    Some(leave) = self.leaves.recv() => leave.refuse("the control plane is not reachable"),
                }
            }
        }
    }

    fn pause(&mut self) -> Duration {
        let ceiling = limits::RECONNECT_MIN.saturating_mul(1 << self.failures.min(16)).min(limits::RECONNECT_MAX);
        self.failures = self.failures.saturating_add(1);
        ceiling.mul_f64(0.5 + 0.5 * f64::from(self.draw.borrow_mut().next()) / f64::from(u32::MAX))
    }

    /// One stream, from connecting to its end.
    async fn stream(&mut self) -> Result<(), String> {
        if self.handle.succeeded.load(Ordering::Relaxed) {
            if !self.session.knows_leaving() {
                // It would take us for the one that serves, and our end for that one's.
                return Err("it does not know that a successor serves here".to_owned());
            }
            self.session.leave();
        }
        let channel = connect::channel(&self.config, &self.handle.credentials).await?;
        let (requests, receiver) = mpsc::channel(16);
        self.session.connected();
        self.pump(&requests).await?;
        let mut client = wire::grpc::DiscoveryClient::new(channel.clone()).max_decoding_message_size(wire::limits::MESSAGE_BYTES);
        let outgoing = tokio_stream::wrappers::ReceiverStream::new(receiver);
        let answer = client.delta_aggregated_resources(outgoing).await.map_err(|status| connect::text(&status))?;
        let mut responses = answer.into_inner();
        let reported = (self.metrics.clone(), self.edges.clone(), self.used.clone(), self.handle.clone());
        let _reports = loops::reports(channel.clone(), self.config.proxy.clone(), reported.0, reported.1, reported.2, reported.3);
        let _connected = Connected::new(&self.metrics);
        let _renewals = loops::renewals(channel.clone(), &self.config, self.handle.clone(), self.rotation.clone(), self.draw.clone());
        let mut sweep = transport::rt::now() + limits::NAME_SWEEP;
        let saver = self.handle.saver.clone();
        loop {
            tokio::select! { biased;
                response = responses.message() => {
                    let response = response.map_err(|status| connect::text(&status))?.ok_or("the control plane ended the stream")?;
                    self.failures = 0;
                    if let Some(step) = self.session.on_response(response).map_err(|breach| breach.to_string())? {
                        let opens = step.changes.iter().any(|change| change.key().kind == Kind::Listener).then_some(step.generation);
                        self.apply(step);
                        if let Some(generation) = opens {
                            self.opened(generation).await;
                        }
                    }
                }
                () = saver.lost() => {
                    tracing::warn!("the snapshot on disk lacks what was not sent anew; all is asked for again");
                    self.session.ask_again();
                    return Ok(());
                }
                Some(question) = self.questions.recv() => self.ask(question),
                Some(leave) = self.leaves.recv() => leave.carry_out(channel.clone(), self.config.proxy.clone()),
                () = transport::rt::sleep(sweep.saturating_duration_since(transport::rt::now())) => {
                    sweep = transport::rt::now() + limits::NAME_SWEEP;
                    self.forget(transport::rt::now());
                }
            }
            self.pump(&requests).await?;
        }
    }

    async fn pump(&mut self, requests: &mpsc::Sender<wire::discovery::DeltaDiscoveryRequest>) -> Result<(), String> {
        while let Some(request) = self.session.poll() {
            requests.send(request).await.map_err(|_| "the control plane ended the stream")?;
        }
        Ok(())
    }

    /// Who was told that a Gateway is in force may call it: its ports are opened first. A process that gives its doors away just now opens none, and is
    /// not waited for any longer.
    async fn opened(&self, generation: u64) {
        let mut opened = self.handle.opened.subscribe();
        let open = async { drop(opened.wait_for(|opened| *opened >= generation).await) };
        if transport::rt::timeout(limits::OPENING, open).await.is_none() {
            tracing::warn!("ports of generation {generation} are not open yet; it is acknowledged all the same");
        }
    }

    /// Swap first, then acknowledge: what the control plane counts as applied is in force.
    fn apply(&mut self, step: Step) {
        let before = self.handle.shared.load_full();
        let mut answers = (*before.answers).clone();
        answers.extend(step.answers.clone());
        answers.retain(|name, _| self.session.subscriptions().contains(name));
        let refused = trust(&self.handle.credentials, &self.config.control.trust_domain, &step.changes);
        self.renew_under_new_root(&step.changes);
        let believes = step.changes.iter().any(|change| change.key().kind == Kind::TrustBundle);
        let bad = |change: &Change| refused.iter().any(|r| r.name == change.key().to_string());
        let changes: Vec<Change> = step.changes.into_iter().filter(|change| !bad(change)).collect();
        let after = before.apply(step.generation, &changes, &answers);
        let judged = believes || is_judged_again(&before, &after, &changes);
        self.handle.put(after);
        if judged {
            self.handle.access.send_replace(step.generation);
        }
        for one in step.unreadable.iter().chain(&refused) {
            tracing::warn!(key = %one.name, reason = %one.reason, "resource refused; its last good version stays");
        }
        for one in &step.strict {
            tracing::warn!(key = %one.name, reason = %one.reason, "resource of a later release; it is in force as the strictest that it can be");
        }
        let fresh = self.session.applied(refused);
        let answered: Vec<Arc<str>> = self.waiting.keys().filter(|name| answers.contains_key(*name)).cloned().collect();
        for name in answered {
            let answer = answers.get(&name).cloned().flatten();
            for waiter in self.waiting.remove(&name).unwrap_or_default() {
                _ = waiter.send(answer.clone());
            }
        }
        let (held, answers) = (self.session.held().clone(), self.session.answers().clone());
        self.handle.saver.put(Kept { generation: step.generation, held, answers }, fresh);
        if believes {
            // A root that was acknowledged and then forgotten in a crash would keep us from the control plane for good.
            self.handle.saver.settle();
        }
    }

    /// The first root of our bundle is the one that signs: a certificate under another one is renewed soon.
    fn renew_under_new_root(&self, changes: &[Change]) {
        let ours = &self.config.control.trust_domain;
        let bundle = changes.iter().find_map(|change| match change {
            Change::Put(model::Resource::TrustBundle(bundle)) if bundle.trust_domain == *ours => bundle.roots.first(),
            _ => None,
        });
        if let (Some(root), Some(svid)) = (bundle, self.handle.credentials.svid())
            && !svid.is_under(root)
        {
            let draw = self.draw.borrow_mut().next();
            self.rotation.borrow_mut().ask_soon(transport::rt::wall(), svid.life(), draw);
        }
    }

    /// Lets names go that are not used. Only while the control plane is there: who is called again then is asked for again.
    fn forget(&mut self, now: std::time::Instant) {
        let used = self.used.take();
        let gone = self.idle.expired(self.session.subscriptions(), self.session.answers(), &used, now);
        if gone.is_empty() {
            return;
        }
        gone.iter().for_each(|name| self.session.unsubscribe(name));
        // At once: what nobody keeps up to date is unknown, which is not the same as that there is no such service.
        let before = self.handle.shared.load_full();
        let mut answers = (*before.answers).clone();
        answers.retain(|name, _| !gone.contains(name));
        self.handle.put(before.apply(before.generation, &[], &answers));
        tracing::debug!(names = gone.len(), "names that are not used are forgotten");
    }

    fn ask(&mut self, question: Question) {
        let Question { subscription, reply } = question;
        if let Some(answer) = self.session.answers().get(&*subscription) {
            _ = reply.send(answer.clone());
            return;
        }
        self.waiting.retain(|_, waiters| {
            waiters.retain(|waiter| !waiter.is_closed());
            !waiters.is_empty()
        });
        // Dropping the reply tells the asker that nothing is known.
        if self.session.subscriptions().len() < limits::NAMES && self.session.subscribe(&subscription) {
            self.waiting.entry(subscription).or_default().push(reply);
        }
    }
}

/// Shows as long as it lives that the control plane is there: without it, configuration grows old.
struct Connected(telemetry::Gauge);

impl Connected {
    fn new(metrics: &Metrics) -> Self {
        let connected = metrics.gauge("organza_control_connected", "Whether the control plane is there: 1, or 0", &[]);
        connected.set(1.0);
        Self(connected)
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.set(0.0);
    }
}

fn credentials(config: &Config, now: SystemTime) -> Result<Credentials, RimError> {
    let trust = TrustStore::new();
    trust.put_pem(&config.control.trust_domain, config.control.trust_roots.as_bytes()).map_err(RimError::Roots)?;
    let text = std::fs::read(&config.svid).map_err(|error| RimError::Read(config.svid.clone(), error))?;
    let svid = Svid::from_pem(&text).map_err(|error| RimError::Svid(config.svid.clone(), error))?;
    svid.check(now).map_err(|error| RimError::Svid(config.svid.clone(), error))?;
    if *svid.id() != config.identity {
        return Err(RimError::Identity { found: svid.id().clone(), wanted: config.identity.clone() });
    }
    Ok(Credentials::with_svid(svid, trust))
}

/// Roots take effect here; a bundle that cannot be read is refused and the last one stays.
fn trust(credentials: &Credentials, own: &TrustDomain, changes: &[Change]) -> Vec<Unreadable> {
    let mut refused = Vec::new();
    for change in changes {
        // One's own mesh is believed by what is known, whatever is taken away.
        if let Change::Remove(key) = change
            && key.kind == Kind::TrustBundle
            && let Ok(domain) = TrustDomain::parse(&key.name)
            && domain != *own
        {
            credentials.trust.remove(&domain);
        }
        if let Change::Put(model::Resource::TrustBundle(bundle)) = change
            && let Err(error) = credentials.trust.put_bundle(bundle)
        {
            refused.push(Unreadable { name: bundle.key.to_string(), reason: error.to_string() });
        }
    }
    refused
}

/// Whether what is under way may be allowed no more: by policies, by keys and tokens that are demanded from now on, or by what listeners believe.
fn is_judged_again(before: &Snapshot, after: &Snapshot, changes: &[Change]) -> bool {
    let demands = !Arc::ptr_eq(&before.consumers, &after.consumers) || !Arc::ptr_eq(&before.tokens, &after.tokens);
    let asks = changes.iter().any(|change| change.key().kind == Kind::Listener);
    demands || asks || !Arc::ptr_eq(&before.access, &after.access)
}

/// SplitMix64 over the seed that the process was given.
#[derive(Debug)]
pub(crate) struct Draw(u64);

impl Draw {
    pub fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 32) as u32
    }
}

#[cfg(test)]
mod tests;
