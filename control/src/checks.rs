//! How health checks of endpoints ended last, those that passed too, as each proxy told it. A proxy tells of a check once; its word holds until the next
//! one is overdue. It knows no clock, and what is left out because of a check is told by [`crate::ejections`].

use crate::limits;
use std::collections::{BTreeMap, HashMap};

/// How one check ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    pub passed: bool,
    /// What was asked and what came of it.
    pub said: String,
    /// When it ended, in seconds.
    pub at: u64,
    /// When this is no news any more.
    pub until: u64,
}

/// What one report tells of an endpoint.
#[derive(Debug, Clone)]
pub struct Told {
    pub endpoint: Endpoint,
    pub passed: bool,
    pub said: String,
    pub age_millis: u64,
    pub again_millis: u64,
}

/// Namespace and name of a service, and the endpoint.
pub type Endpoint = (String, String, String);

/// By endpoint and proxy.
#[derive(Debug, Default)]
pub struct Checks {
    all: HashMap<Endpoint, BTreeMap<String, Check>>,
    kept: usize,
    /// How many of them are each proxy's.
    shares: HashMap<String, usize>,
    /// When what is over was last taken out, in seconds.
    swept: u64,
}

impl Checks {
    /// `now` in seconds. What finds no room is not told: the next check says the same.
    pub fn report(&mut self, proxy: &str, told: impl Iterator<Item = Told>, now: u64) {
        for one in told.take(limits::CHECKS_OF_ONE) {
            let (namespace, service, name) = &one.endpoint;
            if [namespace, service, name].into_iter().any(|text| text.len() > limits::CHECK_NAME) {
                continue;
            }
            // Rather too long than forgotten between two reports, and never for longer than an hour.
            let again = (one.again_millis / 1000).min(limits::CHECK_SECONDS) + limits::EJECTION_SECONDS;
            let at = now.saturating_sub(one.age_millis / 1000);
            let mut said = one.said;
            said.truncate(said.floor_char_boundary(limits::CHECK_SAID));
            let check = Check { passed: one.passed, said, at, until: now + again };
            if let Some(known) = self.all.get_mut(&one.endpoint).and_then(|of| of.get_mut(proxy)) {
                *known = check;
            } else if self.has_room(proxy, now) {
                self.all.entry(one.endpoint).or_default().insert(proxy.to_owned(), check);
                self.kept += 1;
                *self.shares.entry(proxy.to_owned()).or_default() += 1;
            }
        }
    }

    /// What a proxy said that was taken out.
    pub fn forget(&mut self, proxy: &str) {
        if self.shares.contains_key(proxy) {
            self.retain(|of, _| of != proxy);
        }
    }

    /// Looking for what is over takes its time while others wait: once a second is enough.
    fn has_room(&mut self, proxy: &str, now: u64) -> bool {
        if !self.takes(proxy) && self.swept != now {
            self.swept = now;
            self.retain(|_, check| check.until >= now);
        }
        self.takes(proxy)
    }

    fn takes(&self, proxy: &str) -> bool {
        self.kept < limits::CHECKS && self.shares.get(proxy).is_none_or(|share| *share < limits::CHECKS_OF_PROXY)
    }

    fn retain(&mut self, stays: impl Fn(&str, &Check) -> bool) {
        self.all.values_mut().for_each(|of| of.retain(|proxy, check| stays(proxy, check)));
        self.all.retain(|_, of| !of.is_empty());
        self.shares.clear();
        for proxy in self.all.values().flat_map(BTreeMap::keys) {
            if let Some(share) = self.shares.get_mut(proxy) {
                *share += 1;
            } else {
                self.shares.insert(proxy.clone(), 1);
            }
        }
        self.kept = self.shares.values().sum();
    }

    /// What proxies said last of an endpoint, in the order of their names.
    pub fn of(&self, endpoint: &Endpoint, now: u64) -> impl Iterator<Item = (&str, &Check)> {
        let all = self.all.get(endpoint).into_iter().flatten();
        all.filter(move |(_, check)| check.until >= now).map(|(proxy, check)| (proxy.as_str(), check))
    }
}

#[cfg(test)]
mod tests;
