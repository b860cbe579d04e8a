//! Connections of HTTP/1.1 and of unread bytes towards one proxy of the mesh are streams of one connection of mutual TLS (`organza/2`): to open one costs no handshake, and what
//! many of them say at once goes out as one piece. Each begins with the preface and is from then on what a connection of its own was (`decisions/0052`).
//! Proxies of a release that knows no trunks get connections of their own. Never knows what a stream carries.

use super::UpstreamKey;
use super::turns::Turns;
use crate::limits;
use crate::map::Map;
use crate::shown::Shown;
use crate::worker::Worker;
use bytes::BytesMut;
use identity::alpn;
use model::{Fault, Key, Method, RequestHead, SpiffeId};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;
use transport::open::Open;
use transport::{Bounds, Error, Stream, h2, rt};

/// Where a trunk leads, and who may answer there.
type Place = (SocketAddr, Arc<[SpiffeId]>);

/// Of one worker.
#[derive(Default)]
pub struct Trunks {
    open: Map<Place, Vec<Trunk>>,
    dialling: Turns<Place>,
    /// Who knew no trunks, and since when: nobody waits for another's handshake there.
    without: Map<Place, Instant>,
    /// Ports whose connections carry much, and since when that is known.
    bulk: Map<(Key, u16), Instant>,
}

struct Trunk {
    client: h2::Client,
    opened: Instant,
    used: Instant,
}

impl Trunks {
    /// One with room that is not too old to begin on: what its peer showed holds no longer than that.
    fn take(&mut self, place: &Place, now: Instant) -> Option<h2::Client> {
        let open = self.open.get_mut(place)?;
        open.retain(|trunk| trunk.client.is_usable() && trunk.is_young(now));
        let trunk = open.iter_mut().find(|trunk| trunk.client.has_room())?;
        trunk.used = now;
        Some(trunk.client.clone())
    }

    /// As many as there are streams for: each carries many, and those that nobody needs are swept.
    fn put(&mut self, place: Place, client: h2::Client, now: Instant) {
        self.without.remove(&place);
        self.open.entry(place).or_default().push(Trunk { client, opened: now, used: now });
    }

    /// Nothing begins on this one any more.
    fn drop_one(&mut self, place: &Place, client: &h2::Client) {
        if let Some(open) = self.open.get_mut(place) {
            open.retain(|trunk| !trunk.client.is(client));
        }
    }

    /// An opaque connection has carried so much to this port of a service. Frames cost something for every byte, and windows bound what is under way on long
    /// ways; who carries much gains nothing from what they save by the message. So those that follow get sessions of their own, for a while.
    pub fn carried(&mut self, service: &Key, port: u16, bytes: u64) {
        if bytes >= limits::BULK {
            self.bulk.insert((service.clone(), port), rt::now());
        }
    }

    pub fn is_bulk(&self, service: &Key, port: u16) -> bool {
        !self.bulk.is_empty() && self.bulk.contains_key(&(service.clone(), port))
    }

    /// No stream begins on a trunk that is open now.
    pub fn doubt(&mut self) {
        self.open.clear();
    }

    /// Closes what was not used for long or is too old, once its streams have ended.
    pub fn sweep(&mut self, now: Instant) {
        self.open.retain(|_, open| {
            let fresh = |trunk: &Trunk| now.duration_since(trunk.used) < transport::limits::POOL_IDLE || trunk.client.active() > 0;
            open.retain(|trunk| trunk.client.is_usable() && trunk.is_young(now) && fresh(trunk));
            !open.is_empty()
        });
        self.without.retain(|_, since| now.duration_since(*since) < limits::WITHOUT_TRUNKS);
        self.bulk.retain(|_, since| now.duration_since(*since) < limits::BULK_KNOWN);
        self.dialling.sweep();
    }
}

impl Trunk {
    fn is_young(&self, now: Instant) -> bool {
        now.duration_since(self.opened) < transport::limits::POOL_LIFE
    }
}

enum Answered {
    Trunk(h2::Client),
    /// One connection, as those before had it.
    Alone(Stream, Shown),
}

impl Worker {
    /// A stream to one of those who are expected; with what it showed where it is a connection of its own.
    pub(super) async fn dial_stream(
        self: &Rc<Self>,
        key: &UpstreamKey,
        expected: &Arc<[SpiffeId]>,
    ) -> Result<(Stream, Option<Shown>), Error> {
        let place = (key.address, expected.clone());
        let there = self.trunks.borrow_mut().take(&place, rt::now());
        if let Some(client) = there {
            match stream(&client).await {
                Ok(stream) => return Ok((stream, None)),
                Err(error) => {
                    self.trunks.borrow_mut().drop_one(&place, &client);
                    // Else it died unnoticed, or is full there: whoever dials finds out.
                    if matches!(error.fault, Fault::AccessDenied | Fault::ConnectTimeout) {
                        return Err(error);
                    }
                }
            }
        }
        match self.trunk(key, place).await? {
            Answered::Trunk(client) => Ok((stream(&client).await?, None)),
            Answered::Alone(stream, shown) => Ok((stream, Some(shown))),
        }
    }

    /// A trunk with room, dialled by one for all who wait for the same. Streams are opened by each for itself.
    async fn trunk(self: &Rc<Self>, key: &UpstreamKey, place: Place) -> Result<Answered, Error> {
        let without = || self.trunks.borrow().without.contains_key(&place);
        if without() {
            return self.dial_trunk(key, place).await;
        }
        let waiting = self.trunks.borrow_mut().dialling.of(&place);
        let mut turn = waiting.take().await?;
        // Somebody else has dialled meanwhile.
        let there = self.trunks.borrow_mut().take(&place, rt::now());
        if let Some(client) = there {
            return Ok(Answered::Trunk(client));
        }
        if without() {
            drop(turn);
            return self.dial_trunk(key, place).await;
        }
        self.dial_trunk(key, place).await.inspect_err(|error| turn.failed(error))
    }

    async fn dial_trunk(self: &Rc<Self>, key: &UpstreamKey, place: Place) -> Result<Answered, Error> {
        let (stream, shown, chosen) = self.dial_member(key, &place.1, &[alpn::ORGANZA_TRUNK, alpn::ORGANZA]).await?;
        if chosen == alpn::ORGANZA {
            self.trunks.borrow_mut().without.insert(place, rt::now());
            return Ok(Answered::Alone(stream, shown));
        }
        let client = h2::Client::bounded(stream, BytesMut::new(), Bounds::trunk()).await?.of_proxy();
        self.members.put(self, shown, Open::shared(&client))?;
        self.trunks.borrow_mut().put(place, client.clone(), rt::now());
        Ok(Answered::Trunk(client))
    }
}

async fn stream(client: &h2::Client) -> Result<Stream, Error> {
    let mut head = RequestHead::default();
    head.method = Method::Connect;
    // Where it leads is the preface's to say.
    head.set_authority("mesh:1");
    Ok(Stream::Tunnel(Box::new(h2::Tunnel::open(client, &head).await?)))
}

#[cfg(test)]
mod tests;
