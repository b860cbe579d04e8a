//! From a host to the matches written for it, and from a path to the few of them that can hold. What it costs does not depend on how many
//! routes there are: hosts, exact paths and prefixes are found by hashing, and only matches with the same path, or with a
//! regular expression for one, are tried one by one. It never knows what an entry is.

use crate::compiled::CompiledRoute;
use crate::cow::CowMap;
use crate::matching::{first_mismatch, first_mismatch_but_path};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use model::{HostPattern, PathMatch, Rank, RequestHead, RouteMatch, limits};
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

#[derive(Clone)]
pub(crate) struct HostMatch {
    pub route: Arc<CompiledRoute>,
    pub rule: u32,
    pub position: u32,
    /// What must hold besides the path; many routes have one of these in common.
    tests: Option<Arc<RouteMatch>>,
}

impl HostMatch {
    pub fn rank(&self) -> &Rank {
        self.route.rank(self.rule, self.position)
    }
    pub fn condition(&self) -> &RouteMatch {
        self.route.condition(self.rule, self.position)
    }
    /// Whether all but the path holds.
    fn holds(&self, head: &RequestHead) -> bool {
        self.tests.as_ref().is_none_or(|tests| first_mismatch_but_path(tests, head).is_none())
    }
}

/// Places in [`HostTable::matches`], ascending, hence by rank.
type Places = SmallVec<[u32; 2]>;

/// All matches of one host pattern.
pub(crate) struct HostTable {
    pub pattern: HostPattern,
    pub routes: Vec<Arc<CompiledRoute>>,
    /// By rank, first first.
    pub matches: Vec<HostMatch>,
    exact: HashMap<Arc<str>, Places, FixedState>,
    prefixes: HashMap<Arc<str>, Places, FixedState>,
    /// The lengths that prefixes have, so that a path of a thousand segments costs no more probes than there are lengths.
    prefix_lengths: SmallVec<[u32; 4]>,
    /// Any path, or a regular expression for it.
    others: Vec<u32>,
}

impl HostTable {
    pub fn compile(pattern: HostPattern, routes: Vec<Arc<CompiledRoute>>) -> Self {
        let mut matches: Vec<HostMatch> = Vec::new();
        for route in &routes {
            for (rule, compiled) in route.rules.iter().enumerate() {
                let every = compiled.tests.iter().enumerate();
                let found = |(position, tests): (usize, &Option<Arc<RouteMatch>>)| HostMatch {
                    route: route.clone(),
                    rule: rule as u32,
                    position: position as u32,
                    tests: tests.clone(),
                };
                matches.extend(every.map(found));
            }
        }
        matches.sort_by(|a, b| a.rank().cmp(b.rank()).then_with(|| a.route.route.key.cmp(&b.route.route.key)));
        let mut table = Self {
            pattern,
            routes,
            matches: Vec::new(),
            exact: HashMap::default(),
            prefixes: HashMap::default(),
            prefix_lengths: SmallVec::new(),
            others: Vec::new(),
        };
        for (place, found) in matches.iter().enumerate() {
            table.index(place as u32, found.condition().path.as_ref());
        }
        table.prefix_lengths = table.prefixes.keys().map(|prefix| prefix.len() as u32).collect();
        table.prefix_lengths.sort_unstable();
        table.prefix_lengths.dedup();
        table.matches = matches;
        table
    }

    fn index(&mut self, place: u32, path: Option<&PathMatch>) {
        match path {
            Some(PathMatch::Exact(path)) => self.exact.entry(path.clone()).or_default().push(place),
            Some(PathMatch::Prefix(prefix)) if **prefix != *"/" => self.prefixes.entry(prefix.clone()).or_default().push(place),
            Some(PathMatch::Prefix(_) | PathMatch::Regex(_)) | None => self.others.push(place),
        }
    }

    /// The place of the first match, by rank, that holds.
    pub fn find(&self, head: &RequestHead, cost: &mut Cost) -> Option<u32> {
        let path = head.path();
        let mut best = u32::MAX;
        if !self.exact.is_empty() {
            cost.probes += 1;
            self.improve(self.exact.get(path).map_or(&[], |places| places), head, &mut best, cost);
        }
        for length in self.prefix_lengths.iter().map(|length| *length as usize).take_while(|length| *length <= path.len()) {
            if matches!(path.as_bytes().get(length), None | Some(b'/')) {
                cost.probes += 1;
                self.improve(self.prefixes.get(&path[..length]).map_or(&[], |places| places), head, &mut best, cost);
            }
        }
        for place in &self.others {
            if *place >= best {
                break;
            }
            cost.tried += 1;
            if first_mismatch(self.matches[*place as usize].condition(), head).is_none() {
                best = *place;
                break;
            }
        }
        (best != u32::MAX).then_some(best)
    }

    fn improve(&self, places: &[u32], head: &RequestHead, best: &mut u32, cost: &mut Cost) {
        for place in places {
            if *place >= *best {
                return;
            }
            cost.tried += 1;
            if self.matches[*place as usize].holds(head) {
                *best = *place;
                return;
            }
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
