//! The balancers of one worker, by service and subset, and beside each the guard that all workers share. What was measured of an endpoint outlives
//! every table and every other endpoint.

use crate::guard::{self, Guard, Guards};
use crate::limits;
use crate::map::Map;
use crate::snapshot::Snapshot;
use model::traffic::TrafficPolicy;
use model::{Endpoint, Endpoints, Labels, Service, ServiceRef};
use routing::balance::{Balancer, EndpointId, Outcome, serves};
use routing::eject::Ended;
use std::sync::Arc;
use std::time::{Duration, Instant};
use telemetry::Metrics;

type Place = (guard::Place, Option<Labels>);

#[derive(Default)]
pub struct Balancers(Map<Place, Entry>);

struct Entry {
    balancer: Balancer,
    guard: Arc<Guard>,
    policy: Arc<TrafficPolicy>,
    set: Option<Arc<Endpoints>>,
    /// Changes of the guard that the balancer is arranged by.
    seen: u64,
    /// When it has to be arranged anew, or an ejected endpoint is due for a try.
    again: Option<Instant>,
}

/// An endpoint that was picked, and how to report back of it.
#[derive(Clone)]
pub struct Picked<'t> {
    pub endpoint: &'t Endpoint,
    place: Place,
    pub id: EndpointId,
}

/// The policy of a port, and the guard's place: a port with a policy of its own has a guard of its own.
pub fn policy(service: &Service, port: u16) -> (&Arc<TrafficPolicy>, guard::Place) {
    let own = service.policies.iter().any(|at| at.port == Some(port));
    (service.policy(port).unwrap_or(&guard::DEFAULTS), (service.key.clone(), own.then_some(port)))
}

/// Why nobody answers for a service, as far as the control plane told it; `None` where someone may.
pub fn nobody(snapshot: &Snapshot, to: &ServiceRef) -> Option<String> {
    let serves = |set: &Arc<Endpoints>| set.endpoints.iter().any(|endpoint| serves(endpoint, to.subset.as_ref()));
    (!snapshot.endpoints_of(&to.service).is_some_and(serves)).then(|| no_endpoint(snapshot, to))
}

/// Said where no endpoint can be picked.
pub fn no_endpoint(snapshot: &Snapshot, to: &ServiceRef) -> String {
    let count = snapshot.endpoints_of(&to.service).map_or(0, |set| set.endpoints.len());
    let has = match count {
        0 => "no endpoint".to_owned(),
        1 => "no healthy endpoint: its only one is not".to_owned(),
        _ => format!("no healthy endpoint among {count}"),
    };
    format!("service {}/{} has {has}", to.service.namespace, to.service.name)
}

/// Where a request was already.
#[derive(Clone, Copy, Default)]
pub struct Tried<'c> {
    pub at: &'c [EndpointId],
    /// Of those, who asked to be left alone: they come last of all.
    pub avoid: &'c [EndpointId],
    /// The endpoint that its session is with, which goes before all others while it can be used.
    pub led: Option<u64>,
    /// The last one could not be reached or broke off: one that is left out is better than the same again.
    pub unreached: bool,
}

/// What choosing needs beside the service.
pub struct Choice<'c> {
    pub guards: &'c Guards,
    pub metrics: &'c Metrics,
    pub tried: Tried<'c>,
    pub hash: Option<u64>,
    pub draw: u64,
    pub now: Instant,
}

impl Balancers {
    /// An endpoint for a request; those where it was come last, and those that are left out before them where the request was not heard.
    pub fn pick<'t>(&mut self, snapshot: &'t Snapshot, service: &Service, to: &ServiceRef, with: &Choice<'_>) -> Option<Picked<'t>> {
        let endpoints = snapshot.endpoints_of(&to.service)?;
        let (policy, guarded) = policy(service, to.port);
        let place = (guarded, to.subset.clone());
        if self.0.len() >= limits::LABELS && !self.0.contains_key(&place) {
            self.0.clear();
        }
        let entry = self.0.entry(place.clone()).or_insert_with(|| Entry {
            balancer: Balancer::new(service.balancer.clone(), to.subset.clone()),
            guard: with.guards.of(&place.0, with.metrics),
            policy: policy.clone(),
            set: None,
            seen: 0,
            again: None,
        });
        let other = entry.balancer.set_algorithm(&service.balancer);
        let due = entry.look(other, endpoints, policy, with);
        let balancer = &mut entry.balancer;
        let led = |led: u64| balancer.usable_where(|name| routing::session::endpoint(name) == led);
        let led = with.tried.led.filter(|_| with.tried.at.is_empty()).and_then(led);
        let picked = led.or(due).or_else(|| balancer.pick(with.draw, with.now, with.hash, with.tried.at));
        let left_out = || with.tried.unreached.then(|| balancer.pick_left_out(with.draw, with.tried.at)).flatten();
        let picked = picked.or_else(left_out).or_else(|| balancer.pick(with.draw, with.now, with.hash, with.tried.avoid));
        let id = picked.or_else(|| balancer.pick(with.draw, with.now, with.hash, &[]))?;
        let name = &balancer.endpoint(id)?.id;
        let endpoint = endpoints.endpoints.iter().find(|e| e.id == *name)?;
        balancer.started(id);
        Some(Picked { endpoint, place, id })
    }

    /// Whether another endpoint than these could be picked instead.
    pub fn has_other(&self, picked: &Picked<'_>, than: &[EndpointId]) -> bool {
        self.0.get(&picked.place).is_some_and(|entry| entry.balancer.has_other(than))
    }

    /// How a try ended. Where `took` is `None` its time says nothing of the endpoint's speed.
    pub fn ended(&mut self, picked: &Picked<'_>, ended: Ended, took: Option<Duration>, now: Instant) {
        let Some(entry) = self.0.get_mut(&picked.place) else { return };
        let outcome = match (ended, took) {
            (Ended::Cancelled, _) => Outcome::Cancelled,
            (ended, _) if ended.is_failure() => Outcome::Failure,
            (_, None) => Outcome::Cancelled,
            (_, Some(_)) => Outcome::Success,
        };
        let took = took.unwrap_or_default();
        entry.balancer.ended(picked.id, outcome, took, now);
        let all = entry.set.as_ref().map_or(0, |set| set.endpoints.len());
        entry.guard.ended(&entry.policy, &picked.endpoint.id, ended, took, all, now);
    }
}

impl Entry {
    /// Arranges the balancer where something changed; names an ejected endpoint that this request shall try.
    fn look(&mut self, other: bool, endpoints: &Arc<Endpoints>, policy: &Arc<TrafficPolicy>, with: &Choice<'_>) -> Option<EndpointId> {
        let changes = self.guard.changes();
        let same = self.set.as_ref().is_some_and(|set| Arc::ptr_eq(set, endpoints)) && Arc::ptr_eq(&self.policy, policy);
        let due = self.again.is_some_and(|again| with.now >= again);
        if !other && same && changes == self.seen && !due {
            return None;
        }
        let mut probed = None;
        if due {
            let balancer = &self.balancer;
            // Who has a session tries nothing out.
            let fits = |name: &str| with.tried.led.is_none() && balancer.find(name).is_some_and(|id| !with.tried.at.contains(&id));
            probed = self.guard.probe(fits, with.now);
        }
        self.policy = policy.clone();
        self.set = Some(endpoints.clone());
        self.seen = changes;
        self.again = self.guard.arrange(&mut self.balancer, endpoints, policy, with.now);
        probed.and_then(|name| self.balancer.find(&name))
    }
}
