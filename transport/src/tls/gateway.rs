//! TLS towards strangers: a gateway shows the certificate of the name that it is asked for. The set is swapped as a whole while it serves; open
//! connections keep what they were shown.

use crate::Error;
use arc_swap::ArcSwap;
use identity::alpn;
use model::{Certificate, ClientCertificates, Fault, HostPattern};
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use std::sync::{Arc, Mutex, PoisonError};

/// What one port of a gateway can show, by host name; each worker has its own.
#[derive(Debug, Default)]
pub struct Certificates {
    shown: ArcSwap<Vec<(HostPattern, Arc<CertifiedKey>)>>,
    /// Of the handshake that found none last, until it is asked for: rustls says no more than that there was none.
    missed: Mutex<Option<Error>>,
}

impl Certificates {
    /// Replaces the whole set. The most specific pattern that fits a name wins; of equal ones, the first.
    ///
    /// # Errors
    /// If a chain or key cannot be read or they do not belong together; the set then stays as it was.
    pub fn put<'c>(&self, all: impl IntoIterator<Item = (HostPattern, &'c Certificate)>) -> Result<(), Error> {
        let mut read = Vec::new();
        for (pattern, certificate) in all {
            read.push((pattern, Arc::new(certified(certificate)?)));
        }
        // Stable, so that the first of equals stays first.
        read.sort_by_key(|(pattern, _)| std::cmp::Reverse(pattern.specificity()));
        self.shown.store(Arc::new(read));
        Ok(())
    }

    /// Why a handshake has just failed, where that is because none of these is for the name that was asked for.
    pub fn missed(&self) -> Option<Error> {
        self.missed.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// `None` where no listener is for that name: the handshake is then refused. Who names no host gets what is shown to all.
    fn choose(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let all = self.shown.load();
        let fits = |pattern: &HostPattern| match name {
            Some(name) => pattern.matches(name),
            None => *pattern == HostPattern::Any,
        };
        all.iter().find(|(pattern, _)| fits(pattern)).map(|(_, shown)| shown.clone())
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().map(str::to_ascii_lowercase);
        let chosen = self.choose(name.as_deref());
        if chosen.is_none() {
            *self.missed.lock().unwrap_or_else(PoisonError::into_inner) = Some(missed(name.as_deref()));
        }
        chosen
    }
}

fn missed(name: Option<&str>) -> Error {
    let (why, cause) = match name {
        Some(name) => (format!("TLS handshake: no listener has a certificate for {name}"), "tls_server_name_unknown"),
        None => ("TLS handshake: the client names no host, and no listener is for all".to_owned(), "tls_server_name_missing"),
    };
    Error::new(Fault::MalformedRequest, why).with_cause(cause)
}

/// TLS 1.2 and 1.3, HTTP/2 before HTTP/1.1; clients show what is asked of them.
///
/// # Errors
/// If none of the roots for clients can be read.
pub fn gateway_config(
    certificates: Arc<Certificates>,
    clients: &ClientCertificates,
    time: Arc<dyn TimeProvider>,
) -> Result<Arc<ServerConfig>, Error> {
    config(certificates, clients, time, &[alpn::H2, alpn::HTTP1])
}

/// The same for bytes: what is spoken inside is between the two ends, so none of their protocols is chosen here.
///
/// # Errors
/// If rustls refuses the provider's suites.
pub fn opaque_config(certificates: Arc<Certificates>, time: Arc<dyn TimeProvider>) -> Result<Arc<ServerConfig>, Error> {
    config(certificates, &ClientCertificates::Unasked, time, &[])
}

fn config(
    certificates: Arc<Certificates>,
    clients: &ClientCertificates,
    time: Arc<dyn TimeProvider>,
    alpn: &[&[u8]],
) -> Result<Arc<ServerConfig>, Error> {
    identity::stranger_config(certificates, clients, alpn, time).map_err(|e| Error::new(Fault::TlsFailed, e.to_string()))
}

fn certified(certificate: &Certificate) -> Result<CertifiedKey, Error> {
    let bad = |e: &dyn std::fmt::Display| Error::new(Fault::TlsFailed, format!("{}: {e}", certificate.key));
    let chain = identity::pem::certificates(&certificate.chain).map_err(|e| bad(&e))?;
    let key = identity::pem::private_key(&certificate.private_key).map_err(|e| bad(&e))?;
    CertifiedKey::from_der(chain, key, identity::provider()).map_err(|e| bad(&e))
}
