//! A request before its judge: where it is judged, who brings it, and its head as it was, for it may be judged again while it is under way.

use super::{Client, Ingress, Stop, plan};
use crate::access::{self, At, Behind, Standing, again};
use crate::consumers;
use crate::rates;
use crate::snapshot::Snapshot;
use crate::tokens;
use crate::worker::Worker;
use model::{Fault, Listener, RequestHead, Route};
use policy::{Consumer, Token};
use std::rc::Rc;
use std::sync::Arc;
use telemetry::Record;

/// What a request is judged by, also when policies change while it is under way.
pub struct Judged<'c> {
    client: &'c Client,
    place: Place,
    kept: again::Kept,
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

pub enum Place {
    /// The port of the application.
    Workload(u16),
    Gateway(Arc<Listener>, Arc<Route>),
}

impl<'c> Judged<'c> {
    /// Whose key the head brings is found out first, for then it is kept without the key.
    ///
    /// # Errors
    /// If its key is nobody's, or one is demanded and there is none.
    pub fn new(
        worker: &'c Rc<Worker>,
        snapshot: &Snapshot,
        client: &'c Client,
        place: Place,
        head: &mut RequestHead,
        mut who: Who,
    ) -> Result<Self, Stop> {
        if !snapshot.consumers.is_empty() {
            let consumer = consumers::read(worker, snapshot, &standing(client, &place, &who)?, head)?;
            who.consumer = consumer;
        }
        Ok(Self { client, place, kept: again::Kept::of(worker, head), who, worker })
    }

    /// What the record says of who consumes what.
    pub fn note(&self, record: &mut Record) {
        let Some(consumer) = &self.who.consumer else { return };
        record.consumer = Some(consumer.name.clone());
        record.api = match &self.place {
            Place::Gateway(_, route) => Some(route.origin.object.to_string().into()),
            Place::Workload(_) => record.dialled_service.as_ref().map(|to| format!("Service {}/{}", to.namespace, to.name).into()),
        };
    }

    /// Judges it for the first time, and counts it where it is allowed.
    pub fn admit(&self, snapshot: &Snapshot) -> Result<Option<Arc<str>>, Stop> {
        let told = self.judge(snapshot, access::Time::First)?;
        rates::take(self.worker, snapshot, &self.standing()?, self.head()?)?;
        Ok(told)
    }

    fn judge(&self, snapshot: &Snapshot, time: access::Time) -> Result<Option<Arc<str>>, Stop> {
        access::request(self.worker, snapshot, &self.standing()?, self.head()?, time)
    }

    /// Judges it while it is under way: also whether who brings it is still believed.
    ///
    /// # Errors
    /// If it would not be let in now.
    pub fn again(&self) -> Result<(), Stop> {
        if let Ingress::Inbound { shown: Some(shown), .. } = &self.client.ingress {
            shown.still(self.worker)?;
        }
        let snapshot = self.worker.snapshot();
        if let (Place::Gateway(then, _), Ingress::Gateway { tls, .. }) = (&self.place, &self.client.ingress) {
            let now = snapshot.table.listeners_of(&then.gateway).iter().find(|now| now.key == then.key);
            plan::vouched(now.unwrap_or(then), tls.as_ref())?;
        }
        self.judge(&snapshot, access::Time::Again).map(drop)
    }

    fn head(&self) -> Result<&RequestHead, Stop> {
        self.kept.head().ok_or_else(|| Stop::new(Fault::Internal, "a request was to be judged whose head is gone"))
    }

    /// Where it is judged, and who brings it.
    ///
    /// # Errors
    /// If nobody judges there.
    pub fn standing(&self) -> Result<Standing<'_>, Stop> {
        standing(self.client, &self.place, &self.who)
    }
}

fn standing<'s>(client: &'s Client, place: &'s Place, who: &'s Who) -> Result<Standing<'s>, Stop> {
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
