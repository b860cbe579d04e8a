//! The balancers of one worker, by service and subset, and beside each the guard that all workers share. What was measured of an endpoint outlives
//! every table and every other endpoint.

use crate::guard::{self, Counted, Guard, Guards};
use crate::limits;
use crate::map::Map;
use crate::snapshot::Snapshot;
use model::traffic::TrafficPolicy;
use model::{Backend, Endpoint, Endpoints, Labels, Locality, Nearest, Service, ServiceRef};
use routing::balance::{Balancer, EndpointId, Outcome, serves};
use routing::eject::Ended;
use smallvec::SmallVec;
use std::net::IpAddr;
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
    nearest: Option<Nearest>,
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
    guard: Arc<Guard>,
    /// A place among the requests under way there is to be given back.
    placed: bool,
}

impl Picked<'_> {
    /// Whose connections those to it are counted among.
    pub fn counted(&self) -> Counted {
        Counted { guard: self.guard.clone(), endpoint: self.endpoint.id.clone() }
    }

    /// The object that limits those.
    pub fn said_by(&self) -> Option<Arc<str>> {
        self.guard.said_by()
    }
}

/// Why nobody was picked.
#[derive(Debug)]
pub enum Nobody {
    /// No endpoint can be used.
    Absent,
    /// Each has as many requests under way as one may; with words for the caller.
    Full(String),
}

/// The policy of a port, and the guard's place: a port with a policy of its own has a guard of its own.
pub fn policy(service: &Service, port: u16) -> (&Arc<TrafficPolicy>, guard::Place) {
    let own = service.policies.iter().any(|at| at.port == Some(port));
    (service.policy(port).unwrap_or(&guard::DEFAULTS), (service.key.clone(), own.then_some(port)))
}

/// A backend that is a service here, with what holds of calls to its port: looked up once for a request.
pub struct Called<'t> {
    pub service: &'t Arc<Service>,
    pub policy: &'t Arc<TrafficPolicy>,
    pub place: guard::Place,
}

impl<'t> Called<'t> {
    /// `None` for what lies outside, and for a service that is not known here.
    pub fn of(snapshot: &'t Snapshot, backend: &Backend) -> Option<Self> {
        match backend {
            Backend::Service(to) => Self::to(snapshot, to),
            Backend::External(_) | Backend::Invalid { .. } => None,
        }
    }

    /// `None` where it is not known here.
    pub fn to(snapshot: &'t Snapshot, to: &ServiceRef) -> Option<Self> {
        let service = snapshot.table.service(&to.service)?;
        let (policy, place) = policy(service, to.port);
        Some(Self { service, policy, place })
    }
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
    /// Where this proxy is.
    pub here: &'c Locality,
    pub tried: Tried<'c>,
    pub hash: Option<u64>,
    pub draw: u64,
    pub now: Instant,
}

impl Balancers {
    /// An endpoint for a request; those where it was, and those whose machine acknowledges nothing, come last, and those that are left out before them where the
    /// request was not heard.
    ///
    /// # Errors
    /// If there is none, or none that may take one more.
    pub fn pick<'t>(
        &mut self,
        snapshot: &'t Snapshot,
        called: &Called<'_>,
        to: &ServiceRef,
        with: &Choice<'_>,
    ) -> Result<Picked<'t>, Nobody> {
        let endpoints = snapshot.endpoints_of(&to.service).ok_or(Nobody::Absent)?;
        let Called { service, policy, place } = called;
        let place = (place.clone(), to.subset.clone());
        if self.0.len() >= limits::LABELS && !self.0.contains_key(&place) {
            self.0.clear();
        }
        let entry = self.0.entry(place.clone()).or_insert_with(|| Entry {
            balancer: Balancer::new(service.balancer.clone(), to.subset.clone()),
            guard: with.guards.of(&place.0, with.metrics),
            policy: Arc::clone(policy),
            nearest: service.nearest,
            set: None,
            seen: 0,
            again: None,
        });
        let other = entry.balancer.set_algorithm(&service.balancer) | (entry.nearest != service.nearest);
        entry.nearest = service.nearest;
        let due = entry.look(other, endpoints, policy, with);
        let led = |led: u64| entry.balancer.usable_where(|name| routing::session::endpoint(name) == led);
        let led = with.tried.led.filter(|_| with.tried.at.is_empty()).and_then(led);
        let silent = entry.at(&transport::rt::silent(), endpoints);
        let id = match silent.is_empty() {
            true => entry.choose(led.or(due), with)?,
            false => {
                let at: Vec<EndpointId> = with.tried.at.iter().copied().chain(silent).collect();
                entry.choose(led.or(due), &Choice { tried: Tried { at: &at, ..with.tried }, ..*with })?
            }
        };
        // The balancer was told of this very set.
        let endpoint = entry.balancer.position(id).and_then(|at| endpoints.endpoints.get(at)).ok_or(Nobody::Absent)?;
        entry.balancer.started(id);
        Ok(Picked { endpoint, place, id, guard: entry.guard.clone(), placed: entry.policy.endpoint_requests.is_some() })
    }

    /// A try that goes on, and says nothing yet of the endpoint: what becomes of it is told by [`Balancers::learnt`].
    pub fn begun(&mut self, picked: &Picked<'_>, now: Instant) {
        let Some(entry) = self.0.get_mut(&picked.place) else { return };
        if picked.placed {
            entry.guard.give_place(&picked.endpoint.id);
        }
        entry.balancer.ended(picked.id, Outcome::Cancelled, Duration::ZERO, now);
    }

    /// What is known by now of an endpoint that was picked for something lasting.
    pub fn learnt(&mut self, service: &Service, to: &ServiceRef, endpoint: &Arc<str>, ended: Ended, now: Instant) {
        let (_, guarded) = policy(service, to.port);
        let Some(entry) = self.0.get(&(guarded, to.subset.clone())) else { return };
        let all = entry.set.as_ref().map_or(0, |set| set.endpoints.len());
        entry.guard.ended(&entry.policy, endpoint, ended, Duration::ZERO, all, now);
    }

    /// Whether another endpoint than these could be picked instead.
    pub fn has_other(&self, picked: &Picked<'_>, than: &[EndpointId]) -> bool {
        self.0.get(&picked.place).is_some_and(|entry| entry.balancer.has_other(than))
    }

    /// How a try ended. Where `took` is `None` its time says nothing of the endpoint's speed.
    pub fn ended(&mut self, picked: &Picked<'_>, ended: Ended, took: Option<Duration>, now: Instant) {
        let Some(entry) = self.0.get_mut(&picked.place) else { return };
        if picked.placed {
            entry.guard.give_place(&picked.endpoint.id);
        }
        let outcome = match (ended, took) {
            (Ended::Cancelled, _) => Outcome::Cancelled,
            (ended, _) if ended.is_failure() => Outcome::Failure,
            (_, None) => Outcome::Untimed,
            (_, Some(_)) => Outcome::Success,
        };
        let took = took.unwrap_or_default();
        entry.balancer.ended(picked.id, outcome, took, now);
        let all = entry.set.as_ref().map_or(0, |set| set.endpoints.len());
        entry.guard.ended(&entry.policy, &picked.endpoint.id, ended, took, all, now);
    }
}

impl Entry {
    /// The endpoints on these machines.
    fn at(&self, machines: &[IpAddr], endpoints: &Endpoints) -> Vec<EndpointId> {
        if machines.is_empty() {
            return Vec::new();
        }
        let there = endpoints.endpoints.iter().filter(|endpoint| machines.contains(&endpoint.address));
        there.filter_map(|endpoint| self.balancer.find(&endpoint.id)).collect()
    }

    /// Whoever is due for a try, else by the balancer; with a place among its requests under way where the policy limits those.
    fn choose(&mut self, due: Option<EndpointId>, with: &Choice<'_>) -> Result<EndpointId, Nobody> {
        let Some(limit) = self.policy.endpoint_requests else {
            return due.or_else(|| pick(&mut self.balancer, &[], with)).ok_or(Nobody::Absent);
        };
        let (mut due, mut full) = (due, Vec::new());
        while let Some(id) = due.take().or_else(|| pick(&mut self.balancer, &full, with)) {
            let endpoint = self.balancer.endpoint(id).ok_or(Nobody::Absent)?;
            if self.guard.take_place(&endpoint.id, limit) {
                return Ok(id);
            }
            full.push(id);
        }
        Err(if full.is_empty() { Nobody::Absent } else { Nobody::Full(self.guard.no_place(limit)) })
    }

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
            probed = self.guard.probe(policy.endpoint_requests, fits, with.now);
        }
        if !same {
            self.guard.limit(policy);
        }
        self.policy = policy.clone();
        self.set = Some(endpoints.clone());
        self.seen = changes;
        let distance = |e: &Endpoint| self.nearest.map_or(0, |nearest| with.here.distance(&e.locality, nearest));
        self.again = self.guard.arrange(&mut self.balancer, endpoints, policy, &distance, with.now);
        probed.and_then(|name| self.balancer.find(&name))
    }
}

/// By the balancer, in this order: where the request was not yet, one that is left out where it was not heard, whoever did not ask to be left alone,
/// anyone. Those in `full` never.
fn pick(balancer: &mut Balancer, full: &[EndpointId], with: &Choice<'_>) -> Option<EndpointId> {
    // As most are: the first try, and no endpoint at a limit of its own.
    if with.tried.at.is_empty() && full.is_empty() {
        return balancer.pick(with.draw, with.now, with.hash, &[]).or_else(|| {
            let left_out = with.tried.unreached.then(|| balancer.pick_left_out(with.draw, &[])).flatten();
            left_out.or_else(|| balancer.pick(with.draw, with.now, with.hash, with.tried.avoid))
        });
    }
    let but = |some: &[EndpointId]| -> SmallVec<[EndpointId; 8]> { some.iter().chain(full).copied().collect() };
    let (at, avoid) = (but(with.tried.at), but(with.tried.avoid));
    let picked = balancer.pick(with.draw, with.now, with.hash, &at);
    let left_out = || with.tried.unreached.then(|| balancer.pick_left_out(with.draw, &at)).flatten();
    let picked = picked.or_else(left_out).or_else(|| balancer.pick(with.draw, with.now, with.hash, &avoid));
    picked.or_else(|| balancer.pick(with.draw, with.now, with.hash, full))
}
