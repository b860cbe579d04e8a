//! Issuers of tokens, every word said.

use super::{key, origin};
use crate::{DecodeError, decode, encode};
use model::access::AccessTarget;
use model::backend::{ExternalName, Shown, UpstreamRoots, UpstreamTls};
use model::token::{Algorithm, ClaimHeader, KeySource, KeysUrl, TokenIssuer};
use model::{Hostname, Kind, Resource};
use std::sync::Arc;
use std::time::Duration;

pub fn issuer() -> TokenIssuer {
    let server_name = Hostname::parse("keys.example").unwrap();
    let tls =
        UpstreamTls { server_name: server_name.clone(), subject_alt_names: vec![], roots: UpstreamRoots::System, shown: Shown::Nothing };
    let keys = KeysUrl { host: ExternalName::Dns(server_name), port: 443, path: "/jwks?v=1".into(), tls: Some(Arc::new(tls)) };
    TokenIssuer {
        key: key(Kind::TokenIssuer, "tokenissuer.corp"),
        origin: origin("TokenIssuer"),
        targets: vec![AccessTarget::Gateway(key(Kind::Gateway, "edge"))],
        issuer: "https://issuer.example".into(),
        audiences: vec!["shop".into()],
        algorithms: Algorithm::ALL.to_vec(),
        keys: KeySource::Url(keys),
        leeway: Duration::from_secs(60),
        required: false,
        headers: vec![ClaimHeader { claim: vec!["a".into(), "b".into()], name: "x-a".into() }],
    }
}

fn round(issuer: TokenIssuer) -> Result<TokenIssuer, DecodeError> {
    match decode(&encode(&Resource::TokenIssuer(Arc::new(issuer))))? {
        Resource::TokenIssuer(issuer) => Ok((*issuer).clone()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn keys_stand_there_or_are_fetched_or_there_are_none() {
    let plain = KeysUrl { host: ExternalName::Address([127, 0, 0, 1].into()), port: 80, path: "/".into(), tls: None };
    for keys in [KeySource::None, KeySource::Inline("{}".into()), KeySource::Url(plain)] {
        let issuer = TokenIssuer { keys, required: true, ..issuer() };
        assert_eq!(round(issuer.clone()), Ok(issuer));
    }
}

#[test]
fn what_is_no_path_is_refused() {
    let KeySource::Url(url) = issuer().keys else { panic!() };
    for path in ["", "jwks", "/a b", "/a\r\nHost: b"] {
        let issuer = TokenIssuer { keys: KeySource::Url(KeysUrl { path: path.into(), ..url.clone() }), ..issuer() };
        assert!(matches!(round(issuer), Err(DecodeError::Field { field, .. }) if field == "url.path"), "{path:?}");
    }
}
