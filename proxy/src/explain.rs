//! What would become of a request: the preparation and the plan of the request path, asked and not acted on. What the caller's connection decides
//! before a request is heard (ports, TLS) is told here; routing tells the rest. It never knows how the answer is shown.

use crate::http::{self, Stop};
use crate::l4;
use crate::pick;
use crate::snapshot::Snapshot;
use crate::upstream::UpstreamKey;
use model::{Fault, Key, Listener, ListenerProtocol, Method, Normalisation, RequestHead, Scheme, ServiceRef};
use routing::explain::{Explanation, Outcome, Refused};
use routing::filters::Context;
use routing::{Caller, Entry, Spoken, Table};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use transport::preface::Framing;

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub enum Asker<'a> {
    /// Who connects to a gateway's port from `peer`; `sni` where TLS is spoken, with the name that is asked for.
    Gateway { gateway: &'a Key, port: u16, sni: Option<Option<&'a str>>, peer: IpAddr },
    /// A stranger whose bytes are carried unread at a gateway's port; there is no head then.
    Bytes { gateway: &'a Key, port: u16, datagrams: bool },
    /// A program of this namespace, beside its proxy; the head's authority says what it calls.
    Workload { namespace: &'a str },
}

/// Names that are told as those of services that may have been meant.
const ALIKE: usize = 3;

/// `head` is the request as it is sent.
pub fn explain(table: &Table, asker: Asker<'_>, head: &RequestHead) -> Explanation {
    let head = &mut head.clone();
    match asker {
        Asker::Gateway { gateway, port, sni, peer } => at_gateway(table, (gateway, port), sni, peer, head),
        Asker::Bytes { gateway, port, datagrams } => bytes(table, gateway, port, datagrams),
        Asker::Workload { namespace } => from_workload(table, namespace, head),
    }
}

fn bytes(table: &Table, gateway: &Key, port: u16, datagrams: bool) -> Explanation {
    let found = match (datagrams, table.spoken(gateway, port)) {
        (true, _) => table.datagram_listener(gateway, port),
        (false, Spoken::Tcp(listener)) => Some(listener),
        (false, _) => None,
    };
    if let Some(listener) = found {
        return table.explain_connection(&Entry::Listener(listener.key.clone()), &Caller::default());
    }
    let (protocol, word) = if datagrams { (ListenerProtocol::Udp, "UDP") } else { (ListenerProtocol::Tcp, "TCP") };
    let listeners = table.listeners_of(gateway);
    let open: BTreeSet<String> = listeners.iter().filter(|l| l.protocol == protocol).map(|l| format!("{} ({word})", l.port)).collect();
    let reason = match (listeners.is_empty(), open.is_empty()) {
        (true, _) => no_gateway(table),
        (false, true) => format!("the gateway has no {word} listener"),
        (false, false) => format!("the gateway listens on {} only", open.into_iter().collect::<Vec<_>>().join(" and ")),
    };
    let entry = format!("Gateway {}/{} port {port}", gateway.namespace, gateway.name);
    unrouted(true, entry, Outcome::NoConnection { reason })
}

/// [`explain`], and whether there is anyone to answer: as the control plane told this proxy. What it found out by itself, it alone knows.
pub fn explain_live(snapshot: &Snapshot, asker: Asker<'_>, head: &RequestHead) -> Explanation {
    let mut explained = explain(&snapshot.table, asker, head);
    let Some(chain) = &mut explained.chain else { return explained };
    for share in chain.split.iter_mut().filter(|share| share.refused.is_none()) {
        let Some(to) = &share.service else { continue };
        let nobody = pick::nobody(snapshot, to).map(|why| (Fault::NoEndpoint, why));
        let why = nobody.or_else(|| uncallable(snapshot, to).map(|error| (error.fault, error.why.into_owned())));
        share.refused = why.map(|(fault, reason)| Refused { fault, reason, object: None, place: "".into() });
    }
    // Refused where every share that gets requests is.
    if explained.outcome == Outcome::Forward {
        let mut drawn = chain.split.iter().filter(|share| share.weight > 0).map(|share| &share.refused).peekable();
        let first = drawn.peek().copied().cloned().flatten();
        if let Some(refused) = first.filter(|_| drawn.all(Option::is_some)) {
            explained.outcome = Outcome::Refused(refused);
        }
    }
    explained
}

/// Why none of a service's endpoints can be called the way that was asked for.
fn uncallable(snapshot: &Snapshot, to: &ServiceRef) -> Option<transport::Error> {
    let service = snapshot.table.service(&to.service)?;
    let mut why = None;
    for endpoint in &snapshot.endpoints_of(&to.service)?.endpoints {
        match UpstreamKey::endpoint(snapshot, service, endpoint, to.port, Framing::Http1) {
            Err(error) if error.fault == Fault::InvalidBackend => why = Some(error),
            _ => return None,
        }
    }
    why
}

fn at_gateway(table: &Table, (gateway, port): (&Key, u16), sni: Option<Option<&str>>, peer: IpAddr, head: &mut RequestHead) -> Explanation {
    let entry = format!("Gateway {}/{} port {port}", gateway.namespace, gateway.name);
    let listeners = table.listeners_of(gateway);
    let heard = if listeners.is_empty() { Err(no_gateway(table)) } else { connects(listeners, port, sni) };
    if let Err(reason) = heard {
        return unrouted(true, entry, Outcome::NoConnection { reason });
    }
    if let Err(stop) = http::end_hop(head, false) {
        return unrouted(true, entry, refused(stop));
    }
    if head.method == Method::Connect {
        return unrouted(true, entry, refused(http::no_tunnel()));
    }
    let listener = match table.gateway_listener(gateway, port, sni, head.host()) {
        Ok(listener) => listener,
        Err(refusal) => return unrouted(true, entry, Outcome::Refused(Refused::of(&refusal))),
    };
    let origin = routing::origin::read(&listener.front.trusted, peer, &head.headers);
    http::forget_origin(head, sni.is_some(), &origin);
    let (scheme, port) = origin.called(if sni.is_some() { Scheme::Https } else { Scheme::Http }, port);
    let context = Context { scheme, port };
    routed(table, &Entry::Listener(listener.key.clone()), head, &Caller::default(), &context, listener.normalisation)
}

fn from_workload(table: &Table, namespace: &str, head: &mut RequestHead) -> Explanation {
    let port = head.port().unwrap_or(head.scheme.default_port());
    let (host, entry) = (head.host().to_owned(), format!("{}:{port}", head.host()));
    if let Err(stop) = http::end_hop(head, true) {
        return unrouted(false, entry, refused(stop));
    }
    let Some(service) = table.service_by_host(&host, namespace) else {
        if let Err(stop) = http::regular_path(head, Normalisation::default()) {
            return unrouted(false, entry, refused(stop));
        }
        let alike = alike(table, &host, namespace);
        let entry = format!("{entry}, which is no service that namespace {namespace} knows by this name");
        return unrouted(false, entry, Outcome::Outside { host, port, alike });
    };
    let (entry, level) = (Entry::Service { service: service.key.clone(), port }, service.normalisation);
    if head.scheme == Scheme::Https {
        return by_tunnel(table, &entry, &service.key, port, namespace);
    }
    let context = Context { scheme: Scheme::Http, port };
    routed(table, &entry, head, &Caller::in_namespace(namespace), &context, level)
}

/// A program's own TLS comes through a tunnel (CONNECT) and is carried unread, but never to a port that is read.
fn by_tunnel(table: &Table, entry: &Entry, service: &Key, port: u16, namespace: &str) -> Explanation {
    let explained = table.explain_connection(entry, &Caller::in_namespace(namespace));
    let snapshot = Snapshot { table: Arc::new(table.clone()), ..Snapshot::default() };
    if explained.chain.is_none() || !l4::is_read(&snapshot, service, port) {
        return explained;
    }
    let reason = format!("port {port} is read as HTTP, and TLS of a program's own cannot be read: call http://, the mesh encrypts");
    Explanation { chain: None, outcome: Outcome::NoConnection { reason }, near_misses: Vec::new(), ..explained }
}

fn routed(
    table: &Table,
    entry: &Entry,
    head: &mut RequestHead,
    caller: &Caller<'_>,
    context: &Context,
    level: Normalisation,
) -> Explanation {
    let stopped = http::regular_path(head, level).err();
    let explained = table.explain(entry, head, caller, context);
    match stopped {
        Some(stop) => Explanation { chain: None, outcome: refused(stop), near_misses: Vec::new(), ..explained },
        None => explained,
    }
}

fn unrouted(enters: bool, entry: String, outcome: Outcome) -> Explanation {
    Explanation { enters, entry, listener: None, chain: None, outcome, near_misses: Vec::new() }
}

fn refused(stop: Stop) -> Outcome {
    Outcome::Refused(Refused { fault: stop.fault, reason: stop.why, object: stop.by.map(|by| by.to_string()), place: "".into() })
}

fn no_gateway(table: &Table) -> String {
    let all: BTreeSet<String> = table.listeners().map(|l| format!("{}/{}", l.gateway.namespace, l.gateway.name)).collect();
    match all.is_empty() {
        true => "there is no Gateway here".to_owned(),
        false => format!("there is no such Gateway, but {}", all.into_iter().collect::<Vec<_>>().join(", ")),
    }
}

/// Whether a request can be heard on this port at all, as [`crate::gateway`] and its TLS have it.
fn connects(listeners: &[Arc<Listener>], port: u16, sni: Option<Option<&str>>) -> Result<(), String> {
    let here: Vec<&Arc<Listener>> = listeners.iter().filter(|l| l.port == port && l.protocol.is_http()).collect();
    if here.is_empty() {
        let open: BTreeSet<String> = listeners.iter().filter(|l| l.protocol.is_http()).map(|l| speaks(l)).collect();
        return Err(match open.is_empty() {
            true => "the gateway has no HTTP or HTTPS listener".to_owned(),
            false => format!("the gateway listens on {} only", open.into_iter().collect::<Vec<_>>().join(" and ")),
        });
    }
    let secured: Vec<&Arc<Listener>> = here.into_iter().filter(|l| l.protocol == ListenerProtocol::Https).collect();
    let Some(name) = sni else {
        return if secured.is_empty() { Ok(()) } else { Err(format!("port {port} speaks TLS alone: ask for https://")) };
    };
    if secured.is_empty() {
        return Err(format!("port {port} speaks no TLS: ask for http://"));
    }
    let name = name.map(str::to_ascii_lowercase);
    let fits = |l: &&&Arc<Listener>| match &name {
        Some(name) => l.hostname.matches(name),
        None => l.hostname == model::HostPattern::Any,
    };
    let fitting: Vec<_> = secured.iter().filter(fits).collect();
    let shown = |l: &Listener| l.tls.as_ref().is_some_and(|tls| !tls.certificates.is_empty());
    let asked = name.as_ref().map_or_else(|| "no server name".to_owned(), |name| format!("server name {name}"));
    match fitting.first() {
        None => Err(format!("TLS is refused, for no listener of port {port} takes {asked}")),
        Some(_) if fitting.iter().any(|l| shown(l)) => Ok(()),
        Some(listener) => {
            let why = listener.broken.as_deref().unwrap_or("it has no certificate");
            Err(format!("TLS is refused, for listener {} cannot serve: {why}", listener.section))
        }
    }
}

fn speaks(listener: &Listener) -> String {
    format!("{} ({})", listener.port, if listener.protocol == ListenerProtocol::Https { "HTTPS" } else { "HTTP" })
}

/// Names of services that differ from `host` by a slip of the hand: the nearest.
fn alike(table: &Table, host: &str, namespace: &str) -> Vec<String> {
    let host = host.to_ascii_lowercase();
    let mut found: BTreeSet<(usize, String)> = BTreeSet::new();
    for service in table.services() {
        for name in service.hostnames.iter().map(|name| name.as_str()).filter(|name| service.is_called(name, namespace)) {
            let distance = distance(&host, name);
            // A third of the letters may be wrong, and one always.
            if distance <= (name.len() / 3).max(1) {
                found.insert((distance, name.to_owned()));
            }
        }
    }
    let nearest = found.first().map(|(distance, _)| *distance);
    found.into_iter().take_while(|(distance, _)| Some(*distance) == nearest).take(ALIKE).map(|(_, name)| name).collect()
}

/// Letters to put in, take out or change (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut above = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let kept = above + usize::from(x != y);
            above = row[j + 1];
            row[j + 1] = kept.min(above + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests;
