//! Which endpoints proxies leave out now and which services they do not call, as each told last. A proxy that says nothing for a while is not believed any more. It knows no clock.

use crate::limits;
use std::collections::{BTreeMap, HashMap};

/// One endpoint that one proxy leaves out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ejection {
    pub namespace: String,
    pub service: String,
    pub endpoint: String,
    pub cause: String,
    pub since_millis: u64,
    pub left_millis: u64,
    /// By its health checks.
    pub unhealthy: bool,
}

/// One service whose breaker is open at one proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenBreaker {
    pub namespace: String,
    pub service: String,
    pub percent: u32,
    pub requests: u32,
    pub since_millis: u64,
    pub half_open: bool,
}

/// One service to which one proxy has as many connections as it may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crowded {
    pub namespace: String,
    pub service: String,
    pub open: u32,
    /// 0 where endpoints alone are limited.
    pub limit: u32,
    pub waiting: u32,
}

/// An issuer of tokens whose keys one proxy cannot fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keyless {
    /// Its resource's key, as text.
    pub issuer: String,
    pub why: String,
    pub since_millis: u64,
    /// Keys of before hold meanwhile.
    pub older_hold: bool,
}

/// What a process of a proxy says of now, whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    pub ejections: Vec<Ejection>,
    pub breakers: Vec<OpenBreaker>,
    pub crowded: Vec<Crowded>,
    pub keyless: Vec<Keyless>,
}

impl Findings {
    fn is_empty(&self) -> bool {
        self.ejections.is_empty() && self.breakers.is_empty() && self.crowded.is_empty() && self.keyless.is_empty()
    }
}

/// What one proxy told, and when.
#[derive(Debug)]
struct Told {
    at: u64,
    found: Findings,
}

/// By proxy and incarnation: two processes of one proxy may live for a while, each with a word of its own.
#[derive(Debug, Default)]
pub struct Ejections(HashMap<(String, u64), Told>);

impl Ejections {
    /// `now` in seconds.
    pub fn report(&mut self, (proxy, incarnation): (&str, u64), mut found: Findings, now: u64) {
        found.ejections.truncate(limits::EJECTIONS);
        found.breakers.truncate(limits::EJECTIONS);
        found.crowded.truncate(limits::EJECTIONS);
        found.keyless.truncate(limits::EJECTIONS);
        found.keyless.iter_mut().for_each(|one| one.why.truncate(one.why.floor_char_boundary(limits::CHECK_SAID)));
        let who = (proxy.to_owned(), incarnation);
        match found.is_empty() {
            true => _ = self.0.remove(&who),
            false => _ = self.0.insert(who, Told { at: now, found }),
        }
        self.0.retain(|_, told| told.at + limits::EJECTION_SECONDS >= now);
    }

    /// Who leaves an endpoint out, in the order of their names; one may do so for two reasons.
    pub fn of(&self, namespace: &str, service: &str, endpoint: &str, now: u64) -> Vec<(&str, &Ejection)> {
        let all = self.fresh(now).flat_map(|(proxy, told)| told.found.ejections.iter().map(move |one| (proxy, one)));
        let mut found: Vec<_> =
            all.filter(|(_, one)| one.namespace == namespace && one.service == service && one.endpoint == endpoint).collect();
        found.sort_by_key(|(proxy, one)| (*proxy, one.unhealthy));
        // Two processes of one proxy are one to who asks.
        found.dedup_by_key(|(proxy, one)| (*proxy, one.unhealthy));
        found
    }

    /// Who does not call a service, in the order of their names.
    pub fn breakers(&self, namespace: &str, service: &str, now: u64) -> BTreeMap<&str, &OpenBreaker> {
        let all = self.fresh(now).flat_map(|(proxy, told)| told.found.breakers.iter().map(move |one| (proxy, one)));
        all.filter(|(_, one)| one.namespace == namespace && one.service == service).collect()
    }

    /// Who has as many connections to a service as it may; of two processes of one proxy the one with more.
    pub fn crowded(&self, namespace: &str, service: &str, now: u64) -> BTreeMap<&str, &Crowded> {
        let all = self.fresh(now).flat_map(|(proxy, told)| told.found.crowded.iter().map(move |one| (proxy, one)));
        let mut mine: Vec<_> = all.filter(|(_, one)| one.namespace == namespace && one.service == service).collect();
        mine.sort_by_key(|(_, one)| one.open);
        mine.into_iter().collect()
    }

    /// Who cannot fetch an issuer's keys; of two processes of one proxy the one that has none.
    pub fn keyless(&self, issuer: &str, now: u64) -> BTreeMap<&str, &Keyless> {
        let all = self.fresh(now).flat_map(|(proxy, told)| told.found.keyless.iter().map(move |one| (proxy, one)));
        let mut mine: Vec<_> = all.filter(|(_, one)| one.issuer == issuer).collect();
        mine.sort_by_key(|(_, one)| !one.older_hold);
        mine.into_iter().collect()
    }

    fn fresh(&self, now: u64) -> impl Iterator<Item = (&str, &Told)> {
        self.0.iter().filter(move |(_, told)| told.at + limits::EJECTION_SECONDS >= now).map(|((proxy, _), told)| (proxy.as_str(), told))
    }
}

#[cfg(test)]
mod tests;
