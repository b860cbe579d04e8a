//! From a host to the matches written for it, and from a path to the few of them that can hold. What it costs does not depend on how many
//! routes there are: hosts, exact paths and prefixes are found by hashing, and only matches with the same path, or with a
//! regular expression for one, are tried one by one. It never knows what an entry is.

use crate::compiled::{CompiledMatch, CompiledRoute, NOWHERE};
use crate::cow::{CowMap, hash_of};
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use model::{HostPattern, PathMatch, RequestHead, limits};
use smallvec::SmallVec;
use std::sync::Arc;

/// What a lookup did, counted, so that tests can pin cost without a clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Hash lookups of hosts and paths.
    pub probes: u32,
    /// Matches tried.
    pub tried: u32,
}

/// From a path to the first place in [`HostTable::matches`] that has it; the others follow from there, ascending, hence by rank.
#[derive(Default)]
struct Paths(HashTable<u32>);

impl Paths {
    fn find(&self, matches: &[CompiledMatch], path: &str) -> u32 {
        let is = |place: &u32| matches.get(*place as usize).is_some_and(|found| *found.path == *path.as_bytes());
        self.0.find(hash_of(path.as_bytes()), is).copied().unwrap_or(NOWHERE)
    }

    /// Puts `place` before all others with its path.
    fn put_first(&mut self, matches: &mut [CompiledMatch], place: u32) {
        let path = |place: u32| &matches[place as usize].path[..];
        let hash = |place: &u32| hash_of(path(*place));
        match self.0.entry(hash(&place), |other| path(*other) == path(place), hash) {
            Entry::Occupied(mut first) => matches[place as usize].next = std::mem::replace(first.get_mut(), place),
            Entry::Vacant(vacant) => drop(vacant.insert(place)),
        }
    }
}

/// All matches of one host pattern.
pub(crate) struct HostTable {
    pub pattern: HostPattern,
    /// By rank, first first.
    pub matches: Box<[CompiledMatch]>,
    exact: Paths,
    prefixes: Paths,
    /// The lengths that prefixes have, so that a path of a thousand segments costs no more probes than there are lengths.
    prefix_lengths: SmallVec<[u32; 4]>,
    /// Any path, or a regular expression for it.
    others: Box<[u32]>,
    pub routes: Vec<Arc<CompiledRoute>>,
}

impl HostTable {
    pub fn compile(pattern: HostPattern, routes: Vec<Arc<CompiledRoute>>) -> Self {
        let mut matches: Vec<CompiledMatch> = routes.iter().flat_map(|route| route.matches.iter().cloned()).collect();
        matches.sort_by(|a, b| a.rank().cmp(b.rank()).then_with(|| a.route.key.cmp(&b.route.key)));
        let (mut exact, mut prefixes, mut others) = (Paths::default(), Paths::default(), Vec::new());
        let mut prefix_lengths = SmallVec::new();
        for place in (0..matches.len()).rev() {
            match &matches[place].condition().path {
                Some(PathMatch::Exact(_)) => exact.put_first(&mut matches, place as u32),
                Some(PathMatch::Prefix(prefix)) if **prefix != *"/" => {
                    prefix_lengths.push(prefix.len() as u32);
                    prefixes.put_first(&mut matches, place as u32);
                }
                Some(PathMatch::Prefix(_) | PathMatch::Regex(_)) | None => others.push(place as u32),
            }
        }
        others.reverse();
        prefix_lengths.sort_unstable();
        prefix_lengths.dedup();
        Self { pattern, matches: matches.into(), exact, prefixes, prefix_lengths, others: others.into(), routes }
    }

    /// The place of the first match, by rank, that holds.
    pub fn find(&self, head: &RequestHead, cost: &mut Cost) -> Option<u32> {
        let path = head.path();
        let mut best = NOWHERE;
        if !self.exact.0.is_empty() {
            cost.probes += 1;
            self.improve(self.exact.find(&self.matches, path), head, &mut best, cost);
        }
        for length in self.prefix_lengths.iter().map(|length| *length as usize).take_while(|length| *length <= path.len()) {
            if matches!(path.as_bytes().get(length), None | Some(b'/')) {
                cost.probes += 1;
                self.improve(self.prefixes.find(&self.matches, &path[..length]), head, &mut best, cost);
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
    exact: CowMap<Arc<str>, Arc<HostTable>>,
    suffixes: CowMap<Arc<str>, Arc<HostTable>>,
    any: Option<Arc<HostTable>>,
    /// The most labels that a suffix has: a host of a hundred labels costs no more probes than this.
    suffix_labels: usize,
}

fn labels(name: &str) -> usize {
    name.bytes().filter(|b| *b == b'.').count() + 1
}

impl HostTrie {
    pub fn is_empty(&self) -> bool {
        self.exact.len() + self.suffixes.len() == 0 && self.any.is_none()
    }

    pub fn table(&self, pattern: &HostPattern) -> Option<&Arc<HostTable>> {
        match pattern {
            HostPattern::Any => self.any.as_ref(),
            HostPattern::Suffix(suffix) => self.suffixes.get(suffix.as_str()),
            HostPattern::Exact(name) => self.exact.get(name.as_str()),
        }
    }

    /// Puts the routes of one pattern in place; none takes the pattern away.
    pub fn set(&mut self, pattern: &HostPattern, routes: Vec<Arc<CompiledRoute>>) {
        let table = (!routes.is_empty()).then(|| Arc::new(HostTable::compile(pattern.clone(), routes)));
        match (pattern, table) {
            (HostPattern::Any, table) => self.any = table,
            (HostPattern::Exact(name), Some(table)) => self.exact.insert(name.as_str().into(), table),
            (HostPattern::Exact(name), None) => self.exact.remove(name.as_str()),
            (HostPattern::Suffix(suffix), Some(table)) => {
                self.suffix_labels = self.suffix_labels.max(labels(suffix.as_str()));
                self.suffixes.insert(suffix.as_str().into(), table);
            }
            (HostPattern::Suffix(suffix), None) => {
                self.suffixes.remove(suffix.as_str());
                self.suffix_labels = self.suffixes.iter().map(|(suffix, _)| labels(suffix)).max().unwrap_or(0);
            }
        }
    }

    /// The tables whose pattern matches `host` (lower case, no port), the most specific first.
    pub fn candidates<'t, 'h>(&'t self, host: &'h str, cost: &mut Cost) -> Candidates<'t, 'h> {
        let mut skip = labels(host).saturating_sub(self.suffix_labels);
        let mut rest = if self.suffixes.len() == 0 { None } else { Some(host) };
        while skip > 1 {
            rest = rest.and_then(|text| text.split_once('.')).map(|(_, rest)| rest);
            skip -= 1;
        }
        let exact = match self.exact.len() {
            0 => None,
            _ => {
                cost.probes += 1;
                self.exact.get(host)
            }
        };
        Candidates { trie: self, exact, rest, host_len: host.len(), any: self.any.as_ref() }
    }

    /// The first match by host specificity, then rank. A host whose most specific pattern has no match that holds falls to the
    /// next pattern: routes are merged by host, and a request is refused only where no route of any pattern takes it.
    pub fn find<'t>(&'t self, host: &str, head: &RequestHead, cost: &mut Cost) -> Found<'t> {
        let mut found = Found::NoHost;
        let mut candidates = self.candidates(host, cost);
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
    exact: Option<&'t Arc<HostTable>>,
    /// What is left of the host; a suffix pattern matches what stands behind its next dot.
    rest: Option<&'h str>,
    host_len: usize,
    any: Option<&'t Arc<HostTable>>,
}

impl<'t> Candidates<'t, '_> {
    pub fn next(&mut self, cost: &mut Cost) -> Option<&'t HostTable> {
        if let Some(exact) = self.exact.take() {
            return Some(exact);
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
            if let Some(table) = self.trie.suffixes.get(suffix).filter(|_| labelled) {
                return Some(table);
            }
        }
        self.any.take().map(|table| &**table)
    }
}

/// `host` in lower case without its trailing dot; itself where it is that already, else written into `buffer`. `None` where it is longer than any host name: then only patterns
/// for any host can match.
pub fn canonical_host<'b>(host: &'b str, buffer: &'b mut [u8; limits::HOSTNAME_BYTES]) -> Option<&'b str> {
    let host = host.strip_suffix('.').unwrap_or(host);
    // Without a way out in between it is asked of many bytes at once.
    if host.len() <= limits::HOSTNAME_BYTES && host.bytes().fold(true, |lower, b| lower & !b.is_ascii_uppercase()) {
        return Some(host);
    }
    let place = buffer.get_mut(..host.len())?;
    place.copy_from_slice(host.as_bytes());
    place.make_ascii_lowercase();
    std::str::from_utf8(place).ok()
}
