//! The mesh's certificate authority: a root, which may be offline, and an issuing intermediate that signs workloads.
//!
//! Pure: it signs and answers what to store ([`AuthorityFiles`]); who keeps the files is `control`. Rotation of the root is three steps, each
//! safe to stop after: [`Authority::add_root`] (both are believed), [`Authority::issue_from`] (the new one signs), [`Authority::drop_root`]
//! (refused while certificates under it are valid).

use crate::csr::SignRequest;
use crate::svid::times;
use crate::{Error, limits, pem, unix_seconds};
use model::{SpiffeId, TrustDomain};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};
use rustls_pki_types::CertificateDer;
use std::fmt;
use std::time::{Duration, SystemTime};
use zeroize::Zeroizing;

/// Whatever can turn a request into a chain: own files today, a KMS or cert-manager tomorrow.
pub trait Signer: Send {
    /// Signs `request` for `id`, whatever names the request carries.
    fn sign(&mut self, request: &SignRequest, id: &SpiffeId, now: SystemTime) -> Result<Issued, Error>;
    /// Roots by which what it signs is believed, DER.
    fn roots(&self) -> Vec<Vec<u8>>;
}

/// A signed chain, leaf first, root left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    pub chain: Vec<Vec<u8>>,
    pub not_after: SystemTime,
}

/// What an authority is stored as. Keys are secrets: 0600.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct AuthorityFiles {
    /// Every root that is believed, the one in use first.
    pub roots: String,
    /// The key of the root in use; `None` where it is kept offline.
    pub root_key: Option<Zeroizing<String>>,
    /// The issuing certificate and those between it and the root, leaf first.
    pub issuing: String,
    pub issuing_key: Zeroizing<String>,
    /// `FINGERPRINT SECONDS` a line: until when certificates under each root are valid.
    pub in_use: String,
}

impl fmt::Debug for AuthorityFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthorityFiles")
    }
}

struct Root {
    der: Vec<u8>,
    /// Latest end of a certificate signed under it.
    used_until: u64,
}

pub struct Authority {
    trust_domain: TrustDomain,
    /// The one in use first.
    roots: Vec<Root>,
    root_key: Option<KeyPair>,
    chain: Vec<CertificateDer<'static>>,
    issuer: Issuer<'static, KeyPair>,
    svid_life: Duration,
}

impl Authority {
    /// A new root and, under it, a new issuing intermediate.
    pub fn create(trust_domain: TrustDomain, now: SystemTime) -> Result<Self, Error> {
        let (root, key) = new_root(&trust_domain, now)?;
        let (chain, issuer) = new_issuing(&trust_domain, &root, &key, now)?;
        let roots = vec![Root { der: root.to_vec(), used_until: 0 }];
        Ok(Self { trust_domain, roots, root_key: Some(key), chain, issuer, svid_life: limits::SVID_LIFE })
    }

    /// An authority of the user's own: `chain` (PEM) begins with the issuing certificate and ends with its root; a single certificate is both.
    pub fn from_user(trust_domain: TrustDomain, chain: &[u8], key: &[u8], now: SystemTime) -> Result<Self, Error> {
        let chain = pem::certificates(chain)?;
        let root = chain.last().cloned().ok_or(Error::Malformed { what: "CA certificate", why: "empty".into() })?;
        let key = key_pair(key)?;
        let issuing = chain[0].clone();
        check_issuing(&issuing, &key, now)?;
        let issuer = Issuer::from_ca_cert_der(&issuing, key).map_err(signing)?;
        let inner = chain[..chain.len().saturating_sub(1)].to_vec();
        let roots = vec![Root { der: root.to_vec(), used_until: 0 }];
        Ok(Self { trust_domain, roots, root_key: None, chain: inner, issuer, svid_life: limits::SVID_LIFE })
    }

    pub fn load(trust_domain: TrustDomain, files: &AuthorityFiles, now: SystemTime) -> Result<Self, Error> {
        let roots: Vec<_> = pem::certificates(files.roots.as_bytes())?;
        let root_key = files.root_key.as_ref().map(|key| key_pair(key.as_bytes())).transpose()?;
        let chain = if files.issuing.trim().is_empty() { Vec::new() } else { pem::certificates(files.issuing.as_bytes())? };
        let key = key_pair(files.issuing_key.as_bytes())?;
        let issuing = chain.first().unwrap_or(&roots[0]).clone();
        check_issuing(&issuing, &key, now)?;
        let issuer = Issuer::from_ca_cert_der(&issuing, key).map_err(signing)?;
        let used = |der: &[u8]| {
            let name = pem::fingerprint(der);
            files.in_use.lines().find_map(|l| l.strip_prefix(&name)?.trim().parse().ok()).unwrap_or(0)
        };
        let roots = roots.iter().map(|der| Root { der: der.to_vec(), used_until: used(der) }).collect();
        Ok(Self { trust_domain, roots, root_key, chain, issuer, svid_life: limits::SVID_LIFE })
    }

    pub fn files(&self) -> AuthorityFiles {
        AuthorityFiles {
            roots: pem::encode_chain(self.roots.iter().map(|r| &r.der[..])),
            root_key: self.root_key.as_ref().map(|k| Zeroizing::new(k.serialize_pem())),
            issuing: pem::encode_chain(self.chain.iter().map(|c| c.as_ref())),
            issuing_key: Zeroizing::new(self.issuer.key().serialize_pem()),
            in_use: self.roots.iter().map(|r| format!("{} {}\n", pem::fingerprint(&r.der), r.used_until)).collect(),
        }
    }

    /// Shorter lives, for tests and for the careful.
    pub fn with_svid_life(mut self, life: Duration) -> Self {
        self.svid_life = life;
        self
    }

    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// Fingerprints of the roots that are believed, the one in use first.
    pub fn fingerprints(&self) -> Vec<String> {
        self.roots.iter().map(|r| pem::fingerprint(&r.der)).collect()
    }

    /// Whether a rotation can be done here.
    pub fn holds_root_key(&self) -> bool {
        self.root_key.is_some()
    }

    /// For each root, in the same order, until when a certificate under it is valid (Unix seconds); 0 where it signed none.
    pub fn used_until(&self) -> Vec<u64> {
        self.roots.iter().map(|r| r.used_until).collect()
    }

    /// The issuing certificate, DER; `None` where the root signs itself.
    pub fn issuing(&self) -> Option<&[u8]> {
        self.chain.first().map(|c| c.as_ref())
    }

    /// When the issuing certificate ends.
    pub fn issuing_not_after(&self) -> Result<SystemTime, Error> {
        times(self.chain.first().map_or(&self.roots[0].der[..], |c| c.as_ref())).map(|(_, end)| end)
    }

    /// Signs a new intermediate when half of the present one's life is over and the root's key is here. Says whether it did.
    pub fn renew_issuing(&mut self, now: SystemTime) -> Result<bool, Error> {
        let Some(issuing) = self.chain.first() else { return Ok(false) };
        let (start, end) = times(issuing)?;
        let half = start + end.duration_since(start).unwrap_or_default() / 2;
        let Some(key) = self.root_key.as_ref().filter(|_| now >= half) else { return Ok(false) };
        let root = CertificateDer::from(self.roots[0].der.clone());
        (self.chain, self.issuer) = new_issuing(&self.trust_domain, &root, key, now)?;
        Ok(true)
    }

    /// First step of a rotation: a new root is believed beside the old; its key is kept until [`Authority::issue_from`]. Returns the
    /// prepared root, to be handed back when every proxy has acknowledged the bundle.
    pub fn add_root(&mut self, now: SystemTime) -> Result<NewRoot, Error> {
        let (der, key) = new_root(&self.trust_domain, now)?;
        self.roots.push(Root { der: der.to_vec(), used_until: 0 });
        Ok(NewRoot { der, key })
    }

    /// Second step: the new root signs from now on.
    pub fn issue_from(&mut self, root: NewRoot, now: SystemTime) -> Result<(), Error> {
        let name = pem::fingerprint(&root.der);
        let at = self.roots.iter().position(|r| r.der == root.der.as_ref()).ok_or(Error::NoSuchRoot(name))?;
        (self.chain, self.issuer) = new_issuing(&self.trust_domain, &root.der, &root.key, now)?;
        self.roots.swap(0, at);
        self.root_key = Some(root.key);
        Ok(())
    }

    /// Last step: the old root is believed no more. Refused while a certificate under it is valid, or if it is the one in use.
    pub fn drop_root(&mut self, fingerprint: &str, now: SystemTime) -> Result<(), Error> {
        let at = self.roots.iter().position(|r| pem::fingerprint(&r.der) == fingerprint);
        let at = at.ok_or_else(|| Error::NoSuchRoot(fingerprint.to_owned()))?;
        let until = if at == 0 { unix_seconds(times(&self.roots[0].der)?.1) } else { self.roots[at].used_until };
        if at == 0 || until > unix_seconds(now) {
            return Err(Error::RootInUse { fingerprint: fingerprint.to_owned(), until });
        }
        self.roots.remove(at);
        Ok(())
    }
}

impl Authority {
    /// Signs for a server that those call who know roots and DNS names alone (the API server of a cluster). It names no identity: in the mesh nobody is who shows it.
    pub fn sign_server(&mut self, request: &SignRequest, names: &[&str], now: SystemTime) -> Result<Issued, Error> {
        let name = |name: &&str| rcgen::string::Ia5String::try_from(*name).map(SanType::DnsName);
        let names = names.iter().map(name).collect::<Result<_, _>>().map_err(|e| Error::Signing(e.to_string()))?;
        self.sign_leaf(request, names, vec![ExtendedKeyUsagePurpose::ServerAuth], now)
    }

    fn sign_leaf(
        &mut self,
        request: &SignRequest,
        names: Vec<SanType>,
        usages: Vec<ExtendedKeyUsagePurpose>,
        now: SystemTime,
    ) -> Result<Issued, Error> {
        // A leaf that outlives its issuer would be refused by strict verifiers at an hour nobody expects.
        let not_after = (now + self.svid_life).min(self.issuing_not_after()?);
        let mut params = base(now, not_after);
        params.subject_alt_names = names;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = usages;
        params.use_authority_key_identifier_extension = true;
        let leaf = params.signed_by(&request.params.public_key, &self.issuer).map_err(signing)?;
        self.roots[0].used_until = self.roots[0].used_until.max(unix_seconds(not_after));
        let chain = std::iter::once(leaf.der().to_vec()).chain(self.chain.iter().map(|c| c.to_vec())).collect();
        Ok(Issued { chain, not_after })
    }
}

impl Signer for Authority {
    fn sign(&mut self, request: &SignRequest, id: &SpiffeId, now: SystemTime) -> Result<Issued, Error> {
        if id.trust_domain() != &self.trust_domain {
            return Err(Error::UnknownTrustDomain(id.trust_domain().to_string()));
        }
        let uri = rcgen::string::Ia5String::try_from(id.to_string()).map_err(|e| Error::Signing(e.to_string()))?;
        let usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        self.sign_leaf(request, vec![SanType::URI(uri)], usages, now)
    }

    fn roots(&self) -> Vec<Vec<u8>> {
        self.roots.iter().map(|r| r.der.clone()).collect()
    }
}

/// A root that is believed but does not sign yet.
pub struct NewRoot {
    der: CertificateDer<'static>,
    key: KeyPair,
}

impl NewRoot {
    pub fn fingerprint(&self) -> String {
        pem::fingerprint(&self.der)
    }
    /// PEM of certificate and key, to survive a restart between the two steps. A secret.
    pub fn to_pem(&self) -> Zeroizing<String> {
        Zeroizing::new(pem::encode("CERTIFICATE", &self.der) + &self.key.serialize_pem())
    }
    pub fn from_pem(text: &[u8]) -> Result<Self, Error> {
        let der = pem::certificates(text)?.swap_remove(0);
        Ok(Self { der, key: key_pair(text)? })
    }
}

pub(crate) fn signing(error: rcgen::Error) -> Error {
    Error::Signing(error.to_string())
}

pub(crate) fn key_pair(text: &[u8]) -> Result<KeyPair, Error> {
    let key = pem::private_key(text)?;
    KeyPair::try_from(&key).map_err(|e| Error::Pem { what: "private key", why: e.to_string() })
}

/// The issuing certificate must be one that may sign, be in time, and belong to the key.
pub(crate) fn check_issuing(issuing: &CertificateDer<'_>, key: &KeyPair, now: SystemTime) -> Result<(), Error> {
    let fail = |why: String| Error::Malformed { what: "CA certificate", why };
    let (_, parsed) = x509_parser::parse_x509_certificate(issuing).map_err(|e| fail(e.to_string()))?;
    if !parsed.is_ca() {
        return Err(fail("it may not sign others (basicConstraints has no CA:TRUE)".into()));
    }
    use rcgen::PublicKeyData;
    if parsed.public_key().raw != key.subject_public_key_info() {
        return Err(Error::KeyMismatch);
    }
    let (start, end) = times(issuing)?;
    crate::svid::check_times(start, end, now)
}

pub(crate) fn base(now: SystemTime, not_after: SystemTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.not_before = (now - limits::BACKDATE).into();
    params.not_after = not_after.into();
    params
}

fn authority_params(name: &str, domain: &TrustDomain, life: Duration, below: u8, now: SystemTime) -> Result<CertificateParams, Error> {
    let mut params = base(now, now + life);
    params.distinguished_name.push(DnType::OrganizationName, "Organza");
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(below));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    // X509-SVID, section 3.1: a signing certificate may name its trust domain.
    let uri = rcgen::string::Ia5String::try_from(format!("spiffe://{domain}")).map_err(|e| Error::Signing(e.to_string()))?;
    params.subject_alt_names = vec![SanType::URI(uri)];
    Ok(params)
}

fn new_root(domain: &TrustDomain, now: SystemTime) -> Result<(CertificateDer<'static>, KeyPair), Error> {
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(signing)?;
    let params = authority_params(&format!("{domain} root"), domain, limits::ROOT_LIFE, 1, now)?;
    let der = params.self_signed(&key).map_err(signing)?.der().clone();
    Ok((der, key))
}

type Issuing = (Vec<CertificateDer<'static>>, Issuer<'static, KeyPair>);

fn new_issuing(domain: &TrustDomain, root: &CertificateDer<'_>, root_key: &KeyPair, now: SystemTime) -> Result<Issuing, Error> {
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(signing)?;
    let mut params = authority_params(&format!("{domain} issuing"), domain, limits::ISSUING_LIFE, 0, now)?;
    params.use_authority_key_identifier_extension = true;
    let above = Issuer::from_ca_cert_der(root, root_key).map_err(signing)?;
    let der = params.signed_by(&key, &above).map_err(signing)?.der().clone();
    let issuer = Issuer::from_ca_cert_der(&der, key).map_err(signing)?;
    Ok((vec![der], issuer))
}

#[cfg(test)]
mod tests;
