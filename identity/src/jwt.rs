//! Tokens of outsiders: a JWT (RFC 7519) in the compact form of a JWS (RFC 7515), read without belief and then verified by the keys of its issuer
//! (RFC 7517). An algorithm is the issuer's to allow and a key's to fit: what a token says of itself picks among these and adds none, so that neither
//! `none` nor a public key taken for a secret leads anywhere. Nothing here is ever shown: an error names what is wrong and no part of the token.

mod keys;

pub use keys::{Keys, KeysError};

use crate::limits;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::token::Algorithm;
use serde_json::{Map, Value};
use std::time::Duration;

/// Why a token is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refused {
    #[error("the token is too long")]
    TooLong,
    #[error("the token is malformed")]
    Malformed,
    #[error("the token's issuer is not known here")]
    UnknownIssuer,
    #[error("the token's algorithm is not allowed")]
    Algorithm,
    #[error("the token's key is not known")]
    UnknownKey,
    #[error("the keys of the token's issuer cannot be had")]
    NoKeys,
    #[error("the token's signature is wrong")]
    Signature,
    #[error("the token expired")]
    Expired,
    #[error("the token is not valid yet")]
    NotYetValid,
    #[error("the token is for another audience")]
    Audience,
}

impl Refused {
    /// The name in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::Malformed => "malformed",
            Self::UnknownIssuer => "unknown_issuer",
            Self::Algorithm => "algorithm",
            Self::UnknownKey => "unknown_key",
            Self::NoKeys => "no_keys",
            Self::Signature => "signature",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::Audience => "audience",
        }
    }
}

/// A token that was read. It says who it is of; whether that is so is known once it is [verified](Jwt::verify).
#[derive(Debug)]
pub struct Jwt<'t> {
    algorithm: Option<Algorithm>,
    key: Option<String>,
    claims: Map<String, Value>,
    signed: &'t str,
    signature: Vec<u8>,
}

/// What a verified token says.
#[derive(Debug, Clone, PartialEq)]
pub struct Claims {
    pub all: Map<String, Value>,
    /// Seconds since the Unix epoch, leeway not counted.
    pub expires: u64,
}

/// What is asked of a token of an issuer.
#[derive(Debug, Clone, Copy)]
pub struct Demands<'d> {
    pub algorithms: &'d [Algorithm],
    /// One of them; none: no matter which.
    pub audiences: &'d [std::sync::Arc<str>],
    pub leeway: Duration,
}

fn part(text: &str) -> Result<Vec<u8>, Refused> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| Refused::Malformed)
}

fn object(text: &str) -> Result<Map<String, Value>, Refused> {
    match serde_json::from_slice(&part(text)?) {
        Ok(Value::Object(map)) => Ok(map),
        _ => Err(Refused::Malformed),
    }
}

impl<'t> Jwt<'t> {
    /// # Errors
    /// If it is too long, or no JWT that could be verified here.
    pub fn read(token: &'t str) -> Result<Self, Refused> {
        if token.len() > limits::JWT_BYTES {
            return Err(Refused::TooLong);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(Refused::Malformed)?;
        let (header, claims) = signed.split_once('.').filter(|(_, claims)| !claims.contains('.')).ok_or(Refused::Malformed)?;
        let mut header = object(header)?;
        // Extensions that must be understood (RFC 7515, section 4.1.11): none is.
        if header.contains_key("crit") {
            return Err(Refused::Malformed);
        }
        let text = |value: Option<Value>| match value {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Refused::Malformed),
        };
        let algorithm = text(header.remove("alg"))?.ok_or(Refused::Malformed)?;
        let key = text(header.remove("kid"))?;
        Ok(Self { algorithm: Algorithm::parse(&algorithm), key, claims: object(claims)?, signed, signature: part(signature)? })
    }

    /// Who it says that it is of.
    pub fn issuer(&self) -> Option<&str> {
        self.claims.get("iss").and_then(Value::as_str)
    }

    /// `now` is in seconds since the Unix epoch.
    ///
    /// # Errors
    /// What is wrong with it first: algorithm, key, signature, and only then what it says.
    pub fn verify(&self, keys: &Keys, demands: &Demands<'_>, now: u64) -> Result<Claims, Refused> {
        let algorithm = self.algorithm.filter(|algorithm| demands.algorithms.contains(algorithm)).ok_or(Refused::Algorithm)?;
        keys.verify(algorithm, self.key.as_deref(), self.signed.as_bytes(), &self.signature)?;
        let leeway = demands.leeway.as_secs();
        let expires = time(&self.claims, "exp")?.ok_or(Refused::Malformed)?;
        if now >= expires.saturating_add(leeway) {
            return Err(Refused::Expired);
        }
        if time(&self.claims, "nbf")?.is_some_and(|begins| begins > now.saturating_add(leeway)) {
            return Err(Refused::NotYetValid);
        }
        if !demands.audiences.is_empty() {
            let meant = |text: &Value| demands.audiences.iter().any(|one| text.as_str() == Some(one));
            let is_for_us = match self.claims.get("aud") {
                Some(Value::Array(all)) => all.iter().any(meant),
                Some(one) => meant(one),
                None => false,
            };
            if !is_for_us {
                return Err(Refused::Audience);
            }
        }
        Ok(Claims { all: self.claims.clone(), expires })
    }
}

/// A NumericDate, which may have a fraction (RFC 7519, section 2); what lies before 1970 is 1970.
fn time(claims: &Map<String, Value>, name: &str) -> Result<Option<u64>, Refused> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::Number(number)) => match (number.as_u64(), number.as_f64()) {
            (Some(whole), _) => Ok(Some(whole)),
            (None, Some(seconds)) if seconds.is_finite() => Ok(Some(seconds.clamp(0.0, 1e15) as u64)),
            _ => Err(Refused::Malformed),
        },
        Some(_) => Err(Refused::Malformed),
    }
}

#[cfg(test)]
mod tests;
