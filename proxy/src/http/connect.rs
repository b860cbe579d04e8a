//! CONNECT at the proxy listener of a workload: how `https_proxy` and anything opaque leave. To a service that speaks HTTP the tunnel is read;
//! everything else is carried unread.

use super::down::{Downstream, Sink, Source};
use super::{After, Client, Ingress, Stop, plan};
use crate::l4;
use crate::worker::Worker;
use model::{Fault, RequestHead, ResponseHead};
use std::rc::Rc;
use telemetry::{Outcome, Protocol, Record};
use transport::body::Length;
use transport::h1::{Framing, Writer};

/// Opens the tunnel, and stays with it until it ends.
pub async fn request(
    worker: &Rc<Worker>,
    down: &mut Downstream<'_>,
    head: &RequestHead,
    client: &Client,
    record: &mut Record,
) -> Result<After, Stop> {
    if !matches!(client.ingress, Ingress::ExplicitProxy { .. }) {
        return Err(no_tunnel());
    }
    let (Source::H1 { reader, framing: Framing::None }, Sink::H1(writer)) = (&mut down.from, &mut down.to) else {
        return Err(Stop::new(Fault::MalformedRequest, "CONNECT comes by HTTP/1 and without a body"));
    };
    let port = head.port().ok_or_else(|| Stop::new(Fault::MalformedRequest, "CONNECT without a port"))?;
    plan::resolve(worker, head.host()).await?;
    let snapshot = worker.snapshot();
    record.generation = snapshot.generation;
    let service = snapshot.table.service_by_host(head.host(), &worker.shared.me.namespace).map(|s| s.key.clone());
    if let Some(key) = &service
        && l4::is_read(&snapshot, key, port)
    {
        established(writer, head).await?;
        record.status = 200;
        record.outcome = Outcome::Answered(200);
        return Ok(After::Switch { service: key.clone(), port });
    }
    let up = match &service {
        Some(key) => l4::to_service(worker, &snapshot, key, port, record).await?,
        None => l4::to_outside(worker, head.host(), port, record).await?,
    };
    established(writer, head).await?;
    record.protocol = Protocol::Tcp;
    l4::carry(worker, reader, writer, up, record).await.map_err(|stop| Stop { begun: true, ..stop })?;
    Ok(After::Close)
}

pub fn no_tunnel() -> Stop {
    Stop::new(Fault::MalformedRequest, "CONNECT is answered by the proxy listener of a workload alone")
}

async fn established(writer: &mut Writer, head: &RequestHead) -> Result<(), Stop> {
    let mut answer = ResponseHead::with_status(200);
    answer.reason.push_str("Connection established");
    let mut keep = false;
    // An answer to CONNECT has no body, whatever its fields say (RFC 9110, section 9.3.6).
    let mut body = writer.response(&mut answer, Length::None, &model::Method::Head, head.version, &mut keep, None);
    body.flush().await.map_err(Stop::from)
}
