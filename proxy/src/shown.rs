//! What a member of the mesh showed in its handshake, be it one that calls or one that is called, for as long as its connection is open: whoever was believed
//! by a root that is gone is believed no more, nor is who was taken out. A chain is verified again only where trust changed since, and what all have above
//! their own certificate is held once.

use crate::http::Stop;
use crate::worker::Worker;
use model::{Fault, SpiffeId};
use rustls::pki_types::CertificateDer;
use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::time::SystemTime;
use transport::rt;

pub type Above = Rc<[CertificateDer<'static>]>;

pub struct Shown {
    pub identity: SpiffeId,
    leaf: CertificateDer<'static>,
    above: Above,
    at: SystemTime,
    /// Changes of trust that it stood.
    stood: Cell<u64>,
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shown").field(&self.identity).finish()
    }
}

impl Shown {
    /// `changes`: of trust, as it was before the handshake.
    pub fn new(worker: &Worker, identity: SpiffeId, chain: &[CertificateDer<'static>], changes: u64) -> Option<Self> {
        let (leaf, above) = chain.split_first()?;
        let mut last = worker.above.borrow_mut();
        if **last != *above {
            *last = above.into();
        }
        Some(Self { identity, leaf: leaf.clone(), above: last.clone(), at: rt::wall(), stood: Cell::new(changes) })
    }

    /// # Errors
    /// If it would not be believed now.
    pub fn still(&self, worker: &Worker) -> Result<(), Stop> {
        let trust = &worker.shared.credentials.trust;
        let changes = trust.changes();
        if changes == self.stood.get() {
            return Ok(());
        }
        let doubted = |e: identity::Error| Stop::new(Fault::Unauthenticated, format!("{} is believed no more: {e}", self.identity));
        identity::still_trusted(trust, &self.leaf, &self.above, (self.at, rt::wall())).map_err(doubted)?;
        self.stood.set(changes);
        Ok(())
    }
}
