//! What policies decided, by policy and rule. Each verdict is counted once, in the cell that a scrape reads, and told to the control plane with the edges.

use crate::metrics::lock;
use crate::{Gauge, Metrics, limits};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What was decided of a request or a connection of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    Allowed,
    Denied,
    /// A policy that is only tried out would have allowed what was denied ...
    WouldAllow,
    /// ... or denied what was allowed.
    WouldDeny,
    /// A limit of rates had no room.
    Limited,
}

impl Verdict {
    pub const ALL: [Self; 5] = [Self::Allowed, Self::Denied, Self::WouldAllow, Self::WouldDeny, Self::Limited];

    /// As it is reported.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::WouldAllow => "would_allow",
            Self::WouldDeny => "would_deny",
            Self::Limited => "limited",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.as_str() == text)
    }

    /// Name and meaning of its family of metrics, what a rule is called there, and the label that tells two verdicts of one family apart.
    fn family(self) -> (&'static str, &'static str, &'static str, Option<&'static str>) {
        let rehearsed = "Connections and requests of which policies that are tried out would have decided otherwise";
        match self {
            Self::Allowed => (
                "organza_access_allowed",
                "Requests and connections of bytes that policies of access, or their defaults, allowed",
                "rule",
                None,
            ),
            Self::Denied => {
                ("organza_access_denied", "Connections and requests that policies of access, or their defaults, denied", "rule", None)
            }
            Self::WouldAllow => ("organza_access_dry_run", rehearsed, "rule", Some("allowed")),
            Self::WouldDeny => ("organza_access_dry_run", rehearsed, "rule", Some("denied")),
            Self::Limited => ("organza_rate_limited", "Requests that a limit of rates had no room for", "limit", None),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VerdictId {
    pub verdict: Verdict,
    /// `AccessPolicy shop/orders`; `default` where nobody wrote one.
    pub policy: Arc<str>,
    /// By its name; empty where no rule decided.
    pub rule: Arc<str>,
}

/// The cells by what they count.
#[derive(Debug, Default)]
pub(crate) struct Verdicts(BTreeMap<VerdictId, Gauge>);

impl Verdicts {
    fn has_room(&self, verdict: Verdict) -> bool {
        self.0.keys().filter(|known| known.verdict == verdict).count() < limits::VERDICTS
    }
}

impl Metrics {
    /// Where verdicts of one rule are counted; the same for the same. [`limits::VERDICTS`] rules are told apart, and those that come after are `other`.
    pub fn verdict(&self, verdict: Verdict, policy: &str, rule: &str) -> Gauge {
        let mut known = lock(&self.0.verdicts);
        let named = |policy: &str, rule: &str| VerdictId { verdict, policy: policy.into(), rule: rule.into() };
        let mut id = named(policy, rule);
        if !known.0.contains_key(&id) && !known.has_room(verdict) {
            id = named("other", "other");
        }
        let made = || {
            let (name, help, rule_label, differs) = verdict.family();
            let labels = [Some(("policy", &*id.policy)), Some((rule_label, &*id.rule)), differs.map(|word| ("verdict", word))];
            self.counter(name, help, &labels.into_iter().flatten().collect::<Vec<_>>())
        };
        known.0.entry(id.clone()).or_insert_with(made).clone()
    }

    /// How often each rule decided, since the process began.
    pub fn verdicts(&self) -> BTreeMap<VerdictId, u64> {
        lock(&self.0.verdicts).0.iter().map(|(id, cell)| (id.clone(), cell.get() as u64)).collect()
    }
}

#[cfg(test)]
mod tests;
