//! How often each consumer asked each API, and how that ended in a word: a counter of its own, for labels of consumers would multiply all others; and what is
//! told the control plane of it.

use crate::limits;
use crate::map::Map;
use std::sync::Arc;
use std::time::Duration;
use telemetry::{ConsumedCells, Gauge, Metrics, Record};

const OTHER: &str = "other";

/// Consumer, API, and how a request ended.
type Kind = (Arc<str>, Arc<str>, &'static str);

/// What is told the control plane of a consumer and API.
struct Told {
    cells: Arc<ConsumedCells>,
    /// For how long nothing was counted, as sweeps see it.
    idle: Duration,
}

/// One worker's handles of the counters, and of what is told the control plane.
#[derive(Default)]
pub struct Counts {
    counters: Map<Kind, Gauge>,
    /// Of those for whom there is no room, by how a request ended.
    others: Map<&'static str, Gauge>,
    told: Map<(Arc<str>, Arc<str>), Told>,
    /// There is no room for more to be told: not each request asks all workers for it.
    is_full: bool,
    left_out: Option<Gauge>,
}

impl Counts {
    /// Counts a request whose consumer is known; of others nothing is done.
    pub fn count(&mut self, metrics: &Metrics, record: &Record) {
        let Some(consumer) = &record.consumer else { return };
        let asked = (consumer.clone(), record.api.clone().unwrap_or_default());
        self.tell(metrics, record, &asked);
        let key = (asked.0, asked.1, code(record.status));
        if let Some(counter) = self.counters.get(&key) {
            return counter.add(1.0);
        }
        let counter = |consumer: &str, api: &str, code: &str| {
            let help = "Requests that brought the key of a consumer, by the API that was asked and how it ended";
            metrics.counter("organza_consumer_requests", help, &[("consumer", consumer), ("api", api), ("code", code)])
        };
        if self.counters.len() >= limits::CONSUMED {
            return self.others.entry(key.2).or_insert_with(|| counter(OTHER, OTHER, key.2)).add(1.0);
        }
        let made = counter(&key.0, &key.1, key.2);
        made.add(1.0);
        self.counters.insert(key, made);
    }

    /// Counts what the control plane is told.
    fn tell(&mut self, metrics: &Metrics, record: &Record, asked: &(Arc<str>, Arc<str>)) {
        if let Some(told) = self.told.get_mut(asked) {
            told.idle = Duration::ZERO;
            return told.cells.observe(record);
        }
        let made = if self.is_full { None } else { metrics.consumed(&asked.0, &asked.1) };
        if let Some(cells) = made {
            cells.observe(record);
            self.told.insert(asked.clone(), Told { cells, idle: Duration::ZERO });
            return;
        }
        self.is_full = true;
        let made = || {
            let help = "Requests of consumers that the control plane is not told of: there was no room for more of them";
            metrics.counter("organza_consumer_left_out", help, &[])
        };
        let left_out = self.left_out.get_or_insert_with(made);
        if left_out.get() < 1.0 {
            let most = telemetry::limits::CONSUMED;
            tracing::warn!(
                "more than {most} consumers and what they ask: the control plane is told of no more (organza_consumer_left_out_total)"
            );
        }
        left_out.add(1.0);
    }

    /// Lets go what is told of whom nothing was counted for a while; `elapsed` since this was last asked.
    pub fn sweep(&mut self, elapsed: Duration) {
        self.told.retain(|_, told| {
            told.idle = told.idle.saturating_add(elapsed);
            told.idle < telemetry::limits::CONSUMED_IDLE
        });
        // There may be room again.
        self.is_full = false;
    }
}

fn code(status: u16) -> &'static str {
    match status / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        5 => "5xx",
        _ => "none",
    }
}
