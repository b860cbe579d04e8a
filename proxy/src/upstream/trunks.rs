//! Connections of HTTP/1.1 towards one proxy of the mesh are streams of one connection of mutual TLS (`organza/2`): to open one costs no handshake, and what
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
use model::{Method, RequestHead, SpiffeId};
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
    /// Who knows no trunks, and since when that is known: nobody waits for another's handshake there.
    without: Map<Place, Instant>,
}

struct Trunk {
    client: h2::Client,
    used: Instant,
}

impl Trunks {
    fn take(&mut self, place: &Place) -> Option<h2::Client> {
        let open = self.open.get_mut(place)?;
        open.retain(|trunk| trunk.client.is_usable());
        let trunk = open.iter_mut().find(|trunk| trunk.client.has_room())?;
        trunk.used = rt::now();
        Some(trunk.client.clone())
    }

    /// No stream begins on a trunk that is open now.
    pub fn doubt(&mut self) {
        self.open.clear();
    }

    /// Closes what was not used for long, and asks again who knew no trunks.
    pub fn sweep(&mut self, now: Instant) {
        self.open.retain(|_, open| {
            let fresh = |trunk: &Trunk| now.duration_since(trunk.used) < transport::limits::POOL_IDLE;
            open.retain(|trunk| trunk.client.is_usable() && (fresh(trunk) || trunk.client.active() > 0));
            !open.is_empty()
        });
        self.without.retain(|_, since| now.duration_since(*since) < limits::WITHOUT_TRUNKS);
        self.dialling.sweep();
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
        if let Some(open) = self.stream_on_trunk(&place).await {
            return open.map(|stream| (stream, None));
        }
        if self.trunks.borrow().without.contains_key(&place) {
            return self.dialled(key, &place).await;
        }
        let waiting = self.trunks.borrow_mut().dialling.of(&place);
        let mut turn = waiting.take().await?;
        // Somebody else has dialled meanwhile.
        if let Some(open) = self.stream_on_trunk(&place).await {
            return open.map(|stream| (stream, None));
        }
        self.dialled(key, &place).await.inspect_err(|error| turn.failed(error))
    }

    async fn stream_on_trunk(&self, place: &Place) -> Option<Result<Stream, Error>> {
        let client = self.trunks.borrow_mut().take(place)?;
        let opened = stream(&client).await;
        if opened.is_err() {
            // Whoever comes next finds out by a connection of its own.
            self.trunks.borrow_mut().open.remove(place);
        }
        Some(opened)
    }

    async fn dialled(self: &Rc<Self>, key: &UpstreamKey, place: &Place) -> Result<(Stream, Option<Shown>), Error> {
        match self.dial_trunk(key, &place.1).await? {
            Answered::Alone(stream, shown) => {
                self.trunks.borrow_mut().without.insert(place.clone(), rt::now());
                Ok((stream, Some(shown)))
            }
            Answered::Trunk(client) => {
                self.trunks.borrow_mut().without.remove(place);
                let first = stream(&client).await?;
                let mut trunks = self.trunks.borrow_mut();
                let open = trunks.open.entry(place.clone()).or_default();
                // What is beyond the limit carries this stream and ends with it.
                if open.len() < limits::H2_CONNECTIONS {
                    open.push(Trunk { client, used: rt::now() });
                }
                Ok((first, None))
            }
        }
    }

    async fn dial_trunk(self: &Rc<Self>, key: &UpstreamKey, expected: &Arc<[SpiffeId]>) -> Result<Answered, Error> {
        let (stream, shown, chosen) = self.dial_member(key, expected, &[alpn::ORGANZA_TRUNK, alpn::ORGANZA]).await?;
        if chosen == alpn::ORGANZA {
            return Ok(Answered::Alone(stream, shown));
        }
        let client = h2::Client::bounded(stream, BytesMut::new(), Bounds::trunk()).await?;
        self.members.put(self, shown, Open::shared(&client))?;
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
