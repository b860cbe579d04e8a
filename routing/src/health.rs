//! Which endpoints of a service pass their health checks, and who is to be asked next. One state per service, shared by all workers; one task of the
//! proxy asks and reports back. `poll(now)` names who is due, `handle(outcome, now)` says what changed. It never asks anybody itself, and it knows no
//! protocol, clock or source of randomness.

use crate::limits;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use model::{Endpoint, Endpoints, Health, HealthCheck, InitialHealth};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How one check ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// What was asked and what came of it: `GET /healthz answered 200 in 1.2 ms`.
    Passed(Arc<str>),
    /// Likewise: `GET /healthz answered 503`.
    Failed(Arc<str>),
    /// Nothing was learnt of the endpoint: we could not ask.
    Unknown,
}

/// An endpoint that is to be asked now; the number tells this check from an earlier one of the same name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    pub endpoint: Arc<str>,
    number: u64,
}

/// Why an endpoint is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unhealthy {
    pub since: Instant,
    /// What the last check said; `None` before the first.
    pub why: Option<Arc<str>>,
    /// Failures in a row.
    pub failures: u32,
}

impl fmt::Display for Unhealthy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.why {
            Some(why) => write!(f, "{why} ({} in a row)", self.failures),
            None => f.write_str("not checked yet"),
        }
    }
}

/// The last check of an endpoint that taught anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Last {
    pub at: Instant,
    pub passed: bool,
    pub said: Arc<str>,
    /// The next one ends within this time.
    pub again: Duration,
}

/// What changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It is left out from now on, or its first check says that it stays out.
    Failed(Unhealthy),
    /// It is used again; with the time that it was left out.
    Passed { after: Duration },
}

#[derive(Debug)]
struct Member {
    /// When it is asked next; `None` while it is.
    due: Option<Instant>,
    number: u64,
    checked: bool,
    passes: u32,
    failures: u32,
    unhealthy: Option<Unhealthy>,
    /// When it was last taken back.
    returned: Option<Instant>,
    /// How the last check ended, until that was told.
    news: Option<Last>,
}

/// The endpoints of one service as their checks say.
#[derive(Debug, Default)]
pub struct Checks {
    members: HashMap<Arc<str>, Member, FixedState>,
    /// Who is asked when.
    due: BTreeSet<(Instant, Arc<str>)>,
    check: Option<HealthCheck>,
    set: Option<Arc<Endpoints>>,
    numbers: u64,
}

impl Checks {
    /// Takes the endpoints that there are, and how they are checked; `draw` is uniform over `u64`. Forgets what was known of those that are gone or
    /// have moved. Says whether others may be used than before.
    pub fn keep(&mut self, check: Option<&HealthCheck>, set: &Arc<Endpoints>, now: Instant, draw: &mut dyn FnMut() -> u64) -> bool {
        let same_check = self.check.as_ref() == check;
        if same_check && self.set.as_ref().is_some_and(|old| Arc::ptr_eq(old, set)) {
            return false;
        }
        let before = self.left_out();
        let Some(check) = check else {
            *self = Self { numbers: self.numbers, set: Some(set.clone()), ..Self::default() };
            return before > 0;
        };
        let old = self.set.replace(set.clone());
        self.forget(old.as_deref(), set);
        if !same_check {
            self.ask_anew(check, now, draw);
            self.check = Some(check.clone());
        }
        let mut grown = false;
        for endpoint in set.endpoints.iter().filter(|endpoint| is_checked(endpoint)) {
            if self.members.len() >= limits::CHECKED_ENDPOINTS {
                break;
            }
            if self.members.contains_key(&endpoint.id) {
                continue;
            }
            let out = check.initial == InitialHealth::Unhealthy;
            grown |= out;
            let unhealthy = out.then_some(Unhealthy { since: now, why: None, failures: 0 });
            let member = Member { due: None, number: 0, checked: false, passes: 0, failures: 0, unhealthy, returned: None, news: None };
            self.members.insert(endpoint.id.clone(), member);
            self.schedule(&endpoint.id, now + share(check.first_within, draw()));
        }
        grown || self.left_out() != before
    }

    fn forget(&mut self, old: Option<&Endpoints>, new: &Endpoints) {
        let place = |e: &Endpoint| (e.address, e.ports.clone(), e.tunnel.clone());
        let known: HashMap<&str, &Endpoint, FixedState> = old.iter().flat_map(|old| &old.endpoints).map(|e| (&*e.id, e)).collect();
        let stays = |e: &&Endpoint| is_checked(e) && known.get(&*e.id).is_some_and(|old| place(old) == place(e));
        let kept: hashbrown::HashSet<&str, FixedState> = new.endpoints.iter().filter(stays).map(|e| &*e.id).collect();
        self.members.retain(|name, _| kept.contains(&**name));
        self.due.retain(|(_, name)| kept.contains(&**name));
    }

    /// Another check is another question: who was left out stays so until it has answered this one, and nobody waits for the old interval.
    fn ask_anew(&mut self, check: &HealthCheck, now: Instant, draw: &mut dyn FnMut() -> u64) {
        let mut names: Vec<Arc<str>> = self.members.keys().cloned().collect();
        names.sort();
        for name in names {
            if let Some(member) = self.members.get_mut(&name) {
                (member.passes, member.failures, member.number) = (0, 0, 0);
            }
            self.schedule(&name, now + share(check.first_within, draw()));
        }
    }

    fn schedule(&mut self, name: &Arc<str>, at: Instant) {
        let Some(member) = self.members.get_mut(name) else { return };
        if let Some(old) = member.due.replace(at) {
            self.due.remove(&(old, name.clone()));
        }
        self.due.insert((at, name.clone()));
    }

    /// Who is asked next, once for each time that its turn comes; `None` where nobody is due. Whoever is named is asked, and [`Checks::handle`] hears
    /// how it went.
    pub fn poll(&mut self, now: Instant) -> Option<Due> {
        if self.next()? > now {
            return None;
        }
        let (_, endpoint) = self.due.pop_first()?;
        self.numbers += 1;
        let member = self.members.get_mut(&endpoint)?;
        (member.due, member.number) = (None, self.numbers);
        Some(Due { endpoint, number: self.numbers })
    }

    /// When somebody is due next.
    pub fn next(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// How a check ended, and when the endpoint is asked again: after the interval and a part of the jitter that `draw` picks.
    pub fn handle(&mut self, due: &Due, outcome: Outcome, now: Instant, draw: u64) -> Option<Change> {
        let check = self.check.as_ref()?;
        let (healthy, unhealthy) = (check.healthy_threshold.max(1), check.unhealthy_threshold.max(1));
        let again = now + check.interval + share(check.jitter, draw);
        // One that moved, or is asked something else now, is not what was checked.
        let member = self.members.get_mut(&due.endpoint).filter(|member| member.number == due.number && member.due.is_none())?;
        let last = |passed, said: &Arc<str>| {
            let again = (check.interval + check.jitter).saturating_add(check.timeout);
            Some(Last { at: now, passed, said: said.clone(), again })
        };
        match &outcome {
            Outcome::Passed(said) => member.news = last(true, said),
            Outcome::Failed(said) => member.news = last(false, said),
            Outcome::Unknown => {}
        }
        let change = member.take(outcome, healthy, unhealthy, now);
        self.schedule(&due.endpoint, again);
        change
    }

    pub fn unhealthy(&self, name: &str) -> Option<&Unhealthy> {
        self.members.get(name)?.unhealthy.as_ref()
    }

    /// Whether an endpoint gets nothing: it failed, or has still to pass its first check.
    pub fn is_left_out(&self, check: Option<&HealthCheck>, name: &str) -> bool {
        let Some(check) = check else { return false };
        match self.members.get(name) {
            Some(member) => member.unhealthy.is_some(),
            None => check.initial == InitialHealth::Unhealthy && self.members.len() < limits::CHECKED_ENDPOINTS,
        }
    }

    /// When an endpoint that was left out came back.
    pub fn returned(&self, name: &str) -> Option<Instant> {
        self.members.get(name)?.returned
    }

    /// All that are left out.
    pub fn out(&self) -> impl Iterator<Item = (&Arc<str>, &Unhealthy)> {
        self.members.iter().filter_map(|(name, member)| Some((name, member.unhealthy.as_ref()?)))
    }

    /// How checks ended since this was last asked, of each endpoint the last, of at most so many; those that are left are told the next time.
    pub fn news(&mut self, most: usize) -> Vec<(Arc<str>, Last)> {
        let fresh = self.members.iter_mut().filter(|(_, member)| member.news.is_some()).take(most);
        fresh.filter_map(|(name, member)| Some((name.clone(), member.news.take()?))).collect()
    }

    fn left_out(&self) -> usize {
        self.out().count()
    }

    /// Endpoints that are checked, and those of them that are well.
    pub fn counts(&self) -> (usize, usize) {
        (self.members.len(), self.members.len() - self.left_out())
    }
}

impl Member {
    fn take(&mut self, outcome: Outcome, healthy: u32, unhealthy: u32, now: Instant) -> Option<Change> {
        let first = !self.checked;
        match (outcome, &mut self.unhealthy) {
            (Outcome::Unknown, _) => None,
            (Outcome::Passed(_), None) => {
                (self.checked, self.failures) = (true, 0);
                None
            }
            (Outcome::Passed(_), Some(out)) => {
                let after = now.saturating_duration_since(out.since);
                (self.checked, self.failures, self.passes) = (true, 0, self.passes + 1);
                // The first word on one that nobody knew is believed at once.
                if self.passes < healthy && !first {
                    return None;
                }
                (self.unhealthy, self.passes, self.returned) = (None, 0, Some(now));
                Some(Change::Passed { after })
            }
            (Outcome::Failed(why), Some(out)) => {
                (self.checked, self.passes, self.failures) = (true, 0, self.failures + 1);
                (out.why, out.failures) = (Some(why), self.failures);
                first.then(|| Change::Failed(out.clone()))
            }
            (Outcome::Failed(why), None) => {
                (self.checked, self.failures) = (true, self.failures + 1);
                if self.failures < unhealthy {
                    return None;
                }
                let out = Unhealthy { since: now, why: Some(why), failures: self.failures };
                (self.passes, self.unhealthy) = (0, Some(out.clone()));
                Some(Change::Failed(out))
            }
        }
    }
}

/// What the control plane has left out, or what is leaving, is not asked.
fn is_checked(endpoint: &Endpoint) -> bool {
    endpoint.health == Health::Healthy && endpoint.weight > 0
}

/// A part of `whole`, by a draw over all of `u64`.
fn share(whole: Duration, draw: u64) -> Duration {
    whole.mul_f64(draw as f64 / u64::MAX as f64)
}

#[cfg(test)]
mod tests;
