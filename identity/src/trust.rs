//! Whom to believe: roots by trust domain, swapped as a whole when a bundle changes.

use crate::{Error, limits, pem};
use arc_swap::ArcSwap;
use model::{TrustBundle, TrustDomain};
use rustls_pki_types::{CertificateDer, TrustAnchor};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

type Anchors = HashMap<TrustDomain, Arc<Vec<TrustAnchor<'static>>>>;
/// SHA-256 of certificates that are believed no more.
type Revoked = HashMap<TrustDomain, HashSet<[u8; 32]>>;

/// Shared by every rustls configuration of a process; a swap holds from the next handshake on.
#[derive(Clone, Default, Debug)]
pub struct TrustStore(Arc<Inner>);

#[derive(Default, Debug)]
struct Inner {
    anchors: ArcSwap<Anchors>,
    revoked: ArcSwap<Revoked>,
    changes: AtomicU64,
}

impl TrustStore {
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts the roots of one trust domain in place; what was revoked stays so. Roots that cannot be read refuse the whole: what worked stays.
    pub fn put(&self, domain: &TrustDomain, roots: &[impl AsRef<[u8]>]) -> Result<(), Error> {
        let anchors: Result<Vec<_>, Error> = roots.iter().map(|der| anchor(der.as_ref())).collect();
        let anchors = Arc::new(anchors?);
        if anchors.is_empty() {
            return Err(Error::Malformed { what: "trust bundle", why: "it holds no root".into() });
        }
        self.0.anchors.rcu(|all| {
            let mut next = Anchors::clone(all);
            next.insert(domain.clone(), anchors.clone());
            next
        });
        self.0.changes.fetch_add(1, Ordering::Release);
        Ok(())
    }

    pub fn put_bundle(&self, bundle: &TrustBundle) -> Result<(), Error> {
        let revoked: HashSet<[u8; 32]> = bundle.revoked.iter().copied().collect();
        // First: nobody is believed by new roots for a moment who is believed no more.
        self.0.revoked.rcu(|all| {
            let mut next = Revoked::clone(all);
            next.insert(bundle.trust_domain.clone(), revoked.clone());
            next
        });
        self.put(&bundle.trust_domain, &bundle.roots)
    }

    /// Whether who has this certificate was taken out of its mesh.
    pub(crate) fn is_revoked(&self, domain: &TrustDomain, leaf: &[u8]) -> bool {
        let revoked = self.0.revoked.load();
        revoked.get(domain).is_some_and(|all| !all.is_empty() && all.contains(&pem::sha256(leaf)))
    }

    pub fn put_pem(&self, domain: &TrustDomain, text: &[u8]) -> Result<(), Error> {
        self.put(domain, &pem::certificates(text)?)
    }

    pub fn remove(&self, domain: &TrustDomain) {
        self.0.anchors.rcu(|all| {
            let mut next = Anchors::clone(all);
            next.remove(domain);
            next
        });
        self.0.revoked.rcu(|all| {
            let mut next = Revoked::clone(all);
            next.remove(domain);
            next
        });
        self.0.changes.fetch_add(1, Ordering::Release);
    }

    /// Rises with each change: what was verified before it is verified again.
    pub fn changes(&self) -> u64 {
        self.0.changes.load(Ordering::Acquire)
    }

    pub(crate) fn anchors(&self, domain: &TrustDomain) -> Option<Arc<Vec<TrustAnchor<'static>>>> {
        self.0.anchors.load().get(domain).cloned()
    }
}

fn anchor(der: &[u8]) -> Result<TrustAnchor<'static>, Error> {
    if der.len() > limits::PEM_BYTES {
        return Err(Error::Malformed { what: "root", why: "too large".into() });
    }
    let certificate = CertificateDer::from(der);
    let anchor = webpki::anchor_from_trusted_cert(&certificate).map_err(|e| Error::Malformed { what: "root", why: e.to_string() })?;
    Ok(anchor.to_owned())
}
