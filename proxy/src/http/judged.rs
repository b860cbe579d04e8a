//! A request before its judge: where it is judged, who brings it, and its head as it was, for it may be judged again while it is under way.

use super::{Client, Ingress, Stop};
use crate::access::{self, At, Behind, Standing, again};
use crate::rates;
use crate::snapshot::Snapshot;
use crate::tokens;
use crate::worker::Worker;
use model::{Fault, Listener, RequestHead, Route};
use policy::Token;
use std::rc::Rc;
use std::sync::Arc;

/// What a request is judged by, also when policies change while it is under way.
pub struct Judged<'c> {
    client: &'c Client,
    place: Place,
    kept: again::Kept,
    behind: Behind,
    token: Option<Arc<Token>>,
    worker: &'c Worker,
}

pub enum Place {
    /// The port of the application.
    Workload(u16),
    Gateway(Arc<Listener>, Arc<Route>),
}

impl<'c> Judged<'c> {
    pub fn new(worker: &'c Rc<Worker>, client: &'c Client, place: Place, head: &RequestHead, who: (Behind, Option<Arc<Token>>)) -> Self {
        let (behind, token) = who;
        Self { client, place, kept: again::Kept::of(worker, head), behind, token, worker }
    }

    /// Judges it for the first time, and counts it where it is allowed.
    pub fn admit(&self, snapshot: &Snapshot) -> Result<Option<Arc<str>>, Stop> {
        let told = self.judge(snapshot)?;
        rates::take(self.worker, snapshot, &self.standing()?, self.head()?)?;
        Ok(told)
    }

    pub fn judge(&self, snapshot: &Snapshot) -> Result<Option<Arc<str>>, Stop> {
        access::request(self.worker, snapshot, &self.standing()?, self.head()?)
    }

    fn head(&self) -> Result<&RequestHead, Stop> {
        self.kept.head().ok_or_else(|| Stop::new(Fault::Internal, "a request was to be judged whose head is gone"))
    }

    /// Where it is judged, and who brings it.
    ///
    /// # Errors
    /// If nobody judges there.
    pub fn standing(&self) -> Result<Standing<'_>, Stop> {
        let (at, identity) = match (&self.place, &self.client.ingress) {
            (Place::Workload(port), Ingress::Inbound { workload, identity, .. }) => {
                (At::Workload { workload, port: *port }, Some(identity))
            }
            (Place::Gateway(listener, route), _) => (At::Gateway { listener, route: &route.key }, None),
            _ => return Err(Stop::new(Fault::Internal, "a request was to be judged where nobody judges")),
        };
        Ok(Standing { at, identity, address: self.client.address, behind: self.behind, token: self.token.as_deref() })
    }
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
