//! The certificate that a stranger showed where one was demanded, for as long as its connection is open: when the roots that vouched for it are exchanged
//! it is verified by those that hold now. Never knows a listener or a route.

use crate::http::Stop;
use model::Fault;
use rustls::pki_types::CertificateDer;
use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

pub struct Vouched {
    chain: Box<[CertificateDer<'static>]>,
    at: SystemTime,
    /// The roots (PEM) that vouched for it last.
    by: RefCell<Arc<[u8]>>,
}

impl fmt::Debug for Vouched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vouched")
    }
}

impl Vouched {
    /// `by`: the roots by which the handshake verified it.
    pub fn new(chain: &[CertificateDer<'static>], by: Arc<[u8]>, at: SystemTime) -> Self {
        Self { chain: chain.into(), at, by: RefCell::new(by) }
    }

    /// # Errors
    /// If these roots do not vouch for it.
    pub fn still(&self, roots: &Arc<[u8]>) -> Result<(), Stop> {
        let same = {
            let by = self.by.borrow();
            Arc::ptr_eq(&by, roots) || **by == **roots
        };
        if !same {
            let doubted = |e| Stop::new(Fault::Unauthenticated, format!("the client's certificate is believed no more: {e}"));
            identity::vouched_for(roots, &self.chain, self.at).map_err(doubted)?;
        }
        self.by.replace(roots.clone());
        Ok(())
    }
}
