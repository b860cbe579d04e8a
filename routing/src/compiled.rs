//! A route made ready to carry traffic: numbered, its filters in phases, its weights summed. Compiled once per change of the route and
//! shared by every entry it hangs on. It never knows which hosts or listeners those are.

use crate::ids::Ids;
use crate::phases::Phases;
use model::{Backend, Rank, Route, RouteMatch, Rule, WeightedBackend};
use std::sync::Arc;

#[derive(Debug)]
pub struct CompiledRoute {
    pub route: Arc<Route>,
    pub rules: Vec<CompiledRule>,
}

#[derive(Debug)]
pub struct CompiledRule {
    /// Dense, stable while the rule's name lives.
    pub id: u32,
    /// `httproute.catalog/rule-0`, after the namespace: `shop/httproute.catalog/rule-0`.
    pub name: Arc<str>,
    pub index: u32,
    pub phases: Phases,
    pub split: Vec<SplitBackend>,
    pub total_weight: u64,
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
    pub phases: Phases,
}

impl SplitBackend {
    /// The backend as people read it: `shop/catalog-v1:80`.
    pub fn label(&self) -> String {
        self.backend.to_string()
    }
}

impl CompiledRoute {
    /// Numbers are taken over from `old`, the same route as it was, where names are the same; the rest of its numbers are given back.
    pub(crate) fn new(route: Arc<Route>, old: Option<&CompiledRoute>, ids: &mut Ids) -> Self {
        let mut spare = old.map(Numbers::of).unwrap_or_default();
        let rules = route.rules.iter().enumerate().map(|(i, rule)| CompiledRule::new(&route, i, rule, &mut spare, ids)).collect();
        spare.release(ids);
        Self { route, rules }
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
    fn new(route: &Route, index: usize, rule: &Rule, spare: &mut Numbers, ids: &mut Ids) -> Self {
        let name: Arc<str> = format!("{}/{}/{}", route.key.namespace, route.key.name, rule.name).into();
        let id = spare.claim(&name, ids);
        let split: Vec<_> = rule.backends.iter().enumerate().map(|(i, b)| SplitBackend::new(&name, i, b, spare, ids)).collect();
        let total_weight = split.iter().map(|b| u64::from(b.weight)).sum();
        Self { id, name, index: index as u32, phases: Phases::compile(&rule.filters), split, total_weight }
    }
}

impl SplitBackend {
    fn new(rule: &str, index: usize, weighted: &WeightedBackend, spare: &mut Numbers, ids: &mut Ids) -> Self {
        let name: Arc<str> = format!("{rule}/{}", weighted.backend).into();
        Self {
            id: spare.claim(&name, ids),
            name,
            index: index as u32,
            weight: weighted.weight,
            backend: weighted.backend.clone(),
            phases: Phases::compile(&weighted.filters),
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
