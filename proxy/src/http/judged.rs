//! A request before its judge: where it is judged and who brings it, for it may be judged again while it is under way, by its head as it was.

use super::{Client, Ingress, Stop, plan};
use crate::access::{self, At, Behind, Standing};
use crate::consumers;
use crate::rates;
use crate::snapshot::Snapshot;
use crate::tokens;
use crate::worker::Worker;
use model::{Fault, Listener, RequestHead, Route};
use policy::{Consumer, Token};
use std::cell::RefCell;
use std::sync::Arc;
use telemetry::Record;

/// The head of a request that is carried, for as long as its judge may ask what it was: whoever edits it holds it for no longer than that takes, and never
/// while something is awaited.
pub type Shared<'h> = RefCell<&'h mut RequestHead>;

/// What a request is judged by, also when policies change while it is under way.
pub struct Judged<'c> {
    client: &'c Client,
    place: Place<'c>,
    who: Who,
    worker: &'c Worker,
}

/// Who a request comes from, beside what its connection says.
#[derive(Debug, Clone)]
pub struct Who {
    pub behind: Behind,
    /// What its token says, where one is believed.
    pub token: Option<Arc<Token>>,
    /// Whose key it brings, where one is believed.
    pub consumer: Option<Arc<Consumer>>,
}

pub enum Place<'c> {
    /// The port of the application.
    Workload(u16),
    Gateway(&'c Listener, &'c Route),
}

impl<'c> Judged<'c> {
    /// Whose key the head brings is found out first, for then it is kept without the key: from here on the head says what it was when it is judged.
    ///
    /// # Errors
    /// If its key is nobody's, or one is demanded and there is none.
    pub fn new(
        worker: &'c Worker,
        snapshot: &Snapshot,
        client: &'c Client,
        place: Place<'c>,
        head: &mut RequestHead,
        mut who: Who,
    ) -> Result<Self, Stop> {
        if !snapshot.consumers.is_empty() {
            let consumer = consumers::read(worker, snapshot, &standing(client, &place, &who)?, head)?;
            who.consumer = consumer;
        }
        head.keep();
        Ok(Self { client, place, who, worker })
    }

    /// What the record says of who brings it: whose token, and who consumes what.
    fn note(&self, record: &mut Record) {
        if let Some(token) = &self.who.token {
            record.token_issuer = Some(token.issuer.clone());
            record.token_subject = Some(token.subject.clone()).filter(|subject| !subject.is_empty());
        }
        let Some(consumer) = &self.who.consumer else { return };
        record.consumer = Some(consumer.name.clone());
        record.api = match &self.place {
            Place::Gateway(_, route) => Some(route.origin.object.to_string().into()),
            Place::Workload(_) => record.dialled_service.as_ref().map(|to| format!("Service {}/{}", to.namespace, to.name).into()),
        };
    }

    /// Judges it for the first time, and counts it where it is allowed. The record says who brings it, and what policies that are tried out would decide.
    ///
    /// # Errors
    /// If it is not let in.
    pub fn admit(&self, snapshot: &Snapshot, head: &RequestHead, record: &mut Record) -> Result<(), Stop> {
        self.note(record);
        let standing = self.standing()?;
        record.dry_run = access::request(self.worker, snapshot, &standing, head, access::Time::First)?;
        rates::take(self.worker, snapshot, &standing, head)
    }

    /// Judges it while it is carried, by its head as it was at first.
    ///
    /// # Errors
    /// If it would not be let in now.
    pub fn carried(&self, head: &Shared<'_>) -> Result<(), Stop> {
        match head.try_borrow() {
            Ok(head) => self.again(&head.as_kept()),
            Err(_) => Err(Stop::new(Fault::Internal, "a request was to be judged while its head was edited")),
        }
    }

    /// Judges it while it is under way: also whether who brings it is still believed.
    ///
    /// # Errors
    /// If it would not be let in now.
    pub fn again(&self, head: &RequestHead) -> Result<(), Stop> {
        if let Ingress::Inbound { shown: Some(shown), .. } = &self.client.ingress {
            shown.still(self.worker)?;
        }
        let snapshot = self.worker.snapshot();
        if let (Place::Gateway(then, _), Ingress::Gateway { tls, .. }) = (&self.place, &self.client.ingress) {
            let now = snapshot.table.listeners_of(&then.gateway).iter().find(|now| now.key == then.key);
            let by_now = |stop| Stop { generation: snapshot.generation, ..stop };
            plan::vouched(now.map_or(*then, |now| now), tls.as_ref()).map_err(by_now)?;
        }
        access::request(self.worker, &snapshot, &self.standing()?, head, access::Time::Again).map(drop)
    }

    /// Where it is judged, and who brings it.
    ///
    /// # Errors
    /// If nobody judges there.
    pub fn standing(&self) -> Result<Standing<'_>, Stop> {
        standing(self.client, &self.place, &self.who)
    }
}

fn standing<'s>(client: &'s Client, place: &'s Place<'_>, who: &'s Who) -> Result<Standing<'s>, Stop> {
    let (at, identity) = match (place, &client.ingress) {
        (Place::Workload(port), Ingress::Inbound { workload, shown, .. }) => {
            (At::Workload { workload, port: *port }, shown.as_ref().map(|shown| &shown.identity))
        }
        (Place::Gateway(listener, route), _) => (At::Gateway { listener, route: &route.key }, None),
        _ => return Err(Stop::new(Fault::Internal, "a request was to be judged where nobody judges")),
    };
    let (token, consumer) = (who.token.as_deref(), who.consumer.as_deref());
    let server_name = match &client.ingress {
        Ingress::Gateway { tls, .. } => tls.as_ref().and_then(|tls| tls.sni.as_deref()),
        _ => None,
    };
    Ok(Standing { at, identity, address: client.address, server_name, behind: who.behind, token, consumer })
}

/// What the caller's token says, where the request comes in and nowhere else.
pub async fn token(
    worker: &Worker,
    snapshot: &Snapshot,
    client: &Client,
    listener: Option<&Arc<Listener>>,
    head: &mut RequestHead,
) -> Result<Option<Arc<Token>>, Stop> {
    let door = match (&client.ingress, listener) {
        (_, Some(listener)) => tokens::Door::Gateway(listener),
        (Ingress::Inbound { workload, application, .. }, None) => tokens::Door::Workload(workload, application.port()),
        (Ingress::Gateway { .. } | Ingress::Service { .. } | Ingress::ExplicitProxy { .. }, None) => return Ok(None),
    };
    tokens::read(worker, snapshot, door, head).await
}
