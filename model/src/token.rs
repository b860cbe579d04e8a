//! Whose tokens are believed, and what is made of them: what `TokenIssuer` says. Here are values only; `identity` verifies by them.

use crate::access::AccessTarget;
use crate::backend::{ExternalName, UpstreamTls};
use crate::{Key, Origin};
use std::sync::Arc;
use std::time::Duration;

/// Who issues tokens (JWT), for some targets.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenIssuer {
    /// Kind `TokenIssuer`; the name carries the dialect kind in lower case (`tokenissuer.corp`).
    pub key: Key,
    pub origin: Origin,
    /// Any of them; never a route, for routes may depend on what tokens say.
    pub targets: Vec<AccessTarget>,
    /// What `iss` must say, to the letter.
    pub issuer: Arc<str>,
    /// `aud` must say one of them; none: no matter what it says.
    pub audiences: Vec<Arc<str>>,
    /// No others are believed.
    pub algorithms: Vec<Algorithm>,
    pub keys: KeySource,
    /// Clocks may differ by so much.
    pub leeway: Duration,
    /// Who brings no token is refused.
    pub required: bool,
    /// What applications are told of it.
    pub headers: Vec<ClaimHeader>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// A JWK Set.
    Inline(Arc<str>),
    Url(KeysUrl),
    /// They cannot be had, and no token is believed.
    None,
}

/// Where a JWK Set is fetched from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeysUrl {
    pub host: ExternalName,
    pub port: u16,
    /// With the query, where it has one.
    pub path: Arc<str>,
    /// Without it whoever stands on the way says what the keys are.
    pub tls: Option<Arc<UpstreamTls>>,
}

/// A field of the request that says what a claim says. It is taken off every request that comes, for nobody else may write it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimHeader {
    /// From the outside in.
    pub claim: Vec<Arc<str>>,
    /// In lower case.
    pub name: Arc<str>,
}

macro_rules! algorithms {
    ($($name:ident = $text:literal),*) => {
        /// How a token may be signed (RFC 7518, RFC 8037): by a private key alone, never by a secret that both sides have, never not at all.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Algorithm { $($name,)* }

        impl Algorithm {
            pub const ALL: &[Self] = &[$(Self::$name,)*];
            pub fn as_str(self) -> &'static str { match self { $(Self::$name => $text,)* } }
            pub fn parse(text: &str) -> Option<Self> { match text { $($text => Some(Self::$name),)* _ => None } }
        }
    };
}

algorithms!(
    Rs256 = "RS256",
    Rs384 = "RS384",
    Rs512 = "RS512",
    Ps256 = "PS256",
    Ps384 = "PS384",
    Ps512 = "PS512",
    Es256 = "ES256",
    Es384 = "ES384",
    EdDsa = "EdDSA"
);
