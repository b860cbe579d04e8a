//! An authority that has nothing to do with the mesh: what hosts outside show, and what clients show to gateways.

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};

pub struct Outsider {
    /// PEM.
    pub root: String,
    issuer: Issuer<'static, KeyPair>,
}

/// PEM, both.
pub struct Issued {
    pub chain: String,
    pub key: String,
}

impl Outsider {
    /// # Panics
    /// If no key can be made.
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().expect("a key is made");
        let root = params.self_signed(&key).expect("a root signs itself").pem();
        Self { root, issuer: Issuer::new(params, key) }
    }

    /// A certificate with these names (those with a colon are URIs), for servers and clients alike.
    ///
    /// # Panics
    /// If a name is no name.
    pub fn issue(&self, names: &[&str]) -> Issued {
        let mut params = CertificateParams::default();
        let name = |name: &&str| {
            let text = (*name).try_into().expect("names are ASCII");
            if name.contains(':') { SanType::URI(text) } else { SanType::DnsName(text) }
        };
        params.subject_alt_names = names.iter().map(name).collect();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().expect("a key is made");
        let chain = params.signed_by(&key, &self.issuer).expect("a certificate is signed").pem();
        Issued { chain, key: key.serialize_pem() }
    }
}
