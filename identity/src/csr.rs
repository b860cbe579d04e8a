//! Asking for a certificate. The key is made here and never leaves the process that will use it; of a request only the public key is
//! believed, every name in it is ignored: the signer says who the caller is.

use crate::{Error, limits};
use model::SpiffeId;
use std::fmt;
use zeroize::Zeroizing;

/// A fresh P-256 key and the request (PKCS#10) that proves its possession.
pub struct Csr {
    pub der: Vec<u8>,
    /// PKCS#8 DER.
    key: Zeroizing<Vec<u8>>,
}

impl Csr {
    pub fn generate(id: &SpiffeId) -> Result<Self, Error> {
        let signing = |e: rcgen::Error| Error::Signing(e.to_string());
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(signing)?;
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        let uri = rcgen::string::Ia5String::try_from(id.to_string()).map_err(|e| Error::Signing(e.to_string()))?;
        params.subject_alt_names = vec![rcgen::SanType::URI(uri)];
        let request = params.serialize_request(&key).map_err(signing)?;
        Ok(Self { der: request.der().to_vec(), key: Zeroizing::new(key.serialize_der()) })
    }

    /// The private key, PKCS#8 DER.
    pub fn key(&self) -> &[u8] {
        &self.key
    }
}

impl fmt::Debug for Csr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Csr")
    }
}

/// A request as the signer reads it: well-formed, possession proven, a P-256 key.
pub struct SignRequest {
    pub(crate) params: rcgen::CertificateSigningRequestParams,
}

impl SignRequest {
    pub fn parse(der: &[u8]) -> Result<Self, Error> {
        let fail = |why: String| Error::Malformed { what: "certificate request", why };
        if der.len() > limits::CSR_BYTES {
            return Err(fail(format!("longer than {} bytes", limits::CSR_BYTES)));
        }
        // rcgen reads the request but does not prove possession of the key: that is checked here.
        let (rest, parsed) =
            <x509_parser::certification_request::X509CertificationRequest<'_> as x509_parser::prelude::FromDer<_>>::from_der(der)
                .map_err(|e| fail(e.to_string()))?;
        if !rest.is_empty() {
            return Err(fail("bytes follow it".into()));
        }
        verify_possession(&parsed).map_err(fail)?;
        let params = rcgen::CertificateSigningRequestParams::from_der(&der.into()).map_err(|e| fail(e.to_string()))?;
        match *params.public_key.algorithm() == rcgen::PKCS_ECDSA_P256_SHA256 {
            true => Ok(Self { params }),
            false => Err(Error::KeyType),
        }
    }
}

fn verify_possession(request: &x509_parser::certification_request::X509CertificationRequest<'_>) -> Result<(), String> {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
    let key = &request.certification_request_info.subject_pki.subject_public_key.data;
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key)
        .verify(request.certification_request_info.raw, &request.signature_value.data)
        .map_err(|_| "its signature does not prove possession of a P-256 key".to_owned())
}
