//! What consumers used of which API, day by day for a month: what called sides reported, kept in the store. Bounded in every direction. It knows consumers by
//! their names and sees no key, it knows no clock and opens nothing; who may tell of whom is the caller's to know.

use crate::limits;
use crate::shelf::{Shelf, Shelved};
use crate::store::Txn;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use telemetry::{ConsumedCounts, ConsumedId};

/// How often and when.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    pub first: u64,
    pub last: u64,
    /// Ascending.
    pub days: Vec<Day>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Day {
    /// Its number since 1970.
    pub day: u64,
    pub requests: u64,
    pub refused: u64,
    pub client_errors: u64,
    pub failures: u64,
}

pub const DAY: u64 = 24 * 3600;

impl Day {
    fn add(&mut self, more: &ConsumedCounts) {
        let mut counts = self.counts();
        counts.add(more);
        let ConsumedCounts { requests, refused, client_errors, failures } = counts;
        *self = Self { day: self.day, requests, refused, client_errors, failures };
    }

    pub fn counts(&self) -> ConsumedCounts {
        let Self { day: _, requests, refused, client_errors, failures } = *self;
        ConsumedCounts { requests, refused, client_errors, failures }
    }
}

impl Used {
    fn add(&mut self, counts: &ConsumedCounts, now: u64) {
        self.forget(now);
        if self.days.is_empty() {
            self.first = now;
        }
        self.last = self.last.max(now);
        let day = now / DAY;
        // A clock that goes back adds to the latest day.
        if self.days.last().is_none_or(|known| known.day < day) {
            self.days.push(Day { day, ..Day::default() });
        }
        self.days.iter_mut().next_back().into_iter().for_each(|last| last.add(counts));
    }

    fn forget(&mut self, now: u64) {
        let today = now / DAY;
        let oldest = today.saturating_sub(limits::CONSUMED_DAYS - 1);
        self.days.retain(|known| known.day >= oldest);
        // A clock that was ahead told of days that are still to come: they are the last of those that have.
        self.last = self.last.min(now.saturating_add(DAY));
        while let Some(ahead) = self.days.pop_if(|known| known.day > today + 1) {
            match self.days.last_mut() {
                Some(last) => last.add(&ahead.counts()),
                None => self.days.push(Day { day: today, ..ahead }),
            }
        }
    }

    /// Of all days that are remembered.
    pub fn counts(&self) -> ConsumedCounts {
        let mut sum = ConsumedCounts::default();
        self.days.iter().for_each(|day| sum.add(&day.counts()));
        sum
    }
}

/// What one consumer used, by API.
type Of = BTreeMap<String, Used>;

/// Where an API is counted for which there is no room.
const OTHER: &str = "other";

impl Shelved for Of {
    const PREFIX: &'static str = "consumed/";
    const MOST: usize = limits::CONSUMERS;

    fn forget(&mut self, now: u64) -> bool {
        let before = self.len();
        self.values_mut().for_each(|used| used.forget(now));
        self.retain(|_, used| !used.days.is_empty());
        self.len() != before
    }

    fn is_over(&self) -> bool {
        self.is_empty()
    }
}

#[derive(Debug, Default)]
pub struct Consumption(Shelf<Of>);

impl Consumption {
    /// What the store has under `consumed/`.
    pub fn load(kept: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        Self(Shelf::load(kept))
    }

    /// Counts what one report told. Whether it was told before is the caller's to know.
    pub fn report(&mut self, consumed: impl IntoIterator<Item = (ConsumedId, ConsumedCounts)>, now: u64) {
        for (id, counts) in consumed {
            let known = self.0.all();
            if known.len() >= limits::CONSUMERS && !known.contains_key(&*id.consumer) {
                continue;
            }
            let of = self.0.change(&id.consumer);
            let is_over = of.len() >= limits::CONSUMED_APIS && !of.contains_key(&*id.api);
            of.entry(if is_over { OTHER } else { &*id.api }.to_owned()).or_default().add(&counts, now);
        }
    }

    /// Forgets what is older than a month, and says what is to be stored since this was last asked.
    pub fn sweep(&mut self, now: u64) -> Txn {
        self.0.sweep(now)
    }

    /// By API, what it used in the last month.
    pub fn of(&self, consumer: &str) -> impl Iterator<Item = (&str, &Used)> {
        self.0.all().get(consumer).into_iter().flatten().map(|(api, used)| (api.as_str(), used))
    }
}

/// As a report has it, where it makes sense.
pub fn read(told: wire::v1::report_request::Consumed) -> Option<(ConsumedId, ConsumedCounts)> {
    let is_name = |text: &str, most: usize| !text.is_empty() && text.len() <= most && !text.chars().any(char::is_control);
    let is_whole = is_name(&told.consumer, limits::CONSUMER_BYTES) && is_name(&told.api, limits::CONSUMER_BYTES);
    let wire::v1::report_request::Consumed { consumer, api, requests, refused, client_errors, failures } = told;
    let id = ConsumedId { consumer: consumer.into(), api: api.into() };
    is_whole.then_some((id, ConsumedCounts { requests, refused, client_errors, failures }))
}

#[cfg(test)]
mod tests;
