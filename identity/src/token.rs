//! A join token: what a second machine needs to find the mesh, to know that it is the right one, and to be let in once.
//!
//! `organza-join-1.` and base64url of: hash of the root (32 bytes), secret (32 bytes), address of the control plane. What the token entitles
//! to is not in it but with the control plane, which stores only the secret's hash.

use crate::{Error, limits, pem};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::fmt;
use zeroize::Zeroizing;

const PREFIX: &str = "organza-join-1.";

#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    pub root_sha256: [u8; 32],
    secret: Zeroizing<[u8; 32]>,
    /// `host:port` of the control plane's listener.
    pub address: String,
}

impl Token {
    /// A fresh one, for the root that proves the control plane.
    pub fn create(root_der: &[u8], address: &str) -> Result<Self, Error> {
        let mut secret = Zeroizing::new([0; 32]);
        aws_lc_rs::rand::fill(&mut secret[..]).map_err(|_| Error::Token("could not be made: no randomness"))?;
        Ok(Self { root_sha256: pem::sha256(root_der), secret, address: address.to_owned() })
    }

    pub fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        if text.len() > limits::TOKEN_CHARS {
            return Err(Error::Token("is too long"));
        }
        let body = text.strip_prefix(PREFIX).ok_or(Error::Token("does not begin with `organza-join-1.`"))?;
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(body).map_err(|_| Error::Token("is not base64url"))?);
        let (root, rest) = bytes.split_first_chunk::<32>().ok_or(Error::Token("is cut short"))?;
        let (secret, address) = rest.split_first_chunk::<32>().ok_or(Error::Token("is cut short"))?;
        let address = std::str::from_utf8(address).map_err(|_| Error::Token("carries no address"))?;
        match address.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok()) {
            true => Ok(Self { root_sha256: *root, secret: Zeroizing::new(*secret), address: address.to_owned() }),
            false => Err(Error::Token("carries no address")),
        }
    }

    /// The text that is handed over. A secret.
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(64 + self.address.len()));
        bytes.extend_from_slice(&self.root_sha256);
        bytes.extend_from_slice(&self.secret[..]);
        bytes.extend_from_slice(self.address.as_bytes());
        Zeroizing::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(&bytes[..])))
    }

    /// What the control plane stores and looks up by: equal hashes mean equal secrets, and the hash tells nothing.
    pub fn secret_hash(&self) -> String {
        pem::fingerprint(&self.secret[..])
    }

    /// The secret alone, as sent to the control plane when joining.
    pub fn secret_text(&self) -> Zeroizing<String> {
        Zeroizing::new(URL_SAFE_NO_PAD.encode(&self.secret[..]))
    }

    /// [`Token::secret_hash`] of a secret as sent by a joiner.
    pub fn hash_of_secret_text(text: &str) -> Result<String, Error> {
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).map_err(|_| Error::Token("is not base64url"))?);
        match bytes.len() {
            32 => Ok(pem::fingerprint(&bytes)),
            _ => Err(Error::Token("is cut short")),
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("address", &self.address).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
