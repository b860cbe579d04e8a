//! How edges are told on one connection to the control plane (`decisions/0067`): by names until that was acknowledged, then by a number that stands for them there.
//! It never knows when something is told.

use std::collections::BTreeMap;
use telemetry::{EdgeId, EdgeTotals};
use tonic::{Code, Status, transport::Channel};
use wire::grpc::TelemetryClient;
use wire::limits::EDGE_NUMBERS;
use wire::v1;

/// Made anew with each connection. A number means the same edge as long as that lives: a report that was given up may be read after the one that followed it.
#[derive(Debug, Default)]
pub(super) struct Names {
    numbers: BTreeMap<EdgeId, Number>,
    /// A control plane of before numbers has no call for them.
    only_names: bool,
}

#[derive(Debug)]
struct Number {
    number: u32,
    /// Whether the other end said that it has it.
    is_known: bool,
}

impl Names {
    /// Tells a report with these edges, which it has not.
    pub async fn tell(
        &mut self,
        client: &mut TelemetryClient<Channel>,
        report: &v1::ReportRequest,
        edges: &[(EdgeId, EdgeTotals)],
    ) -> Result<v1::ReportReply, Status> {
        loop {
            let told = edges.iter().map(|(id, totals)| wire::edge::encode(&self.edge(id, totals))).collect();
            let told = v1::ReportRequest { edges: told, ..report.clone() };
            let numbered = !self.only_names;
            let answer = if numbered { client.report_numbered(told).await } else { client.report(told).await };
            match answer {
                Ok(reply) => {
                    self.heard(edges);
                    return Ok(reply.into_inner());
                }
                Err(status) if numbered && status.code() == Code::Unimplemented => self.only_names = true,
                // The connection was made anew underneath, and the other end is another.
                Err(status) if status.code() == Code::FailedPrecondition && self.forget() => {}
                Err(status) => return Err(status),
            }
        }
    }

    fn edge(&mut self, id: &EdgeId, totals: &EdgeTotals) -> v1::Edge {
        let counted = counted(totals);
        let number = if self.only_names { None } else { self.number(id) };
        match number {
            None => named(id, counted),
            Some(Number { number, is_known: false }) => named(id, v1::Edge { number: *number, ..counted }),
            Some(Number { number, is_known: true }) => v1::Edge { number: *number, ..counted },
        }
    }

    /// What it is called, where there is a number left for it.
    fn number(&mut self, id: &EdgeId) -> Option<&Number> {
        if !self.numbers.contains_key(id) && self.numbers.len() < EDGE_NUMBERS {
            let number = Number { number: self.numbers.len() as u32 + 1, is_known: false };
            self.numbers.insert(id.clone(), number);
        }
        self.numbers.get(id)
    }

    fn heard(&mut self, edges: &[(EdgeId, EdgeTotals)]) {
        for (id, _) in edges {
            if let Some(number) = self.numbers.get_mut(id) {
                number.is_known = true;
            }
        }
    }

    /// All is named once more. Says whether anything was not.
    fn forget(&mut self) -> bool {
        let mut any = false;
        for number in self.numbers.values_mut() {
            any |= std::mem::take(&mut number.is_known);
        }
        any
    }
}

fn named(id: &EdgeId, counted: v1::Edge) -> v1::Edge {
    v1::Edge {
        reporter: id.reporter.as_str().to_owned(),
        source_namespace: id.source_namespace.to_string(),
        source_workload: id.source_workload.to_string(),
        source_version: id.source_version.to_string(),
        service_namespace: id.service_namespace.to_string(),
        service: id.service.to_string(),
        destination_namespace: id.destination_namespace.to_string(),
        destination_workload: id.destination_workload.to_string(),
        destination_version: id.destination_version.to_string(),
        protocol: id.protocol.as_str().to_owned(),
        security: id.security.as_str().to_owned(),
        ..counted
    }
}

/// Without what it is called.
fn counted(totals: &EdgeTotals) -> v1::Edge {
    let (latency_cells, latency_counts) = totals.latency.sparse().unzip();
    v1::Edge {
        opened: totals.opened,
        requests: totals.requests,
        failures: totals.failures,
        client_errors: totals.client_errors,
        denied: totals.denied,
        faults: totals.faults,
        retries: totals.retries,
        request_bytes: totals.request_bytes,
        response_bytes: totals.response_bytes,
        latency_cells,
        latency_counts,
        ..v1::Edge::default()
    }
}

#[cfg(test)]
mod tests;
