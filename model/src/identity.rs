//! Who is who: SPIFFE identities and the roots by which they are believed.

use crate::{Key, lately, limits};
use std::fmt;
use std::sync::Arc;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    #[error("does not begin with `spiffe://`")]
    Scheme,
    #[error("trust domain {0:?} is not lower-case letters, digits, dots, hyphens and underscores")]
    TrustDomain(String),
    #[error("is longer than SPIFFE allows")]
    TooLong,
    #[error("is not of the form `spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/SERVICE-ACCOUNT`")]
    Path,
}

/// The name of one root of trust (`organza.local`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrustDomain(Arc<str>);

impl TrustDomain {
    pub fn parse(text: &str) -> Result<Self, IdentityError> {
        if text.len() > limits::TRUST_DOMAIN_BYTES {
            return Err(IdentityError::TooLong);
        }
        let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_');
        match !text.is_empty() && text.bytes().all(good) {
            true => Ok(Self(lately::shared(text))),
            false => Err(IdentityError::TrustDomain(text.to_owned())),
        }
    }
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `spiffe://TD/ns/NS/sa/SA`, the identity of a workload (the form that Istio and ztunnel use).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpiffeId(Arc<Words>);

/// Behind one pointer, for every endpoint has one.
#[derive(Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Words {
    trust_domain: TrustDomain,
    namespace: Arc<str>,
    service_account: Arc<str>,
}

impl SpiffeId {
    pub fn new(trust_domain: TrustDomain, namespace: &str, service_account: &str) -> Result<Self, IdentityError> {
        match is_segment(namespace) && is_segment(service_account) {
            true => {
                let (namespace, service_account) = (lately::shared(namespace), lately::shared(service_account));
                Ok(Self(Arc::new(Words { trust_domain, namespace, service_account })))
            }
            false => Err(IdentityError::Path),
        }
    }

    pub fn parse(text: &str) -> Result<Self, IdentityError> {
        if text.len() > limits::SPIFFE_ID_BYTES {
            return Err(IdentityError::TooLong);
        }
        let rest = text.strip_prefix("spiffe://").ok_or(IdentityError::Scheme)?;
        let (domain, path) = rest.split_once('/').ok_or(IdentityError::Path)?;
        let mut parts = path.split('/');
        match (parts.next(), parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some("ns"), Some(ns), Some("sa"), Some(sa), None) => Self::new(TrustDomain::parse(domain)?, ns, sa),
            _ => Err(IdentityError::Path),
        }
    }

    pub fn trust_domain(&self) -> &TrustDomain {
        &self.0.trust_domain
    }
    pub fn namespace(&self) -> &str {
        &self.0.namespace
    }
    pub fn service_account(&self) -> &str {
        &self.0.service_account
    }

    /// Whether its text begins so. Allocates nothing.
    pub fn begins_with(&self, prefix: &str) -> bool {
        let mut rest = prefix.as_bytes();
        for part in self.parts() {
            match rest.len() <= part.len() {
                true => return part.as_bytes().starts_with(rest),
                false => match rest.strip_prefix(part.as_bytes()) {
                    Some(left) => rest = left,
                    None => return false,
                },
            }
        }
        false
    }

    /// Whether its text ends so. Allocates nothing.
    pub fn ends_with(&self, suffix: &str) -> bool {
        let mut rest = suffix.as_bytes();
        for part in self.parts().into_iter().rev() {
            match rest.len() <= part.len() {
                true => return part.as_bytes().ends_with(rest),
                false => match rest.strip_suffix(part.as_bytes()) {
                    Some(left) => rest = left,
                    None => return false,
                },
            }
        }
        false
    }

    fn parts(&self) -> [&str; 6] {
        ["spiffe://", self.0.trust_domain.as_str(), "/ns/", &self.0.namespace, "/sa/", &self.0.service_account]
    }
}

fn is_segment(text: &str) -> bool {
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    !text.is_empty() && text.len() <= 253 && text != "." && text != ".." && text.bytes().all(good)
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spiffe://{}/ns/{}/sa/{}", self.0.trust_domain, self.0.namespace, self.0.service_account)
    }
}

/// The roots by which identities of one trust domain are believed, as DER certificates. Several while a root is rotated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustBundle {
    pub key: Key,
    pub trust_domain: TrustDomain,
    pub roots: Vec<Arc<[u8]>>,
    /// SHA-256 of certificates that are believed no more though they have not ended: who had them was taken out.
    pub revoked: Vec<[u8; 32]>,
}

#[cfg(test)]
mod tests;
