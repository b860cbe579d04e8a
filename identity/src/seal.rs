//! Small secrets that a stranger carries and cannot read, change or make: sealed by AES-256-GCM with a random nonce, as base64url. Keys for many uses
//! come from one secret by HMAC. It never knows what is sealed.

use crate::Error;
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// A fresh secret.
///
/// # Errors
/// If there is no randomness.
pub fn secret() -> Result<[u8; 32], Error> {
    let mut secret = [0; 32];
    aws_lc_rs::rand::fill(&mut secret).map_err(|_| Error::Token("could not be made: no randomness"))?;
    Ok(secret)
}

/// The key for one use of a secret: who has it learns nothing of the others.
pub fn derive(secret: &[u8; 32], usage: &str) -> [u8; 32] {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), usage.as_bytes());
    let mut key = [0; 32];
    key.copy_from_slice(&tag.as_ref()[..32]);
    key
}

/// `context` must be the same when it is opened.
///
/// # Errors
/// If there is no randomness.
pub fn seal(key: &[u8; 32], context: &str, content: &[u8]) -> Result<String, Error> {
    let failed = |_| Error::Token("could not be sealed");
    let mut sealed = content.to_vec();
    let nonce = RandomizedNonceKey::new(&AES_256_GCM, key)
        .and_then(|key| key.seal_in_place_append_tag(Aad::from(context.as_bytes()), &mut sealed))
        .map_err(failed)?;
    let mut whole = nonce.as_ref().to_vec();
    whole.extend_from_slice(&sealed);
    Ok(URL_SAFE_NO_PAD.encode(whole))
}

/// What was sealed; `None` for everything else.
pub fn open(key: &[u8; 32], context: &str, text: &[u8]) -> Option<Vec<u8>> {
    let whole = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (nonce, sealed) = whole.split_first_chunk::<NONCE_LEN>()?;
    let mut sealed = sealed.to_vec();
    let key = RandomizedNonceKey::new(&AES_256_GCM, key).ok()?;
    let content = key.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(context.as_bytes()), &mut sealed).ok()?;
    Some(content.to_vec())
}

#[cfg(test)]
mod tests;
