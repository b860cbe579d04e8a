//! From a prepared request to an answered one: filters, the split, an endpoint, and as many tries as the rule, the budget and the time allow.

use super::down::{self, Downstream};
use super::exchange::{self, Verdict};
use super::inquiry::{self, Inquiry};
use super::judged::{Judged, Place, Shared, Who, token};
use super::plan::{self, Plan};
use super::sticky::{self, Sticky};
use super::tries::{Step, To, Tries};
use super::{After, Client, Ingress, Stop, admit, answer, connect, prepare};
use crate::access::{self, again};
use crate::limits;
use crate::pick::{self, Called};
use crate::snapshot::Snapshot;
use crate::upstream::UpstreamKey;
use crate::worker::Worker;
use bytes::{Bytes, BytesMut};
use model::backend::ExternalName;
use model::route::Mirror;
use model::{
    AppProtocol, Applied, Backend, Balancer, ExternalHost, Fault, Method, RequestHead, ResponseHead, Scheme, Service, ServiceRef, Version,
};
use routing::balance::{EndpointId, hash_request};
use routing::deadline;
use routing::eject::Ended;
use routing::filters::{self, Context, Pending, RequestOutcome};
use routing::retry::RetryState;
use routing::retry_after::Asked;
use routing::{Decision, SplitBackend, Written};
use smallvec::SmallVec;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use telemetry::{Destination, Outcome, Record, Way};
use transport::body::{Incoming, Length};
use transport::h1::Hop;
use transport::preface::Framing as Inner;
use transport::{Error, rt};

/// Carries one request through to its answer.
pub async fn request(
    worker: &Rc<Worker>,
    down: &mut Downstream<'_>,
    head: &mut RequestHead,
    client: &Client,
    record: &mut Record,
) -> Result<After, Stop> {
    let hop = prepare::request(worker, client, head).inspect_err(|_| {
        // Refused before its hop's own fields were taken out: the caller's wish to close holds all the same.
        down.close |= head.version == model::Version::Http10 || head.headers.has_token("connection", "close");
    })?;
    down.close |= hop.close;
    if head.method == Method::Connect {
        prepare::origin(worker, client, None, head, record);
        return Box::pin(connect::request(worker, down, head, client, record)).await;
    }
    let snapshot;
    let (listener, behind, called, due) = {
        let known = plan::known(worker, client, head).await;
        snapshot = worker.snapshot();
        record.generation = snapshot.generation;
        let listener = plan::listener(&snapshot, client, head);
        let trusted = listener.as_ref().ok().and_then(|listener| listener.map(|listener| &listener.front.trusted));
        let (behind, called) = prepare::origin(worker, client, trusted, head, record);
        let due = Due::of(client, head, down.started);
        known?;
        (listener?, behind, called, due)
    };
    record.listener = listener.cloned();
    let namespace = &worker.shared.me.namespace;
    prepare::regular_path(head, plan::level(&snapshot, namespace, client, listener, head))?;
    let token = if snapshot.tokens.is_empty() { Ok(None) } else { Box::pin(token(worker, &snapshot, client, listener, head)).await }
        .inspect_err(|_| record.tell = plan::tell_of_stopped(&snapshot, namespace, client, listener, head))?;
    let inquiry = |held| Inquiry { worker, snapshot: &snapshot, client, behind, upgrades: hop.upgrade.is_some(), held };
    let held = match listener.filter(|listener| !listener.asks.is_empty()) {
        None => Ok(None),
        Some(listener) => Box::pin(inquiry(None).before(listener, down, head, record)).await,
    }
    .inspect_err(|_| record.tell = plan::tell_of_stopped(&snapshot, namespace, client, listener, head))?;
    let plan = plan::decide(&snapshot, namespace, client, listener, head)?;
    let (tell, sampling) = snapshot.telling.of(plan.route(), plan.service(), head);
    record.tell = tell;
    prepare::record_fields(&snapshot, head, record);
    prepare::pass_trace(worker, head, record, sampling);
    match plan {
        Plan::Routed { decision, dialled } => {
            let place = listener.map(|listener| Place::Gateway(listener, decision.route()));
            let who = Who { behind, token, consumer: None };
            let judged = place.map(|place| Judged::new(worker, &snapshot, client, place, head, who)).transpose()?;
            judged.as_ref().map_or(Ok(()), |judged| judged.admit(&snapshot, head, record))?;
            let mut routed = Routed { worker, client, snapshot: &snapshot, decision, dialled, called, due, held };
            if inquiry::is_needed(&snapshot, Some(&decision)) {
                let before = head.clone();
                // Boxed apart, for hardly any request waits for anybody.
                let mut asked = Box::pin(async {
                    record.way = plan::way(&decision);
                    let mut inquiry = inquiry(routed.held.take());
                    if let Some(judged) = &judged {
                        inquiry.at(&judged.standing()?, down, head, record).await?;
                    }
                    inquiry.of_rule(&decision, down, head, record).await?;
                    routed.held = inquiry.held;
                    routed.run(down, &Shared::new(head), &hop, record).await
                });
                let judge = || judged.as_ref().map_or(Ok(()), |judged| judged.again(&before));
                return again::while_allowed(&worker.again, judge, asked.as_mut()).await;
            }
            let head = Shared::new(head);
            let judge = || judged.as_ref().map_or(Ok(()), |judged| judged.carried(&head));
            let carried = pin!(routed.run(down, &head, &hop, record));
            again::while_allowed(&worker.again, judge, carried).await
        }
        Plan::Application { address, service } => {
            record.dialled_service = service.map(|s| worker.destination(s));
            record.way = Way::Application;
            let key = UpstreamKey::plain(address, inner(declared(service, client), client, head, &hop));
            let who = Who { behind, token, consumer: None };
            let judged = Judged::new(worker, &snapshot, client, Place::Workload(address.port()), head, who)?;
            judged.admit(&snapshot, head, record)?;
            if inquiry::is_needed(&snapshot, None) {
                let before = head.clone();
                let mut asked = Box::pin(async {
                    let mut inquiry = inquiry(None);
                    inquiry.at(&judged.standing()?, down, head, record).await?;
                    direct(worker, down, &Shared::new(head), &hop, record, (key, inquiry.held), due).await
                });
                return again::while_allowed(&worker.again, || judged.again(&before), asked.as_mut()).await;
            }
            let head = Shared::new(head);
            let carried = pin!(direct(worker, down, &head, &hop, record, (key, None), due));
            again::while_allowed(&worker.again, || judged.carried(&head), carried).await
        }
        Plan::Outside { host, port } => {
            rt::boxed(|| outside(worker, &snapshot, client, down, head, &hop, record, (&host, port), due)).await
        }
    }
}

/// To a host that the mesh does not know.
#[allow(clippy::too_many_arguments)]
async fn outside(
    worker: &Rc<Worker>,
    snapshot: &Snapshot,
    client: &Client,
    down: &mut Downstream<'_>,
    head: &mut RequestHead,
    hop: &Hop,
    record: &mut Record,
    (host, port): (&ExternalName, u16),
    due: Due,
) -> Result<After, Stop> {
    access::egress(worker, snapshot, head.host())?;
    let address = worker.outside(host, port).await?;
    record.dialled_service = Some(outside_destination(head.host()));
    record.way = Way::Outside;
    let framing = inner(AppProtocol::Detect, client, head, hop);
    direct(worker, down, &Shared::new(head), hop, record, (UpstreamKey::plain(address, framing), None), due).await
}

/// Until when the caller itself waits, where it says so.
#[derive(Debug, Clone, Copy)]
struct Due {
    at: Option<Instant>,
    /// What is added here and kept from the next hop.
    grace: Duration,
}

impl Due {
    fn of(client: &Client, head: &RequestHead, started: Instant) -> Self {
        // The caller's proxy knows whose patience it is, and so is let to say it first.
        let grace = if matches!(client.ingress, Ingress::Inbound { .. }) { limits::DEADLINE_GRACE } else { Duration::ZERO };
        // A time that is over is over: nobody else will say so.
        let wait = |left: Duration| started.checked_add(if left.is_zero() { left } else { left + grace });
        Self { at: deadline::told(head).and_then(wait), grace }
    }
}

/// What the port declares that the caller dialled.
fn declared(service: Option<&Arc<Service>>, client: &Client) -> AppProtocol {
    let Ingress::Inbound { port, .. } = client.ingress else { return AppProtocol::Detect };
    service.and_then(|s| s.port(port)).map_or(AppProtocol::Detect, |p| p.protocol)
}

/// HTTP/2 where the port says that it speaks it. Where nobody said, for gRPC that came so, and for members of the mesh that dialled the service
/// itself by HTTP/2: their prior knowledge is of the application. Upgrades are HTTP/1's.
fn inner(declared: AppProtocol, client: &Client, head: &RequestHead, hop: &Hop) -> Inner {
    let knows = matches!(client.ingress, Ingress::Service { .. } | Ingress::Inbound { .. });
    let multiplexed = match declared {
        AppProtocol::Http2 | AppProtocol::Grpc => true,
        AppProtocol::Detect => head.version == Version::Http2 && (knows || head.is_grpc()),
        // Inside the TLS that a policy asks for, nobody said what is spoken.
        AppProtocol::Tls => head.version == Version::Http2 && head.is_grpc(),
        AppProtocol::Http | AppProtocol::Tcp | AppProtocol::Udp => false,
    };
    if multiplexed && hop.upgrade.is_none() { Inner::Http2 } else { Inner::Http1 }
}

fn outside_destination(host: &str) -> Arc<Destination> {
    let host: Arc<str> = host.into();
    Arc::new(Destination { name: host.clone(), host, namespace: "unknown".into() })
}

/// To one place, without a route: again only where nothing was sent.
#[allow(clippy::too_many_arguments)]
async fn direct(
    worker: &Rc<Worker>,
    down: &mut Downstream<'_>,
    head: &Shared<'_>,
    hop: &Hop,
    record: &mut Record,
    (key, held): (UpstreamKey, Option<Bytes>),
    due: Due,
) -> Result<After, Stop> {
    record.endpoint = Some(key.address);
    if record.reporter != telemetry::Reporter::Destination {
        record.security = key.security();
    }
    let idempotent = head.borrow().method.is_idempotent();
    let retry = RetryState::new(None, model::Timeouts::default(), idempotent, down.started).no_later(due.at);
    let mut tries = Tries { worker, retry, held, service: None, ended: Ended::Cancelled, asked: Asked::default(), grace: due.grace };
    loop {
        let fresh = record.attempt > 1;
        match tries.once(down, head, hop, record, To { key: &key, picked: None, fresh }, &mut |_, _| Verdict::Forward).await? {
            Step::Done(after) => return Ok(after),
            Step::Again => record.attempt += 1,
        }
    }
}

struct Routed<'t> {
    worker: &'t Rc<Worker>,
    client: &'t Client,
    snapshot: &'t Snapshot,
    decision: Decision<'t>,
    dialled: Option<&'t Arc<Service>>,
    /// By what scheme and port a stranger called.
    called: Option<(Scheme, u16)>,
    due: Due,
    /// The body, where an authorizer was told it.
    held: Option<Bytes>,
}

/// Where a try goes: an endpoint of a service, or a host outside.
struct Picked<'t> {
    key: Result<UpstreamKey, Error>,
    endpoint: Option<pick::Picked<'t>>,
    service: Option<&'t Arc<Service>>,
}

impl<'t> Routed<'t> {
    async fn run(&mut self, down: &mut Downstream<'_>, head: &Shared<'_>, hop: &Hop, record: &mut Record) -> Result<After, Stop> {
        // What is needed no more while an answer is awaited lies in a block of its own, and so in no memory that would be looked at then.
        let (backend, called, pending, mut held, mut sticky) = {
            let decision = self.decision;
            record.way = plan::way(&decision);
            record.dialled_service = self.dialled.map(|s| self.worker.destination(s));
            let (scheme, port) = self.called.unwrap_or_else(|| (Scheme::Http, head.borrow().port().unwrap_or(80)));
            // Before filters take out what it is told by.
            let only = match decision.split() {
                [one] => Called::of(self.snapshot, &one.backend),
                _ => None,
            };
            let came = sticky::came(self.snapshot, &decision, only.as_ref(), &head.borrow());
            let mut applied = Applied::default();
            let outcome = filters::apply_request(&decision, &mut head.borrow_mut(), &Context { scheme, port }, &mut applied);
            note(record, applied);
            let pending = match outcome.map_err(|r| plan::refused(&r))? {
                RequestOutcome::Forward(pending) => pending,
                RequestOutcome::Answer(answer) => return self.answered(down, head, record, answer).await,
            };
            let backend = plan::draw(&decision, record, came.led.map(|led| led.backend), self.worker.draw32())?;
            let called = only.or_else(|| Called::of(self.snapshot, &backend.backend));
            let secure = scheme == Scheme::Https;
            let sticky = Sticky::of(&decision, backend, called.as_ref(), &came, secure);
            drop(came);
            let of_rule: Mirrors<'_> = filters::mirrors(decision.phases(), || self.worker.draw32()).collect();
            let of_backend: Mirrors<'_> = filters::mirrors(&backend.phases, || self.worker.draw32()).collect();
            let waits = head.borrow().headers.contains("expect");
            let held = self.hold(down, waits, !(of_rule.is_empty() && of_backend.is_empty())).await?;
            let has_body = down.from.has_body();
            let sent = |mirror: &&&Written<Mirror>| self.mirror(&mirror.filter.backend, &head.borrow(), hop, held.clone(), has_body);
            // A rule's mirrors get what the rule made of the request, before the backend's own filters.
            of_rule.iter().filter(sent).for_each(|mirror| applied.rule(mirror.at));
            filters::apply_backend_request(&decision, backend, &mut head.borrow_mut(), &mut applied);
            of_backend.iter().filter(sent).for_each(|mirror| applied.backend(mirror.at));
            note(record, applied);
            (backend, called, pending, held, sticky)
        };
        self.tries(down, head, hop, record, (backend, called.as_ref()), &pending, (&mut held, &mut sticky)).await
    }

    /// A redirect or a cross-origin answer: no backend hears of it.
    async fn answered(
        &self,
        down: &mut Downstream<'_>,
        head: &Shared<'_>,
        record: &mut Record,
        mut answer: ResponseHead,
    ) -> Result<After, Stop> {
        record.status = answer.status;
        record.outcome = Outcome::Answered(answer.status);
        answer.headers.remove("content-length");
        let unread = down.from.has_body();
        let mut close = down.close || unread;
        let head = head.borrow().clone();
        answer::whole(&mut down.to, &mut answer, Bytes::new(), &head, &mut close).await?;
        Ok(match (close, unread) {
            (true, true) => After::Linger,
            (true, false) => After::Close,
            (false, _) => After::Keep,
        })
    }

    /// Reads a body into memory where it may be needed more than once and is small enough. A caller who `waits` to be asked for it is not.
    async fn hold(&self, down: &mut Downstream<'_>, waits: bool, mirrored: bool) -> Result<Option<Bytes>, Stop> {
        if self.held.is_some() {
            return Ok(self.held.clone());
        }
        let wanted = mirrored || self.decision.retry().is_some();
        let Length::Known(length) = down.from.length() else { return Ok(None) };
        if !wanted || waits || length > limits::REPLAY_BYTES {
            return Ok(None);
        }
        let mut body = down.from.body();
        let mut whole = BytesMut::new();
        while let Some(piece) = body.chunk().await? {
            whole.extend_from_slice(&piece);
        }
        let left = down::left(body);
        down.from.put_back(left);
        Ok(Some(whole.freeze()))
    }

    #[allow(clippy::too_many_arguments)]
    async fn tries(
        &self,
        down: &mut Downstream<'_>,
        head: &Shared<'_>,
        hop: &Hop,
        record: &mut Record,
        (backend, called): (&SplitBackend, Option<&Called<'t>>),
        pending: &Pending,
        (held, sticky): (&mut Option<Bytes>, &mut Option<Sticky<'_>>),
    ) -> Result<After, Stop> {
        let (worker, decision, held) = (self.worker, self.decision, held.take());
        let idempotent = head.borrow().method.is_idempotent();
        let retry = RetryState::new(decision.retry(), decision.timeouts(), idempotent, down.started).no_later(self.due.at);
        let service = admit::budget(worker, &backend.backend, called);
        let mut tries = Tries { worker, retry, held, service, ended: Ended::Cancelled, asked: Asked::default(), grace: self.due.grace };
        let mut pass = admit::enter(worker, called, &mut down.to, tries.retry.deadline()).await?;
        let mut tried: SmallVec<[EndpointId; 4]> = SmallVec::new();
        loop {
            let avoid = tries.asked.by(rt::now());
            let led = sticky.as_ref().and_then(Sticky::endpoint);
            let before = pick::Tried { at: &tried, avoid: &avoid, led, unreached: matches!(tries.ended, Ended::Failed(_)) };
            let Picked { key, endpoint, service } = self.pick(&backend.backend, called, before, head, hop, record).await?;
            // The same one again: what else waits in its pool is no younger than what just broke.
            let fresh = endpoint.as_ref().map_or(record.attempt > 1, |picked| tried.contains(&picked.id));
            if let Some(picked) = &endpoint {
                tried.push(picked.id);
                record.destination = worker.peer(self.snapshot, picked.endpoint);
            }
            if let (None, Some(service)) = (&record.dialled_service, service) {
                record.dialled_service = Some(worker.destination(service));
            }
            if let Ok(key) = &key {
                record.endpoint = Some(key.address);
                record.security = key.security();
            }
            let mut load = Load { worker, picked: endpoint, since: rt::now(), ended: Ended::Cancelled };
            let mut applied = record.decided().map(|decided| decided.applied).unwrap_or_default();
            let name = load.picked.as_ref().map(|picked| picked.endpoint).map(|endpoint| &*endpoint.id);
            let mut judge = |head: &mut ResponseHead, again: bool| {
                if again {
                    return Verdict::TryAgain;
                }
                if !self.client.is_member() {
                    // What proxies behind say of themselves ends at the edge.
                    head.headers.remove("proxy-status");
                }
                filters::apply_response(&decision, Some(backend), pending, head, &mut applied);
                sticky.iter().for_each(|sticky| sticky.answer(name, head));
                Verdict::Forward
            };
            let picked = load.picked.as_ref();
            let step = match key {
                Ok(ref key) => tries.once(down, head, hop, record, To { key, picked, fresh }, &mut judge).await,
                Err(error) => Box::pin(tries.unreached(picked, error)).await,
            };
            note(record, applied);
            load.ended = tries.ended;
            pass.failed(tries.ended);
            drop(load);
            match step? {
                Step::Done(after) => return Ok(after),
                Step::Again => {
                    record.attempt += 1;
                    if let (Some(sticky), Ended::Answered(_)) = (sticky.as_mut(), tries.ended) {
                        sticky.passed_over(name);
                    }
                }
            }
        }
    }

    async fn pick(
        &self,
        backend: &Backend,
        called: Option<&Called<'t>>,
        tried: pick::Tried<'_>,
        head: &Shared<'_>,
        hop: &Hop,
        record: &Record,
    ) -> Result<Picked<'t>, Stop> {
        match backend {
            Backend::Service(to) => {
                let called = called.ok_or_else(|| Stop::new(Fault::NoSuchService, format!("service {} is not known here", to.service)))?;
                let service = called.service;
                let hash = match &service.balancer {
                    Balancer::RingHash(on) | Balancer::Maglev(on) => {
                        hash_request(on, &head.borrow(), record.client.or(record.source_address.map(|a| a.ip())))
                    }
                    _ => None,
                };
                let picked = self.worker.pick(self.snapshot, called, to, tried, hash);
                let picked = picked.map_err(|nobody| unpicked(self.snapshot, service, to, nobody))?;
                let framing = inner(service.port(to.port).map_or(AppProtocol::Detect, |p| p.protocol), self.client, &head.borrow(), hop);
                let key = UpstreamKey::endpoint(self.snapshot, service, picked.endpoint, to.port, framing)
                    .map(|key| key.counted(picked.counted()).told(service, to.port, self.client.address));
                Ok(Picked { key, endpoint: Some(picked), service: Some(service) })
            }
            Backend::External(host) => {
                let framing = inner(host.protocol, self.client, &head.borrow(), hop);
                let key = self.worker.external(self.snapshot, host, framing).await;
                Ok(Picked { key, endpoint: None, service: None })
            }
            Backend::Invalid { message, .. } => Err(Stop::new(Fault::InvalidBackend, message.to_string())),
        }
    }

    /// The endpoint of a copy, of which nothing is learnt.
    fn copied_to(&self, to: &ServiceRef, head: &RequestHead, hop: &Hop) -> Option<UpstreamKey> {
        let called = Called::to(self.snapshot, to)?;
        let service = called.service;
        let picked = self.worker.pick(self.snapshot, &called, to, pick::Tried::default(), None).ok()?;
        self.worker.balancers.borrow_mut().ended(&picked, Ended::Cancelled, None, rt::now());
        let framing = inner(service.port(to.port).map_or(AppProtocol::Detect, |p| p.protocol), self.client, head, hop);
        let key = UpstreamKey::endpoint(self.snapshot, service, picked.endpoint, to.port, framing).ok()?;
        Some(key.counted(picked.counted()).told(service, to.port, self.client.address))
    }

    /// Sends a copy whose answer nobody waits for, and says whether it could. Bodies too large to hold are not mirrored.
    fn mirror(&self, backend: &Backend, head: &RequestHead, hop: &Hop, held: Option<Bytes>, has_body: bool) -> bool {
        if has_body && held.is_none() {
            return false;
        }
        let to = match backend {
            Backend::Service(to) => match self.copied_to(to, head, hop) {
                Some(key) => Copied::To(key),
                None => return false,
            },
            Backend::External(host) => Copied::Outside(host.clone(), inner(host.protocol, self.client, head, hop)),
            Backend::Invalid { .. } => return false,
        };
        let (worker, mut head) = (self.worker.clone(), head.clone());
        rt::spawn(async move {
            let copy = async {
                let key = match to {
                    Copied::To(key) => key,
                    Copied::Outside(host, framing) => worker.external(&worker.snapshot(), &host, framing).await?,
                };
                let mut up = worker.reach(&key, false).await?;
                let body = held.map_or(Incoming::Empty, |bytes| Incoming::Held(Some(bytes)));
                if exchange::ask(&mut up, &mut head, body, None, false).await?.reusable {
                    up.release(&worker);
                }
                Ok::<(), Error>(())
            };
            // A copy that fails is nobody's failure.
            let _ = rt::timeout(limits::MIRROR_TIME, copy).await;
        });
        true
    }
}

/// Where a copy goes; the address of a host outside is not known yet.
enum Copied {
    To(UpstreamKey),
    Outside(Arc<ExternalHost>, Inner),
}

/// Why a request cannot go to any endpoint of a service.
pub(crate) fn unpicked(snapshot: &Snapshot, service: &Service, to: &model::ServiceRef, nobody: pick::Nobody) -> Stop {
    match nobody {
        pick::Nobody::Absent => Stop::new(Fault::NoEndpoint, pick::no_endpoint(snapshot, to)),
        pick::Nobody::Full(why) => {
            let by = pick::policy(service, to.port).0.origin.as_ref().map(|origin| origin.object.to_string().into());
            Stop { by, ..Stop::new(Fault::Overflow, why) }
        }
    }
}

/// Mirrors that were drawn; a rule rarely has more than one.
type Mirrors<'t> = SmallVec<[&'t Written<Mirror>; 2]>;

fn note(record: &mut Record, applied: Applied) {
    if let Some(decided) = record.decided_mut() {
        decided.applied = applied;
    }
}

/// Tells the balancer how a try went when it is over, however it ended.
pub(crate) struct Load<'w, 't> {
    pub worker: &'w Worker,
    pub picked: Option<pick::Picked<'t>>,
    pub since: Instant,
    pub ended: Ended,
}

impl Drop for Load<'_, '_> {
    fn drop(&mut self) {
        let now = rt::now();
        let took = now.saturating_duration_since(self.since);
        rt::answered(took);
        if let Some(picked) = &self.picked {
            self.worker.balancers.borrow_mut().ended(picked, self.ended, Some(took), now);
        }
    }
}
