//! The tries of one request, one after another: each goes to one place, and what came of it says whether there is another.

use super::down::Downstream;
use super::exchange::{self, Counts, Try, Verdict};
use super::judged::Shared;
use super::{After, Stop, mark, reach};
use crate::guard;
use crate::pick;
use crate::upstream::UpstreamKey;
use crate::worker::Worker;
use bytes::Bytes;
use model::{Fault, ResponseHead};
use routing::deadline;
use routing::eject::Ended;
use routing::retry::{Failure, Next, RetryState};
use routing::retry_after::{self, Asked};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use telemetry::headers::Head;
use telemetry::{Outcome, Record};
use transport::h1::Hop;
use transport::{Error, rt};

pub enum Step {
    Done(After),
    Again,
}

/// What a refusal tells strangers besides its name.
const TOLD: [&str; 4] = ["WWW-Authenticate", "RateLimit-Policy", "RateLimit", "Retry-After"];

fn told(answer: &ResponseHead) -> Vec<(&'static str, Box<str>)> {
    TOLD.iter().filter_map(|name| Some((*name, answer.headers.text(name)?.into()))).collect()
}

fn by_its_proxy(fault: Fault) -> String {
    format!("the proxy beside the application answered: {}", fault.label())
}

/// Where one try goes.
pub struct To<'t> {
    pub key: &'t UpstreamKey,
    pub picked: Option<&'t pick::Picked<'t>>,
    /// Not by a connection that others used before.
    pub fresh: bool,
}

pub struct Tries<'w, 'r> {
    pub worker: &'w Rc<Worker>,
    pub retry: RetryState<'r>,
    /// The body, where it is held for more tries than one.
    pub held: Option<Bytes>,
    /// Whose budget retries come from.
    pub service: Option<guard::Place>,
    /// How the last try ended, as far as it says something of the endpoint.
    pub ended: Ended,
    /// Who wants to be left alone, and until when.
    pub asked: Asked,
    /// Kept from the next hop of the time that is left.
    pub grace: Duration,
}

impl Tries<'_, '_> {
    pub async fn once(
        &mut self,
        down: &mut Downstream<'_>,
        head: &Shared<'_>,
        hop: &Hop,
        record: &mut Record,
        to: To<'_>,
        judge: &mut impl FnMut(&mut ResponseHead, bool) -> Verdict,
    ) -> Result<Step, Stop> {
        let To { key, picked, fresh } = to;
        self.ended = Ended::Cancelled;
        let deadline = self.retry.attempt_deadline(rt::now());
        reach::in_time(deadline)?;
        let believed = mark::is_believed(&key.via);
        let mut up = match reach::endpoint(self.worker, key, fresh, deadline, &mut down.to, picked).await? {
            Ok(up) => up,
            Err(error) => return Box::pin(self.unreached(picked, error)).await,
        };
        if let Some(trace) = &mut record.trace {
            trace.dialled = Some(rt::now().saturating_duration_since(down.started));
        }
        // Until it is known: a try that is broken off says nothing.
        self.ended = Ended::Cancelled;
        if let Some(left) = reach::in_time(deadline)? {
            deadline::tell(&mut head.borrow_mut(), left.saturating_sub(self.grace));
        }
        let (reused, method, version) = (up.is_reused(), head.borrow().method.clone(), head.borrow().version);
        let idempotent = method.is_idempotent();
        let mut what = Try { head, method, version, hop, held: self.held.clone(), deadline, close: down.close };
        let mut counts = Counts::default();
        let (retry, worker, service, of_endpoint, asked) = (&mut self.retry, self.worker, &self.service, &mut self.ended, &mut self.asked);
        let resendable = self.held.is_some() || !down.from.has_body();
        let (mut pause, mut by_peer, mut kept) = (None, None, Vec::new());
        let (strangers, mut recording) = (record.reporter == telemetry::Reporter::Gateway, Recording::of(record));
        let mut see = |answer: &mut ResponseHead| {
            by_peer = mark::take(answer, believed);
            recording.see(answer);
            let (ended, failure) = mark::judged(answer.status, by_peer);
            *of_endpoint = ended;
            let now = rt::now();
            if let Some(wait) = wants_to_wait(answer) {
                asked.note(picked.map(|picked| picked.id), wait, now);
            }
            // Hardly any answer is one that is tried again: then nobody's budget need be looked at.
            if retry.may_try(failure) {
                let (wait, draw) = (patience(worker, asked, picked, now), worker.draw32());
                let next = worker.budget(service.as_ref(), |budget| retry.on_failure(failure, resendable, wait, budget, now, draw));
                pause = if let Next::RetryAfter(time) = next { Some(time) } else { None };
            }
            match (by_peer, pause) {
                // It says why, to a member of the mesh: strangers get our own words.
                (Some(_), None) if strangers => {
                    kept = told(answer);
                    Verdict::Instead
                }
                _ => judge(answer, pause.is_some()),
            }
        };
        let ended = exchange::run(down, &mut up, &mut what, &mut counts, &mut see).await;
        // Who breaks off, or is broken off, in the middle of an answer had its head.
        (record.request_bytes, record.response_bytes, record.status) = (down.sent, down.given.bytes, down.given.status.unwrap_or_default());
        record.upstream_duration = counts.first_byte.map(|at| at.saturating_duration_since(down.started));
        if let Some(peer) = counts.peer.filter(|_| record.destination.workload.as_ref() == "unknown") {
            record.destination = Arc::new(peer);
        }
        if let Err(stop) = &ended {
            self.ended = Ended::of_failure(stop.fault);
            record.grpc_status = counts.grpc_status;
        }
        match ended? {
            exchange::Ended::Answered { after, status, reusable } => {
                if reusable {
                    up.release(self.worker);
                }
                self.answered(record, status, counts.grpc_status, by_peer);
                Ok(Step::Done(after))
            }
            exchange::Ended::Withheld => {
                let fault = by_peer.unwrap_or(Fault::Internal);
                Err(Stop { fields: kept, ..Stop::new(fault, by_its_proxy(fault)) })
            }
            exchange::Ended::Refused => {
                rt::sleep(pause.unwrap_or_default()).await;
                Ok(Step::Again)
            }
            exchange::Ended::Failed { error, body_spent, .. } => {
                let failure = mark::failure(&error, believed, (reused || error.gone) && idempotent);
                self.broke(failure, &error, record.endpoint);
                // An HTTP/2 body of which nothing was taken waits where it was.
                let again = resendable || (!body_spent && down.from.is_h2());
                self.failed(failure, again, picked, error).await
            }
        }
    }

    /// Nobody was reached.
    pub async fn unreached(&mut self, picked: Option<&pick::Picked<'_>>, error: Error) -> Result<Step, Stop> {
        self.ended = Ended::of_failure(error.fault);
        self.failed(Failure::Unsent(error.fault), true, picked, error).await
    }

    /// What it says of the endpoint that no answer came.
    fn broke(&mut self, failure: Failure, error: &Error, at: Option<SocketAddr>) {
        // A connection that died between requests says nothing of who was at its other end; that nobody is there does.
        let is_silent = matches!(failure, Failure::Unsent(_)) && !error.gone;
        self.ended = if is_silent { Ended::Cancelled } else { Ended::of_failure(error.fault) };
        if let Some(at) = at.filter(|_| error.gone) {
            self.worker.leave(at);
        }
    }

    fn answered(&mut self, record: &mut Record, status: u16, grpc_status: Option<u8>, by_peer: Option<Fault>) {
        record.status = status;
        record.outcome = Outcome::Answered(status);
        record.grpc_status = grpc_status;
        match by_peer {
            // What the judge made of it holds.
            Some(fault) => {
                record.outcome = Outcome::Failed(fault);
                record.reason = Some(by_its_proxy(fault).into());
            }
            None => self.ended = Ended::answered(status, grpc_status),
        }
    }

    async fn failed(&mut self, failure: Failure, resendable: bool, picked: Option<&pick::Picked<'_>>, error: Error) -> Result<Step, Stop> {
        let now = rt::now();
        let wait = patience(self.worker, &self.asked, picked, now);
        let (retry, worker) = (&mut self.retry, self.worker);
        let draw = worker.draw32();
        let next = worker.budget(self.service.as_ref(), |budget| retry.on_failure(failure, resendable, wait, budget, now, draw));
        match next {
            Next::RetryAfter(pause) => {
                rt::sleep(pause).await;
                Ok(Step::Again)
            }
            Next::GiveUp(_) => Err(Stop::from(error)),
        }
    }
}

/// How long an overloaded server wants to be left alone, where it says so.
fn wants_to_wait(answer: &ResponseHead) -> Option<Duration> {
    let overloaded = matches!(answer.status, 429 | 503);
    answer.headers.get("retry-after").filter(|_| overloaded).and_then(|value| retry_after::read(value, rt::wall()))
}

/// How long the next try has to wait for those who asked to be left alone: not at all where somebody else can be tried.
fn patience(worker: &Worker, asked: &Asked, picked: Option<&pick::Picked<'_>>, now: Instant) -> Duration {
    let soonest = asked.soonest(now);
    let others = || picked.is_some_and(|picked| worker.balancers.borrow().has_other(picked, &asked.by(now)));
    if soonest.is_zero() || others() { Duration::ZERO } else { soonest }
}

/// Fields of the answer's head that a policy names, of the last try.
struct Recording<'r> {
    wanted: Option<model::telemetry::Names>,
    redactions: Option<Arc<[model::telemetry::Redaction]>>,
    found: &'r mut Vec<(Arc<str>, String)>,
}

impl<'r> Recording<'r> {
    fn of(record: &'r mut Record) -> Self {
        let wanted = record.tell.as_ref().and_then(|tell| tell.headers.response.clone());
        let redactions = record.tell.as_ref().and_then(|tell| tell.redactions.clone());
        Self { wanted, redactions, found: &mut record.headers.response }
    }

    fn see(&mut self, answer: &ResponseHead) {
        if let Some(names) = &self.wanted {
            let redactions = (Head::Response, self.redactions.as_deref().unwrap_or_default());
            *self.found = telemetry::headers::found(names, &answer.headers, redactions, |_| false);
        }
    }
}
