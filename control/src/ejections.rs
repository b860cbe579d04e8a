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

#[derive(Debug, Default)]
pub struct Ejections(HashMap<String, Told>);

impl Ejections {
    /// What a proxy says of now, whole. `now` in seconds.
    pub fn report(&mut self, proxy: &str, mut ejections: Vec<Ejection>, mut breakers: Vec<OpenBreaker>, now: u64) {
        ejections.truncate(limits::EJECTIONS);
        breakers.truncate(limits::EJECTIONS);
        match ejections.is_empty() && breakers.is_empty() {
            true => _ = self.0.remove(proxy),
            false => _ = self.0.insert(proxy.to_owned(), Told { at: now, ejections, breakers }),
        }
    }

    /// Who leaves an endpoint out, in the order of their names; one may do so for two reasons.
    pub fn of(&self, namespace: &str, service: &str, endpoint: &str, now: u64) -> Vec<(&str, &Ejection)> {
        let all = self.fresh(now).flat_map(|(proxy, told)| told.ejections.iter().map(move |one| (proxy, one)));
        let mut found: Vec<_> =
            all.filter(|(_, one)| one.namespace == namespace && one.service == service && one.endpoint == endpoint).collect();
        found.sort_by_key(|(proxy, one)| (*proxy, one.unhealthy));
        found
    }

    /// Who does not call a service, in the order of their names.
    pub fn breakers(&self, namespace: &str, service: &str, now: u64) -> BTreeMap<&str, &OpenBreaker> {
        let all = self.fresh(now).flat_map(|(proxy, told)| told.breakers.iter().map(move |one| (proxy, one)));
        all.filter(|(_, one)| one.namespace == namespace && one.service == service).collect()
    }

    fn fresh(&self, now: u64) -> impl Iterator<Item = (&str, &Told)> {
        self.0.iter().filter(move |(_, told)| told.at + limits::EJECTION_SECONDS >= now).map(|(proxy, told)| (proxy.as_str(), told))
    }
}

#[cfg(test)]
mod tests;
