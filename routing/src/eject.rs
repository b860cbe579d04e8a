//! Which endpoints of a service are left out for a while, why, and how they come back. One state per service, kept by key beside the table and
//! shared by all workers. An ejected endpoint returns by probing: when its time is over one request is let through; if it succeeds the endpoint is
//! back, if not it is out again for twice as long. It never picks an endpoint, and it knows no clock and no socket.

use crate::limits;
use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};
use model::traffic::Ejection;
use model::{Endpoint, Endpoints, Fault};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How one try at an endpoint ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// An answer of this status (for gRPC the HTTP status that its status means).
    Answered(u16),
    /// No answer came: the connection was refused, broke, or was too slow.
    Failed(Fault),
    /// The caller went away: says nothing of the endpoint.
    Cancelled,
}

impl Ended {
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Answered(500..) | Self::Failed(_))
    }

    /// A gRPC status other than 0 stands for the HTTP status that means as much, where it is the server's failure.
    pub fn answered(status: u16, grpc: Option<u8>) -> Self {
        Self::Answered(match grpc {
            Some(4) => 504,
            Some(14) => 503,
            Some(2 | 13 | 15) => 500,
            _ => status,
        })
    }

    /// What a fault says of the endpoint; one of the caller, of policy or of ourselves says nothing.
    pub fn of_failure(fault: Fault) -> Self {
        match fault.blame() {
            model::Blame::Upstream => Self::Failed(fault),
            _ => Self::Cancelled,
        }
    }
}

/// Why an endpoint was ejected, as people read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    Consecutive5xx { count: u32, status: u16 },
    ConsecutiveGatewayErrors { count: u32, status: u16 },
    ConsecutiveLocalFailures { count: u32, fault: Fault },
    FailurePercentage { percent: u8, requests: u32 },
    Latency { mean: Duration, requests: u32 },
}

impl Cause {
    /// The name in metrics, as Envoy and Istio have it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Consecutive5xx { .. } => "consecutive_5xx",
            Self::ConsecutiveGatewayErrors { .. } => "consecutive_gateway_failure",
            Self::ConsecutiveLocalFailures { .. } => "consecutive_local_origin_failure",
            Self::FailurePercentage { .. } => "failure_percentage",
            Self::Latency { .. } => "latency",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Consecutive5xx { count, status } | Self::ConsecutiveGatewayErrors { count, status } => write!(f, "{count} × {status}"),
            Self::ConsecutiveLocalFailures { count, fault } => write!(f, "{count} × {}", fault.label()),
            Self::FailurePercentage { percent, requests } => write!(f, "{percent} % of {requests} requests failed"),
            Self::Latency { mean, requests } => write!(f, "{} ms on average over {requests} requests", mean.as_millis()),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ejected {
    pub since: Instant,
    /// When a request is let through to try.
    pub until: Instant,
    pub cause: Cause,
    /// Ejections in a row, this one included.
    pub times: u32,
}

/// What changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Ejected { endpoint: Arc<str>, ejected: Ejected },
    Returned { endpoint: Arc<str> },
}

#[derive(Debug, Default)]
struct Member {
    failures_5xx: u32,
    failures_gateway: u32,
    failures_local: u32,
    requests: u32,
    failed: u32,
    answered: u32,
    time: Duration,
    ejected: Option<Ejected>,
    /// The request that tries it was sent then.
    probe: Option<Instant>,
    times: u32,
    /// When it was last taken back.
    returned: Option<Instant>,
}

/// The endpoints of one service as they have behaved.
#[derive(Debug)]
pub struct Outliers {
    members: HashMap<Arc<str>, Member, FixedState>,
    began: Option<Instant>,
    set: Option<Arc<Endpoints>>,
    /// Nothing has failed of late.
    quiet: bool,
}

impl Default for Outliers {
    fn default() -> Self {
        Self { members: HashMap::default(), began: None, set: None, quiet: true }
    }
}

impl Outliers {
    /// Forgets endpoints that are gone, and what was known of those that are others now under the same name: moved, or said to be well again.
    pub fn keep(&mut self, set: &Arc<Endpoints>) {
        if self.set.as_ref().is_some_and(|old| Arc::ptr_eq(old, set)) {
            return;
        }
        let before = self.set.replace(set.clone());
        let old: HashMap<&str, &Endpoint, FixedState> =
            before.iter().flat_map(|old| &old.endpoints).map(|endpoint| (&*endpoint.id, endpoint)).collect();
        let place = |e: &Endpoint| (e.address, e.ports.clone(), e.datagrams.clone(), e.tunnel.clone(), e.health);
        let same = |new: &&Endpoint| old.get(&*new.id).is_none_or(|old| place(old) == place(new));
        let kept: HashSet<&str, FixedState> = set.endpoints.iter().filter(same).map(|endpoint| &*endpoint.id).collect();
        self.members.retain(|name, _| kept.contains(&**name));
    }

    /// Takes note of how a try ended. `all`: endpoints that the service has.
    pub fn observe(&mut self, policy: &Ejection, name: &Arc<str>, ended: Ended, took: Duration, all: usize, now: Instant) -> Vec<Event> {
        if self.members.len() >= limits::EJECTION_ENDPOINTS && !self.members.contains_key(name) {
            return Vec::new();
        }
        let mut events = Vec::new();
        let member = self.members.entry(name.clone()).or_default();
        if let Some(ejected) = member.ejected {
            let probing = member.probe.is_some();
            // What was under way before the ejection says nothing new. What was sent since was sent to try it, or for want of another.
            let since = now.checked_sub(took).is_some_and(|sent| sent >= ejected.since);
            match ended {
                Ended::Cancelled => member.probe = None,
                ended if ended.is_failure() => events.extend(probing.then(|| self.eject_again(policy, name, now)).flatten()),
                _ if since => events.push(self.take_back(name, now)),
                _ => {}
            }
            return events;
        }
        self.quiet &= !ended.is_failure();
        let cause = member.count(policy, ended, took);
        if let Some(cause) = cause {
            events.extend(self.eject(policy, name, cause, all, now));
        }
        events.extend(self.interval(policy, all, now));
        events
    }

    /// Judges shares and means once an interval.
    fn interval(&mut self, policy: &Ejection, all: usize, now: Instant) -> Vec<Event> {
        let began = *self.began.get_or_insert(now);
        if now.saturating_duration_since(began) < policy.interval {
            return Vec::new();
        }
        self.began = Some(now);
        let mut found: Vec<(Arc<str>, Cause)> =
            self.members.iter().filter_map(|(name, member)| Some((name.clone(), member.judged(policy)?))).collect();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        for member in self.members.values_mut() {
            (member.requests, member.failed, member.answered, member.time) = (0, 0, 0, Duration::ZERO);
            // Good behaviour for an interval makes the next ejection shorter.
            if member.ejected.is_none() && member.returned.is_none_or(|at| now.saturating_duration_since(at) >= policy.interval) {
                member.times = member.times.saturating_sub(1);
            }
        }
        self.quiet = self.members.values().all(Member::is_quiet);
        found.into_iter().filter_map(|(name, cause)| self.eject(policy, &name, cause, all, now)).collect()
    }

    fn eject(&mut self, policy: &Ejection, name: &Arc<str>, cause: Cause, all: usize, now: Instant) -> Option<Event> {
        let out = self.members.values().filter(|member| member.ejected.is_some()).count();
        // One may always go where another is left.
        let most = (all * usize::from(policy.max_percent) / 100).max(usize::from(policy.max_percent > 0 && all > 1));
        if out >= most {
            return None;
        }
        let member = self.members.get_mut(name)?;
        member.times += 1;
        self.quiet = false;
        Some(member.put_out(policy, name, cause, now))
    }

    /// The reason stays the one it was ejected for; how the try ended is in the record of that request.
    fn eject_again(&mut self, policy: &Ejection, name: &Arc<str>, now: Instant) -> Option<Event> {
        let member = self.members.get_mut(name)?;
        let cause = member.ejected?.cause;
        member.times += 1;
        Some(member.put_out(policy, name, cause, now))
    }

    fn take_back(&mut self, name: &Arc<str>, now: Instant) -> Event {
        if let Some(member) = self.members.get_mut(name) {
            *member = Member { times: member.times, returned: Some(now), ..Member::default() };
        }
        Event::Returned { endpoint: name.clone() }
    }

    /// The endpoint that `fits` and is due for a try, if there is one: the caller sends it exactly one request.
    pub fn take_probe(&mut self, now: Instant, fits: impl Fn(&str) -> bool) -> Option<Arc<str>> {
        let due = self.members.iter_mut().filter(|(name, member)| member.is_due(now) && fits(name));
        let (name, member) = due.min_by(|a, b| a.0.cmp(b.0))?;
        member.probe = Some(now);
        Some(name.clone())
    }

    /// Nothing has failed of late, so that a success changes nothing where no share or mean is watched.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    pub fn ejected(&self, name: &str) -> Option<&Ejected> {
        self.members.get(name)?.ejected.as_ref()
    }

    pub fn is_probed(&self, name: &str) -> bool {
        self.members.get(name).is_some_and(|member| member.probe.is_some())
    }

    /// When an ejected endpoint came back last.
    pub fn returned(&self, name: &str) -> Option<Instant> {
        self.members.get(name)?.returned
    }

    pub fn out(&self) -> impl Iterator<Item = (&Arc<str>, &Ejected)> {
        self.members.iter().filter_map(|(name, member)| Some((name, member.ejected.as_ref()?)))
    }

    /// When the next endpoint that `fits` is due for a try.
    pub fn next_probe(&self, fits: impl Fn(&str) -> bool) -> Option<Instant> {
        self.members.iter().filter(|(name, _)| fits(name)).filter_map(|(_, member)| member.due()).min()
    }
}

impl Member {
    fn is_quiet(&self) -> bool {
        self.ejected.is_none() && self.times == 0 && self.failures_5xx + self.failures_gateway + self.failures_local == 0
    }

    /// Counts, and says whether failures one after another are enough.
    fn count(&mut self, policy: &Ejection, ended: Ended, took: Duration) -> Option<Cause> {
        if ended == Ended::Cancelled {
            return None;
        }
        self.requests += 1;
        self.failed += u32::from(ended.is_failure());
        let (server, gateway, local) = match ended {
            Ended::Answered(status) => (status >= 500, matches!(status, 502..=504), false),
            Ended::Failed(fault) => (true, true, is_unreachable(fault)),
            Ended::Cancelled => return None,
        };
        if let Ended::Answered(_) = ended {
            self.answered += 1;
            self.time += took;
        }
        let step = |count: &mut u32, failed: bool| *count = if failed { *count + 1 } else { 0 };
        step(&mut self.failures_5xx, server);
        step(&mut self.failures_gateway, gateway);
        step(&mut self.failures_local, local);
        let over = |count: u32, limit: Option<u32>| limit.is_some_and(|limit| limit > 0 && count >= limit);
        match ended {
            Ended::Failed(fault) if over(self.failures_local, policy.consecutive_local_failures) => {
                Some(Cause::ConsecutiveLocalFailures { count: self.failures_local, fault })
            }
            _ if over(self.failures_gateway, policy.consecutive_gateway_errors) => {
                Some(Cause::ConsecutiveGatewayErrors { count: self.failures_gateway, status: status(ended) })
            }
            _ if over(self.failures_5xx, policy.consecutive_5xx) => {
                Some(Cause::Consecutive5xx { count: self.failures_5xx, status: status(ended) })
            }
            _ => None,
        }
    }

    /// Whether the interval that ends says that it is worse than it may be.
    fn judged(&self, policy: &Ejection) -> Option<Cause> {
        if self.ejected.is_some() {
            return None;
        }
        let enough = |requests: u32| requests > 0 && requests >= policy.minimum_requests;
        let percent = (u64::from(self.failed) * 100 / u64::from(self.requests.max(1))) as u8;
        if enough(self.requests) && policy.failure_percentage.is_some_and(|limit| percent >= limit) {
            return Some(Cause::FailurePercentage { percent, requests: self.requests });
        }
        let mean = self.time / self.answered.max(1);
        let slow = enough(self.answered) && policy.latency.is_some_and(|limit| mean > limit);
        slow.then_some(Cause::Latency { mean, requests: self.answered })
    }

    fn put_out(&mut self, policy: &Ejection, name: &Arc<str>, cause: Cause, now: Instant) -> Event {
        let longer = 1 << (self.times - 1).min(16);
        let time = policy.base_time.saturating_mul(longer).min(policy.longest_time.max(policy.base_time));
        let ejected = Ejected { since: now, until: now + time, cause, times: self.times };
        *self = Self { ejected: Some(ejected), times: self.times, ..Self::default() };
        Event::Ejected { endpoint: name.clone(), ejected }
    }

    /// A try that was never reported back is made again after a while.
    fn due(&self) -> Option<Instant> {
        let ejected = self.ejected?;
        Some(self.probe.map_or(ejected.until, |sent| sent + limits::PROBE_TIME))
    }

    fn is_due(&self, now: Instant) -> bool {
        self.due().is_some_and(|due| due <= now)
    }
}

/// No connection could be opened, or whoever answered is not who was expected. What breaks or is slow later may be the application's own doing.
fn is_unreachable(fault: Fault) -> bool {
    use Fault as F;
    matches!(fault, F::ConnectRefused | F::ConnectTimeout | F::ConnectFailed | F::TlsFailed | F::IdentityMismatch)
}

fn status(ended: Ended) -> u16 {
    match ended {
        Ended::Answered(status) => status,
        Ended::Failed(fault) => fault.http_status(),
        Ended::Cancelled => 0,
    }
}

/// Whether so few can be used that all are: below the share a policy names, or none at all.
pub fn panics(policy: &Ejection, usable: usize, all: usize) -> bool {
    all > 0 && (usable == 0 || usable * 100 < all * usize::from(policy.panic_percent))
}

#[cfg(test)]
mod tests;
