use super::*;
use crate::tests::quiet::{Network, on, took};
use crate::tests::{Mesh, key};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::backend::ExternalName;
use model::token::{Algorithm, KeysUrl};
use model::{ObjectRef, Origin};
use std::time::Duration;

/// One whose keys are fetched.
fn issuer() -> Arc<Issuer> {
    let url = KeysUrl { host: ExternalName::Address([10, 0, 0, 1].into()), port: 80, path: "/".into(), tls: None };
    Arc::new(Issuer::new(&Arc::new(TokenIssuer {
        key: key(Kind::TokenIssuer, "tokenissuer.corp"),
        origin: Origin::new(ObjectRef::new("organza.dev", "TokenIssuer", "shop", "corp"), ""),
        targets: Vec::new(),
        issuer: "corp".into(),
        audiences: Vec::new(),
        algorithms: vec![Algorithm::EdDsa],
        keys: KeySource::Url(url),
        leeway: Duration::ZERO,
        required: true,
        headers: Vec::new(),
    })))
}

#[test]
fn newer_keys_are_waited_for_a_moment_and_so_many_tokens_are_remembered() {
    on(Network::Nowhere, async {
        let (web, issuer) = (Mesh::new().proxy("web"), issuer());
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let token = format!("{}.{}.AAAA", part("{\"alg\":\"EdDSA\",\"kid\":\"new\"}"), part("{\"iss\":\"corp\"}"));
        // Nobody fetches.
        let found = [issuer.clone()];
        let (verified, time) = took(verified(&web.worker, &found, &token, 0)).await;
        assert!(matches!(verified, Err((_, Refused::NoKeys))));
        assert_eq!(time, limits::KEYS_WAIT);
        let token = Arc::new(claims::token(&serde_json::Map::new()));
        let believed = Verified { issuer, keys: Arc::default(), token, until: 1 };
        let mut known = Known::default();
        for i in 0..=limits::TOKENS_KNOWN {
            let mut digest = [0; 32];
            digest[..8].copy_from_slice(&i.to_be_bytes());
            known.put(digest, believed.clone());
            assert_eq!(known.0.len(), i % limits::TOKENS_KNOWN + 1);
        }
    });
}
