//! The keys of an issuer, from a JWK Set. A key is of one kind, and its kind says what algorithms it can be of; what is secret, for encryption, of no
//! kind that is known, or broken, is left out, for sets hold keys for others too.

use super::Refused;
use crate::limits;
use aws_lc_rs::signature::{self, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::token::Algorithm;
use serde_json::Value;

/// Why bytes are no set of keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    #[error("is larger than {} bytes", limits::JWKS_BYTES)]
    TooLarge,
    #[error("is no JWK Set: {0}")]
    Malformed(String),
    #[error("has no key that signatures can be verified by")]
    Empty,
}

/// In the order in which they stand.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Keys(Vec<Jwk>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Jwk {
    id: Option<String>,
    /// The only one that it is for, where it says so.
    algorithm: Option<Algorithm>,
    public: Public,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Public {
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
    /// Points in the uncompressed form.
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

impl Keys {
    /// # Errors
    /// If it is no set, or one without a key that is of use.
    pub fn parse(json: &[u8]) -> Result<Self, KeysError> {
        if json.len() > limits::JWKS_BYTES {
            return Err(KeysError::TooLarge);
        }
        let set: Value = serde_json::from_slice(json).map_err(|error| KeysError::Malformed(error.to_string()))?;
        let all = set.get("keys").and_then(Value::as_array).ok_or_else(|| KeysError::Malformed("it has no list \"keys\"".to_owned()))?;
        let keys: Vec<Jwk> = all.iter().filter_map(jwk).take(limits::JWKS_KEYS).collect();
        if keys.is_empty() { Err(KeysError::Empty) } else { Ok(Self(keys)) }
    }

    /// By the key of that name or, without one, by any that fits.
    pub(super) fn verify(&self, algorithm: Algorithm, id: Option<&str>, message: &[u8], signature: &[u8]) -> Result<(), Refused> {
        let mut fitting = self.0.iter().filter(|key| id.is_none_or(|id| key.id.as_deref() == Some(id)) && key.fits(algorithm)).peekable();
        if fitting.peek().is_none() {
            return Err(Refused::UnknownKey);
        }
        match fitting.any(|key| key.verifies(algorithm, message, signature)) {
            true => Ok(()),
            false => Err(Refused::Signature),
        }
    }
}

fn jwk(value: &Value) -> Option<Jwk> {
    let text = |field: &str| value.get(field).and_then(Value::as_str);
    let bytes = |field: &str| URL_SAFE_NO_PAD.decode(text(field)?).ok();
    if text("use").is_some_and(|usage| usage != "sig") {
        return None;
    }
    let point = |size: usize| {
        let (x, y) = (bytes("x")?, bytes("y")?);
        (x.len() == size && y.len() == size).then(|| [&[4], &x[..], &y].concat())
    };
    let public = match (text("kty")?, text("crv")) {
        ("RSA", _) => Public::Rsa { modulus: bytes("n")?, exponent: bytes("e")? },
        ("EC", Some("P-256")) => Public::P256(point(32)?),
        ("EC", Some("P-384")) => Public::P384(point(48)?),
        ("OKP", Some("Ed25519")) => Public::Ed25519(bytes("x").filter(|x| x.len() == 32)?),
        _ => return None,
    };
    // One that says it is for what is not known here is for nothing that is.
    let algorithm = match text("alg") {
        None => None,
        Some(word) => Some(Algorithm::parse(word)?),
    };
    Some(Jwk { id: text("kid").map(str::to_owned), algorithm, public })
}

impl Jwk {
    fn fits(&self, wanted: Algorithm) -> bool {
        use Algorithm as A;
        let of_kind = match &self.public {
            Public::Rsa { .. } => matches!(wanted, A::Rs256 | A::Rs384 | A::Rs512 | A::Ps256 | A::Ps384 | A::Ps512),
            Public::P256(_) => wanted == A::Es256,
            Public::P384(_) => wanted == A::Es384,
            Public::Ed25519(_) => wanted == A::EdDsa,
        };
        of_kind && self.algorithm.is_none_or(|only| only == wanted)
    }

    fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        match &self.public {
            Public::Rsa { modulus, exponent } => rsa(algorithm).is_some_and(|parameters| {
                RsaPublicKeyComponents { n: modulus, e: exponent }.verify(parameters, message, signature).is_ok()
            }),
            Public::P256(point) => UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point).verify(message, signature).is_ok(),
            Public::P384(point) => UnparsedPublicKey::new(&signature::ECDSA_P384_SHA384_FIXED, point).verify(message, signature).is_ok(),
            Public::Ed25519(point) => UnparsedPublicKey::new(&signature::ED25519, point).verify(message, signature).is_ok(),
        }
    }
}

/// Of keys with at least 2048 bits.
fn rsa(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    Some(match algorithm {
        Algorithm::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        Algorithm::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
        Algorithm::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
        Algorithm::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
        Algorithm::Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
        Algorithm::Ps512 => &signature::RSA_PSS_2048_8192_SHA512,
        Algorithm::Es256 | Algorithm::Es384 | Algorithm::EdDsa => return None,
    })
}
