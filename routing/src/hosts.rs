//! From a host to the matches written for it, and from a path to the few of them that can hold. What it costs does not depend on how many
//! routes there are: hosts, exact paths and prefixes are found by hashing, and only matches with the same path, or with a
//! regular expression for one, are tried one by one. It never knows what an entry is.

use crate::compiled::{CompiledMatch, NOWHERE};
use crate::cow::CowMap;
use crate::limits;
use crate::paths::{PathKind, Paths};
use crate::shared::{Shared, lock};
use hashbrown::Equivalent;
use model::{HostPattern, PathMatch, RequestHead, Route, Told};
use smallvec::SmallVec;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, OnceLock};

/// What a lookup did, counted, so that tests can pin cost without a clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Hash lookups of hosts and paths.
    pub probes: u32,
    /// Matches tried.
    pub tried: u32,
}

/// A host pattern, and the routes that hang on it. What the first request for it needs is made when that comes: a proxy that knows ten thousand hosts is asked
/// for few of them.
#[repr(C)]
pub(crate) struct Host {
    table: OnceLock<Box<HostTable>>,
    /// The host, or the suffix that hosts end with; empty for any.
    name: SmallVec<[u8; 40]>,
    pub pattern: HostPattern,
    pub routes: SmallVec<[Arc<Told<Route>>; 1]>,
}

/// All matches of one host pattern, by rank. What a look-up reads of it comes first and fills one line of the processor's cache and a half: of a thousand hosts that
/// requests spread over, each line more is a fetch from far.
#[repr(C, align(64))]
pub(crate) struct HostTable {
    /// By rank, first first.
    pub matches: Box<[CompiledMatch]>,
    paths: Paths,
    /// The lengths that prefixes have, so that a path of a thousand segments costs no more probes than there are lengths.
    prefix_lengths: SmallVec<[u32; 4]>,
    /// Any path, or a regular expression for it.
    others: Box<[u32]>,
    pub pattern: HostPattern,
}

/// What a look-up reads of it, as it is laid out, is no larger than a line and a half.
const _: () = assert!(std::mem::offset_of!(HostTable, pattern) <= 96);

/// A host that is found by its name.
#[derive(Clone)]
struct ByName(Arc<Host>);

impl PartialEq for ByName {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl Eq for ByName {}

impl Hash for ByName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.name[..].hash(state);
    }
}

impl Equivalent<ByName> for [u8] {
    fn equivalent(&self, key: &ByName) -> bool {
        *self == key.0.name[..]
    }
}

impl Host {
    fn new(pattern: HostPattern, routes: SmallVec<[Arc<Told<Route>>; 1]>) -> Self {
        let name = match &pattern {
            HostPattern::Any => SmallVec::new(),
            HostPattern::Suffix(name) | HostPattern::Exact(name) => SmallVec::from_slice(name.as_str().as_bytes()),
        };
        Self { table: OnceLock::new(), name, pattern, routes }
    }

    /// Made now if nobody asked before. Of two who ask at once both make it, and the first one's is kept: nobody waits for another's work.
    #[inline]
    fn table(&self, shared: &Mutex<Shared>) -> &HostTable {
        match self.table.get() {
            Some(table) => table,
            None => self.wake(shared),
        }
    }

    #[cold]
    fn wake(&self, shared: &Mutex<Shared>) -> &HostTable {
        let table = Box::new(HostTable::compile(self.pattern.clone(), &self.routes, shared));
        self.table.get_or_init(|| table)
    }

    fn is_awake(&self) -> bool {
        self.table.get().is_some()
    }
}

impl HostTable {
    fn compile(pattern: HostPattern, routes: &[Arc<Told<Route>>], shared: &Mutex<Shared>) -> Self {
        let routes: SmallVec<[&Arc<Route>; 16]> = routes.iter().filter_map(|told| told.get()).collect();
        // One more than there is room for would make it twice as large, for good.
        let mut matches = Vec::with_capacity(routes.iter().flat_map(|route| &route.rules).map(|rule| rule.matches.len()).sum());
        for route in routes {
            matches.extend(CompiledMatch::all(route, &mut lock(shared)));
        }
        matches.sort_by(|a, b| a.rank().cmp(b.rank()).then_with(|| a.route.key.cmp(&b.route.key)));
        let (mut paths, mut others) = (Paths::for_matches(matches.len()), Vec::new());
        let mut prefix_lengths = SmallVec::new();
        for place in (0..matches.len()).rev() {
            match &matches[place].condition().path {
                Some(PathMatch::Exact(_)) => paths.put_first(PathKind::Exact, &mut matches, place as u32),
                Some(PathMatch::Prefix(prefix)) if **prefix != *"/" => {
                    prefix_lengths.push(prefix.len() as u32);
                    paths.put_first(PathKind::Prefix, &mut matches, place as u32);
                }
                Some(PathMatch::Prefix(_) | PathMatch::Regex(_)) | None => others.push(place as u32),
            }
        }
        others.reverse();
        prefix_lengths.sort_unstable();
        prefix_lengths.dedup();
        Self { matches: matches.into(), paths, prefix_lengths, others: others.into(), pattern }
    }

    /// The place of the first match, by rank, that holds.
    pub fn find(&self, head: &RequestHead, cost: &mut Cost) -> Option<u32> {
        let path = head.path();
        let mut best = NOWHERE;
        if self.paths.has_exact() {
            cost.probes += 1;
            self.improve(self.paths.find(PathKind::Exact, &self.matches, path.as_bytes()), head, &mut best, cost);
        }
        for length in self.prefix_lengths.iter().map(|length| *length as usize).take_while(|length| *length <= path.len()) {
            if matches!(path.as_bytes().get(length), None | Some(b'/')) {
                cost.probes += 1;
                self.improve(self.paths.find(PathKind::Prefix, &self.matches, &path.as_bytes()[..length]), head, &mut best, cost);
            }
        }
        for place in &self.others {
            if *place >= best {
                break;
            }
            cost.tried += 1;
            if self.matches[*place as usize].holds(head) {
                best = *place;
                break;
            }
        }
        (best != NOWHERE).then_some(best)
    }

    fn improve(&self, mut place: u32, head: &RequestHead, best: &mut u32, cost: &mut Cost) {
        // `NOWHERE` is no less than any.
        while place < *best {
            cost.tried += 1;
            let found = &self.matches[place as usize];
            if found.holds(head) {
                *best = place;
                return;
            }
            place = found.next;
        }
    }
}

/// All host patterns of one entry.
#[derive(Clone, Default)]
pub(crate) struct HostTrie {
    exact: CowMap<ByName, ()>,
    suffixes: CowMap<ByName, ()>,
    any: Option<Arc<Host>>,
    /// The most labels that a suffix has: a host of a hundred labels costs no more probes than this.
    suffix_labels: usize,
}

fn labels(name: &[u8]) -> usize {
    name.iter().filter(|b| **b == b'.').count() + 1
}

fn named<'t>(hosts: &'t CowMap<ByName, ()>, name: &str) -> Option<&'t Arc<Host>> {
    hosts.get_key(name.as_bytes()).map(|found| &found.0)
}

impl HostTrie {
    pub fn is_empty(&self) -> bool {
        self.exact.len() + self.suffixes.len() == 0 && self.any.is_none()
    }

    pub fn host(&self, pattern: &HostPattern) -> Option<&Arc<Host>> {
        match pattern {
            HostPattern::Any => self.any.as_ref(),
            HostPattern::Suffix(suffix) => named(&self.suffixes, suffix.as_str()),
            HostPattern::Exact(name) => named(&self.exact, name.as_str()),
        }
    }

    /// Puts the routes of one pattern in place; none takes the pattern away. What requests asked for is ready as it changes, too: they do not wait for it again.
    pub fn set(&mut self, pattern: &HostPattern, routes: SmallVec<[Arc<Told<Route>>; 1]>, shared: &Mutex<Shared>) {
        let ready = routes.len() > limits::ASLEEP_ROUTES || self.host(pattern).is_some_and(|host| host.is_awake());
        let host = (!routes.is_empty()).then(|| Arc::new(Host::new(pattern.clone(), routes)));
        if let Some(host) = host.as_ref().filter(|_| ready) {
            host.wake(shared);
        }
        match (pattern, host) {
            (HostPattern::Any, host) => self.any = host,
            (HostPattern::Exact(_), Some(host)) => self.exact.insert(ByName(host), ()),
            (HostPattern::Exact(name), None) => self.exact.remove(name.as_str().as_bytes()),
            (HostPattern::Suffix(suffix), Some(host)) => {
                self.suffix_labels = self.suffix_labels.max(labels(suffix.as_str().as_bytes()));
                self.suffixes.insert(ByName(host), ());
            }
            (HostPattern::Suffix(suffix), None) => {
                self.suffixes.remove(suffix.as_str().as_bytes());
                self.suffix_labels = self.suffixes.iter().map(|(suffix, ())| labels(&suffix.0.name)).max().unwrap_or(0);
            }
        }
    }

    /// The tables whose pattern matches `host` (lower case, no port), the most specific first.
    #[inline]
    pub fn candidates<'t, 'h>(&'t self, host: &'h str, shared: &'t Mutex<Shared>, cost: &mut Cost) -> Candidates<'t, 'h> {
        let exact = match self.exact.len() {
            0 => None,
            _ => {
                cost.probes += 1;
                named(&self.exact, host)
            }
        };
        // Most listeners and services have no suffixes: then labels are not even counted.
        let rest = if self.suffixes.len() == 0 { None } else { self.suffixed(host) };
        Candidates { trie: self, shared, exact, rest, host_len: host.len(), any: self.any.as_ref() }
    }

    /// What of a host is looked at for suffixes: one of a hundred labels costs no more probes than the longest suffix has labels.
    fn suffixed<'h>(&self, host: &'h str) -> Option<&'h str> {
        let skip = labels(host.as_bytes()).saturating_sub(self.suffix_labels);
        (1..skip).try_fold(host, |rest, _| rest.split_once('.').map(|(_, rest)| rest))
    }

    /// The first match by host specificity, then rank. A host whose most specific pattern has no match that holds falls to the
    /// next pattern: routes are merged by host, and a request is refused only where no route of any pattern takes it.
    pub fn find<'t>(&'t self, host: &str, head: &RequestHead, shared: &'t Mutex<Shared>, cost: &mut Cost) -> Found<'t> {
        let mut found = Found::NoHost;
        let mut candidates = self.candidates(host, shared, cost);
        while let Some(table) = candidates.next(cost) {
            if let Some(place) = table.find(head, cost) {
                return Found::Match { table, place };
            }
            found = Found::NoMatch;
        }
        found
    }
}

#[derive(Clone, Copy)]
pub(crate) enum Found<'t> {
    NoHost,
    NoMatch,
    Match { table: &'t HostTable, place: u32 },
}

pub(crate) struct Candidates<'t, 'h> {
    trie: &'t HostTrie,
    shared: &'t Mutex<Shared>,
    exact: Option<&'t Arc<Host>>,
    /// What is left of the host; a suffix pattern matches what stands behind its next dot.
    rest: Option<&'h str>,
    host_len: usize,
    any: Option<&'t Arc<Host>>,
}

impl<'t> Candidates<'t, '_> {
    pub fn next(&mut self, cost: &mut Cost) -> Option<&'t HostTable> {
        if let Some(exact) = self.exact.take() {
            return Some(exact.table(self.shared));
        }
        while let Some(text) = self.rest {
            let Some(dot) = memchr::memchr(b'.', text.as_bytes()) else {
                self.rest = None;
                break;
            };
            let suffix = &text[dot + 1..];
            self.rest = Some(suffix);
            cost.probes += 1;
            // `.example.com` has no label before the dot.
            let labelled = self.host_len > suffix.len() + 1;
            if let Some(host) = named(&self.trie.suffixes, suffix).filter(|_| labelled) {
                return Some(host.table(self.shared));
            }
        }
        self.any.take().map(|host| host.table(self.shared))
    }
}

/// `host` in lower case without its trailing dot; itself where it is that already, else written into `buffer`. `None` where it is longer than any host name: then only patterns
/// for any host can match.
pub fn canonical_host<'b>(host: &'b str, buffer: &'b mut [u8; model::limits::HOSTNAME_BYTES]) -> Option<&'b str> {
    let host = host.strip_suffix('.').unwrap_or(host);
    // Without a way out in between it is asked of many bytes at once.
    if host.len() <= model::limits::HOSTNAME_BYTES && host.bytes().fold(true, |lower, b| lower & !b.is_ascii_uppercase()) {
        return Some(host);
    }
    let place = buffer.get_mut(..host.len())?;
    place.copy_from_slice(host.as_bytes());
    place.make_ascii_lowercase();
    std::str::from_utf8(place).ok()
}
