//! What one process shows and believes. rustls configurations hold a clone and read it at each handshake, so that a new SVID or bundle
//! takes effect without a restart and without touching open connections.

use crate::{Svid, TrustStore};
use arc_swap::ArcSwapOption;
use rustls::client::ResolvesClientCert;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::sync::Arc;

#[derive(Clone, Debug, Default)]
pub struct Credentials {
    svid: Arc<ArcSwapOption<Svid>>,
    pub trust: TrustStore,
}

impl Credentials {
    pub fn new(trust: TrustStore) -> Self {
        Self { svid: Arc::default(), trust }
    }

    pub fn with_svid(svid: Svid, trust: TrustStore) -> Self {
        let this = Self::new(trust);
        this.put_svid(svid);
        this
    }

    pub fn put_svid(&self, svid: Svid) {
        self.svid.store(Some(Arc::new(svid)));
    }

    pub fn svid(&self) -> Option<Arc<Svid>> {
        self.svid.load_full()
    }

    fn certified(&self) -> Option<Arc<CertifiedKey>> {
        self.svid.load().as_ref().map(|svid| svid.certified())
    }
}

impl ResolvesServerCert for Credentials {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.certified()
    }
}

impl ResolvesClientCert for Credentials {
    fn resolve(&self, _roots: &[&[u8]], _schemes: &[rustls::SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.certified()
    }
    fn has_certs(&self) -> bool {
        self.svid.load().is_some()
    }
}
