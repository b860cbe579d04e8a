//! Where a request is to go: decided by the table for gateways and callers, fixed for what another proxy sends to the application behind this one.

use super::{Client, Ingress, Secured, Stop};
use crate::snapshot::Snapshot;
use crate::worker::Worker;
use model::{Applied, Fault, Hostname, Key, Listener, Normalisation, RequestHead, Service};
use routing::{Caller, Decision, Entry, Refusal, SplitBackend};
use std::net::SocketAddr;
use std::sync::Arc;
use telemetry::{Decided, Record, Tell, Way};

const UNVOUCHED: &str = "the connection is older than the listener's demand for certificates: open another";

/// What the table said, or what needs no table.
pub enum Plan<'t> {
    /// By a route; the service that was dialled, where one was.
    Routed { decision: Decision<'t>, dialled: Option<&'t Arc<Service>> },
    /// To the application behind this proxy.
    Application { address: SocketAddr, service: Option<&'t Arc<Service>> },
    /// To a host that the mesh does not know, as it is.
    Outside { host: model::backend::ExternalName, port: u16 },
}

impl Plan<'_> {
    /// The route that decided.
    pub fn route(&self) -> Option<&Key> {
        match self {
            Self::Routed { decision, .. } => Some(&decision.route().key),
            Self::Application { .. } | Self::Outside { .. } => None,
        }
    }

    /// The service that is called, as the caller named it.
    pub fn service(&self) -> Option<&Key> {
        match self {
            Self::Routed { dialled, .. } => dialled.map(|service| &service.key),
            Self::Application { service, .. } => service.map(|service| &service.key),
            Self::Outside { .. } => None,
        }
    }
}

/// The decision as the record holds it.
pub fn way(decision: &Decision<'_>) -> Way {
    let (rule, matched) = (decision.rule_index(), decision.match_index());
    Way::Routed(Decided { route: decision.route().clone(), rule, matched, backend: None, applied: Applied::default() })
}

/// A backend that can be sent to, the one that a session is with or one drawn by weight, noted in the record also where it then refuses.
pub fn draw<'t>(decision: &Decision<'t>, record: &mut Record, led: Option<&'t SplitBackend>, draw: u32) -> Result<&'t SplitBackend, Stop> {
    let backend = led.map_or_else(|| decision.draw(draw), Ok).map_err(|r| refused(&r))?;
    if let Some(decided) = record.decided_mut() {
        decided.backend = Some(backend.index);
    }
    decision.usable(backend).map_err(|r| refused(&r))?;
    Ok(backend)
}

/// The listener whose request it is, at a gateway.
pub fn listener<'t>(snapshot: &'t Snapshot, client: &Client, head: &RequestHead) -> Result<Option<&'t Arc<Listener>>, Stop> {
    let Ingress::Gateway { gateway, port, tls } = &client.ingress else { return Ok(None) };
    let sni = tls.as_ref().map(|tls| tls.sni.as_deref());
    let listener = snapshot.table.gateway_listener(gateway, *port, sni, head.host()).map_err(|r| refused(&r))?;
    // On another connection the client may show another certificate.
    let again = |stop| Stop { fault: Fault::MisdirectedRequest, ..stop };
    vouched(listener, tls.as_ref()).map_err(again)?;
    Ok(Some(listener))
}

/// # Errors
/// If the listener demands certificates of its clients, and what this connection showed is none that it believes.
pub fn vouched(listener: &Listener, tls: Option<&Secured>) -> Result<(), Stop> {
    let Some(roots) = listener.roots_of_clients() else { return Ok(()) };
    let stop = match tls.and_then(|tls| tls.vouched.as_ref()) {
        None => Stop::new(Fault::MisdirectedRequest, UNVOUCHED),
        Some(shown) => match shown.still(roots) {
            Ok(()) => return Ok(()),
            Err(stop) => stop,
        },
    };
    Err(Stop { by: Some(Arc::from(listener.origin.object.to_string())), ..stop })
}

/// How far the path is made regular: as the gateway's listener has it, else as the service that is called, so that both ends of a hop read the same
/// path. Of a host outside nobody here reads it.
pub fn level(snapshot: &Snapshot, namespace: &str, client: &Client, listener: Option<&Arc<Listener>>, head: &RequestHead) -> Normalisation {
    let table = &snapshot.table;
    let service = match (&client.ingress, listener) {
        (_, Some(listener)) => return listener.normalisation,
        (Ingress::Gateway { .. }, None) => None,
        (Ingress::Service { service, .. } | Ingress::Inbound { service, .. }, None) => table.service(service),
        (Ingress::ExplicitProxy { .. }, None) => table.service_by_host(head.host(), namespace),
    };
    service.map_or_else(Normalisation::default, |service| service.normalisation)
}

pub fn refused(refusal: &Refusal<'_>) -> Stop {
    let by = refusal.origin.map(|origin| Arc::from(origin.object.to_string()));
    Stop { by, ..Stop::new(refusal.fault, refusal.reason.to_string()) }
}

/// Decides against this snapshot; `listener` is the one of [`listener`]. The name of a service that is not in it was asked for before ([`known`]).
pub fn decide<'t>(
    snapshot: &'t Snapshot,
    namespace: &str,
    client: &Client,
    listener: Option<&Arc<Listener>>,
    head: &RequestHead,
) -> Result<Plan<'t>, Stop> {
    let table = &snapshot.table;
    if let Some(listener) = listener {
        let decision = table.listener_route(listener, head).map_err(|r| refused(&r))?;
        return Ok(Plan::Routed { decision, dialled: None });
    }
    match &client.ingress {
        Ingress::Gateway { .. } => Err(Stop::new(Fault::Internal, "a request at a gateway was planned without its listener")),
        Ingress::Service { service, port } => to_service(snapshot, service, *port, namespace, head),
        Ingress::ExplicitProxy { .. } => {
            let port = head.port().unwrap_or(head.scheme.default_port());
            match table.service_by_host(head.host(), namespace) {
                Some(service) => to_service(snapshot, &service.key, port, namespace, head),
                None => outside(head.host(), port),
            }
        }
        Ingress::Inbound { service, application, .. } => Ok(Plan::Application { address: *application, service: table.service(service) }),
    }
}

fn to_service<'t>(snapshot: &'t Snapshot, key: &Key, port: u16, namespace: &str, head: &RequestHead) -> Result<Plan<'t>, Stop> {
    let entry = Entry::Service { service: key.clone(), port };
    let decision = snapshot.table.route(&entry, head, &Caller::in_namespace(namespace)).map_err(|r| refused(&r))?;
    Ok(Plan::Routed { decision, dialled: snapshot.table.service(key) })
}

fn outside<'t>(host: &str, port: u16) -> Result<Plan<'t>, Stop> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let host = match bare.parse() {
        Ok(address) => model::backend::ExternalName::Address(address),
        Err(_) => {
            let name = Hostname::parse(host).map_err(|e| Stop::new(Fault::NoSuchService, format!("host {host:?} {e}")))?;
            model::backend::ExternalName::Dns(name)
        }
    };
    Ok(Plan::Outside { host, port })
}

/// What is told of a request whose token stopped it, as its route has it: what that redacts holds of a refusal too. `None` where there is no route.
pub fn tell_of_stopped(
    snapshot: &Snapshot,
    namespace: &str,
    client: &Client,
    listener: Option<&Arc<Listener>>,
    head: &RequestHead,
) -> Option<Tell> {
    let plan = decide(snapshot, namespace, client, listener, head).ok()?;
    snapshot.telling.of(plan.route(), plan.service(), head).0
}

/// Makes sure that the control plane was asked what `head` calls, the first time that it is called.
pub async fn known(worker: &Worker, client: &Client, head: &RequestHead) -> Result<(), Stop> {
    if !matches!(client.ingress, Ingress::ExplicitProxy { .. }) {
        return Ok(());
    }
    resolve(worker, head.host()).await
}

/// Asks the rim for a host unless the table has it already. A host that is no service is no failure: it lies outside.
pub async fn resolve(worker: &Worker, host: &str) -> Result<(), Stop> {
    let namespace = &worker.shared.me.namespace;
    let is_address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>().is_ok();
    if is_address || worker.shared.snapshot.load().table.service_by_host(host, namespace).is_some() {
        return Ok(());
    }
    match worker.shared.resolver.resolve(&host.to_ascii_lowercase(), namespace).await {
        Ok(_) | Err(Fault::NoSuchService) => Ok(()),
        Err(fault) => Err(Stop::new(fault, format!("{host} was never used before, and the control plane cannot be asked now"))),
    }
}
