//! Verification of peers by SPIFFE (X509-SVID, section 5): chain to a root of the trust domain that the leaf names, exactly one URI name, no
//! DNS name looked at; then, for a client, the identity must be one that is registered for the destination.

use crate::svid::times;
use crate::trust::TrustStore;
use crate::{Error, limits};
use model::SpiffeId;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, OtherError, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use webpki::{EndEntityCert, KeyUsage};

/// Handshake signatures are rustls' business; every verifier here answers alike.
macro_rules! signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.provider.signature_verification_algorithms.supported_schemes()
        }
    };
}

pub(crate) mod clients;
pub(crate) mod outside;

/// Who may answer a handshake.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Expected {
    AnyOf(Arc<[SpiffeId]>),
    /// Whoever is of a trust domain that we have roots for: only where nothing more is known.
    AnyTrusted,
}

impl Expected {
    pub fn one(id: SpiffeId) -> Self {
        Self::AnyOf(Arc::from([id]))
    }

    fn check(&self, found: &SpiffeId) -> Result<(), Error> {
        match self {
            Self::AnyTrusted => Ok(()),
            Self::AnyOf(ids) if ids.contains(found) => Ok(()),
            Self::AnyOf(ids) => Err(Error::UnexpectedIdentity {
                found: found.clone(),
                expected: ids.iter().map(|id| id.to_string()).collect::<Vec<_>>().join(" or "),
            }),
        }
    }
}

/// The one SPIFFE ID that a leaf names.
pub fn peer_identity(leaf: &CertificateDer<'_>) -> Result<SpiffeId, Error> {
    let malformed = |e: webpki::Error| Error::Malformed { what: "certificate", why: e.to_string() };
    let cert = EndEntityCert::try_from(leaf).map_err(malformed)?;
    let mut names = cert.valid_uri_names();
    match (names.next(), names.next()) {
        (Some(name), None) => Ok(SpiffeId::parse(name)?),
        (None, _) => Err(Error::UriNames(0)),
        (Some(_), Some(_)) => Err(Error::UriNames(2 + names.count())),
    }
}

/// Whether the chain that a client showed leads to a root that is believed now, and the client was not taken out. That its certificate ended meanwhile ends no connection, nor does a root
/// that goes after it: one is retired when the last certificate under it has ended, by a clock that may be [`limits::BACKDATE`] ahead of ours, and a rotation
/// loses nothing. Whoever's certificate is valid for longer and leads nowhere any more was under a root that is distrusted.
///
/// # Errors
/// If it leads to none.
pub fn still_trusted(
    trust: &TrustStore,
    leaf: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    (shown, now): (SystemTime, SystemTime),
) -> Result<(), Error> {
    let id = peer_identity(leaf)?;
    if trust.is_revoked(id.trust_domain(), leaf) {
        return Err(Error::Revoked);
    }
    if times(leaf).is_ok_and(|(_, end)| end <= now + limits::BACKDATE) {
        return Ok(());
    }
    let anchors = trust.anchors(id.trust_domain()).ok_or_else(|| Error::UnknownTrustDomain(id.trust_domain().to_string()))?;
    let shown = UnixTime::since_unix_epoch(Duration::from_secs(crate::unix_seconds(shown)));
    let verified = verify_chain(leaf, intermediates, &anchors, shown, KeyUsage::client_auth(), crate::provider());
    verified.map_err(|e| Error::Chain(e.to_string()))
}

pub(crate) fn verify_chain(
    leaf: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    anchors: &[TrustAnchor<'_>],
    now: UnixTime,
    usage: KeyUsage,
    provider: &CryptoProvider,
) -> Result<(), webpki::Error> {
    if intermediates.len() + 1 > limits::CHAIN {
        return Err(webpki::Error::MaximumPathDepthExceeded);
    }
    let cert = EndEntityCert::try_from(leaf)?;
    let algorithms = provider.signature_verification_algorithms.all;
    cert.verify_for_usage(algorithms, anchors, intermediates, now, usage, None, None).map(|_| ())
}

#[derive(Debug)]
pub(crate) struct SpiffeVerifier {
    pub trust: TrustStore,
    pub expected: Expected,
    pub provider: Arc<CryptoProvider>,
    /// Only for the server side: whether a client without a certificate is let through (it is then nobody).
    pub optional: bool,
}

impl SpiffeVerifier {
    fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
        usage: KeyUsage,
    ) -> Result<(), rustls::Error> {
        let id = peer_identity(leaf).map_err(other)?;
        let domain = id.trust_domain();
        let anchors = self.trust.anchors(domain).ok_or_else(|| other(Error::UnknownTrustDomain(domain.to_string())))?;
        verify_chain(leaf, intermediates, &anchors, now, usage, &self.provider).map_err(from_webpki)?;
        if self.trust.is_revoked(domain, leaf) {
            return Err(rustls::Error::InvalidCertificate(CertificateError::Revoked));
        }
        self.expected.check(&id).map_err(other)
    }
}

fn other(error: Error) -> rustls::Error {
    rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(error))))
}

fn from_webpki(error: webpki::Error) -> rustls::Error {
    rustls::Error::InvalidCertificate(match error {
        webpki::Error::CertExpired { time, not_after } => CertificateError::ExpiredContext { time, not_after },
        webpki::Error::CertNotValidYet { time, not_before } => CertificateError::NotValidYetContext { time, not_before },
        webpki::Error::UnknownIssuer => CertificateError::UnknownIssuer,
        webpki::Error::BadDer | webpki::Error::BadDerTime => CertificateError::BadEncoding,
        e => CertificateError::Other(OtherError(Arc::new(Error::Chain(e.to_string())))),
    })
}

impl ServerCertVerifier for SpiffeVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.verify(leaf, intermediates, now, KeyUsage::server_auth()).map(|()| ServerCertVerified::assertion())
    }
    signatures!();
}

impl ClientCertVerifier for SpiffeVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }
    fn client_auth_mandatory(&self) -> bool {
        !self.optional
    }
    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.verify(leaf, intermediates, now, KeyUsage::client_auth()).map(|()| ClientCertVerified::assertion())
    }
    signatures!();
}

/// For joining: nothing is known but the hash of the root, which the server sends as the last certificate of its chain.
#[derive(Debug)]
pub(crate) struct PinVerifier {
    pub root_sha256: [u8; 32],
    pub expected: Expected,
    pub provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let (root, intermediates) = rest.split_last().ok_or_else(|| other(Error::Chain("the server sent no root".into())))?;
        let same = aws_lc_rs::constant_time::verify_slices_are_equal(&crate::pem::sha256(root), &self.root_sha256).is_ok();
        if !same {
            return Err(other(Error::Chain("its root is not the one that the token names".into())));
        }
        let anchor = webpki::anchor_from_trusted_cert(root).map_err(from_webpki)?;
        verify_chain(leaf, intermediates, &[anchor], now, KeyUsage::server_auth(), &self.provider).map_err(from_webpki)?;
        let id = peer_identity(leaf).map_err(other)?;
        self.expected.check(&id).map_err(other)?;
        Ok(ServerCertVerified::assertion())
    }
    signatures!();
}
