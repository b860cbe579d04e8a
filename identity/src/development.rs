//! A developer's own authority: what browsers are told to trust on a machine where something is tried out. It can vouch for nothing but names and addresses that
//! the internet does not have, whoever gets hold of its key: its certificate says so (name constraints, RFC 5280, 4.2.1.10), and what trusts it looks.

use crate::authority::{base, check_issuing, key_pair, signing};
use crate::{Error, limits, pem};
use model::HostPattern;
use rcgen::{
    BasicConstraints, CidrSubnet, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints,
    SanType,
};
use rustls_pki_types::CertificateDer;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::SystemTime;
use zeroize::Zeroizing;

/// Names that the internet does not have (RFC 2606, 6761, 6762, 8375, and ICANN's `internal`), and what is below them.
pub const DOMAINS: &[&str] = &["localhost", "test", "example", "internal", "local", "home.arpa"];
/// Addresses that it does not have (RFC 1122, 1918, 3927, 4193, 4291), with the length of the prefix.
const BLOCKS_V4: &[(Ipv4Addr, u8)] = &[
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
];
const BLOCKS_V6: &[(Ipv6Addr, u8)] =
    &[(Ipv6Addr::LOCALHOST, 128), (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7), (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10)];

/// What a certificate is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    /// `shop.localhost`, `*.shop.test`.
    Host(String),
    Address(IpAddr),
}

/// Why there is no such certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("{0:?} is neither a host name nor an address")]
    Malformed(String),
    #[error("{0} may be somebody's on the internet, and a development authority vouches for no such name")]
    Public(String),
}

impl Name {
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return match is_private(address) {
                true => Ok(Self::Address(address)),
                false => Err(NameError::Public(text.to_owned())),
            };
        }
        let host = match HostPattern::parse(text) {
            Ok(pattern) if pattern != HostPattern::Any => pattern.to_string(),
            _ => return Err(NameError::Malformed(text.to_owned())),
        };
        let below = |domain: &str| host == domain || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
        match DOMAINS.iter().any(|domain| below(domain)) {
            true => Ok(Self::Host(host)),
            false => Err(NameError::Public(host)),
        }
    }
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(ip) => BLOCKS_V4.iter().any(|(block, length)| (ip.to_bits() ^ block.to_bits()) >> (32 - length) == 0),
        IpAddr::V6(ip) => {
            BLOCKS_V6.iter().any(|(block, length)| (ip.to_bits() ^ block.to_bits()).checked_shr(128 - u32::from(*length)) == Some(0))
        }
    }
}

pub struct Development {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl fmt::Debug for Development {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Development")
    }
}

/// PEM, both.
pub struct Shown {
    pub chain: String,
    pub key: Zeroizing<String>,
}

impl Development {
    /// `whose` tells one developer's authority from another's in a list of many.
    pub fn create(whose: &str, now: SystemTime) -> Result<Self, Error> {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(signing)?;
        let mut params = base(now, now + limits::ROOT_LIFE);
        params.distinguished_name.push(DnType::OrganizationName, "Organza");
        params.distinguished_name.push(DnType::CommonName, format!("Organza development authority of {whose}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let names = DOMAINS.iter().map(|domain| GeneralSubtree::DnsName((*domain).to_owned()));
        let v4 = BLOCKS_V4.iter().map(|(ip, length)| GeneralSubtree::IpAddress(CidrSubnet::from_v4_prefix(ip.octets(), *length)));
        let v6 = BLOCKS_V6.iter().map(|(ip, length)| GeneralSubtree::IpAddress(CidrSubnet::from_v6_prefix(ip.octets(), *length)));
        let permitted_subtrees = names.chain(v4).chain(v6).collect();
        params.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees: Vec::new() });
        let certificate = params.self_signed(&key).map_err(signing)?.der().clone();
        Self::of(certificate, key)
    }

    /// What [`Development::certificate`] and [`Development::key`] wrote.
    pub fn load(certificate: &[u8], key: &[u8], now: SystemTime) -> Result<Self, Error> {
        let certificate = pem::certificates(certificate)?.swap_remove(0);
        let key = key_pair(key)?;
        check_issuing(&certificate, &key, now)?;
        Self::of(certificate, key)
    }

    fn of(certificate: CertificateDer<'static>, key: KeyPair) -> Result<Self, Error> {
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(signing)?;
        Ok(Self { certificate, issuer })
    }

    /// PEM.
    pub fn certificate(&self) -> String {
        pem::encode("CERTIFICATE", &self.certificate)
    }

    /// PEM. A secret: files that hold it are 0600.
    pub fn key(&self) -> Zeroizing<String> {
        Zeroizing::new(self.issuer.key().serialize_pem())
    }

    /// A certificate for servers with these names, and its key.
    pub fn issue(&self, names: &[Name], now: SystemTime) -> Result<Shown, Error> {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(signing)?;
        let mut params = base(now, now + limits::DEVELOPMENT_LIFE);
        params.distinguished_name.push(DnType::OrganizationName, "Organza development certificate");
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let name = |name: &Name| match name {
            Name::Host(host) => rcgen::string::Ia5String::try_from(host.clone()).map(SanType::DnsName).map_err(signing),
            Name::Address(address) => Ok(SanType::IpAddress(*address)),
        };
        params.subject_alt_names = names.iter().map(name).collect::<Result<_, _>>()?;
        let chain = params.signed_by(&key, &self.issuer).map_err(signing)?.pem();
        Ok(Shown { chain, key: Zeroizing::new(key.serialize_pem()) })
    }
}

#[cfg(test)]
mod tests;
