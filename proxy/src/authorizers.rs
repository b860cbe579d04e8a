//! Authorizers outside of the mesh's own rules: asked about each request that access allows and limits have room for, before anything else is done with
//! it, at the one place where its policies are judged or by the filter of its rule. What cannot be asked in time, or answers what is no answer, denies
//! (unless its object says otherwise); all that is held, awaited and read has a limit. Where there is no authorizer nothing is done.
//!
//! It is asked on the worker whose request it is, by the connections that requests have.

mod body;
mod by_grpc;
mod by_http;
mod edits;

pub use body::{hold, too_long};
pub use edits::Edits;

use crate::access::{self, At, Called, Standing};
use crate::http::Stop;
use crate::limits;
use crate::map::{self, Map};
use crate::snapshot::Snapshot;
use crate::worker::Worker;
use bytes::Bytes;
use model::authorizer::{AskedBy, Asking, ExternalAuthorizer};
use model::{Backend, Change, Fault, Key, Kind, Listener, RequestHead, Resource, ResponseHead, SpiffeId};
use policy::{Attributes, Moment, Place, Truth};
use smallvec::SmallVec;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use transport::rt;

/// The authorizers of one snapshot.
#[derive(Default)]
pub struct Authorizers {
    all: Map<Key, Arc<ExternalAuthorizer>>,
    targets: policy::Targets<Vec<Arc<ExternalAuthorizer>>>,
}

impl Authorizers {
    /// As they are after these changes; `None` where none of them is their business.
    pub fn after(&self, changes: &[Change]) -> Option<Self> {
        let all = map::after(&self.all, Kind::ExternalAuthorizer, changes, |put| match put {
            Resource::ExternalAuthorizer(said) => Some(said.clone()),
            _ => None,
        })?;
        Some(Self { targets: map::by_target(&all, |one| &one.targets), all })
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    fn at(&self, place: &Place<'_>) -> Found {
        let mut found = Found::new();
        for one in self.targets.sets(place).into_iter().flatten() {
            if !found.iter().any(|known| Arc::ptr_eq(known, one)) && !is_itself(one, place) {
                found.push(one.clone());
            }
        }
        found
    }
}

pub type Found = SmallVec<[Arc<ExternalAuthorizer>; 2]>;

/// An authorizer is not asked about the questions that come to itself: it would never come to an answer.
fn is_itself(one: &ExternalAuthorizer, place: &Place<'_>) -> bool {
    let (Backend::Service(to), Place::Workload { services, .. }) = (&one.asked.backend, place) else { return false };
    services.iter().any(|(service, port)| *service == to.service && *port == to.port)
}

/// Whether it is to be asked about such a request. One that may be meant is.
fn concerns(one: &ExternalAuthorizer, of: &Attributes<'_>) -> bool {
    one.only.as_ref().is_none_or(|rules| rules.iter().any(|rule| policy::rule_truth(rule, of) > Truth::No))
}

/// Who is asked about a request there, in the order of their keys, and what the request goes on with of those that are not.
///
/// # Errors
/// If the workload is not known yet.
pub fn at(worker: &Worker, snapshot: &Snapshot, standing: &Standing<'_>, head: &RequestHead) -> Result<(Found, Vec<Edits>), Stop> {
    if snapshot.authorizers.is_empty() {
        return Ok((Found::new(), Vec::new()));
    }
    let called = access::called(worker, snapshot, standing);
    let (place, ports) = access::place(snapshot, standing, &called)?;
    let mut buffer = [0; model::limits::HOSTNAME_BYTES];
    let moment = Moment::Request(access::of_head(head, standing, access::host(head, &mut buffer)));
    let of = access::attributes(standing, ports, moment);
    // A path that not everybody reads alike may be any.
    let is_plain = routing::reads_one_way(head.path());
    let mut found = snapshot.authorizers.at(&place);
    let mut unasked = Vec::new();
    found.retain(|one| {
        let is_asked = !is_plain || concerns(one, &of);
        if !is_asked {
            unasked.push(without_a_word(&one.asked));
        }
        is_asked
    });
    Ok((found, unasked))
}

/// The same in words; for those who ask what would become of a request.
pub fn of(snapshot: &Snapshot, standing: &Standing<'_>) -> Vec<String> {
    let called = match standing.at {
        At::Workload { workload, port } => Called::of(snapshot, workload, port),
        At::Gateway { .. } => Called::default(),
    };
    let before = match standing.at {
        At::Gateway { listener, .. } => listener.asks.iter().map(|asking| before(listener, asking)).collect(),
        At::Workload { .. } => Vec::new(),
    };
    let Ok((place, _)) = access::place(snapshot, standing, &called) else { return before };
    let there = snapshot.authorizers.at(&place);
    before.into_iter().chain(there.iter().map(|one| format!("{} asks {}{}", one.origin.object, words(&one.asked), some(one)))).collect()
}

fn before(listener: &Listener, asking: &Asking) -> String {
    format!("listener {} of {} asks {} before requests are routed", listener.section, listener.origin.object, words(asking))
}

fn some(one: &ExternalAuthorizer) -> &'static str {
    if one.only.is_some() { ", about some requests" } else { "" }
}

fn words(asking: &Asking) -> String {
    let protocol = if asking.protocol == AskedBy::Grpc { "gRPC" } else { "HTTP" };
    let open = if asking.fail_open { ", and lets through where there is no answer" } else { "" };
    format!("{} by {protocol} within {:?}{open}", asking.backend, asking.timeout)
}

/// What is asked about.
pub struct Question<'q> {
    pub head: &'q RequestHead,
    /// Held, where it is told.
    pub body: Option<&'q Bytes>,
    /// Of the request's own body, where it is known.
    pub length: Option<u64>,
    /// Of the client, where it can be told.
    pub address: Option<SocketAddr>,
    /// That the caller proved.
    pub identity: Option<&'q SpiffeId>,
    pub request_id: &'q str,
    pub secure: bool,
    /// 1 for a request; that of an authorizer's own question is one more.
    pub depth: u8,
}

/// The depth of a question, by which authorizers that guard each other come to an end. Whoever writes it himself is refused sooner, and nothing else.
const DEPTH: &str = "x-organza-asked";

pub fn depth(head: &RequestHead) -> u8 {
    head.headers.text(DEPTH).map_or(1, |told| told.parse::<u8>().unwrap_or(u8::MAX))
}

/// Says in a question how deep it is.
fn tell_depth(head: &mut RequestHead, question: &Question<'_>) {
    head.headers.set(DEPTH, question.depth.saturating_add(1).to_string().as_bytes());
}

/// What an authorizer says.
pub enum Word {
    /// The request may be, with these changes.
    Allowed(Edits),
    /// The caller gets this answer.
    Denied { answer: ResponseHead, body: Bytes, said: Said },
    /// It said nothing that could be understood, and why.
    Nothing(String),
}

/// What came, where the request is denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    Status(u32),
    /// It says no, and not by which status.
    No,
}

impl Said {
    /// Whoever is not allowed must not read that he is.
    fn shown(self, may_be: impl Fn(u32) -> bool) -> u16 {
        match self {
            Self::Status(status) if may_be(status) => u16::try_from(status).unwrap_or(403),
            Self::Status(_) | Self::No => 403,
        }
    }

    /// In words; `shown` is what the caller gets.
    fn told(self, shown: u16) -> String {
        match self {
            Self::Status(status) if status == u32::from(shown) => format!("answered {status}"),
            Self::Status(status) => format!("answered {status}, which allows nothing"),
            Self::No => "said no".into(),
        }
    }
}

/// Asks, and says what the request goes on with.
///
/// # Errors
/// If the request may not be.
pub async fn ask(worker: &Rc<Worker>, snapshot: &Snapshot, asking: &Asking, by: &Arc<str>, question: &Question<'_>) -> Result<Edits, Stop> {
    if question.depth > limits::ASKED_DEEP {
        let why = format!("the authorizer of {by} is asked about a question of an authorizer about a question, and so on");
        return Err(Stop { by: Some(by.clone()), ..Stop::new(Fault::AuthorizerFailed, why) });
    }
    if let Backend::Invalid { message, .. } = &asking.backend {
        let why = format!("{by} has nobody to ask: {message}");
        return Err(Stop { by: Some(by.clone()), ..Stop::new(Fault::InvalidFilter, why) });
    }
    let asked = Box::pin(async {
        match &asking.protocol {
            AskedBy::Http { prefix, taken } => by_http::ask(worker, snapshot, asking, (prefix, taken), question).await,
            AskedBy::Grpc => by_grpc::ask(worker, snapshot, asking, question).await,
        }
    });
    let word = match rt::timeout(asking.timeout, asked).await {
        Some(Ok(word)) => word,
        Some(Err(error)) => Word::Nothing(format!("{}, {}", error.fault.label(), error.why)),
        None => Word::Nothing(format!("no answer within {:?}", asking.timeout)),
    };
    let stop = |fault, why| Stop { by: Some(by.clone()), ..Stop::new(fault, why) };
    match word {
        Word::Allowed(edits) => {
            count(worker, by, "allowed");
            Ok(edits)
        }
        Word::Denied { answer, body, said } => {
            count(worker, by, "denied");
            let why = format!("the authorizer of {by} {}", said.told(answer.status));
            Err(Stop { instead: Some(Box::new((answer, body))), ..stop(Fault::AccessDenied, why) })
        }
        Word::Nothing(why) if asking.fail_open => {
            count(worker, by, "open");
            tracing::debug!("the authorizer of {by} was not heard, and the request goes on: {why}");
            Ok(without_a_word(asking))
        }
        Word::Nothing(why) => {
            count(worker, by, "failed");
            Err(stop(Fault::AuthorizerFailed, format!("the authorizer of {by} was not heard: {why}")))
        }
    }
}

/// What a request goes on with that the authorizer says nothing of: what it alone may write nobody writes in its stead.
fn without_a_word(asking: &Asking) -> Edits {
    match &asking.protocol {
        AskedBy::Http { taken, .. } => by_http::taken_off(asking, taken),
        AskedBy::Grpc => Edits::default(),
    }
}

fn count(worker: &Worker, by: &str, result: &str) {
    let help =
        "Requests that an authorizer outside was asked about, and what came of it; open: it was not heard, and they went on all the same";
    worker.shared.metrics.counter("organza_external_authorizations", help, &[("authorizer", by), ("result", result)]).add(1.0);
}

/// Fields that belong to a connection or say how a message is framed: no question carries them over, and no answer.
fn is_framing(name: &str) -> bool {
    routing::phases::is_connection_field(name) || name.eq_ignore_ascii_case("expect") || name.eq_ignore_ascii_case("host")
}

#[cfg(test)]
mod tests;
