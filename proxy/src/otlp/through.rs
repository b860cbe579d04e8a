//! One request to a collector that is a backend of the mesh or a host outside that it knows: it goes the way that requests go.

use super::words::{self, Sender};
use crate::worker::Worker;
use crate::{called, limits, parts};
use bytes::Bytes;
use model::telemetry::{CollectorProtocol, Exporter};
use model::{Method, RequestHead, Scheme, Version};
use std::rc::Rc;
use transport::body::Incoming;
use wire::otlp;

/// How many of the spans the collector refused.
pub(super) async fn send(to: &Exporter, worker: &Rc<Worker>, sender: &Sender, lines: &[String]) -> Result<u64, String> {
    let spans = parts::of_lines(lines, |line| words::spans_of(line, &to.words)).await;
    let request = words::traces(spans, sender, &to.words);
    let grpc = to.protocol == CollectorProtocol::Grpc;
    let message = if grpc { otlp::framed(&request) } else { Bytes::from(otlp::bytes(&request)) };
    let (snapshot, body) = (worker.snapshot(), || Incoming::Held(Some(message.clone())));
    let asked = called::asked(worker, &snapshot, &to.backend, (limits::OTLP_ANSWER, grpc), || head(to), body).await;
    let asked = asked.map_err(|error| format!("{}, {}", error.fault.label(), error.why))?;
    let answer = match (asked.status, asked.grpc_status) {
        (200, Some(0)) if grpc => otlp::unframed(&asked.body)?,
        (200, Some(status)) if grpc => return Err(format!("it answered gRPC status {status}")),
        (200, None) if grpc => return Err("it answered without a gRPC status".to_owned()),
        (200, _) => otlp::read(&asked.body)?,
        (status, _) => return Err(format!("it answered {status}")),
    };
    Ok(super::send::refused(&answer))
}

fn head(to: &Exporter) -> RequestHead {
    let mut head = RequestHead::default();
    (head.method, head.scheme) = (Method::Post, Scheme::Http);
    head.set_authority(&called::authority(&to.backend));
    match to.protocol {
        CollectorProtocol::Grpc => {
            head.version = Version::Http2;
            head.set_target(otlp::TRACES);
            head.headers.push("content-type", b"application/grpc");
            head.headers.push("te", b"trailers");
        }
        CollectorProtocol::Http => {
            head.set_target("/v1/traces");
            head.headers.push("content-type", b"application/x-protobuf");
        }
    }
    head.headers.push("user-agent", concat!("organza/", env!("CARGO_PKG_VERSION")).as_bytes());
    for (name, value) in &to.headers {
        head.headers.set(name, value.0.as_bytes());
    }
    head
}
