//! Spans and lines of the access log on their way to collectors of OpenTelemetry. Workers put lines into a bounded queue and never wait; a task of the
//! rim sends what is there each second, by gRPC or HTTP. A collector that is slow, gone or hangs costs counted drops and nothing else: what could
//! not be sent is not sent again.

mod send;
mod through;
mod words;

use crate::limits;
use crate::worker::Worker;
use identity::pem::SystemRoots;
use model::telemetry::{Collector, Exporter, SpansTo};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use telemetry::{Gauge, Metrics, access_log};
use transport::rt;
pub(crate) use words::Sender;

/// What waits to be sent, of one kind.
#[derive(Debug, Default)]
struct Waiting {
    wanted: AtomicBool,
    lines: Mutex<Vec<String>>,
    lost: Mutex<u64>,
}

/// What waits to be sent.
#[derive(Debug, Default)]
pub struct Queue {
    spans: Waiting,
    lines: Waiting,
}

impl Waiting {
    fn put(&self, line: &access_log::Once<'_>) {
        if !self.wanted.load(Ordering::Relaxed) {
            return;
        }
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() >= limits::OTLP_LINES {
            drop(lines);
            *self.lost.lock().unwrap_or_else(PoisonError::into_inner) += 1;
            return;
        }
        lines.push(line.json().to_owned());
    }

    /// What is there, and how much found no room since it was last asked.
    fn take(&self, wanted: bool) -> (Vec<String>, u64) {
        self.wanted.store(wanted, Ordering::Relaxed);
        let lines = std::mem::take(&mut *self.lines.lock().unwrap_or_else(PoisonError::into_inner));
        (lines, std::mem::take(&mut *self.lost.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Queue {
    /// A request that is a span of a recorded trace.
    pub fn span(&self, line: &access_log::Once<'_>) {
        self.spans.put(line);
    }

    /// A request that has a line.
    pub fn line(&self, line: &access_log::Once<'_>) {
        self.lines.put(line);
    }
}

/// Where it goes.
#[derive(Clone, Copy)]
enum To<'t> {
    Collector(&'t Collector),
    /// Spans alone.
    Exporter(&'t Exporter, &'t Rc<Worker>),
}

/// One of the two kinds, as it is counted.
struct Kind {
    path: send::Path,
    trust: send::Trust,
    sent: Gauge,
    dropped: Gauge,
}

impl Kind {
    fn new(path: send::Path, signal: &str, metrics: &Metrics, system_roots: SystemRoots) -> Self {
        let labels = &[("signal", signal)];
        Self {
            path,
            trust: send::Trust::new(system_roots),
            sent: metrics.counter("organza_otlp_sent", "Spans and lines that collectors took", labels),
            dropped: metrics.counter("organza_otlp_dropped", "Spans and lines that found no room, or that collectors did not take", labels),
        }
    }

    /// Sends what waits.
    async fn tell(&self, waiting: &Waiting, to: Option<To<'_>>, sender: &Sender) {
        let (lines, lost) = waiting.take(to.is_some());
        self.dropped.add(lost as f64);
        let Some(to) = to.filter(|_| !lines.is_empty()) else { return };
        for part in lines.chunks(limits::OTLP_BATCH) {
            let send = async {
                match to {
                    To::Collector(collector) => send::send(collector, self.path, &self.trust, sender, part).await,
                    To::Exporter(exporter, worker) => through::send(exporter, worker, sender, part).await,
                }
            };
            let told = rt::timeout(limits::OTLP_TIME, Box::pin(send)).await;
            let (taken, why) = match told {
                Some(Ok(rejected)) => (part.len().saturating_sub(usize::try_from(rejected).unwrap_or(usize::MAX)), None),
                Some(Err(why)) => (0, Some(why)),
                None => (0, Some(format!("no answer within {:?}", limits::OTLP_TIME))),
            };
            self.sent.add(taken as f64);
            self.dropped.add((part.len() - taken) as f64);
            if let Some(why) = why {
                tracing::debug!(%why, "a collector took nothing");
            }
        }
    }
}

/// Sends until dropped. `worker` is one of the rim's thread.
pub async fn run(worker: Rc<Worker>) {
    let shared = worker.shared.clone();
    let (queue, metrics, system_roots, sender) = (&shared.otlp, &shared.metrics, shared.system_roots.clone(), Sender::of(&shared.me));
    let spans = Kind::new(send::Path::Traces, "spans", metrics, system_roots.clone());
    let lines = Kind::new(send::Path::Logs, "lines", metrics, system_roots);
    let mut swept = rt::now();
    loop {
        let began = rt::now();
        let telling = worker.snapshot().telling.clone();
        let base = telling.base();
        let spans_to = base.spans.as_ref().map(|to| match to {
            SpansTo::Collector(to) => To::Collector(to),
            SpansTo::Exporter(to) => To::Exporter(to, &worker),
        });
        // Beside each other: one collector that hangs is nothing to the other.
        let lines_to = base.lines_to.as_ref().map(To::Collector);
        let both = (spans.tell(&queue.spans, spans_to, &sender), lines.tell(&queue.lines, lines_to, &sender));
        futures_util::future::join(both.0, both.1).await;
        if rt::now().saturating_duration_since(swept) >= limits::DNS_TIME {
            swept = rt::now();
            worker.sweep();
        }
        rt::sleep(limits::OTLP_PAUSE.saturating_sub(rt::now().saturating_duration_since(began))).await;
    }
}

#[cfg(test)]
mod tests;
