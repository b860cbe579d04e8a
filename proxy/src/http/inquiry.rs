//! A request before authorizers outside: those of the listener, before it is routed; those of the place where it is judged, then those of the rule that takes it. Each must allow it, and sees what
//! the ones before made of it. Its body is held where one of them is told it, and sent on from there.

use super::down::Downstream;
use super::{Client, Ingress, Stop, answer};
use crate::access::{Behind, Standing};
use crate::authorizers::{self, Question};
use crate::snapshot::Snapshot;
use crate::worker::Worker;
use bytes::Bytes;
use model::authorizer::Asking;
use model::{Listener, RequestHead, SpiffeId};
use routing::Decision;
use smallvec::SmallVec;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use telemetry::Record;
use transport::body::Length;

pub struct Inquiry<'a> {
    pub worker: &'a Rc<Worker>,
    pub snapshot: &'a Snapshot,
    pub client: &'a Client,
    pub behind: Behind,
    /// What follows the head belongs to a tunnel.
    pub upgrades: bool,
    /// The body, once it was read.
    pub held: Option<Bytes>,
}

/// Who is asked, and the object that says so.
type Asked<'a> = SmallVec<[(&'a Asking, Arc<str>); 2]>;

impl Inquiry<'_> {
    /// Those of the listener, before it is known which rule takes the request; the body, where it was read.
    ///
    /// # Errors
    /// If one of them does not allow the request.
    pub async fn before(
        mut self,
        listener: &Listener,
        down: &mut Downstream<'_>,
        head: &mut RequestHead,
        record: &Record,
    ) -> Result<Option<Bytes>, Stop> {
        let by: Arc<str> = listener.origin.object.to_string().into();
        let asked: Asked<'_> = listener.asks.iter().map(|asking| (&**asking, by.clone())).collect();
        self.all(&asked, None, down, head, record).await.map(|()| self.held)
    }

    /// Those of the place.
    ///
    /// # Errors
    /// If one of them does not allow the request.
    pub async fn at(
        &mut self,
        standing: &Standing<'_>,
        down: &mut Downstream<'_>,
        head: &mut RequestHead,
        record: &Record,
    ) -> Result<(), Stop> {
        let (found, unasked) = authorizers::at(self.worker, self.snapshot, standing, head)?;
        unasked.iter().for_each(|edits| edits.apply(&mut head.headers));
        let asked: Asked<'_> = found.iter().map(|one| (&one.asked, one.origin.object.to_string().into())).collect();
        self.all(&asked, standing.identity, down, head, record).await
    }

    /// Those of the rule.
    ///
    /// # Errors
    /// If one of them does not allow the request.
    pub async fn of_rule(
        &mut self,
        decision: &Decision<'_>,
        down: &mut Downstream<'_>,
        head: &mut RequestHead,
        record: &Record,
    ) -> Result<(), Stop> {
        let written = routing::filters::authorizers(decision, head);
        let by: Arc<str> = decision.route().origin.object.to_string().into();
        let asked: Asked<'_> = written.iter().map(|one| (&*one.filter, by.clone())).collect();
        self.all(&asked, None, down, head, record).await
    }

    async fn all(
        &mut self,
        asked: &Asked<'_>,
        identity: Option<&SpiffeId>,
        down: &mut Downstream<'_>,
        head: &mut RequestHead,
        record: &Record,
    ) -> Result<(), Stop> {
        let length = match down.from.length() {
            Length::None => Some(0),
            Length::Known(length) => Some(length),
            Length::Open => None,
        };
        for (asking, by) in asked {
            // By HTTP/1 a body stands before the tunnel, and goes on to whoever does not care for the upgrade.
            if asking.body > 0 && !(self.upgrades && down.from.is_h2()) {
                self.hold(down, head, asking.body, by).await?;
            }
            let question = Question {
                head,
                body: self.held.as_ref().filter(|_| asking.body > 0),
                length,
                address: self.address(),
                identity,
                request_id: &record.request_id,
                depth: authorizers::depth(head),
                secure: matches!(self.client.ingress, Ingress::Gateway { tls: Some(_), .. }),
            };
            let asked = authorizers::ask(self.worker, self.snapshot, asking, by, &question).await;
            let edits = asked.map_err(|stop| answer::by_another(self.worker, self.snapshot, self.client, stop))?;
            edits.apply(&mut head.headers);
        }
        Ok(())
    }

    /// What was read for one may still be too long for another.
    async fn hold(&mut self, down: &mut Downstream<'_>, head: &mut RequestHead, most: u32, by: &Arc<str>) -> Result<(), Stop> {
        match &self.held {
            None => self.held = authorizers::hold(self.worker, down, head, most, by).await?,
            Some(held) if held.len() > most as usize => return Err(authorizers::too_long(most, by)),
            Some(_) => {}
        }
        Ok(())
    }

    /// The client's, where it can be told.
    fn address(&self) -> Option<SocketAddr> {
        let peer = self.client.address?;
        match self.behind.address(peer.ip())? {
            client if client == peer.ip() => Some(peer),
            client => Some(SocketAddr::new(client, 0)),
        }
    }
}

/// Whether anybody is to be asked at all: hardly any request comes here.
pub fn is_needed(snapshot: &Snapshot, decision: Option<&Decision<'_>>) -> bool {
    !snapshot.authorizers.is_empty() || decision.is_some_and(|decision| !decision.phases().authorizers.is_empty())
}
