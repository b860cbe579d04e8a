//! Who is given a certificate: whoever is registered at that instant, under the same lock by which it may be taken out or revoked. What is signed is noted
//! before the lock is given back, so that nobody holds a certificate that cannot be revoked. Never knows how somebody proved who it is.

use super::{Core, Inner, now, seconds};
use crate::registry::{Certified, Entry};
use crate::{ca, limits, world};
use identity::{Issued, SignRequest, Signer};
use model::SpiffeId;
use std::time::SystemTime;

/// What is signed, and the roots that members believe (DER).
pub type Signed = (Issued, Vec<Vec<u8>>);

/// Why nothing is signed.
#[derive(Debug, thiserror::Error)]
pub enum Unsigned {
    /// Whoever asks was taken out for good.
    #[error("who has this certificate was taken out of the mesh")]
    Revoked,
    #[error("nobody is registered as {0}")]
    Nobody(SpiffeId),
    #[error(transparent)]
    Bad(#[from] identity::Error),
}

impl Core {
    /// Whom members believe.
    pub fn bundle(&self) -> model::TrustBundle {
        let inner = self.lock();
        world::bundle(&self.trust_domain, inner.authority.roots(), &inner.registry)
    }

    /// Signs a request for an identity that was proven, and remembers which proxy holds it.
    ///
    /// # Errors
    /// If no such proxy is registered under this identity, or it has as many certificates as it may, or the request cannot be signed.
    pub fn sign(&self, csr: &[u8], id: &SpiffeId, holder: &str) -> Result<Signed, Unsigned> {
        let request = SignRequest::parse(csr)?;
        self.signed(&mut self.lock(), &request, id, holder)
    }

    /// The same for whoever shows the certificate that it was given before (its SHA-256). One that is revoked at the same instant is asked about under the lock
    /// that revokes it: either what is signed is revoked with the rest, or nothing is signed.
    ///
    /// # Errors
    /// As [`Core::sign`], and if the certificate is revoked or of nobody who is here.
    pub fn renew(&self, csr: &[u8], id: &SpiffeId, sha256: &str) -> Result<Signed, Unsigned> {
        let request = SignRequest::parse(csr)?;
        let mut inner = self.lock();
        if inner.registry.is_revoked(sha256) {
            return Err(Unsigned::Revoked);
        }
        let holder = inner.registry.renewed(sha256, id, seconds(now())).map(|entry| entry.proxy.clone());
        let holder = holder.ok_or_else(|| Unsigned::Nobody(id.clone()))?;
        self.signed(&mut inner, &request, id, &holder)
    }

    fn signed(&self, inner: &mut Inner, request: &SignRequest, id: &SpiffeId, holder: &str) -> Result<Signed, Unsigned> {
        let at = now();
        let is_it = |entry: &&Entry| entry.identity().as_ref() == Some(id);
        let entry = inner.registry.get(holder).filter(is_it).ok_or_else(|| Unsigned::Nobody(id.clone()))?;
        // Not kept, as it is not when it is let in: and what it is given is revoked by nobody.
        let is_pod = self.cluster().is_some() && entry.gateway().is_some();
        if !is_pod && inner.registry.is_full(holder, seconds(at)) {
            let why = format!("{holder} has {} certificates that have not ended, the most there may be", limits::CERTIFICATES);
            return Err(identity::Error::Signing(why).into());
        }
        let issued = inner.authority.sign(request, id, at)?;
        inner.issued.insert(holder.to_owned(), (id.to_string(), seconds(at), seconds(issued.not_after)));
        let leaf = issued.chain.first().map_or(&[][..], Vec::as_slice);
        let given = Certified { sha256: identity::pem::fingerprint(leaf), until: seconds(issued.not_after) };
        if let Some(entry) = inner.registry.certified(holder, given, seconds(at)).filter(|_| !is_pod) {
            self.keep_entry(entry);
        }
        if let Some(folder) = &self.ca_folder
            && let Err(e) = ca::save_use(folder, &inner.authority)
        {
            tracing::error!("{e}");
        }
        Ok((issued, inner.authority.roots()))
    }

    /// A new intermediate where half of the present one's life is over.
    pub fn renew_authority(&self, now: SystemTime) {
        let mut inner = self.lock();
        let renewed = match inner.authority.renew_issuing(now) {
            Ok(renewed) => renewed,
            Err(e) => return tracing::error!("the issuing certificate is not renewed: {e}"),
        };
        if renewed
            && let Some(folder) = &self.ca_folder
            && let Err(e) = ca::save(folder, &inner.authority, inner.next_root.as_ref())
        {
            tracing::error!("{e}");
        }
    }
}

#[cfg(test)]
mod tests;
