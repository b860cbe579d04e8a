//! Someone who issues tokens (JWT), with a key of its own.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

pub struct Issuer {
    key: Ed25519KeyPair,
    id: &'static str,
}

impl Issuer {
    /// With a new key, which is called so.
    pub fn new(id: &'static str) -> Self {
        Self { key: Ed25519KeyPair::generate().expect("a key"), id }
    }

    /// Its key as a JWK.
    pub fn jwk(&self) -> Value {
        json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": self.id, "x": text(self.key.public_key().as_ref())})
    }

    /// A JWK Set with the keys of all.
    pub fn jwks(all: &[&Self]) -> String {
        json!({"keys": all.iter().map(|issuer| issuer.jwk()).collect::<Vec<_>>()}).to_string()
    }

    /// A token that says this.
    pub fn token(&self, claims: &Value) -> String {
        let signed = format!("{}.{}", text(json!({"alg": "EdDSA", "kid": self.id}).to_string()), text(claims.to_string()));
        let signature = text(self.key.sign(signed.as_bytes()).as_ref());
        format!("{signed}.{signature}")
    }
}

fn text(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
