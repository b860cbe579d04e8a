//! The one place that changes: files, registrations and sessions meet here, behind one short lock, and become the next world.

mod diff;
mod leaving;
mod signing;
mod standing;
mod unsaved;

pub use signing::Unsigned;
pub use standing::Standing;

use crate::calls::Calls;
use crate::checks::Checks;
use crate::consumption::Consumption;
use crate::contexts::Contexts;
use crate::ejections::Ejections;
use crate::files::Read;
use crate::flows::Flows;
use crate::graph::Graph;
use crate::presence::{Absence, Verdict, judge};
use crate::processes::Processes;
use crate::registry::{Certified, Entry, Left, Refusal, Registrant, Registry};
use crate::serve::room::Room;
use crate::shell::{monotone, started};
use crate::store::{Store, Txn};
use crate::tokens::{Kept, Tokens};
use crate::verdicts::Decided;
use crate::views::Views;
use crate::world::{Ingredients, World};
use crate::{heard, limits, sessions, summary};
use frontends::Object;
use identity::{Authority, NewRoot, Signer};
use model::{SpiffeId, TrustDomain};
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Instant, SystemTime};
use tokio::sync::{broadcast, watch};
use unsaved::Unsaved;
use wire::api::{Event, Located, PastEvent, PastEvents, RegistrationRequest};
use wire::delta::Set;

/// A proxy's stream, as it is told.
#[derive(Debug, Clone, Default)]
pub struct Session {
    /// Which of the proxy's streams this is about: what an older one says late is not heard.
    stream: u64,
    /// It said itself that a successor serves under its name.
    leaving: bool,
    pub connected: bool,
    pub since: u64,
    pub release: String,
    pub acknowledged: Option<u64>,
    /// Up to which generation this proxy has all that concerns it.
    pub current: u64,
    pub refused: BTreeMap<String, String>,
    /// Keys of what guards and what its release does not know, with what that means there.
    pub withheld: BTreeMap<String, String>,
    /// All that it was sent, what it refused among it.
    pub held: Arc<Set>,
    /// What the proxy was given when this stream began, by the one before.
    before: Arc<Set>,
    pub subscriptions: Vec<String>,
    pub gone_since: Option<Instant>,
}

impl Session {
    /// What the proxy was given last, as far as is known: by the stream before, while this one has not come so far that it has all that is meant for it.
    pub fn given(&self) -> &Arc<Set> {
        if self.held.items().is_empty() { &self.before } else { &self.held }
    }
}

pub struct Inner {
    pub objects: Arc<Vec<Object>>,
    pub registry: Registry,
    pub tokens: Tokens,
    pub authority: Authority,
    /// The root that signs next, while a rotation waits for proxies.
    pub next_root: Option<NewRoot>,
    /// Of each proxy the stream of the process that serves.
    pub sessions: BTreeMap<String, Session>,
    /// Streams of processes that only finish what they began while a successor serves under the same name, by proxy and stream. What they say of
    /// themselves is kept apart, and their end is no news.
    pub leaving: BTreeMap<(String, u64), Session>,
    /// What was written of proxies before this control plane led, where it did not from the beginning.
    pub standing: Option<Arc<Standing>>,
    pub graph: Graph,
    pub calls: Calls,
    pub consumption: Consumption,
    pub verdicts: Decided,
    /// Reports of which calls, use and verdicts were counted.
    pub heard: heard::Kept,
    /// How many those were since this process began.
    pub reports: u64,
    /// When they were stored last.
    counted_at: u64,
    pub ejections: Ejections,
    pub checks: Checks,
    pub flows: Flows,
    pub processes: Processes,
    pub contexts: Contexts,
    pub problems: Vec<Located>,
    /// The last certificate of each proxy: its identity and times.
    pub issued: BTreeMap<String, (String, u64, u64)>,
    /// When the generation in force came to be, and how many have it.
    made: Instant,
    applied: Option<(u32, u32)>,
    streams: u64,
}

pub struct Core {
    pub mesh: String,
    pub trust_domain: TrustDomain,
    pub started: SystemTime,
    pub up_since: Instant,
    /// For those that proxies are served by.
    pub room: Room,
    ca_folder: Option<PathBuf>,
    store: Arc<dyn Store>,
    unsaved: Mutex<Unsaved>,
    /// Of the reports that were counted, how many are in the store.
    stored: Mutex<u64>,
    /// Whose turn it is to store more of them.
    storing: tokio::sync::Mutex<()>,
    inner: Mutex<Inner>,
    /// What the keys of sessions are made from.
    secret: Option<[u8; 32]>,
    world: watch::Sender<Arc<World>>,
    pub views: Views,
    pub events: broadcast::Sender<Event>,
    /// What was told before, for who comes later.
    past: Mutex<VecDeque<PastEvent>>,
    /// Tells streams to look whether their proxy was registered anew.
    anew: watch::Sender<()>,
    ended: watch::Sender<bool>,
    /// The cluster that objects come from, where they do.
    cluster: OnceLock<kube::Client>,
}

/// Whether the proxy has the generation, and whether it is there to have it.
fn counts(session: &Session, generation: u64) -> (bool, bool) {
    let has = session.connected && session.current >= generation && session.refused.is_empty() && session.withheld.is_empty();
    (has, session.connected)
}

pub fn seconds(time: SystemTime) -> u64 {
    identity::unix_seconds(time)
}

pub use crate::shell::wall as now;

impl Core {
    pub fn new(mesh: String, trust_domain: TrustDomain, authority: Authority, ca_folder: Option<PathBuf>, store: Arc<dyn Store>) -> Self {
        let read = |prefix: &str| store.list(prefix).unwrap_or_default().into_iter().map(|(_, value)| value);
        let registry = Registry::load(read("registration/").filter_map(|v| serde_json::from_slice::<Entry>(&v).ok()));
        let registry = registry.without(read("revoked/").filter_map(|v| serde_json::from_slice::<Certified>(&v).ok()));
        let registry = registry.with_left(read("left/").filter_map(|v| serde_json::from_slice::<Left>(&v).ok()));
        let tokens = Tokens::load(read("token/").filter_map(|v| serde_json::from_slice::<Kept>(&v).ok()));
        let generation = store.get("generation").ok().flatten().and_then(|v| String::from_utf8(v).ok()?.parse().ok()).unwrap_or(0);
        let inner = Inner {
            objects: Arc::default(),
            registry,
            tokens,
            authority,
            next_root: None,
            sessions: BTreeMap::new(),
            leaving: BTreeMap::new(),
            standing: None,
            graph: Graph::default(),
            calls: Calls::load(store.list("calls/").unwrap_or_default()),
            verdicts: Decided::load(store.list("verdicts/").unwrap_or_default()),
            consumption: Consumption::load(store.list("consumed/").unwrap_or_default()),
            heard: heard::Kept::load(store.list("heard/").unwrap_or_default()),
            reports: 0,
            counted_at: 0,
            ejections: Ejections::default(),
            checks: Checks::default(),
            flows: Flows::default(),
            processes: Processes::default(),
            contexts: Contexts::default(),
            problems: Vec::new(),
            issued: BTreeMap::new(),
            made: monotone(),
            applied: None,
            streams: 0,
        };
        let world = World { generation, ..World::default() };
        let secret = sessions::secret(&*store);
        Self {
            mesh,
            trust_domain,
            started: now(),
            up_since: monotone(),
            room: Room::default(),
            ca_folder,
            store,
            unsaved: Mutex::default(),
            stored: Mutex::default(),
            storing: tokio::sync::Mutex::default(),
            inner: Mutex::new(inner),
            secret,
            world: watch::Sender::new(Arc::new(world)),
            views: Views::default(),
            events: broadcast::Sender::new(limits::EVENTS),
            past: Mutex::default(),
            anew: watch::Sender::new(()),
            ended: watch::Sender::new(false),
            cluster: OnceLock::new(),
        }
    }

    /// Where the authority is kept; `None` where it is the user's own.
    pub fn ca_folder(&self) -> Option<&Path> {
        self.ca_folder.as_deref()
    }

    /// What keys of this mesh are made from; `None` where there is none to be had.
    pub fn secret(&self) -> Option<[u8; 32]> {
        self.secret
    }

    pub fn lock(&self) -> MutexGuard<'_, Inner> {
        // What a panic leaves behind is a whole value: every change is put in place at its end.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn world(&self) -> Arc<World> {
        self.world.borrow().clone()
    }

    pub fn watch(&self) -> watch::Receiver<Arc<World>> {
        self.world.subscribe()
    }

    /// Objects come from a cluster.
    pub fn join_cluster(&self, client: kube::Client) {
        // Of two the first holds.
        let _ = self.cluster.set(client);
    }

    pub fn cluster(&self) -> Option<&kube::Client> {
        self.cluster.get()
    }

    /// Every stream ends now.
    pub fn end(&self) {
        // What is counted from now on would not be stored: nothing is.
        self.ended.send_replace(true);
        self.keep_calls(true);
    }

    pub fn has_ended(&self) -> bool {
        *self.ended.borrow()
    }

    /// Comes when [`Core::end`] was called.
    pub fn ending(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut ended = self.ended.subscribe();
        async move {
            // Failing means that nothing is left that could go on.
            let _ = ended.wait_for(|ended| *ended).await;
        }
    }

    pub fn tell(&self, event: Event) {
        let mut past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        // While proxies take a generation its count is told again and again, and the next one overtakes it: what came of it at last is what one
        // wants to know later.
        if let Event::Applied { generation: now, .. } = event {
            let is_passed = |known: &Event| match known {
                Event::Applied { generation, applied, concerned, .. } => *generation == now || applied < concerned,
                _ => false,
            };
            past.retain(|known| !is_passed(&known.what));
        }
        past.push_back(PastEvent { time: seconds(now()), what: event.clone() });
        if past.len() > limits::PAST_EVENTS {
            past.pop_front();
        }
        drop(past);
        // Nobody listening is no failure.
        let _ = self.events.send(event);
    }

    /// What was told before, oldest first.
    pub fn past_events(&self) -> PastEvents {
        PastEvents { items: self.past.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect() }
    }

    /// New files: a new world where they say something new, and their problems in any case.
    pub fn read(&self, read: Read) {
        let mut inner = self.lock();
        inner.objects = Arc::new(read.objects);
        let fresh = inner.problems != read.problems;
        let mended = !inner.problems.is_empty() && read.problems.is_empty();
        inner.problems = read.problems;
        let before = self.world();
        self.rebuild(&mut inner);
        if fresh && !inner.problems.is_empty() {
            let (problems, serving) = (inner.problems.clone(), self.world().generation);
            self.tell(Event::Refused { problems, serving, time: seconds(now()) });
        }
        drop(inner);
        let after = self.world();
        if mended {
            self.tell(Event::Mended { serving: after.generation, time: seconds(now()) });
        }
        if after.generation != before.generation {
            let bad = summary::new_problems(&before, &after);
            if !bad.is_empty() {
                self.tell(Event::Refused { problems: bad, serving: after.generation, time: seconds(now()) });
            }
        }
    }

    /// Makes the next world from what is there, if it is another one.
    pub fn rebuild(&self, inner: &mut Inner) {
        let before = self.world();
        let from = Ingredients {
            objects: inner.objects.clone(),
            registry: &inner.registry,
            trust_domain: &self.trust_domain,
            roots: inner.authority.roots(),
            secret: self.secret.as_ref(),
            in_cluster: self.cluster().is_some(),
        };
        let Some(next) = before.next(from) else { return };
        let next = Arc::new(next);
        let generation = next.generation;
        self.keep(Txn { put: vec![("generation".into(), generation.to_string().into_bytes())], delete: Vec::new() });
        inner.made = monotone();
        inner.applied = None;
        let changes = summary::changes(&before, &next);
        self.world.send_replace(next);
        if !changes.is_empty() {
            self.tell(Event::Generation { generation, time: seconds(now()), changes });
        }
        // Also where no proxy is there to have it.
        self.count(inner);
    }

    /// `registrant` is the process on this machine that asked, where one did.
    pub fn register(&self, request: RegistrationRequest, registrant: Option<Registrant>) -> Result<Entry, Refusal> {
        let mut inner = self.lock();
        let entry = inner.registry.register(request, registrant, &self.trust_domain, seconds(now()))?;
        self.entered(&mut inner, &entry);
        Ok(entry)
    }

    /// A proxy of a Gateway in the cluster, of a proven identity: by its pod's token, or by the certificate that it was given for one. It is called
    /// `POD.NAMESPACE`.
    ///
    /// # Errors
    /// If no such Gateway is served, or the name is another's.
    pub fn admit(&self, proxy: &str, identity: &SpiffeId) -> Result<Entry, Refusal> {
        let refuse = |what: String| Refusal { what, fix: None };
        let gateway = identity.service_account().strip_prefix("gateway-").unwrap_or("");
        let is_meant = |object: &model::ObjectRef| {
            &*object.kind == "Gateway" && *object.namespace == *identity.namespace() && *object.name == *gateway
        };
        if !self.world().statuses.iter().any(|status| is_meant(&status.object)) {
            return Err(refuse(format!("{identity} is of no Gateway that is served here")));
        }
        if !proxy.strip_suffix(identity.namespace()).is_some_and(|pod| pod.len() > 1 && pod.ends_with('.')) {
            return Err(refuse(format!("{proxy:?} is no pod of namespace {}", identity.namespace())));
        }
        let mut inner = self.lock();
        let (entry, is_news) = inner.registry.admit(proxy, identity, seconds(now()))?;
        if is_news {
            // Not kept: whoever has the certificate is let in again. Nor is there a world of it: no proxy of a Gateway is in one.
            inner.sessions.insert(entry.proxy.clone(), Session { gone_since: Some(monotone()), ..Session::default() });
            self.count(&mut inner);
        }
        Ok(entry)
    }

    /// A process says that it is still there: where it was forgotten it is taken in again under its name. Says whether that was news.
    pub fn register_again(&self, proxy: &str, request: RegistrationRequest, registrant: Option<Registrant>) -> Result<bool, Refusal> {
        let mut inner = self.lock();
        let entry = inner.registry.register_again(proxy, request, registrant, &self.trust_domain, seconds(now()))?;
        let Some(entry) = entry else { return Ok(false) };
        tracing::warn!("{proxy} was forgotten, and is registered again");
        self.entered(&mut inner, &entry);
        if inner.registry.left(proxy).is_none() {
            self.keep(Txn { put: Vec::new(), delete: vec![format!("left/{proxy}")] });
        }
        self.anew.send_replace(());
        Ok(true)
    }

    /// Comes when what this stream says is heard no more, for its proxy was registered anew: it has to be opened again.
    pub async fn replaced(&self, proxy: &str, stream: u64) {
        let mut anew = self.anew.subscribe();
        let heard = || {
            let inner = self.lock();
            let serves = inner.sessions.get(proxy).is_none_or(|session| session.stream == stream);
            serves || inner.leaving.contains_key(&(proxy.to_owned(), stream))
        };
        while heard() {
            // The sender lives as long as we do.
            let _ = anew.changed().await;
        }
    }

    fn entered(&self, inner: &mut Inner, entry: &Entry) {
        self.keep_entry(entry);
        // A process that never connects is taken out again like one that is gone.
        inner.sessions.insert(entry.proxy.clone(), Session { gone_since: Some(monotone()), ..Session::default() });
        self.rebuild(inner);
        self.count(inner);
    }

    fn keep_entry(&self, entry: &Entry) {
        let value = serde_json::to_vec(entry).unwrap_or_default();
        self.keep(Txn { put: vec![(format!("registration/{}", entry.proxy), value)], delete: Vec::new() });
    }

    /// Whether it is stored.
    pub fn keep_token(&self, kept: &Kept) -> bool {
        let value = serde_json::to_vec(kept).unwrap_or_default();
        self.keep(Txn { put: vec![(format!("token/{}", kept.hash), value)], delete: Vec::new() })
    }

    pub fn forget_token(&self, kept: &Kept) {
        self.keep(Txn { put: Vec::new(), delete: vec![format!("token/{}", kept.hash)] });
    }

    /// A proxy opened a stream; what is said of it from now on carries the number that is returned. The newest is that of the process that serves,
    /// unless it says itself that it is `leaving`: an older one that is still there finishes what it began.
    pub fn connected(&self, proxy: &str, release: String, leaving: bool) -> u64 {
        let mut inner = self.lock();
        inner.streams += 1;
        let stream = inner.streams;
        let before = inner.sessions.get(proxy).map(|session| session.given().clone()).unwrap_or_default();
        let session = Session { stream, leaving, connected: true, since: seconds(now()), release, before, ..Session::default() };
        if leaving {
            inner.leaving.insert((proxy.to_owned(), stream), session);
            return stream;
        }
        if let Some(before) = inner.sessions.insert(proxy.to_owned(), session).filter(|before| before.connected) {
            inner.leaving.insert((proxy.to_owned(), before.stream), before);
        }
        if inner.registry.restore(proxy) {
            tracing::info!("{proxy} is back");
            self.rebuild(&mut inner);
        }
        self.count(&mut inner);
        stream
    }

    /// Something of a session changed: who has the generation is counted anew, and told where it grew.
    pub fn session(&self, proxy: &str, stream: u64, change: impl FnOnce(&mut Session)) {
        let mut inner = self.lock();
        // A proxy that was taken out drains; it is nobody's business any more.
        let Some(session) = inner.sessions.get_mut(proxy).filter(|session| session.stream == stream) else {
            if let Some(session) = inner.leaving.get_mut(&(proxy.to_owned(), stream)) {
                change(session);
            }
            return;
        };
        // One look at all sessions for each word of each would be too many.
        let generation = self.world().generation;
        let before = counts(session, generation);
        change(session);
        let after = counts(session, generation);
        match inner.applied {
            Some((applied, concerned)) => {
                let moved = |count: u32, was: bool, is: bool| count.saturating_sub(u32::from(was)).saturating_add(u32::from(is));
                let now = (moved(applied, before.0, after.0), moved(concerned, before.1, after.1));
                self.tell_applied(&mut inner, generation, now);
            }
            None => self.count(&mut inner),
        }
    }

    /// A stream ended; says whether it was that of the process that serves. Where a successor ended before it served, its predecessor still does.
    pub fn disconnected(&self, proxy: &str, stream: u64) -> bool {
        let mut inner = self.lock();
        if inner.leaving.remove(&(proxy.to_owned(), stream)).is_some() {
            return false;
        }
        let Inner { sessions, leaving, .. } = &mut *inner;
        let Some(session) = sessions.get_mut(proxy).filter(|session| session.stream == stream) else { return false };
        session.connected = false;
        session.gone_since = Some(monotone());
        let of = (proxy.to_owned(), 0)..=(proxy.to_owned(), u64::MAX);
        let goes_on = leaving.range(of).rev().find(|(_, other)| !other.leaving).map(|(key, _)| key.clone());
        let goes_on = goes_on.and_then(|key| leaving.remove(&key));
        let serves_no_more = goes_on.is_none();
        if let Some(elder) = goes_on {
            *session = elder;
        }
        self.count(&mut inner);
        serves_no_more
    }

    /// Whether this stream is that of the process that serves under the proxy's name.
    pub fn serves(&self, proxy: &str, stream: u64) -> bool {
        self.lock().sessions.get(proxy).is_some_and(|session| session.stream == stream)
    }

    /// Who has the generation in force, counted from the beginning: after whatever may have changed more than one session.
    fn count(&self, inner: &mut Inner) {
        let generation = self.world().generation;
        let count = |one: fn((bool, bool)) -> bool| {
            u32::try_from(inner.sessions.values().filter(|session| one(counts(session, generation))).count()).unwrap_or(u32::MAX)
        };
        let now = (count(|(applied, _)| applied), count(|(_, concerned)| concerned));
        self.tell_applied(inner, generation, now);
    }

    fn tell_applied(&self, inner: &mut Inner, generation: u64, (applied, concerned): (u32, u32)) {
        if Some((applied, concerned)) == inner.applied {
            return;
        }
        inner.applied = Some((applied, concerned));
        let millis = u64::try_from(monotone().duration_since(inner.made).as_millis()).unwrap_or(u64::MAX);
        self.tell(Event::Applied { generation, applied, concerned, millis });
    }

    /// Sends nobody to those whose stream has been gone too long, forgets those that cannot come back, and tries again to store what could not be.
    pub fn sweep(&self) {
        self.keep_calls(false);
        let (up, now) = (monotone().duration_since(self.up_since), seconds(now()));
        let mut inner = self.lock();
        self.forget_certificates(&mut inner, now);
        let Inner { registry, sessions, .. } = &mut *inner;
        let mut verdicts = Vec::new();
        for entry in registry.entries() {
            let fresh = || Session { gone_since: Some(monotone()), ..Session::default() };
            let session = sessions.entry(entry.proxy.clone()).or_insert_with(fresh);
            let Some(gone) = session.gone_since.filter(|_| !session.connected).map(|since| monotone().duration_since(since)) else {
                continue;
            };
            let registrant = entry.registrant.map(|process| started(process.pid) == Some(process.started));
            let absence = Absence { gone, seen: session.stream > 0, registrant, certified_until: entry.certified_until };
            let verdict = match self.cluster().is_some() && entry.gateway().is_some() && gone > limits::RETURN {
                // A pod's name does not come back; if it does, it is let in again.
                true => Verdict::Forgotten,
                false => judge(&absence, up, now),
            };
            verdicts.push((entry.proxy.clone(), verdict));
        }
        let mut changed = false;
        let mut forgotten = Vec::new();
        for (proxy, verdict) in verdicts {
            match verdict {
                Verdict::Stays => {}
                Verdict::Withdrawn if registry.withdraw(&proxy) => {
                    tracing::warn!("{proxy} is gone; nobody is sent to it until it is back");
                    changed = true;
                }
                Verdict::Withdrawn => {}
                Verdict::Forgotten => forgotten.push(proxy),
            }
        }
        if changed {
            self.rebuild(&mut inner);
        }
        drop(inner);
        for proxy in forgotten {
            tracing::warn!("{proxy} is gone for good; it is taken out");
            self.deregister(&proxy);
        }
    }
}

#[cfg(test)]
mod tests;
