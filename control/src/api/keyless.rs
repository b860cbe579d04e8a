//! Issuers of tokens whose keys proxies cannot fetch, as those told it last: among all that is wrong, in the status of the issuer, and to who asks what one proxy
//! would do.

use super::beside::said;
use super::told::by_name;
use crate::core::{Core, Inner, now, seconds};
use crate::ejections::Keyless as Failing;
use crate::limits;
use crate::world::World;
use model::{ObjectRef, Resource};
use std::collections::{BTreeMap, HashMap};
use wire::api::{Condition, Located, Severity};

/// Issuers of tokens whose keys somebody cannot fetch, where they are written.
pub fn problems(world: &World, inner: &Inner, time: u64) -> Vec<Located> {
    let written = by_name(world);
    let mut items = Vec::new();
    for (object, proxies) in without_keys(world, inner, time) {
        for (proxy, one) in proxies {
            let severity = if one.older_hold { Severity::Warning } else { Severity::Error };
            let since = one.since_millis / 1000;
            let message = format!("{proxy} cannot fetch its keys for {since} s: {}; {}", one.why, means(one));
            let fix = "see to it that spec.jwks.uri answers that proxy with a JWK Set, within 5 s and of 1 MiB at most".to_owned();
            let found = said(severity, object.to_string(), Located::KEYS_NOT_FETCHED, message, fix);
            items.push(match written.get(object) {
                Some(object) => {
                    let place = &object.place;
                    let (file, line, column) = (place.file.to_string(), place.line, place.column);
                    Located { file, line, column, path: "spec.jwks.uri".into(), ..found }
                }
                None => found,
            });
        }
    }
    items
}

/// Who cannot fetch the keys of which issuer's object.
fn without_keys<'w>(world: &'w World, inner: &'w Inner, time: u64) -> BTreeMap<&'w ObjectRef, BTreeMap<&'w str, &'w Failing>> {
    let issuers = world.resources().filter_map(|resource| if let Resource::TokenIssuer(issuer) = resource { Some(issuer) } else { None });
    let told = issuers.map(|issuer| (&issuer.origin.object, inner.ejections.keyless(&issuer.key.to_string(), time)));
    told.filter(|(_, proxies)| !proxies.is_empty()).collect()
}

fn means(one: &Failing) -> &'static str {
    if one.older_hold { "the keys of before hold" } else { "it has none and believes no token" }
}

/// The issuers of which one proxy has no keys at all, and why.
pub fn of_proxy(world: &World, inner: &Inner, proxy: &str) -> BTreeMap<String, String> {
    let all = without_keys(world, inner, seconds(now())).into_iter();
    let own = all.filter_map(|(object, proxies)| Some((object, *proxies.get(proxy)?)));
    own.filter(|(_, one)| !one.older_hold).map(|(object, one)| (object.to_string(), one.why.clone())).collect()
}

/// What proxies say of the keys of an issuer that they cannot fetch.
pub struct Keyless {
    /// Whether those of before hold at each of them.
    older_hold: bool,
    told: String,
}

impl Keyless {
    /// Without how long it has been so: a status is written where it says something new.
    pub fn all(core: &Core, world: &World) -> HashMap<ObjectRef, Self> {
        let inner = core.lock();
        let found = without_keys(world, &inner, seconds(now()));
        let of = |proxies: BTreeMap<&str, &Failing>| Self {
            older_hold: proxies.values().all(|one| one.older_hold),
            told: some(proxies.iter().map(|(proxy, one)| format!("{proxy} cannot fetch its keys: {}; {}", one.why, means(one)))),
        };
        found.into_iter().map(|(object, proxies)| (object.clone(), of(proxies))).collect()
    }

    /// An issuer whose keys somebody does not have is not programmed there: no token is believed.
    pub fn tell(&self, mut conditions: Vec<Condition>) -> Vec<Condition> {
        for programmed in conditions.iter_mut().filter(|c| c.kind == "Programmed" && (c.status == "True" || c.reason == "Pending")) {
            match self.older_hold {
                true => programmed.message = format!("{}; {}", programmed.message, self.told),
                false => {
                    programmed.status = "False".into();
                    programmed.reason = Located::KEYS_NOT_FETCHED.into();
                    programmed.message.clone_from(&self.told);
                }
            }
        }
        conditions
    }
}

/// The first few, and how many more there are: a condition is no list.
fn some(all: impl ExactSizeIterator<Item = String>) -> String {
    let more = all.len().saturating_sub(limits::KEYLESS_TOLD);
    let mut told = all.take(limits::KEYLESS_TOLD).collect::<Vec<_>>().join("; ");
    if more > 0 {
        told.push_str(&format!("; and {more} more proxies"));
    }
    told
}

#[cfg(test)]
mod tests;
