//! Label sets without the labels that are left out: where all that is told of a field is left out, its value is nothing, so that what differed in it
//! alone is the same.

use super::series::Ending;
use super::{Pair, Protocol, Security};
use crate::{Destination, Peer};
use model::telemetry::Labels;
use std::sync::Arc;

pub(super) fn pair(dropped: Labels, pair: &Pair) -> Pair {
    if dropped.is_empty() {
        return Pair { sent: true, ..pair.clone() };
    }
    let service = pair.service.as_ref().map(|service| {
        let keep = |label, value: &Arc<str>| kept(dropped, &[label], value);
        Arc::new(Destination {
            host: keep("destination_service", &service.host),
            name: keep("destination_service_name", &service.name),
            namespace: keep("destination_service_namespace", &service.namespace),
        })
    });
    let protocol = match pair.protocol {
        // Bytes are other families, whatever they are called.
        Protocol::Grpc if dropped.has("request_protocol") => Protocol::Http,
        Protocol::Udp if dropped.has("request_protocol") => Protocol::Tcp,
        protocol => protocol,
    };
    Pair {
        reporter: pair.reporter,
        source: peer(dropped, "source", &pair.source),
        destination: peer(dropped, "destination", &pair.destination),
        service,
        protocol,
        security: if dropped.has("connection_security_policy") { Security::Plain } else { pair.security },
        // No label tells it.
        sent: true,
    }
}

fn peer(dropped: Labels, side: &str, peer: &Arc<Peer>) -> Arc<Peer> {
    let keep = |labels: &[&str], value: &Arc<str>| {
        let labels: Vec<String> = labels.iter().map(|label| format!("{side}_{label}")).collect();
        kept(dropped, &labels.iter().map(String::as_str).collect::<Vec<_>>(), value)
    };
    Arc::new(Peer {
        workload: keep(&["workload"], &peer.workload),
        namespace: keep(&["workload_namespace"], &peer.namespace),
        principal: keep(&["principal"], &peer.principal),
        app: keep(&["app", "canonical_service"], &peer.app),
        version: keep(&["version", "canonical_revision"], &peer.version),
        cluster: keep(&["cluster"], &peer.cluster),
    })
}

/// A value that these labels tell, unless all of them are left out.
fn kept(dropped: Labels, labels: &[&str], value: &Arc<str>) -> Arc<str> {
    match labels.iter().all(|label| dropped.has(label)) {
        true => "".into(),
        false => value.clone(),
    }
}

pub(super) fn ending(dropped: Labels, ending: Ending) -> Ending {
    Ending {
        status: if dropped.has("response_code") { 0 } else { ending.status },
        grpc: ending.grpc.filter(|_| !dropped.has("grpc_response_status")),
        flags: if dropped.has("response_flags") { "" } else { ending.flags },
    }
}
