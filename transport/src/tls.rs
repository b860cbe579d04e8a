//! TLS on a TCP stream, and what the handshake proved. Which certificates are shown and believed is decided by the configuration that is
//! handed in.

mod gateway;
mod peek;

pub use gateway::{Certificates, gateway_config, opaque_config};
pub use peek::{Peeked, peek};

use crate::rt::{self, Stream};
use crate::{Error, limits};
use model::{Fault, SpiffeId};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ServerConfig};
use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

/// What the handshake of a connection proved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proof {
    /// The peer's identity, if it showed an SVID.
    pub peer: Option<SpiffeId>,
    pub alpn: Option<Vec<u8>>,
    /// The name that the client asked for; server side only.
    pub sni: Option<String>,
    /// As rustls names it: `TLSv1_3`.
    pub version: Option<&'static str>,
    /// As rustls names it: `TLS13_AES_256_GCM_SHA384`.
    pub cipher: Option<&'static str>,
}

/// The cause of a handshake that fails because the caller speaks something else.
pub const NO_TLS: &str = "tls_plaintext";

/// # Errors
/// If the handshake fails or takes too long.
pub async fn accept(stream: Stream, config: Arc<ServerConfig>) -> Result<Stream, Error> {
    accept_read(stream, &[], config, limits::HANDSHAKE_TIME).await
}

/// As [`accept`], where the first bytes were read before, and within this time.
///
/// # Errors
/// As [`accept`].
pub async fn accept_read(stream: Stream, read: &[u8], config: Arc<ServerConfig>, time: Duration) -> Result<Stream, Error> {
    let Some(tcp) = stream.into_socket() else { return Err(Error::new(Fault::Internal, "TLS is only spoken over TCP")) };
    let shake = TlsAcceptor::from(config).accept_with(tcp, |session| {
        let mut read = read;
        // What is wrong with these bytes is said again, and to the peer too, by the handshake itself.
        while !read.is_empty() && session.read_tls(&mut read).is_ok() && session.process_new_packets().is_ok() {}
    });
    // What is done once takes no room in the connection.
    match Box::pin(rt::timeout(time, shake)).await {
        Some(Ok(stream)) => Ok(Stream::Tls(Box::new(TlsStream::Server(stream).into()))),
        Some(Err(e)) => Err(Error::new(Fault::MalformedRequest, format!("TLS handshake: {e}")).with_cause(cause(&e))),
        None => Err(Error::new(Fault::SlowRequest, format!("TLS handshake took longer than {time:?}")).with_cause("tls_handshake_timeout")),
    }
}

/// Whether TLS itself ended the connection, and not the network.
pub(crate) fn is_broken(error: &std::io::Error) -> bool {
    error.get_ref().is_some_and(|e| e.is::<rustls::Error>())
}

/// Why a client was not let in, or was ended later, as metrics name it.
pub(crate) fn cause(error: &std::io::Error) -> &'static str {
    use rustls::{AlertDescription, CertificateError as Bad, Error as Tls, InvalidMessage as Message, PeerMisbehaved as Misbehaved};
    match error.get_ref().and_then(|e| e.downcast_ref::<Tls>()) {
        None => "tls_closed",
        Some(Tls::InvalidMessage(Message::InvalidContentType)) => NO_TLS,
        Some(Tls::InvalidMessage(Message::InvalidServerName) | Tls::PeerMisbehaved(Misbehaved::ServerNameMustContainOneHostName)) => {
            "tls_server_name_malformed"
        }
        Some(Tls::NoCertificatesPresented) => "tls_no_client_certificate",
        Some(Tls::InvalidCertificate(bad)) => match bad {
            Bad::Expired | Bad::ExpiredContext { .. } => "tls_client_certificate_expired",
            Bad::NotValidYet | Bad::NotValidYetContext { .. } => "tls_client_certificate_not_yet_valid",
            Bad::UnknownIssuer | Bad::BadSignature => "tls_client_certificate_untrusted",
            Bad::Revoked => "tls_client_certificate_revoked",
            Bad::Other(other) if matches!(other.0.downcast_ref(), Some(identity::Error::UnknownTrustDomain(_))) => {
                "tls_client_domain_unknown"
            }
            // A chain that bears a known root's name and another's signature.
            Bad::Other(other) if matches!(other.0.downcast_ref(), Some(identity::Error::Chain(_))) => "tls_client_certificate_untrusted",
            _ => "tls_client_certificate_bad",
        },
        Some(Tls::NoApplicationProtocol) => "tls_no_common_protocol",
        // rustls refuses the first with `no_renegotiation`, as RFC 5246 (7.2.2) has it, and ends who asks again.
        Some(Tls::PeerMisbehaved(Misbehaved::TooManyRenegotiationRequests)) => "tls_renegotiation",
        Some(Tls::PeerMisbehaved(Misbehaved::TooManyKeyUpdateRequests)) => "tls_key_update_flood",
        Some(Tls::PeerMisbehaved(Misbehaved::TooManyEmptyFragments)) => "tls_empty_record_flood",
        Some(Tls::PeerMisbehaved(Misbehaved::TooManyWarningAlertsReceived)) => "tls_warning_flood",
        Some(Tls::PeerIncompatible(_)) => "tls_no_common_version_or_cipher",
        // The client's own verdict on us.
        Some(Tls::AlertReceived(AlertDescription::UnknownCA | AlertDescription::BadCertificate | AlertDescription::CertificateExpired)) => {
            "tls_client_refused_us"
        }
        Some(Tls::AlertReceived(_)) => "tls_alert_received",
        Some(_) => "tls_malformed",
    }
}

/// `name` is sent as SNI only where the configuration says so; inside the mesh it does not.
///
/// # Errors
/// If the handshake fails, the peer is not who was expected, or it takes too long.
pub async fn connect(stream: Stream, config: Arc<ClientConfig>, name: ServerName<'static>) -> Result<Stream, Error> {
    let Some(tcp) = stream.into_socket() else { return Err(Error::new(Fault::Internal, "TLS is only spoken over TCP")) };
    let shake = TlsConnector::from(config).connect(name, tcp);
    match rt::timeout(limits::HANDSHAKE_TIME, shake).await {
        Some(Ok(stream)) => Ok(Stream::Tls(Box::new(TlsStream::Client(stream).into()))),
        Some(Err(e)) => Err(refused(&e).with_nothing_received()),
        None => Err(Error::new(Fault::ConnectTimeout, "TLS handshake took longer than 10 s").with_nothing_received()),
    }
}

fn refused(error: &std::io::Error) -> Error {
    let inner = error.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>());
    let unexpected = matches!(inner, Some(rustls::Error::InvalidCertificate(rustls::CertificateError::Other(other)))
        if matches!(other.0.downcast_ref::<identity::Error>(), Some(identity::Error::UnexpectedIdentity { .. })));
    let fault = if unexpected { Fault::IdentityMismatch } else { Fault::TlsFailed };
    let why = match inner {
        Some(rustls::Error::InvalidCertificate(rustls::CertificateError::Other(other))) => other.0.to_string(),
        _ => error.to_string(),
    };
    Error::new(fault, format!("TLS handshake: {why}"))
}

/// A server was lost before it answered. One that wants another certificate of us says so only after the handshake (TLS 1.3).
pub(crate) fn lost(error: &std::io::Error) -> Error {
    Error {
        gone: crate::rt::is_gone(error),
        ..Error::new(if is_broken(error) { Fault::TlsFailed } else { Fault::UpstreamReset }, error.to_string())
    }
}

/// The certificates that the peer of this stream showed, its own first.
pub fn chain(stream: &Stream) -> &[CertificateDer<'static>] {
    stream.tls().and_then(|tls| tls.get_ref().1.peer_certificates()).unwrap_or_default()
}

/// What is known of the peer of this stream.
pub fn proof(stream: &Stream) -> Option<Proof> {
    let (_, common) = stream.tls()?.get_ref();
    let peer = common.peer_certificates().and_then(|chain| identity::peer_identity(chain.first()?).ok());
    let sni = match stream.tls()? {
        TlsStream::Server(server) => server.get_ref().1.server_name().map(str::to_ascii_lowercase),
        TlsStream::Client(_) => None,
    };
    let version = common.protocol_version().and_then(|v| v.as_str());
    let cipher = common.negotiated_cipher_suite().and_then(|c| c.suite().as_str());
    Some(Proof { peer, alpn: common.alpn_protocol().map(<[u8]>::to_vec), sni, version, cipher })
}

#[cfg(test)]
mod tests;
