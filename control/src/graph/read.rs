//! Edges as reports carry them. Words that mean nothing to this version are left out rather than guessed.

use telemetry::{EdgeId, EdgeTotals, Histogram, Protocol, Reporter, Security};
use wire::v1;

/// Of a report, as many as one may have.
pub fn edges(told: Vec<v1::Edge>) -> Vec<(EdgeId, EdgeTotals)> {
    told.into_iter().take(wire::limits::EDGES).filter_map(edge).collect()
}

fn edge(edge: v1::Edge) -> Option<(EdgeId, EdgeTotals)> {
    let reporter = [Reporter::Source, Reporter::Destination].into_iter().find(|r| r.as_str() == edge.reporter)?;
    let protocol = [Protocol::Http, Protocol::Grpc, Protocol::Tcp, Protocol::Udp].into_iter().find(|p| p.as_str() == edge.protocol)?;
    let id = EdgeId {
        reporter,
        source_namespace: edge.source_namespace.into(),
        source_workload: edge.source_workload.into(),
        source_version: edge.source_version.into(),
        service_namespace: edge.service_namespace.into(),
        service: edge.service.into(),
        destination_namespace: edge.destination_namespace.into(),
        destination_workload: edge.destination_workload.into(),
        destination_version: edge.destination_version.into(),
        protocol,
        security: Security::parse(&edge.security)?,
    };
    let totals = EdgeTotals {
        opened: edge.opened,
        requests: edge.requests,
        failures: edge.failures,
        client_errors: edge.client_errors,
        denied: edge.denied,
        faults: edge.faults,
        retries: edge.retries,
        request_bytes: edge.request_bytes,
        response_bytes: edge.response_bytes,
        latency: Histogram::from_sparse(edge.latency_cells.into_iter().zip(edge.latency_counts)),
    };
    Some((id, totals))
}
