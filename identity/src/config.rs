//! rustls configurations: mutual TLS inside the mesh (TLS 1.3 only), the join door, and TLS towards what is outside.

use crate::pem::SystemRoots;
use crate::verify::clients::ClientsVerifier;
use crate::verify::{Expected, PinVerifier, SpiffeVerifier};
use crate::{Credentials, Error};
use model::backend::{UpstreamRoots, UpstreamTls};
use model::{Certificate, ClientCertificates};
use rustls::crypto::CryptoProvider;
use rustls::server::{NoClientAuth, NoServerSessionStorage, ResolvesServerCert};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, ServerConfig};
use rustls_pki_types::TrustAnchor;
use std::sync::{Arc, LazyLock};

/// Application protocols by which mesh connections are told apart.
pub mod alpn {
    /// Preface, then the application's own protocol; between Organza peers.
    pub const ORGANZA: &[u8] = b"organza/1";
    /// The same, many times over: HTTP/2 of which each stream is opened by CONNECT and is from then on what a connection of `organza/1` is.
    pub const ORGANZA_TRUNK: &[u8] = b"organza/2";
    /// HBONE and nothing else, inside the mesh; HTTP/2 outside.
    pub const H2: &[u8] = b"h2";
    pub const HTTP1: &[u8] = b"http/1.1";
}

/// The one crypto provider of the process, named explicitly everywhere: nothing depends on a process-wide default.
pub fn provider() -> &'static Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    &PROVIDER
}

/// What a server asks of its clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// Only SVIDs of trusted domains; anyone else fails the handshake.
    Required,
    /// An SVID if there is one; who shows a bad one fails, who shows none is nobody.
    Optional,
    None,
}

/// Shows this process' SVID. Sessions are not resumed: a ticket would outlive the certificate that it was given for.
pub fn server_config(
    credentials: &Credentials,
    auth: ClientAuth,
    alpn: &[&[u8]],
    time: Arc<dyn TimeProvider>,
) -> Result<Arc<ServerConfig>, Error> {
    let verifier: Arc<dyn rustls::server::danger::ClientCertVerifier> = match auth {
        ClientAuth::None => Arc::new(NoClientAuth),
        _ => Arc::new(spiffe(credentials, Expected::AnyTrusted, auth == ClientAuth::Optional)),
    };
    let mut config = ServerConfig::builder_with_details(provider().clone(), time)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(malformed)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(credentials.clone()));
    config.alpn_protocols = alpn.iter().map(|p| p.to_vec()).collect();
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// Shows this process' SVID and accepts only `expected` on the other side. One configuration per set of identities: sharing one between
/// sets would be an escalation.
pub fn client_config(
    credentials: &Credentials,
    expected: Expected,
    alpn: &[&[u8]],
    time: Arc<dyn TimeProvider>,
) -> Result<Arc<ClientConfig>, Error> {
    let verifier = Arc::new(spiffe(credentials, expected, false));
    let mut config = ClientConfig::builder_with_details(provider().clone(), time)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(malformed)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_cert_resolver(Arc::new(credentials.clone()));
    mesh_client(&mut config, alpn);
    Ok(Arc::new(config))
}

/// For the join door: believes the root with this hash, sent by the server, and shows nothing.
pub fn pinned_client_config(
    root_sha256: [u8; 32],
    expected: Expected,
    alpn: &[&[u8]],
    time: Arc<dyn TimeProvider>,
) -> Result<Arc<ClientConfig>, Error> {
    let verifier = Arc::new(PinVerifier { root_sha256, expected, provider: provider().clone() });
    let mut config = ClientConfig::builder_with_details(provider().clone(), time)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(malformed)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    mesh_client(&mut config, alpn);
    Ok(Arc::new(config))
}

fn mesh_client(config: &mut ClientConfig, alpn: &[&[u8]]) {
    config.alpn_protocols = alpn.iter().map(|p| p.to_vec()).collect();
    config.resumption = rustls::client::Resumption::disabled();
    // Names inside the mesh are identities, not DNS: SNI would only tell onlookers who is called.
    config.enable_sni = false;
}

/// A chain and its key (PEM) as rustls shows them.
pub fn certified_key(chain: &[u8], key: &[u8]) -> Result<rustls::sign::CertifiedKey, Error> {
    let key = provider()
        .key_provider
        .load_private_key(crate::pem::private_key(key)?)
        .map_err(|e| Error::Malformed { what: "private key", why: e.to_string() })?;
    let certified = rustls::sign::CertifiedKey::new(crate::pem::certificates(chain)?, key);
    certified.keys_match().map_err(|_| Error::KeyMismatch)?;
    Ok(certified)
}

/// For a server that shows what [`crate::Authority::sign_server`] signed: `chain` is of DER, leaf first, `key` PKCS#8 DER. It asks for no certificate.
pub fn named_server_config(
    chain: Vec<Vec<u8>>,
    key: &[u8],
    alpn: &[&[u8]],
    time: Arc<dyn TimeProvider>,
) -> Result<Arc<ServerConfig>, Error> {
    let chain = crate::pem::encode_chain(chain.iter().map(Vec::as_slice));
    let certified = certified_key(chain.as_bytes(), crate::pem::encode("PRIVATE KEY", key).as_bytes())?;
    let shown = Arc::new(rustls::sign::SingleCertAndKey::from(Arc::new(certified)));
    stranger_config(shown, &ClientCertificates::Unasked, alpn, time)
}

/// TLS towards a host outside the mesh: its roots or the system's, names as BackendTLSPolicy has them.
/// `shown` is what it gets to see if it asks; never an SVID.
pub fn outside_client_config(
    tls: &UpstreamTls,
    system_roots: &SystemRoots,
    shown: Option<&Certificate>,
    alpn: &[&[u8]],
    time: Arc<dyn TimeProvider>,
) -> Result<Arc<ClientConfig>, Error> {
    let text = match &tls.roots {
        UpstreamRoots::System => system_roots.read(),
        UpstreamRoots::Given(pem) => (&**pem).into(),
    };
    let verifier = Arc::new(crate::verify::outside::OutsideVerifier::new(anchors(&text)?, tls, provider().clone()));
    let builder = ClientConfig::builder_with_details(provider().clone(), time)
        .with_safe_default_protocol_versions()
        .map_err(malformed)?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match shown {
        None => builder.with_no_client_auth(),
        Some(shown) => {
            let key = Arc::new(certified_key(&shown.chain, &shown.private_key)?);
            builder.with_client_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(key)))
        }
    };
    config.alpn_protocols = alpn.iter().map(|p| p.to_vec()).collect();
    Ok(Arc::new(config))
}

/// TLS 1.2 and 1.3 for strangers, who show what is asked of them.
///
/// # Errors
/// If none of the roots can be read.
pub fn stranger_config(
    shown: Arc<dyn ResolvesServerCert>,
    clients: &ClientCertificates,
    alpn: &[&[u8]],
    time: Arc<dyn TimeProvider>,
) -> Result<Arc<ServerConfig>, Error> {
    let verifier =
        |roots: &[u8], lenient| -> Result<_, Error> { Ok(Arc::new(ClientsVerifier::new(anchors(roots)?, lenient, provider().clone()))) };
    let verifier: Arc<dyn rustls::server::danger::ClientCertVerifier> = match clients {
        ClientCertificates::Unasked => Arc::new(NoClientAuth),
        ClientCertificates::Required(roots) => verifier(roots, false)?,
        ClientCertificates::Insecure(roots) => verifier(roots, true)?,
    };
    let mut config = ServerConfig::builder_with_details(provider().clone(), time)
        .with_safe_default_protocol_versions()
        .map_err(malformed)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(shown);
    if *clients != ClientCertificates::Unasked {
        // A ticket would outlive the certificate that it was given for.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    config.alpn_protocols = alpn.iter().map(|p| p.to_vec()).collect();
    Ok(Arc::new(config))
}

/// Bundles hold the odd root that cannot be read; what matters is that some can.
pub(crate) fn anchors(pem: &[u8]) -> Result<Vec<TrustAnchor<'static>>, Error> {
    let certificates = crate::pem::roots(pem)?;
    let read: Vec<_> = certificates.iter().filter_map(|c| webpki::anchor_from_trusted_cert(c).ok().map(|a| a.to_owned())).collect();
    match read.is_empty() {
        true => Err(Error::Malformed { what: "roots", why: "none of them can be read".into() }),
        false => Ok(read),
    }
}

fn spiffe(credentials: &Credentials, expected: Expected, optional: bool) -> SpiffeVerifier {
    SpiffeVerifier { trust: credentials.trust.clone(), expected, provider: provider().clone(), optional }
}

fn malformed(error: rustls::Error) -> Error {
    Error::Malformed { what: "TLS configuration", why: error.to_string() }
}
