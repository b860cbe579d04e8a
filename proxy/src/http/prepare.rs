//! What happens to every request before it is routed: what belongs to one hop ends here, what says where it came from is taken from those who
//! may say it only, and the path is made regular.

use super::{Client, Ingress, Stop};
use crate::limits;
use crate::snapshot::Snapshot;
use crate::worker::Worker;
use model::telemetry::Parents;
use model::{Fault, Method, Normalisation, RequestHead, Scheme, TrustedProxies};
use routing::{Behind, Origin};
use std::borrow::Cow;
use std::net::IpAddr;
use telemetry::headers::Head;
use telemetry::trace::carrier;
use telemetry::{Record, Reporter, Sampling, Trace, TraceContext, write_hex};
use transport::h1::{Hop, strip_hop_by_hop};

/// Prepares the head, and says what was meant for this hop.
pub fn request(worker: &Worker, client: &Client, head: &mut RequestHead) -> Result<Hop, Stop> {
    if let Ingress::ExplicitProxy { authorization } = &client.ingress {
        check_secret(head, authorization)?;
    }
    let mut hop = end_hop(head, client.is_member())?;
    if head.method == Method::Connect
        && let Some(protocol) = head.protocol.take()
    {
        upgrade(worker, head, &mut hop, &protocol);
    }
    Ok(hop)
}

/// Says where the request comes from: at gateways as the connection and trusted proxies have it, whatever strangers say of themselves. There also by what
/// scheme and port the client called.
pub fn origin(
    worker: &Worker,
    client: &Client,
    trusted: Option<&TrustedProxies>,
    head: &mut RequestHead,
    record: &mut Record,
) -> (Behind, Option<(Scheme, u16)>) {
    let Ingress::Gateway { tls, port, .. } = &client.ingress else {
        identify(worker, client.is_member(), head, record);
        return (Behind::Peer, None);
    };
    let origin = match (trusted, client.address) {
        (Some(trusted), Some(peer)) => routing::origin::read(trusted, peer.ip(), &head.headers),
        _ => Origin::default(),
    };
    forget_origin(head, tls.is_some(), &origin);
    if let Some(address) = client.address {
        let text = client.forwarded_for.get_or_init(|| address.ip().to_canonical().to_string().into());
        match &origin.behind {
            Behind::Peer => head.headers.set("X-Forwarded-For", text.as_bytes()),
            behind => head.headers.set("X-Forwarded-For", chain(*behind, &origin.between, text).as_bytes()),
        }
    }
    if let Behind::Client(address) = origin.behind {
        record.client = Some(address);
    }
    identify(worker, origin.believed, head, record);
    let scheme = if tls.is_some() { Scheme::Https } else { Scheme::Http };
    (origin.behind, Some(origin.called(scheme, *port)))
}

/// The client, the proxies between, and whoever connects.
fn chain(behind: Behind, between: &[IpAddr], peer: &str) -> String {
    let client = if let Behind::Client(client) = behind { client.to_string() } else { "unknown".to_owned() };
    let between = between.iter().map(ToString::to_string);
    std::iter::once(client).chain(between).chain([peer.to_owned()]).collect::<Vec<_>>().join(", ")
}

/// Takes out what belongs to the hop that ends here, and refuses what nobody shall ask for.
pub fn end_hop(head: &mut RequestHead, is_member: bool) -> Result<Hop, Stop> {
    let mut hop = strip_hop_by_hop(&mut head.headers, head.version);
    // HTTP/2 by upgrade is a thing of the past, and ignoring it is allowed (RFC 9113, section 3.1).
    // One protocol is asked for or none: a list would let `h2c` hide behind another name.
    hop.upgrade.take_if(|protocol| protocol.contains(',') || protocol.trim().eq_ignore_ascii_case("h2c"));
    head.headers.remove("http2-settings");
    if head.headers.get("expect").is_some_and(|v| !v.eq_ignore_ascii_case(b"100-continue")) {
        return Err(Stop::new(Fault::ExpectationFailed, "Expect asks for something else than 100-continue"));
    }
    if head.method == Method::Trace && !is_member {
        return Err(Stop::new(Fault::MalformedRequest, "TRACE is not answered for strangers"));
    }
    Ok(hop)
}

/// Makes the path regular, as far as the listener has it: what routing reads, and what is sent on.
pub fn regular_path(head: &mut RequestHead, level: Normalisation) -> Result<(), Stop> {
    let path = routing::normalise(head.path(), level).map_err(|e| Stop::new(Fault::MalformedRequest, e.to_string()))?;
    if let Cow::Owned(path) = path {
        head.set_path(&path);
    }
    Ok(())
}

/// An extended CONNECT (RFC 8441) is the upgrade that HTTP/1 has, and is routed as such. The key proves that the server speaks WebSocket; a
/// caller by HTTP/2 has none.
fn upgrade(worker: &Worker, head: &mut RequestHead, hop: &mut Hop, protocol: &str) {
    use base64::Engine;
    head.method = Method::Get;
    if protocol.eq_ignore_ascii_case("websocket") {
        let nonce = (u128::from(worker.draw()) << 64 | u128::from(worker.draw())).to_be_bytes();
        let key = base64::engine::general_purpose::STANDARD.encode(nonce);
        head.headers.set("Sec-WebSocket-Key", key.as_bytes());
    }
    hop.upgrade = Some(protocol.to_owned());
}

/// The caller must know this run's secret. Compared in constant time, never passed on, never recorded.
fn check_secret(head: &RequestHead, authorization: &str) -> Result<(), Stop> {
    let given = head.headers.get("proxy-authorization").unwrap_or_default();
    let same = given.len() == authorization.len() && given.iter().zip(authorization.as_bytes()).fold(0, |d, (a, b)| d | (a ^ b)) == 0;
    match same {
        true => Ok(()),
        false => {
            Err(Stop::new(Fault::ProxyAuthenticationRequired, "this listener serves its owner alone; the proxy URL carries the secret"))
        }
    }
}

/// Strangers do not say where they come from: the connection does, and trusted proxies. Nor do they steer proxies: what Envoy and its kin tell one
/// another ends here, whoever brings it.
pub fn forget_origin(head: &mut RequestHead, tls: bool, origin: &Origin) {
    for prefix in ["x-envoy-", "x-forwarded-"] {
        head.headers.remove_prefixed(prefix);
    }
    for name in ["forwarded", "x-real-ip"] {
        head.headers.remove(name);
    }
    if !origin.believed {
        head.headers.remove("baggage");
    }
    if let Some(host) = &origin.host {
        head.headers.set("X-Forwarded-Host", host.as_bytes());
    }
    if let Some(port) = origin.port {
        head.headers.set("X-Forwarded-Port", port.to_string().as_bytes());
    }
    let scheme = origin.scheme.unwrap_or(if tls { Scheme::Https } else { Scheme::Http });
    head.headers.set("X-Forwarded-Proto", scheme.as_str().as_bytes());
}

/// Request identifier and trace context: taken over inside the mesh and from trusted proxies, given at its edge.
fn identify(worker: &Worker, believed: bool, head: &mut RequestHead, record: &mut Record) {
    match head.headers.text("x-request-id").filter(|id| believed && id.len() <= limits::REQUEST_ID_BYTES) {
        Some(known) => record.request_id.push_str(known),
        None => {
            let id = request_id(worker.draw(), worker.draw());
            head.headers.set("X-Request-Id", &id);
            // Hexadecimal digits are text.
            record.request_id.push_str(std::str::from_utf8(&id).unwrap_or_default());
        }
    }
    let told = carrier::read(&head.headers);
    let sampled = told.sampled == Some(true);
    let context = match told.ids {
        Some((trace_id, span_id)) => TraceContext { trace_id, span_id, sampled }.child(worker.draw()),
        None => TraceContext::root(u128::from(worker.draw()) << 64 | u128::from(worker.draw()), worker.draw(), sampled),
    };
    let server = (record.reporter == Reporter::Gateway).then(|| context.sibling());
    worker.traced(record.reporter, told.ids.is_some());
    record.trace = Some(Trace { context, told, server, dialled: None });
}

/// Decides whether a new trace is recorded, now that it is known what is called, and tells the next hop of it.
pub fn pass_trace(worker: &Worker, head: &mut RequestHead, record: &mut Record, sampling: Sampling) {
    let Some(trace) = &mut record.trace else { return };
    let tell = record.tell.as_ref();
    if tell.is_some_and(|tell| !tell.traced) {
        // A span that nobody makes is nobody's parent: the head goes on as it came.
        record.trace = None;
        return;
    }
    let parents = tell.and_then(|tell| tell.parents);
    trace.context.sampled = match (trace.told.sampled, parents) {
        (None, _) | (_, Some(Parents::Ignored)) => worker.samples(sampling, trace.context.draw()),
        // The low bits of a trace that others chose by them say nothing more.
        (Some(true), Some(Parents::Heeded(share))) => worker.samples(Sampling::Share(share), worker.draw32()),
        (Some(sampled), _) => sampled,
    };
    carrier::write(&mut head.headers, &trace.context, &trace.told);
}

/// Writes down what a policy names of the head, as it came.
pub fn record_fields(snapshot: &Snapshot, head: &RequestHead, record: &mut Record) {
    let Some(tell) = &record.tell else { return };
    let Some(names) = &tell.headers.request else { return };
    let redactions = (Head::Request, tell.redactions.as_deref().unwrap_or_default());
    let found = telemetry::headers::found(names, &head.headers, redactions, |name| snapshot.consumers.bear_keys_in(name));
    record.headers.request = found;
}

/// A random UUID (RFC 9562, version 4).
fn request_id(a: u64, b: u64) -> [u8; 36] {
    let mut bytes = (u128::from(a) << 64 | u128::from(b)).to_be_bytes();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = [b'-'; 36];
    for (from, to) in [(0..4, 0..8), (4..6, 9..13), (6..8, 14..18), (8..10, 19..23), (10..16, 24..36)] {
        write_hex(&bytes[from], &mut text[to]);
    }
    text
}
