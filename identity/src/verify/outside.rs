//! A server outside the mesh, as Gateway API's BackendTLSPolicy reads it: with `subjectAltNames`, one of them must be in the
//! certificate and the host name is only SNI; without, the host name must be.

use super::{from_webpki, verify_chain};
use model::backend::UpstreamTls;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use std::sync::Arc;
use webpki::{EndEntityCert, KeyUsage};

#[derive(Debug)]
pub(crate) struct OutsideVerifier {
    anchors: Vec<TrustAnchor<'static>>,
    names: Vec<Arc<str>>,
    provider: Arc<CryptoProvider>,
}

impl OutsideVerifier {
    pub fn new(anchors: Vec<TrustAnchor<'static>>, tls: &UpstreamTls, provider: Arc<CryptoProvider>) -> Self {
        Self { anchors, names: tls.subject_alt_names.clone(), provider }
    }

    fn is_named(&self, cert: &EndEntityCert<'_>, sni: &ServerName<'_>) -> bool {
        let dns = |name: &ServerName<'_>| cert.verify_is_valid_for_subject_name(name).is_ok();
        // A wildcard that is asked for is one that the certificate bears, word for word.
        let bears = |name: &str| name.starts_with("*.") && cert.valid_dns_names().any(|own| own.eq_ignore_ascii_case(name));
        let named = |name: &Arc<str>| {
            ServerName::try_from(&**name).is_ok_and(|n| dns(&n)) || bears(name) || cert.valid_uri_names().any(|uri| *uri == **name)
        };
        if self.names.is_empty() { dns(sni) } else { self.names.iter().any(named) }
    }
}

impl ServerCertVerifier for OutsideVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        verify_chain(leaf, intermediates, &self.anchors, now, KeyUsage::server_auth(), &self.provider).map_err(from_webpki)?;
        let cert = EndEntityCert::try_from(leaf).map_err(from_webpki)?;
        match self.is_named(&cert, name) {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(Error::InvalidCertificate(CertificateError::NotValidForName)),
        }
    }
    signatures!();
}
