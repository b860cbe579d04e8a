//! One health check of one endpoint: a request by HTTP, a call of `grpc.health.v1`, or a connection that opens and perhaps answers. What comes of it
//! is said in words, since people read why an endpoint is left out.

use crate::http::exchange;
use crate::limits;
use crate::upstream::{UpstreamKey, welcome};
use crate::worker::Worker;
use model::health::Probe;
use model::{AppProtocol, Blame, Endpoint, Fault, HealthCheck, Method, RequestHead, Scheme, Service};
use routing::health::Outcome;
use std::rc::Rc;
use std::time::Instant;
use transport::body::Incoming;
use transport::preface::Framing;
use transport::{Error, rt};
use wire::health::Serving;

/// What a check says of the endpoint, in words: `Ok` where the answer was good, `Err` what was wrong with it.
type Answered = Result<Result<String, String>, Error>;

pub async fn ask(worker: &Rc<Worker>, service: &Service, endpoint: &Endpoint, port: u16, check: &HealthCheck) -> Outcome {
    let told = named(&check.probe);
    let asked = async {
        match &check.probe {
            Probe::Http { method, path, hostname, expected } => {
                let http2 = service.port(port).is_some_and(|p| matches!(p.protocol, AppProtocol::Http2 | AppProtocol::Grpc));
                let framing = if http2 { Framing::Http2 } else { Framing::Http1 };
                let key = UpstreamKey::endpoint(&worker.snapshot(), service, endpoint, port, framing)?.told(service, port, None);
                let head = || request(method.clone(), path, hostname.as_deref(), service);
                http(worker, key, head, expected).await
            }
            Probe::Grpc { service: asked } => {
                let key = UpstreamKey::endpoint(&worker.snapshot(), service, endpoint, port, Framing::Http2)?.told(service, port, None);
                grpc(worker, key, || request(Method::Post, wire::health::CHECK, None, service), asked).await
            }
            Probe::Tcp { send, receive } => {
                let key = UpstreamKey::endpoint(&worker.snapshot(), service, endpoint, port, Framing::Tcp)?.told(service, port, None);
                tcp(worker, key, send, receive).await
            }
        }
    };
    let began = rt::now();
    match rt::timeout(check.timeout, asked).await {
        Some(Ok(Ok(what))) => Outcome::Passed(format!("{told} {what} in {}", took(began)).into()),
        Some(Ok(Err(why))) => Outcome::Failed(format!("{told} {why}").into()),
        // What is our own doing says nothing of the endpoint.
        Some(Err(error)) if error.fault.blame() != Blame::Upstream => Outcome::Unknown,
        Some(Err(error)) => Outcome::Failed(format!("{told}: {}, {}", error.fault.label(), error.why).into()),
        None => Outcome::Failed(format!("{told} had no answer within {:?}", check.timeout).into()),
    }
}

/// To the tenth of a millisecond.
fn took(began: Instant) -> String {
    format!("{:.1} ms", rt::now().saturating_duration_since(began).as_secs_f64() * 1e3)
}

fn named(probe: &Probe) -> String {
    match probe {
        Probe::Http { method, path, .. } => format!("{} {path}", method.as_str()),
        Probe::Grpc { service } if service.is_empty() => "gRPC health".into(),
        Probe::Grpc { service } => format!("gRPC health of {service}"),
        Probe::Tcp { .. } => "TCP".into(),
    }
}

fn request(method: Method, target: &str, hostname: Option<&str>, service: &Service) -> RequestHead {
    let mut head = RequestHead::default();
    (head.method, head.scheme) = (method, Scheme::Http);
    head.set_target(target);
    head.set_authority(hostname.or(service.hostnames.last().map(|name| name.as_str())).unwrap_or(&service.key.name));
    head.headers.push("User-Agent", concat!("organza-health-check/", env!("CARGO_PKG_VERSION")).as_bytes());
    head
}

async fn http(worker: &Rc<Worker>, key: UpstreamKey, head: impl Fn() -> RequestHead, expected: &[u16]) -> Answered {
    let asked = exchange::asked(worker, key, limits::CHECK_BYTES, head, || Incoming::Empty).await?;
    Ok(match expected.contains(&asked.status) {
        true => Ok(format!("answered {}", asked.status)),
        false => Err(format!("answered {}", asked.status)),
    })
}

async fn grpc(worker: &Rc<Worker>, key: UpstreamKey, head: impl Fn() -> RequestHead, service: &str) -> Answered {
    let head = || {
        let mut head = head();
        head.headers.push("Content-Type", b"application/grpc");
        head.headers.push("TE", b"trailers");
        head
    };
    let body = || Incoming::Held(Some(wire::health::question(service)));
    let asked = exchange::asked(worker, key, limits::CHECK_BYTES, head, body).await?;
    Ok(match (asked.status, asked.grpc_status, wire::health::answer(&asked.body)) {
        (200, Some(0), Some(serving @ Serving::Serving)) => Ok(format!("answered {}", serving.as_str())),
        (200, Some(0), Some(other)) => Err(format!("answered {}", other.as_str())),
        (200, Some(0), None) => Err("answered what is no health".into()),
        (200, Some(status), _) => Err(format!("answered gRPC status {status}")),
        (200, None, _) => Err("answered without a gRPC status".into()),
        (status, ..) => Err(format!("answered {status}")),
    })
}

async fn tcp(worker: &Rc<Worker>, key: UpstreamKey, send: &[u8], receive: &[u8]) -> Answered {
    let mut up = worker.connect(&key, true).await?;
    let broken = |e: std::io::Error| Error::new(Fault::UpstreamReset, e.to_string());
    let connection = &mut up.pooled.connection;
    connection.writer.flush().await.map_err(broken)?;
    if up.owes_welcome {
        // The proxy at the other end says so once it has reached the application.
        welcome(&mut connection.reader).await?;
    }
    if !send.is_empty() {
        connection.writer.send_half().send(send, &[]).await.map_err(broken)?;
    }
    while !receive.is_empty() {
        let read = connection.reader.so_far();
        if read.windows(receive.len()).any(|part| part == receive) {
            break;
        }
        if read.len() >= limits::CHECK_BYTES {
            return Ok(Err(format!("sent {} bytes without what is awaited", read.len())));
        }
        if !connection.reader.more().await.map_err(broken)? {
            return Ok(Err("closed before it sent what is awaited".into()));
        }
    }
    Ok(Ok(if receive.is_empty() { "opened" } else { "sent what is awaited" }.to_owned()))
}

#[cfg(test)]
mod tests;
