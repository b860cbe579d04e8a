//! Health checks: the endpoints of services that this proxy calls and whose policy wants it are asked one after another, so many at once at most.
//! They go the way that requests go, mutual TLS and tunnel included, on connections of the rim's own. Who is due and what an answer means is
//! `routing::health`'s affair; what is asked stands in `checks/probe.rs`. Never carries a request.

mod probe;

use crate::guard::Guard;
use crate::limits;
use crate::snapshot::Snapshot;
use crate::worker::Worker;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use model::health::Probe;
use model::traffic::{AttachedPolicy, TrafficPolicy};
use model::{AppProtocol, HealthCheck, Key, Service};
use routing::health::{Due, Outcome};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Notify;
use transport::rt;

/// The endpoints of one service under one policy.
struct Place {
    guard: Arc<Guard>,
    service: Arc<Service>,
    port: u16,
    policy: Arc<TrafficPolicy>,
}

/// What checks are made with, and of whom.
struct Checker {
    /// For its connections alone: it has no door.
    worker: Rc<Worker>,
    /// Services that the workload behind this proxy backs: those are not checked before they are called.
    own: Vec<Key>,
    places: Vec<Place>,
    seen: Option<Arc<Snapshot>>,
    /// When it was looked last for what no snapshot tells: whether a service of our own is called meanwhile.
    looked: Instant,
    swept: Instant,
}

/// Checks until it is dropped. `worker` is one of the rim's thread.
pub async fn run(worker: Rc<Worker>, own: Vec<Key>, news: Arc<Notify>) {
    let mut checker = Checker { worker, own, places: Vec::new(), seen: None, looked: rt::now(), swept: rt::now() };
    let mut under_way = FuturesUnordered::new();
    loop {
        let told = news.notified();
        let now = rt::now();
        checker.look(now);
        while under_way.len() < limits::CHECKS_AT_ONCE
            && let Some((place, due)) = checker.due(now)
        {
            under_way.push(checker.check(place, due));
        }
        let pause = checker.pause(now, under_way.len() < limits::CHECKS_AT_ONCE);
        let wait = std::pin::pin!(rt::timeout(pause, told));
        match under_way.is_empty() {
            true => _ = wait.await,
            false => _ = futures_util::future::select(wait, under_way.next()).await,
        }
    }
}

impl Checker {
    /// Sees what there is to check: whenever something changed, and now and then, for a call may make a service one that is called.
    fn look(&mut self, now: Instant) {
        if now.saturating_duration_since(self.swept) >= limits::DNS_TIME {
            self.swept = now;
            self.worker.sweep();
        }
        let due = !self.own.is_empty() && now.saturating_duration_since(self.looked) >= limits::CHECK_LOOK;
        let snapshot = self.worker.snapshot();
        if self.seen.as_ref().is_some_and(|seen| Arc::ptr_eq(seen, &snapshot)) && !due {
            return;
        }
        self.looked = now;
        let checked: Vec<Place> = snapshot.table.services().flat_map(|service| self.places_of(service)).collect();
        let mut draw = || self.worker.draw();
        for place in &checked {
            if let Some(set) = snapshot.endpoints_of(&place.service.key) {
                place.guard.keep_checks(place.policy.health.as_ref(), set, now, &mut draw);
            }
        }
        // Whoever is not checked any more is believed to be well.
        let empty =
            Arc::new(model::Endpoints { key: Key::new(model::Source::files(), model::Kind::Endpoints, "", ""), endpoints: Vec::new() });
        for place in &self.places {
            if !checked.iter().any(|other| Arc::ptr_eq(&other.guard, &place.guard)) {
                place.guard.keep_checks(None, &empty, now, &mut draw);
            }
        }
        (self.places, self.seen) = (checked, Some(snapshot));
    }

    /// The policies of a service that want checks, with the port that is asked.
    fn places_of(&self, service: &Arc<Service>) -> Vec<Place> {
        let wanted = |at: &&AttachedPolicy| at.policy.health.is_some();
        let place = |at: &AttachedPolicy| {
            let port = port(service, at)?;
            let key = (service.key.clone(), at.port);
            let shared = &self.worker.shared;
            if self.own.contains(&service.key) && !shared.guards.knows(&key) {
                return None;
            }
            let guard = shared.guards.of(&key, &shared.metrics);
            Some(Place { guard, service: service.clone(), port, policy: at.policy.clone() })
        };
        service.policies.iter().filter(wanted).filter_map(place).collect()
    }

    /// Who has waited longest of those that are due.
    fn due(&self, now: Instant) -> Option<(&Place, Due)> {
        let first = self.places.iter().filter_map(|place| Some((place.guard.next_check()?, place)));
        let (_, place) = first.min_by_key(|(at, _)| *at)?;
        Some((place, place.guard.due_check(now)?))
    }

    fn pause(&self, now: Instant, room: bool) -> std::time::Duration {
        let longest = if self.own.is_empty() { limits::RIM_LOOK } else { limits::CHECK_LOOK };
        let next = self.places.iter().filter_map(|place| place.guard.next_check()).min();
        next.filter(|_| room).map_or(longest, |at| at.saturating_duration_since(now)).min(longest)
    }

    /// Asks one endpoint, and reports.
    fn check(&self, place: &Place, due: Due) -> impl Future<Output = ()> + use<> {
        let (worker, guard, service, port) = (self.worker.clone(), place.guard.clone(), place.service.clone(), place.port);
        let (policy, snapshot) = (place.policy.clone(), self.seen.clone());
        async move {
            let endpoints = snapshot.as_ref().and_then(|snapshot| snapshot.endpoints_of(&service.key));
            let endpoint = endpoints.and_then(|set| set.endpoints.iter().find(|endpoint| endpoint.id == due.endpoint));
            let outcome = match (endpoint, &policy.health) {
                (Some(endpoint), Some(check)) => Box::pin(probe::ask(&worker, &service, endpoint, port, check)).await,
                _ => Outcome::Unknown,
            };
            guard.checked(&due, outcome, rt::now(), worker.draw());
        }
    }
}

/// The port that a policy's check asks: its own, or the first one that speaks what is asked and has no policy of its own.
fn port(service: &Service, at: &AttachedPolicy) -> Option<u16> {
    if at.port.is_some() {
        return at.port;
    }
    let HealthCheck { probe, .. } = at.policy.health.as_ref()?;
    let speaks = |protocol: AppProtocol| match probe {
        Probe::Http { .. } => matches!(protocol, AppProtocol::Http | AppProtocol::Http2 | AppProtocol::Detect),
        Probe::Grpc { .. } => matches!(protocol, AppProtocol::Grpc | AppProtocol::Http2),
        Probe::Tcp { .. } => protocol != AppProtocol::Udp,
    };
    let free = || service.ports.iter().filter(|port| !service.policies.iter().any(|other| other.port == Some(port.number)));
    let port = free().find(|port| speaks(port.protocol)).or_else(|| free().find(|port| port.protocol != AppProtocol::Udp))?;
    Some(port.number)
}
