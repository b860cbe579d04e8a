//! The health checks of one service beside its other state: what they found is locked, counted, logged and told here. Never asks an endpoint.

use super::{By, Checked, Guard, Out, lock};
use model::{Endpoints, HealthCheck};
use routing::health::{Change, Due, Last, Outcome, Unhealthy};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

impl Guard {
    /// Who there is to check, and how; `None` where nobody is checked any more.
    pub fn keep_checks(&self, check: Option<&HealthCheck>, set: &Arc<Endpoints>, now: Instant, draw: &mut dyn FnMut() -> u64) {
        let mut checks = lock(&self.checks);
        let other = checks.keep(check, set, now, draw);
        let counts = checks.counts();
        drop(checks);
        if other {
            self.changes.fetch_add(1, Ordering::AcqRel);
        }
        self.gauge_health(counts);
    }

    pub fn next_check(&self) -> Option<Instant> {
        lock(&self.checks).next()
    }

    pub fn due_check(&self, now: Instant) -> Option<Due> {
        lock(&self.checks).poll(now)
    }

    /// How a check ended; `draw` picks its part of the jitter.
    pub fn checked(&self, due: &Due, outcome: Outcome, now: Instant, draw: u64) {
        let result = match &outcome {
            Outcome::Passed(_) => Some("organza_health_check_success"),
            Outcome::Failed(_) => Some("organza_health_check_failure"),
            Outcome::Unknown => None,
        };
        let mut checks = lock(&self.checks);
        let change = checks.handle(due, outcome, now, draw);
        let counts = checks.counts();
        drop(checks);
        self.count_check("organza_health_check_attempt");
        result.into_iter().for_each(|family| self.count_check(family));
        if let Some(change) = change {
            self.changes.fetch_add(1, Ordering::AcqRel);
            self.gauge_health(counts);
            self.tell_health(due, &change);
        }
    }

    /// Endpoints that checks leave out.
    pub(super) fn unhealthy(&self, now: Instant) -> Vec<Out> {
        let told = |(name, out): (&Arc<str>, &Unhealthy)| Out {
            service: self.place.0.clone(),
            endpoint: name.clone(),
            by: By::Check,
            cause: out.to_string(),
            since: now.saturating_duration_since(out.since),
            left: std::time::Duration::ZERO,
        };
        lock(&self.checks).out().map(told).collect()
    }

    /// Checks that ended since this was last asked.
    pub(super) fn checks_told(&self, most: usize, now: Instant) -> Vec<Checked> {
        let told = |(endpoint, last): (Arc<str>, Last)| {
            let age = now.saturating_duration_since(last.at);
            Checked { service: self.place.0.clone(), endpoint, age, last }
        };
        lock(&self.checks).news(most).into_iter().map(told).collect()
    }

    pub(super) fn labels(&self) -> [(&'static str, &str); 2] {
        [("destination_service_namespace", &*self.place.0.namespace), ("destination_service_name", &*self.place.0.name)]
    }

    fn count_check(&self, family: &'static str) {
        let help = match family {
            "organza_health_check_attempt" => "Health checks of endpoints",
            "organza_health_check_success" => "Health checks that passed",
            _ => "Health checks that failed",
        };
        self.metrics.counter(family, help, &self.labels()).add(1.0);
    }

    fn gauge_health(&self, (checked, healthy): (usize, usize)) {
        let gauge = |name, help| self.metrics.gauge(name, help, &self.labels());
        let [all, well] = self.checked.get_or_init(|| {
            [
                gauge("organza_health_check_endpoints", "Endpoints that are checked"),
                gauge("organza_health_check_healthy", "Endpoints that are checked and well"),
            ]
        });
        all.set(checked as f64);
        well.set(healthy as f64);
    }

    fn tell_health(&self, due: &Due, change: &Change) {
        let (service, endpoint) = (&self.place.0, &due.endpoint);
        match change {
            Change::Failed(out) => {
                tracing::warn!("{}/{}: endpoint {endpoint} is left out until its checks pass: {out}", service.namespace, service.name);
            }
            Change::Passed { after } => {
                let seconds = after.as_secs();
                tracing::info!(
                    "{}/{}: endpoint {endpoint} passes its checks and is used after {seconds} s",
                    service.namespace,
                    service.name
                );
            }
        }
    }
}
