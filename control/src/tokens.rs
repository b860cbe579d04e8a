//! Join tokens: what lets a second machine in, once. Only the hash of a token's secret is kept; what it entitles to is kept with it and is not in
//! the token.

use crate::limits;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use wire::api::{Token, TokenRequest};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// First characters of the hash: enough to name it, useless to join with.
    pub id: String,
    pub hash: String,
    pub namespace: String,
    pub service_account: String,
    pub services: Vec<String>,
    pub created: u64,
    pub expires: u64,
    pub used: Option<u64>,
}

#[derive(Debug, Clone, Default)]
pub struct Tokens(BTreeMap<String, Kept>);

/// Why a token does not let anyone in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("join token is not known here")]
    Unknown,
    #[error("join token was used before; each lets one process in")]
    Used,
    #[error("join token has expired")]
    Expired,
    #[error("join token is not for this service")]
    Service,
}

impl Tokens {
    pub fn load(kept: impl IntoIterator<Item = Kept>) -> Self {
        Self(kept.into_iter().map(|k| (k.hash.clone(), k)).collect())
    }

    /// Keeps a new one; `None` where there are too many already.
    pub fn create(&mut self, hash: String, request: &TokenRequest, now: u64) -> Option<Kept> {
        // Who comes with a used or expired token is told so for as long as one may live, then that it is not known.
        self.0.retain(|_, kept| kept.expires + limits::TOKEN_LIFE.as_secs() > now);
        let usable = |kept: &&Kept| kept.used.is_none() && kept.expires > now;
        if self.0.values().filter(usable).count() >= limits::TOKENS || self.0.len() >= limits::TOKENS_REMEMBERED {
            return None;
        }
        let life = request.ttl_seconds.clamp(1, limits::TOKEN_LIFE.as_secs());
        let kept = Kept {
            id: hash.chars().take(12).collect(),
            hash: hash.clone(),
            namespace: request.namespace.clone(),
            service_account: request.service_account.clone(),
            services: request.services.clone(),
            created: now,
            expires: now + life,
            used: None,
        };
        self.0.insert(hash, kept.clone());
        Some(kept)
    }

    /// Uses a token up, for a service that it names or for none. Equal hashes mean equal secrets, and a hash that is guessed byte by byte leads nowhere.
    pub fn redeem(&mut self, hash: &str, service: Option<&str>, now: u64) -> Result<Kept, Refused> {
        let kept = self.0.get_mut(hash).ok_or(Refused::Unknown)?;
        match kept.used {
            Some(_) => Err(Refused::Used),
            None if kept.expires <= now => Err(Refused::Expired),
            None if service.is_some_and(|service| !kept.services.iter().any(|s| s == service)) => Err(Refused::Service),
            None => {
                kept.used = Some(now);
                Ok(kept.clone())
            }
        }
    }

    /// Makes a token usable again whose use could not be remembered.
    pub fn give_back(&mut self, hash: &str) {
        if let Some(kept) = self.0.get_mut(hash) {
            kept.used = None;
        }
    }

    pub fn withdraw(&mut self, id: &str) -> Option<Kept> {
        let hash = self.0.values().find(|kept| kept.id == id)?.hash.clone();
        self.0.remove(&hash)
    }

    pub fn list(&self, trust_domain: &str) -> Vec<Token> {
        let told = |kept: &Kept| Token {
            id: kept.id.clone(),
            identity: format!("spiffe://{trust_domain}/ns/{}/sa/{}", kept.namespace, kept.service_account),
            services: kept.services.clone(),
            created: kept.created,
            expires: kept.expires,
            used: kept.used,
        };
        self.0.values().map(told).collect()
    }
}

#[cfg(test)]
mod tests;
