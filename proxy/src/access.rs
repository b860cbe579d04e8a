//! Whether a call may be. Policies are held here as the control plane told them; `policy` decides, at the one place of each call: beside the workload
//! that is called, or at the gateway. What is refused is named in the answer, the record and a counter. It never knows how a policy was written.

pub mod again;
pub mod allowed;

use crate::consumers;
use crate::http::Stop;
use crate::map::Map;
use crate::snapshot::Snapshot;
use crate::tokens;
use crate::worker::Worker;
use model::access::{AccessPolicy, AccessSettings, Egress, ExplainDenials};
use model::{AppProtocol, Change, Fault, Key, Kind, Listener, RequestHead, Resource, SpiffeId};
pub use policy::Consumer;
use policy::{Attributes, Decided, Engine, Moment, Place, Request, Token, Verdict};
pub use routing::Behind;
use smallvec::SmallVec;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use telemetry::{Gauge, Record, Verdict as Counted};

/// The policies of one snapshot, ready to decide.
#[derive(Default)]
pub struct Access {
    policies: Map<Key, Arc<AccessPolicy>>,
    settings: Map<Key, Arc<AccessSettings>>,
    engine: Engine,
}

impl Access {
    /// As it is after these changes; `None` where none of them is its business.
    pub fn after(&self, changes: &[Change]) -> Option<Self> {
        if !changes.iter().any(|change| matches!(change.key().kind, Kind::Access | Kind::AccessSettings)) {
            return None;
        }
        let (mut policies, mut settings) = (self.policies.clone(), self.settings.clone());
        for change in changes {
            match change {
                Change::Put(Resource::Access(policy)) => _ = policies.insert(policy.key.clone(), policy.clone()),
                Change::Put(Resource::AccessSettings(one)) => _ = settings.insert(one.key.clone(), one.clone()),
                Change::Put(_) | Change::Told(_) => {}
                Change::Remove(key) => {
                    policies.remove(key);
                    settings.remove(key);
                }
            }
        }
        let engine = Engine::compile(policies.values(), settings.values());
        Some(Self { policies, settings, engine })
    }

    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    pub fn policies(&self) -> impl Iterator<Item = &Arc<AccessPolicy>> {
        self.policies.values()
    }
}

/// A port of the application behind this proxy, by every name under which it is called.
#[derive(Debug, Default)]
pub struct Called {
    services: SmallVec<[(Key, u16); 2]>,
    ports: SmallVec<[u16; 4]>,
}

impl Called {
    pub fn of(snapshot: &Snapshot, workload: &Key, port: u16) -> Self {
        let mut called = Self::default();
        // Services select workloads of their own namespace alone.
        for endpoints in snapshot.endpoints_in(&workload.namespace) {
            for endpoint in endpoints.endpoints.iter().filter(|e| e.workload.as_ref() == Some(workload)) {
                for (number, _) in endpoint.ports.iter().filter(|(_, target)| *target == port) {
                    called.services.push((endpoints.key.with_kind(Kind::Service), *number));
                    called.ports.push(*number);
                }
            }
        }
        if called.ports.is_empty() {
            called.ports.push(port);
        }
        called
    }

    /// Whether every service that leads there says that it is of bytes, so that nobody waits for a key or a token.
    fn is_of_bytes(&self, snapshot: &Snapshot) -> bool {
        let of_bytes = |(service, number): &(Key, u16)| {
            let port = snapshot.table.service(service).and_then(|service| service.port(*number));
            port.is_some_and(|port| matches!(port.protocol, AppProtocol::Tcp | AppProtocol::Tls))
        };
        !self.services.is_empty() && self.services.iter().all(of_bytes)
    }
}

/// What was worked out of the ports of applications, for one generation.
#[derive(Debug, Default)]
pub struct Known {
    generation: u64,
    ports: Vec<(Key, u16, Rc<Called>)>,
    /// Of gateways, where the place itself says it.
    none: Rc<Called>,
}

impl Known {
    pub fn called(&mut self, snapshot: &Snapshot, workload: &Key, port: u16) -> Rc<Called> {
        if self.generation != snapshot.generation {
            (self.generation, self.ports) = (snapshot.generation, Vec::new());
        }
        if let Some((.., called)) = self.ports.iter().find(|(key, number, _)| *number == port && key == workload) {
            return called.clone();
        }
        let called = Rc::new(Called::of(snapshot, workload, port));
        self.ports.push((workload.clone(), port, called.clone()));
        called
    }
}

/// Where a call is judged, and who brings it.
#[derive(Clone, Copy)]
pub struct Standing<'a> {
    pub at: At<'a>,
    pub identity: Option<&'a SpiffeId>,
    pub address: Option<SocketAddr>,
    /// That it asked for in a gateway's handshake.
    pub server_name: Option<&'a str>,
    /// For whom it calls, where it is a trusted proxy.
    pub behind: Behind,
    /// What the caller's token says, where one is believed.
    pub token: Option<&'a Token>,
    /// Whose key it brings, where one is believed.
    pub consumer: Option<&'a Consumer>,
}

impl<'a> Standing<'a> {
    /// Somebody of whom nothing is known.
    pub fn stranger(at: At<'a>) -> Self {
        Self { at, identity: None, address: None, server_name: None, behind: Behind::Peer, token: None, consumer: None }
    }
}

#[derive(Clone, Copy)]
pub enum At<'a> {
    /// Beside this workload, on this port of its application.
    Workload {
        workload: &'a Key,
        port: u16,
    },
    Gateway {
        listener: &'a Listener,
        route: &'a Key,
    },
}

/// What is allowed is counted when it is judged first, so that one request is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Time {
    First,
    Again,
}

/// Judges bytes. What is allowed, and would not be if all that is tried out were in force, is told.
///
/// # Errors
/// If they may not pass.
pub fn stream(worker: &Worker, snapshot: &Snapshot, standing: &Standing<'_>, time: Time) -> Result<Option<Arc<str>>, Stop> {
    let judged = judge(worker, snapshot, standing, Moment::Stream, time);
    let dry_run = judged.map_err(|stop| refused(worker, snapshot, stop))?;
    if let Some((by, proof)) = unproven(worker, snapshot, standing)? {
        match proof {
            Proof::Key => consumers::count_missing(worker),
            Proof::Token => tokens::count_missing(worker, &by),
        }
        return Err(refused(worker, snapshot, proof.stop(by)));
    }
    Ok(dry_run)
}

/// What bytes cannot bring.
#[derive(Debug, Clone, Copy)]
enum Proof {
    Key,
    Token,
}

impl Proof {
    fn stop(self, by: Arc<str>) -> Stop {
        let what = match self {
            Self::Key => "key",
            Self::Token => "token",
        };
        let why = format!("{by} demands a {what}, and bytes bring none");
        Stop { by: Some(by), ..Stop::new(Fault::Unauthenticated, why) }
    }
}

/// Bytes bring no key and no token: beside workloads they do not pass where one is demanded, unless their port is declared as one of bytes.
///
/// # Errors
/// If one is demanded there.
pub fn proven(worker: &Worker, snapshot: &Snapshot, standing: &Standing<'_>) -> Result<(), Stop> {
    unproven(worker, snapshot, standing)?.map_or(Ok(()), |(by, proof)| Err(proof.stop(by)))
}

/// Who demands which proof there.
fn unproven(worker: &Worker, snapshot: &Snapshot, standing: &Standing<'_>) -> Result<Option<(Arc<str>, Proof)>, Stop> {
    if snapshot.consumers.is_empty() && snapshot.tokens.is_empty() {
        return Ok(None);
    }
    let called = called(worker, snapshot, standing);
    unproven_at(snapshot, standing, &called)
}

fn unproven_at(snapshot: &Snapshot, standing: &Standing<'_>, called: &Called) -> Result<Option<(Arc<str>, Proof)>, Stop> {
    let At::Workload { .. } = standing.at else { return Ok(None) };
    if called.is_of_bytes(snapshot) {
        return Ok(None);
    }
    let (place, _) = place(snapshot, standing, called)?;
    let key = snapshot.consumers.demanded(&place).map(|by| (by, Proof::Key));
    Ok(key.or_else(|| snapshot.tokens.demanded(&place).map(|by| (by, Proof::Token))))
}

/// Judges a request whose path was made regular. What is allowed, and would not be if all that is tried out were in force, is told.
///
/// # Errors
/// If it may not pass.
pub fn request(
    worker: &Worker,
    snapshot: &Snapshot,
    standing: &Standing<'_>,
    head: &RequestHead,
    time: Time,
) -> Result<Option<Arc<str>>, Stop> {
    if lets_all_in(snapshot, standing) {
        return Ok(None);
    }
    let mut buffer = [0; model::limits::HOSTNAME_BYTES];
    let host = if snapshot.access.engine().reads_hosts() { host(head, &mut buffer) } else { "" };
    let judged = judge(worker, snapshot, standing, Moment::Request(of_head(head, standing, host)), time);
    judged.map_err(|stop| refused(worker, snapshot, stop))
}

/// Whether there is nothing to judge by: no policy at all, and a default that lets in whoever this is.
fn lets_all_in(snapshot: &Snapshot, standing: &Standing<'_>) -> bool {
    let engine = snapshot.access.engine();
    match standing.at {
        At::Gateway { listener, .. } => engine.lets_all_in(&listener.gateway.namespace),
        // Whoever proves nothing is judged, and so is who calls a workload that is not known yet.
        At::Workload { workload, .. } => {
            standing.identity.is_some() && engine.lets_all_in(&workload.namespace) && snapshot.workloads.contains_key(workload)
        }
    }
}

/// The host as rules name it. One that is longer than any name is none that a rule could mean.
pub fn host<'a>(head: &'a RequestHead, buffer: &'a mut [u8; model::limits::HOSTNAME_BYTES]) -> &'a str {
    routing::canonical_host(head.host(), buffer).unwrap_or("")
}

pub fn of_head<'a>(head: &'a RequestHead, standing: &Standing<'a>, host: &'a str) -> Request<'a> {
    Request {
        host,
        method: &head.method,
        path: head.path(),
        headers: &head.headers,
        client: standing.behind.address(address(standing)),
        token: standing.token,
        consumer: standing.consumer,
    }
}

pub fn address(standing: &Standing<'_>) -> IpAddr {
    // Connections of this machine's own have no other.
    standing.address.map_or(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), |address| address.ip())
}

fn judge(worker: &Worker, snapshot: &Snapshot, standing: &Standing<'_>, moment: Moment<'_>, time: Time) -> Result<Option<Arc<str>>, Stop> {
    let called = called(worker, snapshot, standing);
    let (namespace, verdict) = decide(snapshot, standing, &called, moment).inspect_err(|stop| {
        if stop.fault == Fault::MalformedRequest {
            let help = "Requests that were refused because a policy reads paths and theirs can be read in two ways";
            let policy = stop.by.as_deref().unwrap_or("");
            worker.shared.metrics.counter("organza_access_ambiguous_path", help, &[("policy", policy)]).add(1.0);
        }
    })?;
    let rehearsed = verdict.rehearsed.map(|rehearsed| rehearse(worker, &rehearsed));
    if !verdict.is_allowed() {
        return Err(denied(snapshot.access.engine(), namespace, &verdict.decided));
    }
    if time == Time::First && !lets_all_in(snapshot, standing) {
        worker.allowed.borrow_mut().count(worker, &snapshot.access, &verdict.decided.because);
    }
    Ok(rehearsed)
}

/// What is called, by every name; at gateways the place itself says it.
pub fn called(worker: &Worker, snapshot: &Snapshot, standing: &Standing<'_>) -> Rc<Called> {
    match standing.at {
        At::Workload { workload, port } => worker.called.borrow_mut().called(snapshot, workload, port),
        At::Gateway { .. } => worker.called.borrow().none.clone(),
    }
}

/// Where policies are asked, and the ports that are called there.
///
/// # Errors
/// If the workload is not known yet.
pub fn place<'s>(snapshot: &'s Snapshot, standing: &Standing<'s>, called: &'s Called) -> Result<(Place<'s>, &'s [u16]), Stop> {
    match standing.at {
        At::Workload { workload, .. } => {
            let unknown = || Stop::new(Fault::NotYetKnown, format!("workload {workload} is not known yet, nor who may call it"));
            let labels = &snapshot.workloads.get(workload).ok_or_else(unknown)?.labels;
            Ok((Place::Workload { namespace: &workload.namespace, labels, services: &called.services }, &called.ports[..]))
        }
        At::Gateway { listener, route } => {
            let place = Place::Gateway { gateway: &listener.gateway, listener: &listener.key, route: Some(route) };
            Ok((place, std::slice::from_ref(&listener.port)))
        }
    }
}

/// Callers of workloads prove who they are; who does not came in plaintext.
pub fn attributes<'a>(standing: &Standing<'a>, ports: &'a [u16], moment: Moment<'a>) -> Attributes<'a> {
    let plaintext = standing.identity.is_none() && matches!(standing.at, At::Workload { .. });
    Attributes { peer: standing.identity, plaintext, address: address(standing), ports, server_name: standing.server_name, moment }
}

/// Whether plaintext is let in to this port of a workload's application.
///
/// # Errors
/// If it is not, or the workload is not known yet.
pub fn plaintext(worker: &Worker, snapshot: &Snapshot, standing: &Standing<'_>) -> Result<(), Stop> {
    let called = called(worker, snapshot, standing);
    let (place, ports) = place(snapshot, standing, &called)?;
    let engine = snapshot.access.engine();
    if engine.takes_plaintext(&place) {
        return Ok(());
    }
    let verdict = engine.decide(&place, &attributes(standing, ports, Moment::Stream));
    Err(refused(worker, snapshot, denied(engine, place.namespace(), &verdict.decided)))
}

/// The verdict, and the namespace of what is called.
fn decide<'s>(
    snapshot: &'s Snapshot,
    standing: &Standing<'s>,
    called: &Called,
    moment: Moment<'_>,
) -> Result<(&'s str, Verdict<'s>), Stop> {
    let engine = snapshot.access.engine();
    let (place, ports) = place(snapshot, standing, called)?;
    if let Moment::Request(request) = &moment
        && !routing::reads_one_way(request.path)
        && engine.reads_paths(&place)
    {
        return Err(ambiguous(engine, &place));
    }
    let namespace = match standing.at {
        At::Workload { workload, .. } => &workload.namespace,
        At::Gateway { listener, .. } => &listener.gateway.namespace,
    };
    let verdict = engine.decide(&place, &attributes(standing, ports, moment));
    Ok((namespace, verdict))
}

/// Whose word depends on how the path is read.
#[cold]
fn ambiguous(engine: &Engine, place: &Place<'_>) -> Stop {
    let by: Option<Arc<str>> = engine.reader_of_paths(place).map(|policy| policy.origin.object.to_string().into());
    let why = match &by {
        Some(by) => format!("the path can be read in two ways, and access depends on it: {by} reads paths"),
        None => "the path can be read in two ways, and access depends on it".to_owned(),
    };
    Stop { by, secret: is_secret(engine, place.namespace()), ..Stop::new(Fault::MalformedRequest, why) }
}

/// What is asked of [`would`].
#[derive(Clone, Copy)]
pub enum Asked<'a> {
    /// Whether any request may come.
    Opened,
    /// Whether bytes may, and so every request.
    Stream,
    /// A request whose path was made regular.
    Request(&'a RequestHead),
}

/// A verdict in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub allowed: bool,
    /// `denied by rule dev of ClusterAccessPolicy no-dev (Admin)`.
    pub why: String,
    pub by: Option<Arc<str>>,
    pub rule: Option<Arc<str>>,
    /// What policies that are tried out would decide, where that differs.
    pub dry_run: Option<String>,
}

/// What would be decided, by the code that decides; nothing is counted.
pub fn would(snapshot: &Snapshot, standing: &Standing<'_>, asked: Asked<'_>) -> Told {
    let called = match standing.at {
        At::Workload { workload, port } => Called::of(snapshot, workload, port),
        At::Gateway { .. } => Called::default(),
    };
    let mut buffer = [0; model::limits::HOSTNAME_BYTES];
    let moment = match asked {
        Asked::Opened => Moment::Opened,
        Asked::Stream => Moment::Stream,
        Asked::Request(head) => Moment::Request(of_head(head, standing, host(head, &mut buffer))),
    };
    let proven = match asked {
        Asked::Stream => {
            unproven_at(snapshot, standing, &called).and_then(|demanded| demanded.map_or(Ok(()), |(by, proof)| Err(proof.stop(by))))
        }
        Asked::Opened | Asked::Request(_) => Ok(()),
    };
    match (decide(snapshot, standing, &called, moment), proven) {
        (Err(stop), _) => Told { allowed: false, why: stop.why, by: stop.by, rule: None, dry_run: None },
        (Ok((_, verdict)), Err(stop)) if verdict.is_allowed() => {
            Told { allowed: false, why: stop.why, by: stop.by, rule: None, dry_run: None }
        }
        (Ok((_, verdict)), _) => Told {
            allowed: verdict.is_allowed(),
            why: verdict.decided.to_string(),
            by: verdict.decided.because.by(),
            rule: verdict.decided.because.rule().map(|rule| rule.name.clone()),
            dry_run: verdict.rehearsed.map(|rehearsed| rehearsed.to_string()),
        },
    }
}

fn denied(engine: &Engine, namespace: &str, decided: &Decided<'_>) -> Stop {
    let rule = decided.because.rule().map(|rule| rule.name.clone());
    Stop { by: decided.because.by(), rule, secret: is_secret(engine, namespace), ..Stop::new(Fault::AccessDenied, decided.to_string()) }
}

/// Whether callers are told no policy there.
fn is_secret(engine: &Engine, namespace: &str) -> bool {
    engine.settings(namespace).is_some_and(|settings| settings.explain_denials == ExplainDenials::Never)
}

/// Counts what was denied, and says by which configuration.
#[cold]
fn refused(worker: &Worker, snapshot: &Snapshot, stop: Stop) -> Stop {
    count_denied(worker, &stop);
    Stop { generation: snapshot.generation, ..stop }
}

fn count_denied(worker: &Worker, stop: &Stop) {
    if stop.fault == Fault::AccessDenied {
        counter(worker, Counted::Denied, stop.by.as_deref(), stop.rule.as_deref()).add(1.0);
    }
}

/// Counts verdicts of one rule.
fn counter(worker: &Worker, verdict: Counted, by: Option<&str>, rule: Option<&str>) -> Gauge {
    worker.shared.metrics.verdict(verdict, by.unwrap_or("default"), rule.unwrap_or(""))
}

/// Counts and says what would have been decided if all that is tried out were in force.
fn rehearse(worker: &Worker, decided: &Decided<'_>) -> Arc<str> {
    let verdict = if decided.allowed { Counted::WouldAllow } else { Counted::WouldDeny };
    counter(worker, verdict, decided.because.by().as_deref(), decided.because.rule().map(|rule| &*rule.name)).add(1.0);
    decided.to_string().into()
}

/// Whether workloads of this proxy's namespace may call hosts that no object names.
pub fn egress(worker: &Worker, snapshot: &Snapshot, host: &str) -> Result<(), Stop> {
    let settings = snapshot.access.engine().settings(&worker.shared.me.namespace);
    match settings.filter(|settings| settings.egress == Egress::Registered) {
        None => Ok(()),
        Some(settings) => {
            let why = format!("{host} is no service and no object names it, and {} has egress: Registered", settings.origin.object);
            let stop = Stop { by: Some(settings.origin.object.to_string().into()), ..Stop::new(Fault::AccessDenied, why) };
            Err(refused(worker, snapshot, stop))
        }
    }
}

/// What a record says of a refusal.
pub fn note(record: &mut Record, stop: &Stop) {
    record.verdict_by.clone_from(&stop.by);
    record.verdict_rule.clone_from(&stop.rule);
    if stop.generation != 0 {
        record.generation = stop.generation;
    }
}
