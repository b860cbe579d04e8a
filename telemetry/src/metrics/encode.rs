//! From sums to text. Names and labels are Istio's; `prometheus-client` knows the format.

use super::series::{DURATION_BOUNDS_MS, Ending, SIZE_BOUNDS};
use super::{Metrics, Pair, Sum, lock};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use std::fmt::Error;
use std::sync::atomic::Ordering;

pub(super) fn encode(metrics: &Metrics) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(metrics.clone()));
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = prometheus_client::encoding::text::encode(&mut out, &registry);
    out
}

type Labels<'a> = Vec<(&'static str, &'a str)>;
/// Exemplars are not written yet, but the encoder wants their type.
type NoLabels = [(&'static str, &'static str); 0];

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let sums = self.sums();
        let (http, tcp): (Vec<_>, Vec<_>) = sums.iter().partition(|((pair, _), _)| !pair.protocol.is_opaque());
        let counter = MetricType::Counter;
        family(&mut encoder, "istio_requests", "Requests", counter, &http, |m, s| m.encode_counter::<NoLabels, _, u64>(&s.requests, None))?;
        let histogram = MetricType::Histogram;
        let (name, help) = ("istio_request_duration_milliseconds", "Duration of requests");
        family(&mut encoder, name, help, histogram, &http, |m, s| {
            buckets(m, s.duration_micros as f64 / 1000.0, s.requests, &DURATION_BOUNDS_MS, &s.duration)
        })?;
        family(&mut encoder, "istio_request_bytes", "Size of request bodies", histogram, &http, |m, s| {
            buckets(m, s.request_bytes as f64, s.requests, &SIZE_BOUNDS, &s.request_size)
        })?;
        family(&mut encoder, "istio_response_bytes", "Size of response bodies", histogram, &http, |m, s| {
            buckets(m, s.response_bytes as f64, s.requests, &SIZE_BOUNDS, &s.response_size)
        })?;
        for (name, help, read) in tcp_families() {
            family(&mut encoder, name, help, counter, &tcp, |m, s| m.encode_counter::<NoLabels, _, u64>(&read(s), None))?;
        }
        self.encode_gauges(&mut encoder)?;
        let folded = self.0.folded.load(Ordering::Relaxed);
        encoder
            .encode_descriptor("organza_metrics_folded_series", "Label sets over the budget, counted under `other`", None, counter)?
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
    name: &str,
    help: &str,
    kind: MetricType,
    sums: &[(&(Pair, Ending), &Sum)],
    write: impl Fn(&mut MetricEncoder<'_>, &Sum) -> Result<(), Error>,
) -> Result<(), Error> {
    if sums.is_empty() {
        return Ok(());
    }
    let mut metric = encoder.encode_descriptor(name, help, None, kind)?;
    for ((pair, ending), sum) in sums {
        let texts = EndingTexts::of(ending);
        let labels = labels(pair, ending, &texts);
        write(&mut metric.encode_family(&labels.as_slice())?, sum)?;
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
