//! What policies decided, as proxies told it: by rule since it was first told, which is kept in the store, and the last hour of each policy by ten seconds, which
//! is not. Whether a report was told before is the caller's to know. Bounded in every direction; it knows no clock and no policy.

use crate::consumption::DAY;
use crate::limits;
use crate::shelf::{Shelf, Shelved};
use crate::store::Txn;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use telemetry::Verdict;
use wire::api::{PolicyVerdicts, RuleVerdicts, VerdictList, VerdictPoint, Verdicts};
use wire::v1::report_request::Verdict as Told;

const HOUR: u64 = limits::SLOT_SECONDS * limits::SLOTS as u64;
/// Where rules are counted that there is no room for.
const OTHER: &str = "other";

#[derive(Debug, Default)]
pub struct Decided {
    of: Shelf<Of>,
    left_out: u64,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Of {
    rules: BTreeMap<String, Verdicts>,
    /// Since when rules are counted, and when one was last.
    first: u64,
    seen: u64,
    /// By when they began, the latest last.
    #[serde(skip)]
    slots: VecDeque<(u64, Verdicts)>,
}

impl Decided {
    /// What the store has under `verdicts/`.
    pub fn load(kept: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        Self { of: Shelf::load(kept), left_out: 0 }
    }

    /// Counts what one report told.
    pub fn report(&mut self, told: impl IntoIterator<Item = Told>, now: u64) {
        for (policy, rule, counts) in told.into_iter().take(limits::VERDICTS_OF_ONE).filter_map(read) {
            if !self.of.all().contains_key(&policy) && !self.has_room(now) {
                self.left_out = self.left_out.saturating_add(1);
                continue;
            }
            self.of.change(&policy).add(rule, &counts, now);
        }
    }

    /// Makes it by forgetting what decided nothing for an hour.
    fn has_room(&mut self, now: u64) -> bool {
        if self.of.all().len() >= limits::DECIDING {
            self.of.retain(|of| of.seen.saturating_add(HOUR) >= now);
        }
        self.of.all().len() < limits::DECIDING
    }

    /// Forgets what decided nothing for so long that there may be no such policy any more, and says what is to be stored since this was last asked.
    pub fn sweep(&mut self, now: u64) -> Txn {
        self.of.sweep(now)
    }

    /// All of them; with a policy that one alone, and its last hour.
    pub fn told(&self, policy: Option<&str>, now: u64) -> VerdictList {
        let items = self.of.all().iter().filter(|(name, _)| policy.is_none_or(|wanted| wanted == **name));
        let items = items.map(|(name, of)| of.told(name, policy.map(|_| now)));
        VerdictList { time: now, slot_seconds: limits::SLOT_SECONDS, items: items.collect(), left_out: self.left_out }
    }
}

impl Shelved for Of {
    const PREFIX: &'static str = "verdicts/";
    const MOST: usize = limits::DECIDING;

    fn forget(&mut self, now: u64) -> bool {
        // A clock that was ahead keeps nothing for longer.
        self.seen = self.seen.min(now.saturating_add(DAY));
        let is_old = self.seen.saturating_add(limits::VERDICT_DAYS * DAY) < now;
        if is_old {
            *self = Self::default();
        }
        is_old
    }

    fn is_over(&self) -> bool {
        self.rules.is_empty()
    }
}

impl Of {
    fn add(&mut self, rule: String, counts: &Verdicts, now: u64) {
        if self.rules.is_empty() {
            self.first = now;
        }
        self.seen = self.seen.max(now);
        let is_over = self.rules.len() >= limits::DECIDING_RULES && !self.rules.contains_key(&rule);
        self.rules.entry(if is_over { OTHER.to_owned() } else { rule }).or_default().add(counts);
        let start = now - now % limits::SLOT_SECONDS;
        match self.slots.back_mut() {
            // A clock that goes back adds to the latest slot.
            Some((latest, sum)) if *latest >= start => sum.add(counts),
            _ => self.slots.push_back((start, *counts)),
        }
        while self.slots.front().is_some_and(|(begun, _)| begun.saturating_add(HOUR) <= start) {
            self.slots.pop_front();
        }
    }

    fn told(&self, policy: &str, hour_before: Option<u64>) -> PolicyVerdicts {
        let mut counts = Verdicts::default();
        self.rules.values().for_each(|of| counts.add(of));
        let rules = self.rules.iter().map(|(rule, counts)| RuleVerdicts { rule: rule.clone(), counts: *counts }).collect();
        let since = |now: u64| self.slots.iter().filter(move |(start, _)| start.saturating_add(HOUR) > now);
        let points = hour_before.into_iter().flat_map(since).map(|(time, counts)| VerdictPoint { time: *time, counts: *counts });
        PolicyVerdicts { policy: policy.to_owned(), since: self.first, counts, rules, points: points.collect() }
    }
}

/// As a report has it; a word that means nothing to this version is left out.
fn read(told: Told) -> Option<(String, String, Verdicts)> {
    let Told { verdict, policy, rule, count } = told;
    let is_name = |text: &str| text.len() <= limits::VERDICT_BYTES && !text.chars().any(char::is_control);
    if policy.is_empty() || !is_name(&policy) || !is_name(&rule) {
        return None;
    }
    let mut counts = Verdicts::default();
    *match Verdict::parse(&verdict)? {
        Verdict::Allowed => &mut counts.allowed,
        Verdict::Denied => &mut counts.denied,
        Verdict::WouldAllow => &mut counts.would_allow,
        Verdict::WouldDeny => &mut counts.would_deny,
        Verdict::Limited => &mut counts.limited,
    } = count;
    Some((policy, rule, counts))
}

#[cfg(test)]
mod tests;
