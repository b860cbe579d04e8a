//! One question of the proxy's own to a backend, and its answer: by the ways that requests go, with what policies, endpoints and identities say of it.
//! Who asks (an authorizer's question, spans for a collector) is not known here.

use crate::http::Load;
use crate::http::exchange::{self, Asked};
use crate::pick::{self, Called};
use crate::snapshot::Snapshot;
use crate::upstream::UpstreamKey;
use crate::worker::Worker;
use model::backend::ExternalName;
use model::{AppProtocol, Backend, Fault, RequestHead};
use routing::eject::Ended;
use std::net::SocketAddr;
use std::rc::Rc;
use transport::body::Incoming;
use transport::preface::Framing;
use transport::{Error, rt};

/// `keep`: so many bytes of the answer's body are read. HTTP/2 is spoken where it is asked for, or where the port says so.
pub async fn asked<'b>(
    worker: &Rc<Worker>,
    snapshot: &Snapshot,
    backend: &Backend,
    (keep, http2): (usize, bool),
    head: impl Fn() -> RequestHead,
    body: impl Fn() -> Incoming<'b>,
) -> Result<Asked, Error> {
    let to = match backend {
        Backend::Service(to) => to,
        Backend::External(host) => {
            let http2 = http2 || matches!(host.protocol, AppProtocol::Http2 | AppProtocol::Grpc);
            let key = worker.external(snapshot, host, framing(http2)).await?;
            return exchange::asked(worker, key, keep, head, body).await;
        }
        Backend::Invalid { message, .. } => return Err(Error::new(Fault::InvalidBackend, message.to_string())),
    };
    let called =
        Called::to(snapshot, to).ok_or_else(|| Error::new(Fault::NoSuchService, format!("service {} is not known here", to.service)))?;
    let picked = worker.pick(snapshot, &called, to, pick::Tried::default(), None);
    let picked = picked.map_err(|_| Error::new(Fault::NoEndpoint, pick::no_endpoint(snapshot, to)))?;
    let http2 = http2 || called.service.port(to.port).is_some_and(|p| matches!(p.protocol, AppProtocol::Http2 | AppProtocol::Grpc));
    let key = UpstreamKey::endpoint(snapshot, called.service, picked.endpoint, to.port, framing(http2))?;
    let key = key.counted(picked.counted()).told(called.service, to.port, None);
    // Whatever becomes of it, the balancer is told.
    let mut load = Load { worker, picked: Some(picked), since: rt::now(), ended: Ended::Cancelled };
    let asked = exchange::asked(worker, key, keep, head, body).await;
    load.ended = match &asked {
        Ok(asked) => Ended::answered(asked.status, asked.grpc_status),
        Err(error) => Ended::of_failure(error.fault),
    };
    asked
}

fn framing(http2: bool) -> Framing {
    if http2 { Framing::Http2 } else { Framing::Http1 }
}

/// What a backend is called in the authority of such a question.
pub fn authority(backend: &Backend) -> String {
    match backend {
        Backend::Service(to) => format!("{}.{}:{}", to.service.name, to.service.namespace, to.port),
        Backend::External(host) => match &host.host {
            ExternalName::Dns(name) => format!("{name}:{}", host.port),
            ExternalName::Address(address) => SocketAddr::new(*address, host.port).to_string(),
        },
        Backend::Invalid { .. } => String::new(),
    }
}
