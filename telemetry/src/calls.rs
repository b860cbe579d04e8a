//! Calls seen: who called which port of which service, by which method, on paths of which form. Counted by the called side, where the identity of
//! the caller is proven and policies of access are asked; sent with the edges. A path becomes a [`template`] before it is counted: no number and no
//! key stands in one, and never a query. Words stay as they are, somebody's name among them, and redactions of policies do not reach them
//! (decisions/0040). Bounded, for all and for each caller: what finds no room is counted under a coarser path, and at last left out and counted as
//! that. What was not seen for a while makes room once it was told.

use crate::histogram::bump;
use crate::idle::Idle;
use crate::record::{Protocol, Record, Reporter, Security};
use crate::{Outcome, Peer, limits};
use hashbrown::{Equivalent, HashMap};
use model::{Blame, Fault, Method};
use std::collections::{BTreeMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// One kind of call. Declared here once; report, store, API and policies that are suggested come from it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallId {
    /// Namespace of what was called.
    pub namespace: Arc<str>,
    /// The service that was dialled; empty where no service leads there.
    pub service: Arc<str>,
    /// The workload, where there is no service; else empty.
    pub workload: Arc<str>,
    /// The identity that the caller proved; the address of one that called in plaintext, else empty.
    pub source: Arc<str>,
    /// The service's port; of a workload without a service the application's.
    pub port: u16,
    pub protocol: Protocol,
    /// Empty where bytes are carried unread, and so is the path.
    pub method: Arc<str>,
    /// A template, as policies of access read it: `/users/{id}`, `/files/{**}`.
    pub path: Arc<str>,
}

/// How often, since a beginning or between two moments.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CallCounts {
    /// Let through by policy, and answered by the application (or not, for its own reasons). Of bytes: connections that were opened.
    pub allowed: u64,
    /// Refused by policy.
    pub denied: u64,
}

impl CallCounts {
    pub fn since(&self, earlier: &Self) -> Self {
        Self { allowed: self.allowed.saturating_sub(earlier.allowed), denied: self.denied.saturating_sub(earlier.denied) }
    }

    pub fn add(&mut self, more: &Self) {
        self.allowed = self.allowed.saturating_add(more.allowed);
        self.denied = self.denied.saturating_add(more.denied);
    }
}

/// What a record says of a call, without a copy of it.
#[derive(Clone, Copy)]
struct Seen<'a> {
    namespace: &'a str,
    service: &'a str,
    workload: &'a str,
    source: &'a str,
    port: u16,
    protocol: Protocol,
    method: &'a str,
    path: &'a str,
}

impl CallId {
    fn seen(&self) -> Seen<'_> {
        let Self { namespace, service, workload, source, port, protocol, method, path } = self;
        Seen { namespace, service, workload, source, port: *port, protocol: *protocol, method, path }
    }
}

impl<'a> Seen<'a> {
    /// `None` where who judges calls is somebody else.
    fn of(record: &'a Record, path: &'a str) -> Option<Self> {
        if record.reporter != Reporter::Destination {
            return None;
        }
        let is_opaque = record.protocol.is_opaque();
        let dialled = record.dialled_service.as_deref();
        Some(Self {
            namespace: dialled.map_or(&*record.destination.namespace, |service| &service.namespace),
            service: dialled.map_or("", |service| &service.name),
            workload: if dialled.is_none() { &record.destination.workload } else { "" },
            source: record.source.proven().unwrap_or(if record.security == Security::Plain { &record.source.workload } else { "" }),
            port: record.service_port,
            protocol: record.protocol,
            method: if is_opaque { "" } else { record.method.as_str() },
            path: if is_opaque { "" } else { path },
        })
    }

    fn owned(&self) -> CallId {
        CallId {
            namespace: self.namespace.into(),
            service: self.service.into(),
            workload: self.workload.into(),
            source: self.source.into(),
            port: self.port,
            protocol: self.protocol,
            method: self.method.into(),
            path: self.path.into(),
        }
    }

    fn words(&self) -> [&str; 6] {
        [self.namespace, self.service, self.workload, self.source, self.method, self.path]
    }
}

impl Hash for Seen<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.words().hash(state);
        (self.port, self.protocol).hash(state);
    }
}

impl Hash for CallId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.seen().hash(state);
    }
}

impl Equivalent<CallId> for Seen<'_> {
    fn equivalent(&self, key: &CallId) -> bool {
        self.words() == key.seen().words() && (self.port, self.protocol) == (key.port, key.protocol)
    }
}

/// Whether policy let it through or refused it; `None` where it never came to that, or was ended by its caller's own fault.
fn verdict(record: &Record) -> Option<CallCounts> {
    let (yes, no) = (CallCounts { allowed: 1, denied: 0 }, CallCounts { allowed: 0, denied: 1 });
    match record.outcome {
        Outcome::Answered(_) => Some(yes),
        Outcome::Failed(Fault::AccessDenied | Fault::Unauthenticated) => Some(no),
        Outcome::Failed(fault) => (fault.blame() == Blame::Upstream).then_some(yes),
    }
}

/// How closely a kind tells calls apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Width {
    Narrow,
    /// By a path that stands for many.
    Wide,
}

#[derive(Debug)]
pub(crate) struct CallCells {
    pub id: CallId,
    width: Width,
    allowed: AtomicU64,
    denied: AtomicU64,
    idle: Idle,
}

impl CallCells {
    fn add(&self, counts: CallCounts) {
        bump(&self.allowed, counts.allowed);
        bump(&self.denied, counts.denied);
    }

    pub fn counts(&self) -> CallCounts {
        CallCounts { allowed: self.allowed.load(Ordering::Relaxed), denied: self.denied.load(Ordering::Relaxed) }
    }
}

/// How many cells there are, narrow and wide.
#[derive(Debug, Clone, Copy, Default)]
struct Many([usize; 2]);

impl Many {
    fn of(&mut self, width: Width) -> &mut usize {
        &mut self.0[usize::from(width == Width::Wide)]
    }
}

#[derive(Debug, Default)]
struct Held {
    cells: Vec<Arc<CallCells>>,
    all: Many,
    by_caller: HashMap<Arc<str>, Many, foldhash::fast::RandomState>,
}

/// Those of all workers.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    held: Mutex<Held>,
    left_out: AtomicU64,
}

impl Calls {
    fn held(&self) -> MutexGuard<'_, Held> {
        // Each change is whole: a panic elsewhere leaves nothing half done.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn totals(&self) -> BTreeMap<CallId, CallCounts> {
        let mut sums: BTreeMap<CallId, CallCounts> = BTreeMap::new();
        for cells in &self.held().cells {
            sums.entry(cells.id.clone()).or_default().add(&cells.counts());
        }
        sums
    }

    /// Calls that there was no room for, since the process began.
    pub fn left_out(&self) -> u64 {
        self.left_out.load(Ordering::Relaxed)
    }

    /// Cells that no worker counts in any more.
    pub fn retired(&self) -> Vec<Arc<CallCells>> {
        // Two: ours, and that which is told here.
        self.held().cells.clone().into_iter().filter(|cells| Arc::strong_count(cells) == 2).collect()
    }

    /// Forgets these, whose counts were told.
    pub fn forget(&self, told: &[Arc<CallCells>]) {
        if told.is_empty() {
            return;
        }
        let gone: HashSet<*const CallCells> = told.iter().map(Arc::as_ptr).collect();
        let mut held = self.held();
        held.cells.retain(|cells| !gone.contains(&Arc::as_ptr(cells)));
        for cells in told {
            *held.all.of(cells.width) -= 1;
            let Some(many) = held.by_caller.get_mut(&*cells.id.source) else { continue };
            *many.of(cells.width) -= 1;
            if many.0 == [0, 0] {
                held.by_caller.remove(&*cells.id.source);
            }
        }
    }

    /// New cells, where there is room for them, and for more of this caller. Each worker has its own of the same call: what is bounded is memory.
    fn make(&self, seen: &Seen<'_>, width: Width) -> Option<Arc<CallCells>> {
        let (most, of_caller) = match width {
            Width::Narrow => (limits::CALLS, limits::CALLS_OF_CALLER),
            Width::Wide => (limits::CALLS_COARSE, limits::CALLS_COARSE_OF_CALLER),
        };
        let mut held = self.held();
        let mut his = held.by_caller.get(seen.source).copied().unwrap_or_default();
        if *held.all.of(width) >= most || *his.of(width) >= of_caller {
            return None;
        }
        let zero = || AtomicU64::new(0);
        let made = Arc::new(CallCells { id: seen.owned(), width, allowed: zero(), denied: zero(), idle: Idle::default() });
        *his.of(width) += 1;
        *held.all.of(width) += 1;
        held.by_caller.insert(made.id.source.clone(), his);
        held.cells.push(made.clone());
        Some(made)
    }
}

/// Stands for methods that are none of HTTP's own, of requests that were denied.
const UNKNOWN_METHOD: &str = "OTHER";

/// One worker's own.
#[derive(Debug, Default)]
pub(crate) struct WorkerCalls {
    known: HashMap<CallId, Arc<CallCells>, foldhash::fast::RandomState>,
    /// Callers with no room left, narrow or of either width: nobody's scanning has each of his requests ask the others for it.
    full: HashMap<Box<str>, Width, foldhash::fast::RandomState>,
    path: String,
    wide: String,
}

impl WorkerCalls {
    /// A request that ended; a connection of bytes only where it was refused, for [`WorkerCalls::opened`] counts the others.
    pub fn ended(&mut self, all: &Calls, record: &Record) {
        if record.reporter != Reporter::Destination {
            return;
        }
        let counts = verdict(record).filter(|counts| !record.protocol.is_opaque() || counts.denied > 0);
        if let Some(counts) = counts {
            self.count(all, record, counts);
        }
    }

    /// A connection of bytes that was let through.
    pub fn opened(&mut self, all: &Calls, record: &Record) {
        self.count(all, record, CallCounts { allowed: 1, denied: 0 });
    }

    fn count(&mut self, all: &Calls, record: &Record, counts: CallCounts) {
        template(&record.path, &mut self.path);
        let Some(mut seen) = Seen::of(record, &self.path) else { return };
        if counts.allowed == 0 && matches!(record.method, Method::Other(_)) {
            // There are as many as somebody likes to make up, and no policy comes of them.
            seen.method = UNKNOWN_METHOD;
        }
        if let Some(cells) = self.known.get(&seen) {
            return cells.add(counts);
        }
        let full = self.full.get(seen.source).copied();
        let mut made = if full.is_none() { all.make(&seen, Width::Narrow) } else { None };
        if made.is_none() {
            coarse(seen.path, &mut self.wide);
            seen.path = &self.wide;
            if let Some(cells) = self.known.get(&seen) {
                cells.add(counts);
                return note(&mut self.full, seen.source, Width::Narrow);
            }
            if full != Some(Width::Wide) {
                made = all.make(&seen, Width::Wide);
            }
        }
        match made {
            Some(cells) => {
                cells.add(counts);
                self.known.insert(cells.id.clone(), cells);
            }
            None => {
                all.left_out.fetch_add(1, Ordering::Relaxed);
                note(&mut self.full, seen.source, Width::Wide);
            }
        }
    }

    /// Lets go what was not seen for a while; `elapsed` since this was last asked.
    pub fn sweep(&mut self, elapsed: Duration) {
        self.known.retain(|_, cells| {
            let counts = cells.counts();
            cells.idle.after(elapsed, counts.allowed.wrapping_add(counts.denied)) < limits::CALLS_IDLE
        });
        // There may be room again.
        self.full.clear();
    }
}

fn note(full: &mut HashMap<Box<str>, Width, foldhash::fast::RandomState>, source: &str, width: Width) {
    if let Some(known) = full.get_mut(source) {
        if width == Width::Wide {
            *known = width;
        }
    } else if full.len() < limits::CALLERS_FULL {
        full.insert(source.into(), width);
    }
}

/// Everything below the first segment, into `out`: `/users/{**}`.
fn coarse(path: &str, out: &mut String) {
    out.clear();
    if path.is_empty() {
        return;
    }
    let first = path.trim_start_matches('/').split('/').next().unwrap_or("");
    if !first.is_empty() && !first.starts_with('{') {
        out.push('/');
        out.push_str(first);
    }
    out.push_str("/{**}");
}

/// The form of a path, into `out`: segments that tell one thing from its like become `{id}`, and what is deep is cut with `{**}`. What comes out is a
/// template that the path matches, but for doubled slashes, which are one here.
pub fn template(path: &str, out: &mut String) {
    out.clear();
    let path = path.split(['?', '#']).next().unwrap_or("");
    if !path.starts_with('/') {
        // `*` of OPTIONS.
        return;
    }
    for (depth, segment) in path.split('/').filter(|segment| !segment.is_empty()).enumerate() {
        out.push('/');
        if depth == limits::CALL_SEGMENTS || out.len() + segment.len() > limits::CALL_PATH_BYTES {
            out.push_str("{**}");
            return;
        }
        out.push_str(if is_one_of_many(segment) { "{id}" } else { segment });
    }
    if path.ends_with('/') {
        out.push('/');
    }
}

/// Numbers, UUIDs, digests, keys, and whatever is no plain word: its like will come again with another value.
fn is_one_of_many(segment: &str) -> bool {
    let bytes = segment.as_bytes();
    // The parameters of a segment are its owner's, as queries are.
    let is_plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~');
    if bytes.len() > limits::CALL_SEGMENT_BYTES || !bytes.iter().all(is_plain) {
        return true;
    }
    let digits = bytes.iter().filter(|b| b.is_ascii_digit()).count();
    let is_number = digits > 0 && bytes.iter().all(|b| b.is_ascii_digit() || matches!(b, b'-' | b'.' | b'_'));
    let hex = bytes.iter().all(|b| b.is_ascii_hexdigit() || *b == b'-');
    let is_hex = hex && digits > 0 && bytes.len() >= 8;
    // Words do not mix so; `v1alpha1`, `x509-svid` and `index.3f2a.js` are shorter or have fewer.
    let is_opaque = bytes.len() >= 16 && digits >= 3;
    is_number || is_hex || is_opaque
}

impl Peer {
    /// The identity that it proved.
    pub fn proven(&self) -> Option<&str> {
        Some(&*self.principal).filter(|principal| principal.starts_with("spiffe://"))
    }
}

#[cfg(test)]
mod tests;
