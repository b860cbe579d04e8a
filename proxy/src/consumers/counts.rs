//! How often each consumer asked each API, and how that ended in a word: a counter of its own, for labels of consumers would multiply all others; and what is
//! told the control plane of it.

use crate::limits;
use crate::map::Map;
use std::sync::Arc;
use telemetry::{ConsumedCells, Gauge, Metrics, Record};

const OTHER: &str = "other";

/// Consumer, API, and how a request ended.
type Kind = (Arc<str>, Arc<str>, &'static str);

/// One worker's handles of the counters, and of what is told the control plane.
#[derive(Default)]
pub struct Counts(Map<Kind, (Gauge, Arc<ConsumedCells>)>);

impl Counts {
    /// Counts a request whose consumer is known; of others nothing is done.
    pub fn count(&mut self, metrics: &Metrics, record: &Record) {
        let Some(consumer) = &record.consumer else { return };
        let api = record.api.clone().unwrap_or_default();
        let key = (consumer.clone(), api, code(record.status));
        if let Some((counter, told)) = self.0.get(&key) {
            told.observe(record);
            return counter.add(1.0);
        }
        let told = metrics.consumed(&key.0, &key.1);
        told.observe(record);
        let counter = |consumer: &str, api: &str, code: &str| {
            let help = "Requests that brought the key of a consumer, by the API that was asked and how it ended";
            metrics.counter("organza_consumer_requests", help, &[("consumer", consumer), ("api", api), ("code", code)])
        };
        if self.0.len() >= limits::CONSUMED {
            return counter(OTHER, OTHER, key.2).add(1.0);
        }
        let made = counter(&key.0, &key.1, key.2);
        made.add(1.0);
        self.0.insert(key, (made, told));
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
