//! Single requests as proxies tell them: the last that failed or were denied, for whoever asks why; and taps, which are shown requests as they
//! end. Everything is bounded, and what found no room is counted. It knows no clock and opens nothing.

use crate::limits;
use crate::traces::Traces;
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use telemetry::span::{Fields, Line};
use tokio::sync::{mpsc, watch};
use wire::api::TapQuery;
use wire::v1;

/// The tap that nobody opened: of failures.
const FAILURES: u64 = 0;
/// And that of spans.
const SPANS: u64 = u64::MAX;

/// One who watches.
struct Tap {
    wanted: v1::Tap,
    lines: mpsc::Sender<Value>,
    /// Of this tap, since it was opened.
    dropped: watch::Sender<u64>,
}

impl Tap {
    fn miss(&self, flows: u64) {
        if flows > 0 {
            self.dropped.send_modify(|dropped| *dropped = dropped.saturating_add(flows));
        }
    }
}

#[derive(Default)]
pub struct Flows {
    failed: VecDeque<Value>,
    dropped: u64,
    taps: BTreeMap<u64, Tap>,
    opened: u64,
    pub traces: Traces,
}

/// What a tap hears; it ends when dropped.
pub struct Heard {
    pub lines: mpsc::Receiver<Value>,
    pub dropped: watch::Receiver<u64>,
}

impl Flows {
    /// What one report had no room for, and whose it was: of an older proxy, which does not say it, it may be anybody's.
    pub fn missed(&mut self, flows: u64, whose: Option<v1::report_request::TapsDropped>) {
        self.dropped = self.dropped.saturating_add(flows);
        match whose {
            None => self.taps.values().for_each(|tap| tap.miss(flows)),
            Some(whose) => {
                let told = whose.taps.into_iter().zip(whose.flows).take(limits::TAPS);
                told.for_each(|(id, flows)| self.taps.get(&id).into_iter().for_each(|tap| tap.miss(flows)));
            }
        }
    }

    /// What one report told.
    pub fn report(&mut self, proxy: &str, flows: Vec<v1::Flow>, now: u64) {
        // What a proxy of ours never sends, for it has bounds of its own.
        self.missed(flows.len().saturating_sub(limits::FLOWS_OF_ONE) as u64, None);
        let proxy: Arc<str> = proxy.into();
        for flow in flows.into_iter().take(limits::FLOWS_OF_ONE) {
            if flow.line.len() > limits::FLOW_BYTES {
                self.dropped = self.dropped.saturating_add(1);
                continue;
            }
            if flow.taps == [SPANS] {
                self.traces.put(&proxy, flow.line, now);
                continue;
            }
            // What is no line of a log is nobody's flow.
            let Ok(mut fields) = serde_json::from_str::<Line>(&flow.line) else {
                self.dropped = self.dropped.saturating_add(1);
                continue;
            };
            fields.insert("proxy".into(), (*proxy).into());
            let line = Value::Object(fields);
            if flow.taps.contains(&SPANS) {
                self.traces.put(&proxy, flow.line, now);
            }
            for id in flow.taps.iter().take(limits::TAPS) {
                match self.taps.get(id) {
                    Some(tap) if tap.lines.try_send(line.clone()).is_err() => tap.miss(1),
                    _ => {}
                }
            }
            if flow.taps.contains(&FAILURES) {
                self.failed.push_back(line);
                if self.failed.len() > limits::FLOWS {
                    self.failed.pop_front();
                }
            }
        }
    }

    /// Opens a tap; `None` where there are too many.
    pub fn tap(&mut self, query: &TapQuery) -> Option<Heard> {
        self.taps.retain(|_, tap| !tap.lines.is_closed());
        if self.taps.len() >= limits::TAPS {
            return None;
        }
        let (from, to) = query.status.map_or((0, 0), |status| status.range());
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        self.opened += 1;
        let wanted = v1::Tap {
            id: self.opened,
            source: text(&query.from),
            destination: text(&query.to),
            route: text(&query.route),
            status_from: from,
            status_to: to,
            per_second: limits::TAP_RATE,
        };
        let (lines, receiver) = mpsc::channel(limits::TAP_LINES);
        let (dropped, told) = watch::channel(0);
        self.taps.insert(self.opened, Tap { wanted, lines, dropped });
        Some(Heard { lines: receiver, dropped: told })
    }

    /// What every proxy is asked for now.
    pub fn wanted(&mut self) -> Vec<v1::Tap> {
        self.taps.retain(|_, tap| !tap.lines.is_closed());
        self.taps.values().map(|tap| tap.wanted.clone()).collect()
    }

    /// All that is remembered of one request, by its identifier or that of its trace: what each proxy on its way said of it, the first first.
    pub fn of_request(&self, id: &str) -> Vec<Value> {
        let is = |line: &Line| line.word("request_id") == id || line.word("trace_id") == id;
        let mut found: Vec<&Line> = Vec::new();
        for line in self.failed.iter().filter_map(Value::as_object).chain(self.traces.lines(id)).filter(|line| is(line)) {
            if found.len() < limits::SPANS_OF_ONE && !found.contains(&line) {
                found.push(line);
            }
        }
        let began = |line: &Line| line.get("start_time_ms").and_then(Value::as_f64).unwrap_or(0.0);
        found.sort_by(|a, b| began(a).total_cmp(&began(b)));
        found.into_iter().cloned().map(Value::Object).collect()
    }

    /// The last that failed, the latest first, and how many flows were lost.
    pub fn failed(&self) -> (Vec<Value>, u64) {
        (self.failed.iter().rev().cloned().collect(), self.dropped)
    }
}

#[cfg(test)]
mod tests;
