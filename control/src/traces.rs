//! The last traces, as proxies told their spans: so many minutes, so many traces, so many bytes, whichever is over first; the eldest goes. It knows no
//! clock and opens nothing. What a trace means is [`tree`]'s.

mod tree;

use crate::limits;
use serde_json::Value;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, OnceLock};
use telemetry::span::{Fields, Line, glance, spans};
use telemetry::{Span, SpanKind, write_hex};
use wire::api;

/// A span with who told it.
#[derive(Debug, Clone)]
struct Told {
    span: Span,
    line: Arc<Line>,
}

/// A line as it came. Most are never asked for: it is read when somebody does.
#[derive(Debug)]
struct Kept {
    proxy: Arc<str>,
    text: String,
    read: OnceLock<Vec<Told>>,
}

impl Kept {
    /// Its spans, whose lines have the `proxy` in them; none where it turns out to be nonsense.
    fn told(&self) -> &[Told] {
        self.read.get_or_init(|| {
            let mut line: Line = serde_json::from_str(&self.text).unwrap_or_default();
            line.insert("proxy".into(), (*self.proxy).into());
            let line = Arc::new(line);
            spans(&*line).into_iter().map(|span| Told { span, line: line.clone() }).collect()
        })
    }
}

#[derive(Debug, Default)]
struct Trace {
    kept: Vec<Kept>,
    spans: usize,
    bytes: usize,
    left_out: u32,
}

impl Trace {
    fn told(&self) -> Vec<&Told> {
        self.kept.iter().flat_map(Kept::told).collect()
    }
}

#[derive(Debug, Default)]
pub struct Traces {
    traces: HashMap<[u8; 16], Trace>,
    /// When each began to be told, in seconds; the eldest first.
    order: VecDeque<(u64, [u8; 16])>,
    bytes: usize,
    dropped: u64,
}

impl Traces {
    /// Takes a line that `proxy` told.
    pub fn put(&mut self, proxy: &Arc<str>, line: String, now: u64) {
        let Some((id, spans)) = glance(&line) else {
            self.dropped = self.dropped.saturating_add(1);
            return;
        };
        self.forget(now);
        let trace = self.traces.entry(id).or_insert_with(|| {
            self.order.push_back((now, id));
            Trace::default()
        });
        if trace.spans + spans > limits::SPANS_OF_ONE {
            trace.left_out = trace.left_out.saturating_add(1);
            self.dropped = self.dropped.saturating_add(1);
            return;
        }
        trace.spans += spans;
        trace.bytes += line.len();
        self.bytes += line.len();
        trace.kept.push(Kept { proxy: proxy.clone(), text: line, read: OnceLock::new() });
        while self.traces.len() > limits::TRACES || self.bytes > limits::TRACE_BYTES {
            self.pop();
        }
    }

    fn forget(&mut self, now: u64) {
        while self.order.front().is_some_and(|(since, _)| now.saturating_sub(*since) > limits::TRACE_SECONDS) {
            self.pop();
        }
    }

    fn pop(&mut self) {
        if let Some(trace) = self.order.pop_front().and_then(|(_, id)| self.traces.remove(&id)) {
            self.bytes = self.bytes.saturating_sub(trace.bytes);
        }
    }

    /// The latest first.
    pub fn list(&self, query: &api::TraceQuery) -> api::TraceList {
        let wanted = |told: &[&Told], summary: &api::TraceSummary| {
            let named = query.service.as_deref().is_none_or(|name| told.iter().any(|told| told.concerns(name)));
            let slow = query.slower.is_none_or(|millis| summary.duration_millis >= millis as f64);
            named && slow && (!query.failed || summary.failed > 0)
        };
        let items = self.order.iter().rev().filter_map(|(_, id)| {
            let told = self.traces.get(id)?.told();
            let summary = summary(id, &tree::set(&told))?;
            wanted(&told, &summary).then_some(summary)
        });
        api::TraceList { items: items.take(limits::TRACES_TOLD).collect(), dropped: self.dropped }
    }

    /// Lines that have this text as one of their words, in no order; a gateway's may come twice.
    pub fn lines(&self, text: &str) -> impl Iterator<Item = &Line> {
        let written = Value::from(text).to_string();
        let kept = self.traces.values().flat_map(|trace| &trace.kept).filter(move |kept| kept.text.contains(&written));
        kept.flat_map(Kept::told).map(|told| &*told.line)
    }

    pub fn of(&self, id: &str) -> Option<api::Trace> {
        let id = telemetry::trace::read_id(id)?;
        let trace = self.traces.get(&id)?;
        let told = trace.told();
        let placed = tree::set(&told);
        let (start, end) = bounds(&placed)?;
        Some(api::Trace {
            trace_id: hex(&id),
            started_millis: millis(start),
            duration_millis: millis(end - start),
            spans: placed.iter().map(|placed| shown(placed, start)).collect(),
            left_out: trace.left_out,
        })
    }
}

impl Told {
    fn proxy(&self) -> &str {
        self.line.word("proxy")
    }

    /// Whose proxy tells it, by namespace and name.
    fn at(&self) -> (&str, &str) {
        let side = if self.line.word("reporter") == "destination" { "destination" } else { "source" };
        (self.line.word(&format!("{side}_namespace")), self.line.word(&format!("{side}_workload")))
    }

    /// The name of the service that was called.
    fn service(&self) -> &str {
        self.line.word("destination_service").split('.').next().unwrap_or_default()
    }

    fn concerns(&self, wanted: &str) -> bool {
        let (namespace, workload) = self.at();
        let of_service = self.line.word("destination_service").split('.').nth(1).unwrap_or_default();
        match wanted.split_once('/') {
            Some((space, name)) => (space, name) == (namespace, workload) || (space, name) == (of_service, self.service()),
            None => wanted == workload || wanted == self.service(),
        }
    }
}

fn bounds(placed: &[tree::Placed<'_>]) -> Option<(u64, u64)> {
    let start = placed.iter().map(|placed| placed.start).min()?;
    let end = placed.iter().map(|placed| placed.start.saturating_add(placed.told.span.duration_micros)).max()?;
    Some((start, end))
}

fn summary(id: &[u8; 16], placed: &[tree::Placed<'_>]) -> Option<api::TraceSummary> {
    let (start, end) = bounds(placed)?;
    let first = placed.first()?.told;
    let mut workloads: Vec<String> = placed.iter().map(|placed| placed.told.at().1.to_owned()).collect();
    workloads.sort();
    workloads.dedup();
    let service = match (first.service(), first.span.kind) {
        ("", _) | (_, SpanKind::Server) => first.at().1,
        (service, SpanKind::Client) => service,
    };
    Some(api::TraceSummary {
        trace_id: hex(id),
        name: first.span.name.clone(),
        service: service.to_owned(),
        started_millis: millis(start),
        duration_millis: millis(end - start),
        spans: u32::try_from(placed.len()).unwrap_or(u32::MAX),
        failed: u32::try_from(placed.iter().filter(|placed| placed.told.span.failed).count()).unwrap_or(u32::MAX),
        workloads,
    })
}

fn shown(placed: &tree::Placed<'_>, start: u64) -> api::Span {
    let Told { span, line } = placed.told;
    api::Span {
        span_id: hex(&span.span_id),
        parent_span_id: span.parent.map(|parent| hex(&parent)),
        depth: placed.depth,
        kind: match span.kind {
            SpanKind::Server => api::SpanKind::Server,
            SpanKind::Client => api::SpanKind::Client,
        },
        name: span.name.clone(),
        proxy: placed.told.proxy().to_owned(),
        workload: placed.told.at().1.to_owned(),
        service: placed.told.service().to_owned(),
        start_millis: millis(placed.start - start),
        duration_millis: millis(span.duration_micros),
        status: span.status,
        failed: span.failed,
        clock_millis: (placed.start != span.start_micros).then(|| placed.start as f64 / 1e3 - span.start_micros as f64 / 1e3),
        record: Value::Object((**line).clone()),
    }
}

fn millis(micros: u64) -> f64 {
    micros as f64 / 1e3
}

fn hex(bytes: &[u8]) -> String {
    let mut text = vec![0; bytes.len() * 2];
    write_hex(bytes, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests;
