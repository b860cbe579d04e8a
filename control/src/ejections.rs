//! Which endpoints proxies leave out now, as each told last. A proxy that says nothing for a while is not believed any more. It knows no clock.

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
}

#[derive(Debug, Default)]
pub struct Ejections(HashMap<String, (u64, Vec<Ejection>)>);

impl Ejections {
    /// What a proxy says of now, whole. `now` in seconds.
    pub fn report(&mut self, proxy: &str, mut told: Vec<Ejection>, now: u64) {
        told.truncate(limits::EJECTIONS);
        match told.is_empty() {
            true => _ = self.0.remove(proxy),
            false => _ = self.0.insert(proxy.to_owned(), (now, told)),
        }
    }

    /// Who leaves an endpoint out, in the order of their names.
    pub fn of(&self, namespace: &str, service: &str, endpoint: &str, now: u64) -> BTreeMap<&str, &Ejection> {
        let fresh = self.0.iter().filter(|(_, (at, _))| at + limits::EJECTION_SECONDS >= now);
        let all = fresh.flat_map(|(proxy, (_, told))| told.iter().map(move |one| (proxy.as_str(), one)));
        all.filter(|(_, one)| one.namespace == namespace && one.service == service && one.endpoint == endpoint).collect()
    }
}

#[cfg(test)]
mod tests;
