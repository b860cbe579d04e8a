//! Strangers who show certificates of their own at a gateway (GEP-91): believed by the roots that the Gateway names, and by nothing else.
//! What they are called is nobody's business here: no name of theirs becomes an identity of the mesh.

use super::{from_webpki, verify_chain};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use webpki::KeyUsage;

/// Whether these roots (PEM) vouch for the chain that a stranger showed at that time. That a certificate ended meanwhile ends no connection.
///
/// # Errors
/// If none of the roots can be read, or none vouches for it.
pub fn vouched_for(roots: &[u8], chain: &[CertificateDer<'_>], shown: SystemTime) -> Result<(), crate::Error> {
    let unvouched = |why: String| crate::Error::Chain(why);
    let (leaf, intermediates) = chain.split_first().ok_or_else(|| unvouched("nothing was shown".into()))?;
    let shown = UnixTime::since_unix_epoch(Duration::from_secs(crate::unix_seconds(shown)));
    let anchors = crate::config::anchors(roots)?;
    let verified = verify_chain(leaf, intermediates, &anchors, shown, KeyUsage::client_auth(), crate::provider());
    verified.map_err(|e| unvouched(e.to_string()))
}

#[derive(Debug)]
pub(crate) struct ClientsVerifier {
    anchors: Vec<TrustAnchor<'static>>,
    /// Names of the roots, by which a client with several certificates chooses.
    hints: Vec<DistinguishedName>,
    /// Whether who shows nothing, or nothing that is believed, is let in all the same.
    lenient: bool,
    provider: Arc<CryptoProvider>,
}

impl ClientsVerifier {
    pub fn new(anchors: Vec<TrustAnchor<'static>>, lenient: bool, provider: Arc<CryptoProvider>) -> Self {
        let hints = anchors.iter().map(|anchor| DistinguishedName::in_sequence(&anchor.subject)).collect();
        Self { anchors, hints, lenient, provider }
    }
}

impl ClientCertVerifier for ClientsVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn client_auth_mandatory(&self) -> bool {
        !self.lenient
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match verify_chain(leaf, intermediates, &self.anchors, now, KeyUsage::client_auth(), &self.provider) {
            Err(error) if !self.lenient => Err(from_webpki(error)),
            _ => Ok(ClientCertVerified::assertion()),
        }
    }
    signatures!();
}
