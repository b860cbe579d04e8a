//! Edges as reports carry them, borrowed from the message. Words that mean nothing to this version are left out rather than guessed.

use super::history::Packed;
use bytes::Bytes;
use telemetry::{EdgeId, Protocol, Reporter, Security};

/// An edge as a report has it.
pub struct Told<'m> {
    pub names: &'m [u8],
    /// Without names it stands for them.
    pub number: u64,
    pub counts: Packed,
}

impl Told<'_> {
    pub fn is_by_number(&self) -> bool {
        self.names.is_empty() && self.number > 0
    }
}

/// Of a report, as many as one may have; `None` for what cannot be read.
pub fn edges(told: &[Bytes]) -> impl Iterator<Item = Option<Told<'_>>> {
    told.iter().take(wire::limits::EDGES).map(|edge| {
        let (names, counts) = wire::edge::split(edge)?;
        let counts = wire::edge::counts(counts)?;
        Some(Told { names, number: counts.number, counts: Packed::read(&counts) })
    })
}

/// What is named so.
pub fn id(names: &[u8]) -> Option<EdgeId<&str>> {
    let [reporter, from_namespace, from, from_version, service_namespace, service, to_namespace, to, to_version, protocol, security] =
        wire::edge::words(names)?;
    Some(EdgeId {
        reporter: [Reporter::Source, Reporter::Destination].into_iter().find(|r| r.as_str() == reporter)?,
        source_namespace: from_namespace,
        source_workload: from,
        source_version: from_version,
        service_namespace,
        service,
        destination_namespace: to_namespace,
        destination_workload: to,
        destination_version: to_version,
        protocol: [Protocol::Http, Protocol::Grpc, Protocol::Tcp, Protocol::Udp].into_iter().find(|p| p.as_str() == protocol)?,
        security: Security::parse(security)?,
    })
}

/// As a proxy writes it.
#[cfg(test)]
pub fn written(id: &EdgeId, counts: &telemetry::EdgeTotals) -> Bytes {
    wire::edge::encode(&wire::v1::Edge {
        reporter: id.reporter.as_str().into(),
        source_namespace: id.source_namespace.to_string(),
        source_workload: id.source_workload.to_string(),
        source_version: id.source_version.to_string(),
        service_namespace: id.service_namespace.to_string(),
        service: id.service.to_string(),
        destination_namespace: id.destination_namespace.to_string(),
        destination_workload: id.destination_workload.to_string(),
        destination_version: id.destination_version.to_string(),
        protocol: id.protocol.as_str().into(),
        security: id.security.as_str().into(),
        ..super::history::written(counts)
    })
}

#[cfg(test)]
mod tests;
