//! An X.509 SVID: a chain that names one SPIFFE ID, and its key.

use crate::{Error, limits, pem, unix_seconds};
use model::SpiffeId;
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use zeroize::Zeroizing;

/// Chain (leaf first, root left out), private key, and what the leaf says of itself.
#[derive(Clone)]
pub struct Svid {
    id: SpiffeId,
    chain: Vec<CertificateDer<'static>>,
    key: Arc<Zeroizing<Vec<u8>>>,
    not_before: SystemTime,
    not_after: SystemTime,
    certified: Arc<CertifiedKey>,
}

impl Svid {
    /// Puts a signed chain and its key (PKCS#8 DER) together; the key must belong to the leaf.
    pub fn new(chain: Vec<Vec<u8>>, key: &[u8]) -> Result<Self, Error> {
        let chain: Vec<_> = chain.into_iter().map(CertificateDer::from).collect();
        let leaf = chain.first().ok_or(Error::Malformed { what: "SVID", why: "its chain is empty".into() })?;
        let facts = Facts::read(leaf)?;
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.to_vec()));
        let signer = crate::provider()
            .key_provider
            .load_private_key(der)
            .map_err(|e| Error::Malformed { what: "private key", why: e.to_string() })?;
        let certified = CertifiedKey::new(chain.clone(), signer);
        certified.keys_match().map_err(|_| Error::KeyMismatch)?;
        let key = Arc::new(Zeroizing::new(key.to_vec()));
        Ok(Self { id: facts.id, chain, key, not_before: facts.not_before, not_after: facts.not_after, certified: Arc::new(certified) })
    }

    /// The same with the root at the end of the chain: what a server shows to joiners, who know the root's hash alone.
    pub fn with_root(&self, root_der: &[u8]) -> Result<Self, Error> {
        let chain = self.chain.iter().map(|c| c.to_vec()).chain([root_der.to_vec()]).collect();
        Self::new(chain, &self.key)
    }

    /// Reads what [`Svid::to_pem`] wrote.
    pub fn from_pem(text: &[u8]) -> Result<Self, Error> {
        let chain = pem::certificates(text)?.into_iter().map(|c| c.to_vec()).collect();
        match pem::private_key(text)? {
            PrivateKeyDer::Pkcs8(key) => Self::new(chain, key.secret_pkcs8_der()),
            _ => Err(Error::Pem { what: "private key", why: "only PKCS#8 is read here".into() }),
        }
    }

    /// Chain and key as PEM. A secret: files that hold it are 0600.
    pub fn to_pem(&self) -> Zeroizing<String> {
        let mut text = pem::encode_chain(self.chain.iter().map(|c| c.as_ref()));
        text.push_str(&pem::encode("PRIVATE KEY", &self.key));
        Zeroizing::new(text)
    }

    pub fn id(&self) -> &SpiffeId {
        &self.id
    }
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }
    pub fn not_before(&self) -> SystemTime {
        self.not_before
    }
    /// When it was signed, as far as it says: it is valid from a little earlier.
    pub fn signed_at(&self) -> SystemTime {
        (self.not_before + limits::BACKDATE).min(self.not_after)
    }
    /// How long it was meant to be used.
    pub fn life(&self) -> Duration {
        self.not_after.duration_since(self.signed_at()).unwrap_or_default()
    }
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }
    pub(crate) fn certified(&self) -> Arc<CertifiedKey> {
        self.certified.clone()
    }

    /// Whether its chain leads to this root (DER), its times aside.
    pub fn is_under(&self, root_der: &[u8]) -> bool {
        let root = CertificateDer::from(root_der);
        let Ok(anchor) = webpki::anchor_from_trusted_cert(&root) else { return false };
        let Some((leaf, intermediates)) = self.chain.split_first() else { return false };
        let inside = UnixTime::since_unix_epoch(Duration::from_secs(unix_seconds(self.not_after)));
        crate::verify::verify_chain(leaf, intermediates, &[anchor], inside, webpki::KeyUsage::client_auth(), crate::provider()).is_ok()
    }

    /// Whether it can be shown at `now`.
    pub fn check(&self, now: SystemTime) -> Result<(), Error> {
        check_times(self.not_before, self.not_after, now)
    }
}

impl fmt::Debug for Svid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Svid").field("id", &self.id).field("not_after", &unix_seconds(self.not_after)).finish_non_exhaustive()
    }
}

pub(crate) fn check_times(not_before: SystemTime, not_after: SystemTime, now: SystemTime) -> Result<(), Error> {
    let (before, after, at) = (unix_seconds(not_before), unix_seconds(not_after), unix_seconds(now));
    match at {
        _ if at < before => Err(Error::NotYetValid { not_before: before, now: at }),
        _ if at > after => Err(Error::Expired { not_after: after, now: at }),
        _ => Ok(()),
    }
}

/// What a leaf says: its one SPIFFE ID and its times.
pub(crate) struct Facts {
    pub id: SpiffeId,
    pub not_before: SystemTime,
    pub not_after: SystemTime,
}

impl Facts {
    pub fn read(leaf: &CertificateDer<'_>) -> Result<Self, Error> {
        let (not_before, not_after) = times(leaf)?;
        Ok(Self { id: crate::peer_identity(leaf)?, not_before, not_after })
    }
}

pub(crate) fn times(certificate: &[u8]) -> Result<(SystemTime, SystemTime), Error> {
    let fail = |e: x509_parser::nom::Err<x509_parser::error::X509Error>| Error::Malformed { what: "certificate", why: e.to_string() };
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).map_err(fail)?;
    let at = |t: x509_parser::time::ASN1Time| UNIX_EPOCH + Duration::from_secs(t.timestamp().max(0) as u64);
    Ok((at(parsed.validity().not_before), at(parsed.validity().not_after)))
}
