//! A route made ready to carry traffic: numbered, its filters in phases, its weights summed. Compiled once per change of the route and
//! shared by every entry it hangs on. It never knows which hosts or listeners those are.

use crate::ids::Ids;
use crate::phases::Phases;
use crate::shared::Shared;
use model::{Backend, Rank, Route, RouteMatch, RouteProtocol, Rule, Timeouts, WeightedBackend};
use std::sync::Arc;

#[derive(Debug)]
pub struct CompiledRoute {
    pub route: Arc<Route>,
    pub(crate) protocol: RouteProtocol,
    pub rules: Vec<CompiledRule>,
}

#[derive(Debug)]
pub struct CompiledRule {
    /// Dense, stable while the rule's name lives.
    pub id: u32,
    /// `httproute.catalog/rule-0`, after the namespace: `shop/httproute.catalog/rule-0`.
    pub name: Arc<str>,
    pub index: u32,
    pub phases: Arc<Phases>,
    pub split: Vec<SplitBackend>,
    pub total_weight: u64,
    // What every request asks for is here too, so that the rule as it was put need not be read, which is elsewhere in memory.
    pub(crate) timeouts: Timeouts,
    pub(crate) retries: bool,
    pub(crate) sessions: bool,
    /// Of each match, all but its path.
    pub(crate) tests: Vec<Option<Arc<RouteMatch>>>,
}

/// One backend of a rule, with the share of requests that it gets.
#[derive(Debug)]
pub struct SplitBackend {
    /// Dense, stable while the name lives.
    pub id: u32,
    /// The rule's name and the backend's: `shop/httproute.catalog/rule-0/shop/catalog-v1:80`.
    pub name: Arc<str>,
    pub index: u32,
    pub weight: u32,
    pub backend: Backend,
    pub phases: Arc<Phases>,
}

impl SplitBackend {
    /// The backend as people read it: `shop/catalog-v1:80`.
    pub fn label(&self) -> String {
        self.backend.to_string()
    }
}

impl CompiledRoute {
    /// Numbers are taken over from `old`, the same route as it was, where names are the same; the rest of its numbers are given back.
    pub(crate) fn new(route: Arc<Route>, old: Option<&CompiledRoute>, ids: &mut Ids, shared: &mut Shared) -> Self {
        let mut spare = old.map(Numbers::of).unwrap_or_default();
        let rules = route.rules.iter().enumerate().map(|(i, rule)| CompiledRule::new(&route, i, rule, &mut spare, ids, shared)).collect();
        spare.release(ids);
        Self { protocol: route.protocol, route, rules }
    }

    pub(crate) fn release(&self, ids: &mut Ids) {
        Numbers::of(self).release(ids);
    }

    pub(crate) fn rank(&self, rule: u32, position: u32) -> &Rank {
        &self.route.rules[rule as usize].matches[position as usize].rank
    }

    pub(crate) fn condition(&self, rule: u32, position: u32) -> &RouteMatch {
        &self.route.rules[rule as usize].matches[position as usize].matches
    }
}

impl CompiledRule {
    fn new(route: &Route, index: usize, rule: &Rule, spare: &mut Numbers, ids: &mut Ids, shared: &mut Shared) -> Self {
        let name: Arc<str> = format!("{}/{}/{}", route.key.namespace, route.key.name, rule.name).into();
        let id = spare.claim(&name, ids);
        let split: Vec<_> = rule.backends.iter().enumerate().map(|(i, b)| SplitBackend::new(&name, i, b, spare, ids, shared)).collect();
        let total_weight = split.iter().map(|b| u64::from(b.weight)).sum();
        Self {
            id,
            name,
            index: index as u32,
            phases: shared.phases(&rule.filters),
            split,
            total_weight,
            timeouts: rule.timeouts,
            retries: rule.retry.is_some(),
            sessions: rule.session.is_some(),
            tests: rule.matches.iter().map(|found| shared.tests(&found.matches)).collect(),
        }
    }
}

impl SplitBackend {
    fn new(rule: &str, index: usize, weighted: &WeightedBackend, spare: &mut Numbers, ids: &mut Ids, shared: &mut Shared) -> Self {
        let name: Arc<str> = format!("{rule}/{}", weighted.backend).into();
        Self {
            id: spare.claim(&name, ids),
            name,
            index: index as u32,
            weight: weighted.weight,
            backend: shared.backend(&weighted.backend),
            phases: shared.phases(&weighted.filters),
        }
    }
}

/// The numbers that one state of a route holds, by name.
#[derive(Default)]
struct Numbers(Vec<(Arc<str>, u32)>);

impl Numbers {
    fn of(route: &CompiledRoute) -> Self {
        let rules = route.rules.iter().map(|r| (r.name.clone(), r.id));
        let backends = route.rules.iter().flat_map(|r| r.split.iter().map(|b| (b.name.clone(), b.id)));
        Self(rules.chain(backends).collect())
    }

    fn claim(&mut self, name: &Arc<str>, ids: &mut Ids) -> u32 {
        match self.0.iter().position(|(n, _)| n == name) {
            Some(at) => self.0.swap_remove(at).1,
            None => ids.take(name),
        }
    }

    fn release(self, ids: &mut Ids) {
        self.0.into_iter().for_each(|(_, id)| ids.give_back(id));
    }
}
