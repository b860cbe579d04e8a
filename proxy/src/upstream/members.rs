//! What is open towards members of the mesh, with what each of them showed: when it changes whom we believe, what leads to somebody who is believed no more
//! ends at once, be it bytes, an upgrade, a tunnel or a request under way, as what comes from there does. It never knows what a connection carries.

use super::{Alpn, UpstreamKey, dial_tcp};
use crate::limits;
use crate::shown::Shown;
use crate::worker::Worker;
use bytes::BytesMut;
use identity::{Expected, alpn};
use model::{Fault, SpiffeId};
use rustls::pki_types::ServerName;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use transport::open::Open;
use transport::{Error, Stream, h2, rt, tls};

/// A connection that was just opened.
pub(super) struct Dialled {
    pub stream: Stream,
    /// The preface that has to go first; the other end owes one then, too.
    pub hello: Option<Vec<u8>>,
    /// What was shown by a member of which nobody else keeps it.
    pub shown: Option<Shown>,
}

impl Dialled {
    pub fn outside(stream: Stream) -> Self {
        Self { stream, hello: None, shown: None }
    }
}

/// Of one worker.
#[derive(Default)]
pub struct Members {
    open: RefCell<Vec<(Shown, Open)>>,
    /// With how many those are looked for that have ended meanwhile.
    full: Cell<usize>,
}

impl Members {
    /// # Errors
    /// If trust changed while it was opened, and who answered is believed no more.
    pub(super) fn put(&self, worker: &Worker, shown: Shown, open: Open) -> Result<(), Error> {
        shown.still(worker).map_err(|stop| Error::new(Fault::TlsFailed, stop.why).with_nothing_received())?;
        let mut all = self.open.borrow_mut();
        if all.len() >= self.full.get() {
            all.retain(|(_, open)| open.is_open());
            // So that each is looked at about twice.
            self.full.set((2 * all.len()).max(limits::MEMBERS_LOOKED_AT));
        }
        all.push((shown, open));
        Ok(())
    }

    /// Ends what leads to those who are believed no more.
    pub fn judge(&self, worker: &Worker) {
        self.open.borrow_mut().retain(|(shown, open)| {
            if !open.is_open() {
                return false;
            }
            match shown.still(worker) {
                Ok(()) => true,
                Err(stop) => {
                    open.cut(&stop.why);
                    false
                }
            }
        });
    }

    /// How many are known, those that have ended and were not looked at since among them.
    #[cfg(test)]
    pub fn known(&self) -> usize {
        self.open.borrow().len()
    }
}

impl Worker {
    /// Mutual TLS to one of those who are expected, what it showed, and which of the protocols it chose.
    pub(super) async fn dial_member(
        self: &Rc<Self>,
        key: &UpstreamKey,
        expected: &Arc<[SpiffeId]>,
        alpn: Alpn,
    ) -> Result<(Stream, Shown, &'static [u8]), Error> {
        if self.shared.credentials.svid().is_none() {
            return Err(Error::new(Fault::NoIdentity, "this proxy has no certificate yet"));
        }
        let tcp = dial_tcp(key.address).await?;
        let config = self.config(key, alpn, || {
            let expected = Expected::AnyOf(expected.clone());
            identity::client_config(&self.shared.credentials, expected, alpn, Arc::new(rt::Here::now()))
        })?;
        let name = ServerName::try_from("mesh").map_err(|e| Error::new(Fault::Internal, e.to_string()))?;
        let changes = self.shared.credentials.trust.changes();
        let stream = tls::connect(tcp, config, name).await?;
        let proof = tls::proof(&stream).unwrap_or_default();
        // A peer that chose nothing would take our first words for its own protocol's.
        let Some(chosen) = alpn.iter().find(|one| proof.alpn.as_deref() == Some(**one)) else {
            return Err(Error::new(Fault::UnrecognisedProtocol, "the peer speaks no protocol of the mesh").with_nothing_received());
        };
        let shown = proof.peer.and_then(|identity| Shown::new(self, identity, tls::chain(&stream), changes));
        let shown =
            shown.ok_or_else(|| Error::new(Fault::IdentityMismatch, "the peer showed no SPIFFE identity").with_nothing_received())?;
        Ok((stream, shown, chosen))
    }

    /// A connection for HBONE's tunnels.
    pub(super) async fn dial_tunnels(self: &Rc<Self>, key: &UpstreamKey, expected: &Arc<[SpiffeId]>) -> Result<h2::Client, Error> {
        let (stream, shown, _) = self.dial_member(key, expected, &[alpn::H2]).await?;
        let client = h2::Client::new(stream, BytesMut::new()).await?.of_proxy();
        self.members.put(self, shown, Open::shared(&client))?;
        Ok(client)
    }
}

#[cfg(test)]
mod tests;
