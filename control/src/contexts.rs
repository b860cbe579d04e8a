//! Whether programs pass on the traces that they are called with: what their proxies counted over the last minute. One that is called and calls others
//! mostly without a trace tears every trace in two, and nobody but its proxy sees it. It knows no clock.

use crate::limits;
use std::collections::{HashMap, VecDeque};
use wire::v1::report_request::Context;

/// By proxy, when it was told.
#[derive(Debug, Default)]
pub struct Contexts(HashMap<String, VecDeque<(u64, Context)>>);

impl Contexts {
    pub fn report(&mut self, proxy: &str, seen: &Context, now: u64) {
        let told = self.0.entry(proxy.to_owned()).or_default();
        forget(told, now);
        match told.back_mut() {
            Some((at, last)) if *at == now => *last = sum(last, seen),
            _ => told.push_back((now, *seen)),
        }
    }

    /// How many of how many calls went without a trace, where that is a habit.
    pub fn dropped(&self, proxy: &str, now: u64) -> Option<(u64, u64)> {
        let recent = self.0.get(proxy)?.iter().filter(|(at, _)| now.saturating_sub(*at) <= limits::CONTEXT_SECONDS);
        let all = recent.fold(Context::default(), |all, (_, seen)| sum(&all, seen));
        let habit = all.served > 0 && all.dropped >= limits::CONTEXT_CALLS && all.dropped > all.passed_on;
        habit.then(|| (all.dropped, all.dropped.saturating_add(all.passed_on)))
    }

    pub fn forget(&mut self, proxy: &str) {
        self.0.remove(proxy);
    }
}

fn forget(told: &mut VecDeque<(u64, Context)>, now: u64) {
    while told.front().is_some_and(|(at, _)| now.saturating_sub(*at) > limits::CONTEXT_SECONDS) {
        told.pop_front();
    }
}

fn sum(a: &Context, b: &Context) -> Context {
    Context {
        served: a.served.saturating_add(b.served),
        passed_on: a.passed_on.saturating_add(b.passed_on),
        dropped: a.dropped.saturating_add(b.dropped),
    }
}

#[cfg(test)]
mod tests;
