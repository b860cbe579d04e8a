//! Edges as reports carry them, borrowed from the message. Words that mean nothing to this version are left out rather than guessed.

use super::history::Packed;
use telemetry::{EdgeId, Protocol, Reporter, Security};
use wire::v1;

/// Of a report, as many as one may have.
pub fn edges(told: &[v1::Edge]) -> impl Iterator<Item = (EdgeId<&str>, Packed)> {
    told.iter().take(wire::limits::EDGES).filter_map(|edge| Some((id(edge)?, Packed::read(edge))))
}

fn id(edge: &v1::Edge) -> Option<EdgeId<&str>> {
    Some(EdgeId {
        reporter: [Reporter::Source, Reporter::Destination].into_iter().find(|r| r.as_str() == edge.reporter)?,
        source_namespace: &edge.source_namespace,
        source_workload: &edge.source_workload,
        source_version: &edge.source_version,
        service_namespace: &edge.service_namespace,
        service: &edge.service,
        destination_namespace: &edge.destination_namespace,
        destination_workload: &edge.destination_workload,
        destination_version: &edge.destination_version,
        protocol: [Protocol::Http, Protocol::Grpc, Protocol::Tcp, Protocol::Udp].into_iter().find(|p| p.as_str() == edge.protocol)?,
        security: Security::parse(&edge.security)?,
    })
}

#[cfg(test)]
mod tests;
