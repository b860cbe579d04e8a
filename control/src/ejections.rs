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

/// What one proxy told, and when.
#[derive(Debug)]
struct Told {
    at: u64,
    ejections: Vec<Ejection>,
    breakers: Vec<OpenBreaker>,
}

/// By proxy and incarnation: two processes of one proxy may live for a while, each with a word of its own.
#[derive(Debug, Default)]
pub struct Ejections(HashMap<(String, u64), Told>);

impl Ejections {
    /// What a process of a proxy says of now, whole. `now` in seconds.
    pub fn report(&mut self, (proxy, incarnation): (&str, u64), mut ejections: Vec<Ejection>, mut breakers: Vec<OpenBreaker>, now: u64) {
        ejections.truncate(limits::EJECTIONS);
        breakers.truncate(limits::EJECTIONS);
        let who = (proxy.to_owned(), incarnation);
        match ejections.is_empty() && breakers.is_empty() {
            true => _ = self.0.remove(&who),
            false => _ = self.0.insert(who, Told { at: now, ejections, breakers }),
        }
        self.0.retain(|_, told| told.at + limits::EJECTION_SECONDS >= now);
    }

    /// Who leaves an endpoint out, in the order of their names; one may do so for two reasons.
    pub fn of(&self, namespace: &str, service: &str, endpoint: &str, now: u64) -> Vec<(&str, &Ejection)> {
        let all = self.fresh(now).flat_map(|(proxy, told)| told.ejections.iter().map(move |one| (proxy, one)));
        let mut found: Vec<_> =
            all.filter(|(_, one)| one.namespace == namespace && one.service == service && one.endpoint == endpoint).collect();
        found.sort_by_key(|(proxy, one)| (*proxy, one.unhealthy));
        // Two processes of one proxy are one to who asks.
        found.dedup_by_key(|(proxy, one)| (*proxy, one.unhealthy));
        found
    }

    /// Who does not call a service, in the order of their names.
    pub fn breakers(&self, namespace: &str, service: &str, now: u64) -> BTreeMap<&str, &OpenBreaker> {
        let all = self.fresh(now).flat_map(|(proxy, told)| told.breakers.iter().map(move |one| (proxy, one)));
        all.filter(|(_, one)| one.namespace == namespace && one.service == service).collect()
    }

    fn fresh(&self, now: u64) -> impl Iterator<Item = (&str, &Told)> {
        self.0.iter().filter(move |(_, told)| told.at + limits::EJECTION_SECONDS >= now).map(|((proxy, _), told)| (proxy.as_str(), told))
    }
}

#[cfg(test)]
mod tests;
