//! From sums to text. Names and labels are Istio's; `prometheus-client` knows the format.

use super::series::{DURATION_BOUNDS_MS, Ending, SIZE_BOUNDS};
use super::{Metrics, Pair, Sum, lock};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use crate::write_hex;
use std::collections::BTreeMap;
use std::fmt::{Error, Write};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

/// In which words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposition {
    /// Prometheus' own text, version 0.0.4: what everything reads.
    Text,
    /// OpenMetrics 1.0, with exemplars.
    OpenMetrics,
}

impl Exposition {
    /// What an `Accept` asks for: OpenMetrics where it is named, which who does not know it never does.
    pub fn accepted(accept: &str) -> Self {
        match accept.contains("application/openmetrics-text") {
            true => Self::OpenMetrics,
            false => Self::Text,
        }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

pub(super) fn encode(metrics: &Metrics, as_what: Exposition) -> String {
    let sums = Arc::new(metrics.sums());
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Scrape { metrics: metrics.clone(), sums: sums.clone() }));
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = prometheus_client::encoding::text::encode(&mut out, &registry);
    match as_what {
        Exposition::Text => older(&out),
        Exposition::OpenMetrics => with_examples(&out, &sums),
    }
}

/// Version 0.0.4 names a counter's family as its line is named, and knows no end.
fn older(text: &str) -> String {
    let counters: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter")).collect();
    let mut out = String::with_capacity(text.len());
    for line in text.lines().filter(|line| *line != "# EOF") {
        let told = ["# HELP ", "# TYPE "].into_iter().find_map(|word| Some((word, line.strip_prefix(word)?.split_once(' ')?)));
        match told {
            Some((word, (name, rest))) if counters.contains(&name) => {
                for part in [word, name, "_total ", rest] {
                    out.push_str(part);
                }
            }
            _ => out.push_str(line),
        }
        out.push('\n');
    }
    out
}

/// `prometheus-client` makes exemplars only of what it counted itself; its lines of buckets stand in the order of `sums`.
fn with_examples(text: &str, sums: &Sums) -> String {
    let buckets = DURATION_BOUNDS_MS.len() + 1;
    let mut examples =
        sums.iter().filter(|((pair, _), _)| !pair.protocol.is_opaque()).flat_map(|(_, sum)| (0..buckets).map(|at| sum.examples.get(&at)));
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        out.push_str(line);
        if line.starts_with("istio_request_duration_milliseconds_bucket{")
            && let Some(Some(example)) = examples.next()
        {
            let (mut trace, mut span) = ([0; 32], [0; 16]);
            write_hex(&example.trace_id, &mut trace);
            write_hex(&example.span_id, &mut span);
            let (trace, span) = (String::from_utf8_lossy(&trace), String::from_utf8_lossy(&span));
            let at = example.at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
            let millis = example.micros as f64 / 1000.0;
            _ = write!(out, " # {{trace_id=\"{trace}\",span_id=\"{span}\"}} {millis} {at:.3}");
        }
        out.push('\n');
    }
    out
}

type Sums = BTreeMap<(Pair, Ending), Sum>;
type Labels<'a> = Vec<(&'static str, &'a str)>;
/// The encoder wants a type for exemplars that it is not given.
type NoLabels = [(&'static str, &'static str); 0];

/// All that is told at one time.
#[derive(Debug)]
struct Scrape {
    metrics: Metrics,
    sums: Arc<Sums>,
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let dropped = self.metrics.dropped();
        let (http, tcp): (Vec<_>, Vec<_>) = self.sums.iter().partition(|((pair, _), _)| !pair.protocol.is_opaque());
        let counter = MetricType::Counter;
        family(&mut encoder, ("istio_requests", "Requests", counter), dropped, &http, |m, s| {
            m.encode_counter::<NoLabels, _, u64>(&s.requests, None)
        })?;
        let histogram = MetricType::Histogram;
        let (name, help) = ("istio_request_duration_milliseconds", "Duration of requests");
        family(&mut encoder, (name, help, histogram), dropped, &http, |m, s| {
            buckets(m, s.duration_micros as f64 / 1000.0, s.requests, &DURATION_BOUNDS_MS, &s.duration)
        })?;
        family(&mut encoder, ("istio_request_bytes", "Size of request bodies", histogram), dropped, &http, |m, s| {
            buckets(m, s.request_bytes as f64, s.requests, &SIZE_BOUNDS, &s.request_size)
        })?;
        family(&mut encoder, ("istio_response_bytes", "Size of response bodies", histogram), dropped, &http, |m, s| {
            buckets(m, s.response_bytes as f64, s.requests, &SIZE_BOUNDS, &s.response_size)
        })?;
        for (name, help, read) in tcp_families() {
            family(&mut encoder, (name, help, counter), dropped, &tcp, |m, s| m.encode_counter::<NoLabels, _, u64>(&read(s), None))?;
        }
        retries(&mut encoder, dropped, &self.sums)?;
        self.metrics.encode_gauges(&mut encoder)?;
        let folded = self.metrics.folded();
        encoder
            .encode_descriptor(
                "organza_metrics_folded",
                "Requests counted under `other`: their label sets were over the budget",
                None,
                counter,
            )?
            .encode_counter::<NoLabels, _, u64>(&folded, None)
    }
}

impl Metrics {
    fn encode_gauges(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        for (name, family) in lock(&self.0.gauges).iter() {
            let kind = if family.is_counter { MetricType::Counter } else { MetricType::Gauge };
            let mut metric = encoder.encode_descriptor(name, family.help, None, kind)?;
            for (labels, cell) in &family.cells {
                let labels: Labels<'_> = labels.iter().map(|(k, v)| (*k, v.as_str())).collect();
                let labels = labels.as_slice();
                let mut metric = metric.encode_family(&labels)?;
                match family.is_counter {
                    true => metric.encode_counter::<NoLabels, _, u64>(&cell.get(), None)?,
                    false => metric.encode_gauge(&cell.get())?,
                }
            }
        }
        Ok(())
    }
}

type TcpFamily = (&'static str, &'static str, fn(&Sum) -> u64);

fn tcp_families() -> [TcpFamily; 4] {
    [
        ("istio_tcp_connections_opened", "Opaque connections opened", |s| s.opened),
        ("istio_tcp_connections_closed", "Opaque connections closed", |s| s.closed),
        ("istio_tcp_sent_bytes", "Bytes sent in answer", |s| s.response_bytes),
        ("istio_tcp_received_bytes", "Bytes received from callers", |s| s.request_bytes),
    ]
}

fn family(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help, kind): (&str, &str, MetricType),
    dropped: model::telemetry::Labels,
    sums: &[(&(Pair, Ending), &Sum)],
    write: impl Fn(&mut MetricEncoder<'_>, &Sum) -> Result<(), Error>,
) -> Result<(), Error> {
    if sums.is_empty() {
        return Ok(());
    }
    let mut metric = encoder.encode_descriptor(name, help, None, kind)?;
    for ((pair, ending), sum) in sums {
        let texts = EndingTexts::of(ending);
        let mut labels = labels(pair, ending, &texts);
        labels.retain(|(name, _)| !dropped.has(name));
        write(&mut metric.encode_family(&labels.as_slice())?, sum)?;
    }
    Ok(())
}

/// By side and service alone: few, and each of as long a life as the label sets that it is summed of.
fn retries(encoder: &mut DescriptorEncoder<'_>, dropped: model::telemetry::Labels, sums: &Sums) -> Result<(), Error> {
    let mut counts: BTreeMap<(&str, &str, &str), u64> = BTreeMap::new();
    for ((pair, _), sum) in sums.iter().filter(|(_, sum)| sum.retries > 0) {
        let (namespace, service) = pair.service.as_deref().map_or(("unknown", "unknown"), |service| (&*service.namespace, &*service.name));
        *counts.entry((pair.reporter.as_str(), namespace, service)).or_default() += sum.retries;
    }
    if counts.is_empty() {
        return Ok(());
    }
    let mut metric = encoder.encode_descriptor("organza_retries", "Tries of requests beyond the first", None, MetricType::Counter)?;
    for ((reporter, namespace, service), count) in &counts {
        let mut labels: Labels<'_> = vec![("reporter", *reporter)];
        labels.extend([("destination_service_namespace", *namespace), ("destination_service_name", *service)]);
        labels.retain(|(name, _)| !dropped.has(name));
        metric.encode_family(&labels.as_slice())?.encode_counter::<NoLabels, _, u64>(count, None)?;
    }
    Ok(())
}

fn buckets(metric: &mut MetricEncoder<'_>, sum: f64, count: u64, bounds: &[f64], cells: &[u64]) -> Result<(), Error> {
    let bounds = bounds.iter().copied().chain([f64::INFINITY]);
    let cells: Vec<(f64, u64)> = bounds.zip(cells.iter().copied()).collect();
    metric.encode_histogram::<NoLabels>(sum, count, &cells, None)
}

struct EndingTexts {
    status: String,
    grpc: String,
}

impl EndingTexts {
    fn of(ending: &Ending) -> Self {
        Self { status: ending.status.to_string(), grpc: ending.grpc.map_or_else(String::new, |code| code.to_string()) }
    }
}

fn labels<'a>(pair: &'a Pair, ending: &'a Ending, texts: &'a EndingTexts) -> Labels<'a> {
    let (source, destination) = (&pair.source, &pair.destination);
    let unknown = "unknown";
    let service = pair.service.as_deref();
    let mut labels = vec![
        ("reporter", pair.reporter.as_str()),
        ("source_workload", &*source.workload),
        ("source_workload_namespace", &*source.namespace),
        ("source_principal", &*source.principal),
        ("source_app", &*source.app),
        ("source_version", &*source.version),
        ("source_cluster", &*source.cluster),
        ("source_canonical_service", &*source.app),
        ("source_canonical_revision", &*source.version),
        ("destination_workload", &*destination.workload),
        ("destination_workload_namespace", &*destination.namespace),
        ("destination_principal", &*destination.principal),
        ("destination_app", &*destination.app),
        ("destination_version", &*destination.version),
        ("destination_cluster", &*destination.cluster),
        ("destination_canonical_service", &*destination.app),
        ("destination_canonical_revision", &*destination.version),
        ("destination_service", service.map_or(unknown, |s| &s.host)),
        ("destination_service_name", service.map_or(unknown, |s| &s.name)),
        ("destination_service_namespace", service.map_or(unknown, |s| &s.namespace)),
        ("request_protocol", pair.protocol.as_str()),
        ("response_flags", if ending.flags.is_empty() { "-" } else { ending.flags }),
        ("connection_security_policy", pair.security.as_str()),
    ];
    if !pair.protocol.is_opaque() {
        labels.push(("response_code", &texts.status));
        labels.push(("grpc_response_status", &texts.grpc));
    }
    labels
}

/// Whether two label sets of one family could be the same: only used by tests, which look for it.
#[cfg(test)]
pub(super) fn families(text: &str) -> std::collections::BTreeMap<String, usize> {
    let mut out = std::collections::BTreeMap::new();
    for line in text.lines().filter(|l| !l.starts_with('#')) {
        *out.entry(line.rsplit_once(' ').map_or(line, |(series, _)| series).to_owned()).or_insert(0) += 1;
    }
    out
}
