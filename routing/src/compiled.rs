//! The matches of a route made ready to carry traffic: its filters in phases, its weights summed. Never knows which hosts or listeners they are for.

use crate::matching::{first_mismatch, first_mismatch_but_path};
use crate::phases::Phases;
use crate::shared::Shared;
use model::{Backend, PathMatch, Rank, RequestHead, Route, RouteMatch, RouteProtocol, Rule, Timeouts, WeightedBackend};
use smallvec::SmallVec;
use std::sync::Arc;

/// One match of a rule, in one line of the processor's cache. Of ten thousand routes that requests spread over, each line that has to be read costs
/// a fetch from far, so what a match has alike with others is behind `common`, which is near, and what is seldom asked for is in the route as it was put.
#[derive(Debug, Clone)]
#[repr(align(64))]
pub(crate) struct CompiledMatch {
    pub route: Arc<Route>,
    pub rule: u32,
    pub position: u32,
    /// Where it stands among others: the place of the next one with the same path, [`NOWHERE`] if there is none.
    pub next: u32,
    regex: bool,
    /// An exact path or a prefix, here as long as it is short.
    pub path: SmallVec<[u8; 23]>,
    pub common: Arc<Common>,
}

pub(crate) const NOWHERE: u32 = u32::MAX;

/// What a match says besides its path and its names: what else must hold, and what is done then. Many have all of it alike.
#[derive(Debug)]
pub(crate) struct Common {
    pub tests: Option<Arc<RouteMatch>>,
    pub protocol: RouteProtocol,
    pub retries: bool,
    pub sessions: bool,
    pub phases: Arc<Phases>,
    pub split: SmallVec<[SplitBackend; 1]>,
    pub total_weight: u64,
    pub timeouts: Timeouts,
}

/// One backend of a rule, with the share of requests that it gets.
#[derive(Debug)]
pub struct SplitBackend {
    pub index: u32,
    pub weight: u32,
    pub backend: Arc<Backend>,
    pub phases: Arc<Phases>,
}

impl SplitBackend {
    fn new(index: usize, weighted: &WeightedBackend, shared: &mut Shared) -> Self {
        Self {
            index: index as u32,
            weight: weighted.weight,
            backend: shared.backend(&weighted.backend),
            phases: shared.phases(&weighted.filters),
        }
    }

    /// The backend as people read it: `shop/catalog-v1:80`.
    pub fn label(&self) -> String {
        self.backend.to_string()
    }
}

impl CompiledMatch {
    /// Of all rules of a route, in the order written.
    pub fn all<'a>(route: &'a Arc<Route>, shared: &'a mut Shared) -> impl Iterator<Item = Self> + 'a {
        let places = route.rules.iter().zip(0..).flat_map(|(rule, at)| (0..).take(rule.matches.len()).map(move |position| (at, position)));
        places.map(|place| Self::new(route, place, shared))
    }

    /// By the place of its rule in the route, and its own in the rule.
    pub fn new(route: &Arc<Route>, (rule, position): (u32, u32), shared: &mut Shared) -> Self {
        let written = &route.rules[rule as usize];
        let condition = &written.matches[position as usize].matches;
        Self {
            route: route.clone(),
            rule,
            position,
            next: NOWHERE,
            regex: matches!(condition.path, Some(PathMatch::Regex(_))),
            path: match &condition.path {
                Some(PathMatch::Exact(path) | PathMatch::Prefix(path)) => SmallVec::from_slice(path.as_bytes()),
                Some(PathMatch::Regex(_)) | None => SmallVec::new(),
            },
            common: Common::new(route.protocol, written, condition, shared),
        }
    }

    pub fn source(&self) -> &Rule {
        &self.route.rules[self.rule as usize]
    }

    pub fn rank(&self) -> &Rank {
        &self.source().matches[self.position as usize].rank
    }

    pub fn condition(&self) -> &RouteMatch {
        &self.source().matches[self.position as usize].matches
    }

    /// Whether it holds, where its path is known to, or is a regular expression.
    pub fn holds(&self, head: &RequestHead) -> bool {
        if self.regex {
            return first_mismatch(self.condition(), head).is_none();
        }
        self.common.tests.as_ref().is_none_or(|tests| first_mismatch_but_path(tests, head).is_none())
    }
}

impl Common {
    fn new(protocol: RouteProtocol, rule: &Rule, found: &RouteMatch, shared: &mut Shared) -> Arc<Self> {
        let split: SmallVec<_> = rule.backends.iter().enumerate().map(|(i, to)| SplitBackend::new(i, to, shared)).collect();
        let made = Self {
            tests: shared.tests(found),
            protocol,
            retries: rule.retry.is_some(),
            sessions: rule.session.is_some(),
            phases: shared.phases(&rule.filters),
            total_weight: split.iter().map(|to: &SplitBackend| u64::from(to.weight)).sum(),
            split,
            timeouts: rule.timeouts,
        };
        shared.common(made)
    }

    /// Whether both say the same, as far as what they say is shared.
    pub fn is(&self, other: &Self) -> bool {
        let tests = match (&self.tests, &other.tests) {
            (Some(ours), Some(theirs)) => Arc::ptr_eq(ours, theirs),
            (ours, theirs) => ours.is_none() && theirs.is_none(),
        };
        let flags = |of: &Self| (of.protocol, of.retries, of.sessions, of.timeouts);
        let pairs = || self.split.iter().zip(&other.split);
        tests
            && flags(self) == flags(other)
            && Arc::ptr_eq(&self.phases, &other.phases)
            && self.split.len() == other.split.len()
            && pairs().all(|(a, b)| a.weight == b.weight && Arc::ptr_eq(&a.backend, &b.backend) && Arc::ptr_eq(&a.phases, &b.phases))
    }
}
