//! Answers that Organza makes itself. Members of the mesh read why in `Proxy-Status` and the body; strangers read the name and the error type.

use super::down::Sink;
use super::{Client, Ingress, Stop, mark};
use crate::limits;
use crate::snapshot::Snapshot;
use crate::worker::Worker;
use bytes::Bytes;
use model::access::ExplainDenials;
use model::{Fault, Method, RequestHead, ResponseHead, Version};
use telemetry::{Record, proxy_status};
use transport::body::{Incoming, Length, pump};

/// What is told of why there is no other answer.
pub struct Refusal<'r> {
    pub fault: Fault,
    /// For whom may know.
    pub why: Option<&'r str>,
    pub fields: &'r [(&'static str, Box<str>)],
}

/// Says that it went wrong, and why, in the caller's own protocol. A caller that is gone hears nothing.
pub async fn refusal(worker: &Worker, to: &mut Sink<'_>, client: &Client, head: &RequestHead, refusal: &Refusal<'_>, close: &mut bool) {
    let Refusal { fault, why, fields } = *refusal;
    let status = proxy_status(name(worker, client), fault, why);
    let mut answer = ResponseHead::with_status(fault.http_status());
    let mut body = Bytes::new();
    if head.is_grpc() {
        // gRPC reads its status from trailers, which may come with the head (gRPC over HTTP/2, "Trailers-Only").
        answer.status = 200;
        answer.headers.push("content-type", b"application/grpc");
        answer.headers.push("grpc-status", fault.grpc_status().to_string().as_bytes());
        answer.headers.push("grpc-message", percent_encoded(why.unwrap_or(fault.label())).as_bytes());
    } else {
        let text = why.map_or_else(|| format!("{}\n", fault.label()), |why| format!("{}: {why}\n", fault.label()));
        answer.headers.push("content-type", b"text/plain; charset=utf-8");
        body = Bytes::from(text);
    }
    answer.headers.push("proxy-status", status.as_bytes());
    if matches!(client.ingress, Ingress::Inbound { .. }) {
        mark::put(&mut answer, fault);
    }
    if fault == Fault::ProxyAuthenticationRequired {
        answer.headers.push("proxy-authenticate", b"Basic realm=\"organza\"");
    }
    fields.iter().for_each(|(name, value)| answer.headers.push(name, value.as_bytes()));
    if matches!(fault, Fault::Draining | Fault::Overloaded | Fault::Overflow) {
        answer.headers.push("retry-after", b"1");
    }
    // A caller that has gone away is no one's loss.
    let _ = whole(to, &mut answer, body, head, close).await;
}

/// Says of an answer in place of the application whose doing it is, and of a denial no more than settings have callers told.
pub fn by_another(worker: &Worker, snapshot: &Snapshot, client: &Client, mut stop: Stop) -> Stop {
    let settings = snapshot.access.engine().settings(&worker.shared.me.namespace);
    let is_denial = stop.fault == Fault::AccessDenied;
    stop.secret |= is_denial && settings.is_some_and(|settings| settings.explain_denials == ExplainDenials::Never);
    let told = Some(&*stop.why).filter(|_| client.is_member() && !stop.secret);
    if let Some((answer, _)) = stop.instead.as_deref_mut() {
        answer.headers.set("proxy-status", proxy_status(name(worker, client), stop.fault, told).as_bytes());
    }
    stop
}

/// What this proxy is called before this caller.
fn name<'n>(worker: &'n Worker, client: &Client) -> &'n str {
    if client.is_member() { worker.shared.me.name.as_str() } else { "organza" }
}

/// Passes on what an authorizer answers in place of the application. gRPC reads no other status than its own.
pub async fn instead(
    to: &mut Sink<'_>,
    head: &RequestHead,
    (mut answer, mut body): (ResponseHead, Bytes),
    record: &mut Record,
    close: &mut bool,
) {
    record.status = answer.status;
    if head.is_grpc() {
        let status = grpc_status(answer.status);
        let message = percent_encoded(beginning(&body));
        answer.headers.remove("content-type");
        answer.headers.push("content-type", b"application/grpc");
        answer.headers.set("grpc-status", status.to_string().as_bytes());
        answer.headers.set("grpc-message", message.as_bytes());
        (answer.status, body) = (200, Bytes::new());
        (record.status, record.grpc_status) = (200, Some(status));
    }
    // Not marked as ours: it is for the caller, wherever he is.
    // A caller that has gone away is no one's loss.
    let _ = whole(to, &mut answer, body, head, close).await;
}

/// What of a page fits into a head.
fn beginning(page: &[u8]) -> &str {
    let text = std::str::from_utf8(page).unwrap_or_default().trim();
    &text[..text.floor_char_boundary(limits::GRPC_MESSAGE_BYTES)]
}

/// As gRPC maps statuses of HTTP, and 404 and 429 by what they mean.
fn grpc_status(http: u16) -> u8 {
    match http {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502..=504 => 14,
        _ => 2,
    }
}

/// An answer with a body that is at hand.
pub async fn whole(
    to: &mut Sink<'_>,
    answer: &mut ResponseHead,
    body: Bytes,
    head: &RequestHead,
    close: &mut bool,
) -> Result<(), transport::Error> {
    let version = if head.authority().is_empty() && head.target().is_empty() { Version::Http11 } else { head.version };
    let length = Length::Known(body.len() as u64);
    let mut to = to.respond(answer, length, &head.method, version, close, None)?;
    let mut body = if head.method == Method::Head { Incoming::Empty } else { Incoming::Held(Some(body)) };
    pump(&mut body, &mut to, &mut 0).await.map(|_| ()).map_err(|(_, e)| e)
}

/// As gRPC has it for `grpc-message`: printable ASCII stays, all else is percent-encoded.
fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for b in text.bytes() {
        match b {
            b' '..=b'~' if b != b'%' => out.push(char::from(b)),
            _ => out.push_str(&format!("%{b:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests;
