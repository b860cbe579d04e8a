//! What stands between callers and the endpoints of one service: ejection, the service's breaker, and how many calls may be under way. One guard
//! per service (and per port that has a policy of its own), shared by all workers, for a limit means the proxy; it outlives every table. The state
//! machines are `routing`'s; here they are locked, woken, logged and counted. It never knows a request.

use crate::limits;
use crate::map::Map;
use model::traffic::{RequestLimits, RetryBudget, TrafficPolicy};
use model::{Endpoint, Endpoints, Key};
use routing::admission::{Admission, Occupied, Ticket};
use routing::balance::{Balancer, Standing};
use routing::breaker::{Admitted, Breaker, Change};
use routing::eject::{Ended, Event, Outliers};
use routing::health::{Checks, Last};
use routing::retry::Budget;
use routing::room::{self, Room};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};
use telemetry::{Gauge, Metrics};

mod health;
mod lease;
mod pass;
mod seat;
pub use lease::{Held, Outbox};
pub use pass::Pass;
use pass::Turn;
pub use seat::{Bell, Counted, Crowded, Seat, Waits};

/// What holds where no policy says anything.
pub static DEFAULTS: LazyLock<Arc<TrafficPolicy>> = LazyLock::new(Arc::default);

const OVERFLOW: &str = "Requests refused before they were sent, by why";

/// A service, and the port whose own policy it is.
pub type Place = (Key, Option<u16>);

/// The guards of a proxy.
#[derive(Default)]
pub struct Guards {
    all: Mutex<Map<Place, Arc<Guard>>>,
    /// Retries towards what is no service; all of them share it.
    outside: Mutex<Option<Budget>>,
    bells: Arc<seat::Bells>,
}

impl Guards {
    /// The guard of a place; the same one for as long as anyone holds it.
    pub fn of(&self, place: &Place, metrics: &Metrics) -> Arc<Guard> {
        let mut all = lock(&self.all);
        if let Some(guard) = all.get(place) {
            return guard.clone();
        }
        if all.len() >= limits::LABELS {
            all.retain(|_, guard| Arc::strong_count(guard) > 1);
        }
        let guard = Arc::new(Guard::new(place, self.bells.clone(), metrics));
        all.insert(place.clone(), guard.clone());
        guard
    }
}

pub struct Guard {
    place: Place,
    outliers: Mutex<Outliers>,
    checks: Mutex<Checks>,
    /// Endpoints that are checked, and those of them that are well; there once anyone is checked.
    checked: OnceLock<[Gauge; 2]>,
    /// Rises whenever other endpoints may be used than before.
    changes: AtomicU64,
    /// Nothing failed of late: a success needs no lock.
    quiet: AtomicBool,
    breaker: Mutex<Breaker>,
    gate: Mutex<Gate>,
    /// Where a policy limits requests under way at one endpoint.
    occupied: Mutex<Occupied>,
    /// How many idle connections somebody could gain by; as the room under the gate has it.
    wanted: AtomicU32,
    bells: Arc<seat::Bells>,
    metrics: Metrics,
    connections: Gauge,
    active: Gauge,
    open: Gauge,
}

/// Who is under way and who waits, and the retries that they may have together.
#[derive(Default)]
struct Gate {
    admission: Admission,
    limits: RequestLimits,
    /// The object that says so.
    by: Option<Arc<str>>,
    waiting: HashMap<Ticket, Waiting>,
    budget: Option<Budget>,
    room: Room,
    unseated: HashMap<room::Ticket, Waiting>,
    /// Where a successor counts for this process.
    lent: Option<Outbox>,
}

#[derive(Default)]
struct Waiting {
    admitted: bool,
    waker: Option<Waker>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each change under these locks is whole before anything can panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why a call is refused before it is sent.
pub struct Refused {
    /// `pending_overflow`, `connection_overflow` or `circuit_breaker_open`; an endpoint's own limit is counted as `endpoint_overflow`.
    pub cause: &'static str,
    pub why: String,
}

/// A service that is not called now, or by a few requests that try it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenBreaker {
    pub service: Key,
    /// Of so many requests so many percent failed.
    pub percent: u8,
    pub requests: u32,
    pub since: Duration,
    pub half_open: bool,
}

/// What leaves an endpoint out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum By {
    /// How it answered requests.
    Ejection,
    /// How it answered checks.
    Check,
}

/// An endpoint that is left out now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Out {
    pub service: Key,
    pub endpoint: Arc<str>,
    pub by: By,
    /// `5 × 503`, or `GET /healthz answered 503 (3 in a row)`.
    pub cause: String,
    pub since: Duration,
    /// Until it is tried again; zero while it is, and for those that checks leave out.
    pub left: Duration,
}

/// A health check that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    pub service: Key,
    pub endpoint: Arc<str>,
    pub age: Duration,
    pub last: Last,
}

impl Guards {
    /// Uses the retry budget towards what is no service.
    pub fn outside<T>(&self, now: Instant, work: impl FnOnce(&mut Budget) -> T) -> T {
        work(lock(&self.outside).get_or_insert_with(|| Budget::new(RetryBudget::default(), now)))
    }

    /// Whether a place has been called, or looked at in another way.
    pub fn knows(&self, place: &Place) -> bool {
        lock(&self.all).contains_key(place)
    }

    /// All breakers that are not closed, in a stable order.
    pub fn open(&self, now: Instant) -> Vec<OpenBreaker> {
        let guards: Vec<_> = lock(&self.all).values().cloned().collect();
        let mut all: Vec<OpenBreaker> = guards.iter().filter_map(|guard| guard.open_breaker(now)).collect();
        all.sort_by(|a, b| a.service.cmp(&b.service));
        all.truncate(limits::EJECTIONS_TOLD);
        all
    }

    /// Health checks that ended since this was last asked, as many as one report tells of; the rest is told the next time.
    pub fn checked(&self, now: Instant) -> Vec<Checked> {
        let guards: Vec<_> = lock(&self.all).values().cloned().collect();
        let mut told = Vec::new();
        for guard in guards {
            told.extend(guard.checks_told(limits::CHECKS_TOLD - told.len(), now));
        }
        told
    }

    /// All that are left out now, in a stable order.
    pub fn out(&self, now: Instant) -> Vec<Out> {
        let guards: Vec<_> = lock(&self.all).values().cloned().collect();
        let mut all: Vec<Out> = guards.iter().flat_map(|guard| guard.out(now)).collect();
        all.sort_by(|a, b| (&a.service, &a.endpoint, a.by).cmp(&(&b.service, &b.endpoint, b.by)));
        all.truncate(limits::EJECTIONS_TOLD);
        all
    }
}

impl Guard {
    fn open_breaker(&self, now: Instant) -> Option<OpenBreaker> {
        let breaker = lock(&self.breaker);
        let (since, percent, requests) = breaker.open()?;
        let since = now.saturating_duration_since(since);
        Some(OpenBreaker { service: self.place.0.clone(), percent, requests, since, half_open: breaker.is_half_open() })
    }

    fn out(&self, now: Instant) -> Vec<Out> {
        let outliers = lock(&self.outliers);
        let told = |(name, ejected): (&Arc<str>, &routing::eject::Ejected)| Out {
            service: self.place.0.clone(),
            endpoint: name.clone(),
            by: By::Ejection,
            cause: ejected.cause.to_string(),
            since: now.saturating_duration_since(ejected.since),
            left: ejected.until.saturating_duration_since(now),
        };
        outliers.out().map(told).chain(self.unhealthy(now)).collect()
    }

    fn new(place: &Place, bells: Arc<seat::Bells>, metrics: &Metrics) -> Self {
        let labels = [("destination_service_namespace", &*place.0.namespace), ("destination_service_name", &*place.0.name)];
        let help = "Endpoints that are left out now because they failed";
        let active = metrics.gauge("organza_outlier_detection_ejections_active", help, &labels);
        let open =
            metrics.gauge("organza_circuit_breakers_open", "1 while calls to the service are refused because too many failed", &labels);
        Self {
            place: place.clone(),
            outliers: Mutex::default(),
            checks: Mutex::default(),
            checked: OnceLock::new(),
            changes: AtomicU64::new(0),
            quiet: AtomicBool::new(true),
            breaker: Mutex::default(),
            gate: Mutex::default(),
            occupied: Mutex::default(),
            wanted: AtomicU32::new(0),
            bells,
            metrics: metrics.clone(),
            connections: metrics.gauge("organza_upstream_cx_active", "Connections to a service, idle ones too", &labels),
            active,
            open,
        }
    }

    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Arranges a balancer by who may be used now; says when to look again.
    /// `distance` is how far an endpoint is.
    pub fn arrange(
        &self,
        balancer: &mut Balancer,
        set: &Arc<Endpoints>,
        policy: &TrafficPolicy,
        distance: &dyn Fn(&Endpoint) -> u8,
        now: Instant,
    ) -> Option<Instant> {
        let mut outliers = lock(&self.outliers);
        outliers.keep(set);
        self.active.set(outliers.out().count() as f64);
        let checks = lock(&self.checks);
        let standing = Standing {
            ejected: &|name| outliers.ejected(name).is_some() || checks.is_left_out(policy.health.as_ref(), name),
            returned: &|name| outliers.returned(name).max(checks.returned(name)),
            distance,
            panic: &|usable, all| routing::eject::panics(&policy.ejection, usable, all),
            slow_start: policy.slow_start,
            now,
        };
        let again = balancer.arrange(set, &standing);
        // Whoever fails checks is tried by them alone.
        let probe = outliers.next_probe(|name| checks.unhealthy(name).is_none());
        [again, probe].into_iter().flatten().min()
    }

    /// An ejected endpoint whose time is over and that `fits`: it gets exactly one request. `limit` is that of requests under way there.
    pub fn probe(&self, limit: Option<u32>, fits: impl Fn(&str) -> bool, now: Instant) -> Option<Arc<str>> {
        let mut outliers = lock(&self.outliers);
        let (checks, occupied) = (lock(&self.checks), lock(&self.occupied));
        let has_place = |name: &str| limit.is_none_or(|limit| !occupied.is_full(name, limit));
        outliers.take_probe(now, |name| checks.unhealthy(name).is_none() && has_place(name) && fits(name))
    }

    /// A place among the requests under way at one endpoint; whoever gets it gives it back by [`Guard::give_place`].
    pub fn take_place(&self, endpoint: &Arc<str>, limit: u32) -> bool {
        lock(&self.occupied).take(endpoint, limit)
    }

    pub fn give_place(&self, endpoint: &str) {
        lock(&self.occupied).give(endpoint);
    }

    /// All endpoints that could be used have as many requests under way as one may.
    pub fn no_place(&self, limit: u32) -> String {
        self.count("organza_upstream_rq_overflow", OVERFLOW, "endpoint_overflow");
        let service = &self.place.0;
        format!(
            "overloaded: each endpoint of service {}/{} has {limit} requests under way, which is all that is allowed",
            service.namespace, service.name
        )
    }

    /// How a try at an endpoint ended.
    pub fn ended(&self, policy: &TrafficPolicy, name: &Arc<str>, ended: Ended, took: Duration, all: usize, now: Instant) {
        let watched = policy.ejection.failure_percentage.is_some() || policy.ejection.latency.is_some();
        if !watched && !ended.is_failure() && self.quiet.load(Ordering::Acquire) {
            return;
        }
        let mut outliers = lock(&self.outliers);
        let was_probe = outliers.is_probed(name);
        let events = outliers.observe(&policy.ejection, name, ended, took, all, now);
        self.quiet.store(outliers.is_quiet(), Ordering::Release);
        self.active.set(outliers.out().count() as f64);
        drop(outliers);
        if was_probe || !events.is_empty() {
            self.changes.fetch_add(1, Ordering::AcqRel);
        }
        events.iter().for_each(|event| self.tell(event));
    }

    fn tell(&self, event: &Event) {
        let service = &self.place.0;
        match event {
            Event::Ejected { endpoint, ejected } => {
                let seconds = (ejected.until - ejected.since).as_secs();
                tracing::warn!(
                    "{}/{}: endpoint {endpoint} is left out for {seconds} s after {} (ejection {} in a row)",
                    service.namespace,
                    service.name,
                    ejected.cause,
                    ejected.times
                );
                let help = "Endpoints left out for a while, by why";
                self.count("organza_outlier_detection_ejections_enforced", help, ejected.cause.label());
            }
            Event::Returned { endpoint } => {
                tracing::info!("{}/{}: endpoint {endpoint} answers again and is back", service.namespace, service.name);
            }
        }
    }

    fn count(&self, family: &'static str, help: &'static str, cause: &str) {
        let service = &self.place.0;
        let labels =
            [("destination_service_namespace", &*service.namespace), ("destination_service_name", &*service.name), ("cause", cause)];
        self.metrics.counter(family, help, &labels).add(1.0);
    }

    /// Lets a call through, or says why not. One that finds no place free waits for it in [`Pass::placed`].
    pub fn enter(self: &Arc<Self>, policy: &Arc<TrafficPolicy>, now: Instant) -> Result<Pass, Refused> {
        let refused = |refused: Refused| {
            self.count("organza_upstream_rq_overflow", OVERFLOW, refused.cause);
            refused
        };
        // The place first: a trial of the breaker is not spent on a call that is refused here.
        let turn = Turn::take(self, policy, now).map_err(refused)?;
        let admitted = self.admit(policy, now).map_err(refused)?;
        Ok(Pass::new(turn, policy.clone(), admitted))
    }

    /// Uses the service's retry budget, which all workers share. Each call that is let through fills it.
    pub fn budget<T>(&self, now: Instant, work: impl FnOnce(&mut Budget) -> T) -> T {
        work(lock(&self.gate).budget.get_or_insert_with(|| Budget::new(RetryBudget::default(), now)))
    }

    fn admit(&self, policy: &TrafficPolicy, now: Instant) -> Result<Admitted, Refused> {
        let Some(rule) = &policy.breaker else { return Ok(Admitted::Yes) };
        let mut breaker = lock(&self.breaker);
        match breaker.admit(rule, now) {
            Admitted::No { until } => {
                let (_, percent, requests) = breaker.open().unwrap_or((now, 0, 0));
                let left = until.saturating_duration_since(now).as_secs_f32();
                let service = &self.place.0;
                let why = format!(
                    "overloaded: the circuit breaker of service {}/{} is open after {percent} % of {requests} requests failed; it is tried again in {left:.1} s",
                    service.namespace, service.name
                );
                Err(Refused { cause: "circuit_breaker_open", why })
            }
            admitted => Ok(admitted),
        }
    }

    fn settled(&self, policy: &TrafficPolicy, admitted: Admitted, failed: Option<bool>, now: Instant) {
        let Some(rule) = &policy.breaker else { return };
        let mut breaker = lock(&self.breaker);
        let change = breaker.observe(rule, admitted, failed, now);
        self.open.set(f64::from(u8::from(breaker.open().is_some())));
        drop(breaker);
        let service = &self.place.0;
        match change {
            Some(Change::Opened { percent, requests }) => {
                self.count("organza_circuit_breaker_opened", "Times that calls to a service were stopped, by why", "failure_percentage");
                tracing::warn!(
                    "{}/{}: the circuit breaker opens for {:?}: {percent} % of {requests} requests failed",
                    service.namespace,
                    service.name,
                    rule.open_time
                );
            }
            Some(Change::Closed) => tracing::info!("{}/{}: the circuit breaker closes", service.namespace, service.name),
            None => {}
        }
    }
}
