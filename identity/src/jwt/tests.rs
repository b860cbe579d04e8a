//! Tokens as issuers sign them, and as those do who are none.

use super::{Demands, Jwt, Keys, KeysError, Refused};
use crate::limits;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::token::Algorithm;
use serde_json::{Value, json};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

const NOW: u64 = 1_800_000_000;

enum Private {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

static RSA: LazyLock<Private> = LazyLock::new(|| Private::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()));
static P256: LazyLock<Private> =
    LazyLock::new(|| Private::P256(EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()));
static P384: LazyLock<Private> =
    LazyLock::new(|| Private::P384(EcdsaKeyPair::generate(&signature::ECDSA_P384_SHA384_FIXED_SIGNING).unwrap()));
static ED: LazyLock<Private> = LazyLock::new(|| Private::Ed25519(Ed25519KeyPair::generate().unwrap()));

fn text(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Private {
    fn jwk(&self, id: &str) -> Value {
        let point = |bytes: &[u8], curve: &str| {
            let (x, y) = bytes[1..].split_at((bytes.len() - 1) / 2);
            json!({"kty": "EC", "crv": curve, "x": text(x), "y": text(y), "kid": id})
        };
        match self {
            // RFC 8017: a sequence of the modulus, of 257 bytes with its sign, and the exponent.
            Self::Rsa(key) => {
                let der = key.public_key().as_ref();
                json!({"kty": "RSA", "n": text(&der[9..265]), "e": text(&der[267..]), "kid": id})
            }
            Self::P256(key) => point(key.public_key().as_ref(), "P-256"),
            Self::P384(key) => point(key.public_key().as_ref(), "P-384"),
            Self::Ed25519(key) => json!({"kty": "OKP", "crv": "Ed25519", "x": text(key.public_key().as_ref()), "kid": id}),
        }
    }

    fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(key) => {
                let padding: &dyn signature::RsaEncoding = match algorithm {
                    Algorithm::Rs256 => &signature::RSA_PKCS1_SHA256,
                    Algorithm::Rs384 => &signature::RSA_PKCS1_SHA384,
                    Algorithm::Rs512 => &signature::RSA_PKCS1_SHA512,
                    Algorithm::Ps256 => &signature::RSA_PSS_SHA256,
                    Algorithm::Ps384 => &signature::RSA_PSS_SHA384,
                    Algorithm::Ps512 => &signature::RSA_PSS_SHA512,
                    other => panic!("{other:?} is not RSA's"),
                };
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(padding, &random, message, &mut signature).unwrap();
                signature
            }
            Self::P256(key) | Self::P384(key) => key.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Ed25519(key) => key.sign(message).as_ref().to_vec(),
        }
    }

    fn token(&self, algorithm: Algorithm, header: &Value, claims: &Value) -> String {
        let signed = format!("{}.{}", text(header.to_string()), text(claims.to_string()));
        let signature = self.sign(algorithm, signed.as_bytes());
        format!("{signed}.{}", text(signature))
    }
}

fn keys(all: &[Value]) -> Keys {
    Keys::parse(json!({ "keys": all }).to_string().as_bytes()).unwrap()
}

fn claims() -> Value {
    json!({"iss": "https://issuer.example", "sub": "ann", "aud": ["shop", "bank"], "exp": NOW + 100, "nbf": NOW - 100})
}

fn demands<'d>(algorithms: &'d [Algorithm], audiences: &'d [Arc<str>]) -> Demands<'d> {
    Demands { algorithms, audiences, leeway: Duration::from_secs(10) }
}

fn check(token: &str, keys: &Keys, demands: &Demands<'_>, now: u64) -> Result<u64, Refused> {
    Jwt::read(token)?.verify(keys, demands, now).map(|claims| claims.expires)
}

fn edwards(header: Value, claims: &Value) -> Result<u64, Refused> {
    let token = ED.token(Algorithm::EdDsa, &header, claims);
    check(&token, &keys(&[ED.jwk("k")]), &demands(Algorithm::ALL, &[]), NOW)
}

#[test]
fn every_algorithm_is_verified_by_its_own_keys_alone() {
    let all = keys(&[RSA.jwk("rsa"), P256.jwk("p256"), P384.jwk("p384"), ED.jwk("ed")]);
    for algorithm in Algorithm::ALL {
        let (private, id) = match algorithm {
            Algorithm::Es256 => (&*P256, "p256"),
            Algorithm::Es384 => (&*P384, "p384"),
            Algorithm::EdDsa => (&*ED, "ed"),
            _ => (&*RSA, "rsa"),
        };
        let header = json!({"alg": algorithm.as_str(), "kid": id});
        let token = private.token(*algorithm, &header, &claims());
        assert_eq!(check(&token, &all, &demands(Algorithm::ALL, &[]), NOW), Ok(NOW + 100), "{algorithm:?}");
        // Without a name any key of the kind will do.
        let nameless = private.token(*algorithm, &json!({"alg": algorithm.as_str()}), &claims());
        assert_eq!(check(&nameless, &all, &demands(Algorithm::ALL, &[]), NOW), Ok(NOW + 100), "{algorithm:?}");
        // An issuer that pins others does not believe it.
        let others: Vec<Algorithm> = Algorithm::ALL.iter().copied().filter(|other| other != algorithm).collect();
        assert_eq!(check(&token, &all, &demands(&others, &[]), NOW), Err(Refused::Algorithm));
        // Nor is it verified under the name of another key, or by another algorithm's words.
        for other in others {
            let renamed = private.token(*algorithm, &json!({"alg": other.as_str(), "kid": id}), &claims());
            assert!(check(&renamed, &all, &demands(Algorithm::ALL, &[]), NOW).is_err(), "{algorithm:?} as {other:?}");
        }
        let last = token.len() - 5;
        let changed = format!("{}{}{}", &token[..last], if &token[last..=last] == "A" { "B" } else { "A" }, &token[last + 1..]);
        assert_eq!(check(&changed, &all, &demands(Algorithm::ALL, &[]), NOW), Err(Refused::Signature), "{algorithm:?}");
    }
}

#[test]
fn no_signature_and_no_secret_is_one() {
    let set = keys(&[RSA.jwk("k"), ED.jwk("k")]);
    let unsigned = |alg: &str| format!("{}.{}.", text(json!({"alg": alg, "kid": "k"}).to_string()), text(claims().to_string()));
    for none in ["none", "None", "NONE", "", "HS256", "HS512", "RS1", "eddsa"] {
        assert_eq!(check(&unsigned(none), &set, &demands(Algorithm::ALL, &[]), NOW), Err(Refused::Algorithm), "{none}");
    }
    assert_eq!(check(&unsigned("EdDSA"), &set, &demands(Algorithm::ALL, &[]), NOW), Err(Refused::Signature));
    // A set of secrets has no key that could verify.
    let secrets = json!({"keys": [{"kty": "oct", "k": text("secret"), "kid": "k"}]}).to_string();
    assert_eq!(Keys::parse(secrets.as_bytes()), Err(KeysError::Empty));
}

#[test]
fn times_and_audiences_are_looked_at_with_leeway() {
    let header = || json!({"alg": "EdDSA", "kid": "k"});
    let with = |name: &str, value: Value| {
        let mut claims = claims();
        claims[name] = value;
        edwards(header(), &claims)
    };
    assert_eq!(with("exp", json!(NOW - 9)), Ok(NOW - 9));
    assert_eq!(with("exp", json!(NOW - 10)), Err(Refused::Expired));
    assert_eq!(with("exp", json!(1.5)), Err(Refused::Expired));
    assert_eq!(with("nbf", json!(NOW + 10)), Ok(NOW + 100));
    assert_eq!(with("nbf", json!(NOW + 11)), Err(Refused::NotYetValid));
    for odd in [json!("tomorrow"), json!(null), json!([1])] {
        assert_eq!(with("exp", odd.clone()), Err(Refused::Malformed), "{odd}");
        assert_eq!(with("nbf", odd.clone()), Err(Refused::Malformed), "{odd}");
    }
    let mut endless = claims();
    endless.as_object_mut().unwrap().remove("exp");
    assert_eq!(edwards(header(), &endless), Err(Refused::Malformed), "what never ends is believed never");
    let audience = |aud: Value, wanted: &[Arc<str>]| {
        let mut claims = claims();
        claims["aud"] = aud;
        let token = ED.token(Algorithm::EdDsa, &header(), &claims);
        check(&token, &keys(&[ED.jwk("k")]), &demands(Algorithm::ALL, wanted), NOW)
    };
    assert!(audience(json!("shop"), &["shop".into()]).is_ok() && audience(json!(["a", "shop"]), &["b".into(), "shop".into()]).is_ok());
    for other in [json!("shops"), json!([]), json!(null), json!({"shop": 1})] {
        assert_eq!(audience(other.clone(), &["shop".into()]), Err(Refused::Audience), "{other}");
    }
}

#[test]
fn what_is_no_token_is_malformed() {
    for odd in ["", ".", "..", "a.b.c", "e30.e30.", "e30.e30", "e30.e30.e30.e30", "e30=.e30.e30", "e30.e30.\u{e9}"] {
        assert_eq!(Jwt::read(odd).map(drop).unwrap_err(), Refused::Malformed, "{odd:?}");
    }
    assert_eq!(edwards(json!({"alg": "EdDSA", "crit": ["exp"], "exp": 1}), &claims()), Err(Refused::Malformed));
    assert_eq!(edwards(json!({"alg": "EdDSA", "kid": 1}), &claims()), Err(Refused::Malformed));
    assert_eq!(edwards(json!({"alg": "EdDSA"}), &json!([1])), Err(Refused::Malformed));
    assert_eq!(edwards(json!({"alg": "EdDSA", "kid": "other"}), &claims()), Err(Refused::UnknownKey));
    let long = "a".repeat(limits::JWT_BYTES + 1);
    assert_eq!(Jwt::read(&long).map(drop).unwrap_err(), Refused::TooLong);
}

#[test]
fn keys_that_are_for_something_else_are_left_out() {
    let spoiled = |edit: &dyn Fn(&mut Value)| {
        let mut jwk = P256.jwk("k");
        edit(&mut jwk);
        Keys::parse(json!({ "keys": [jwk] }).to_string().as_bytes())
    };
    assert!(spoiled(&|_| {}).is_ok());
    assert!(spoiled(&|jwk| jwk["use"] = json!("sig")).is_ok());
    assert_eq!(spoiled(&|jwk| jwk["use"] = json!("enc")), Err(KeysError::Empty));
    assert_eq!(spoiled(&|jwk| jwk["crv"] = json!("P-521")), Err(KeysError::Empty));
    assert_eq!(spoiled(&|jwk| jwk["alg"] = json!("ECDH-ES")), Err(KeysError::Empty));
    assert_eq!(spoiled(&|jwk| jwk["x"] = json!("AAAA")), Err(KeysError::Empty));
    let only = keys(&[{
        let mut jwk = RSA.jwk("k");
        jwk["alg"] = json!("RS512");
        jwk
    }]);
    let token = |algorithm: Algorithm| RSA.token(algorithm, &json!({"alg": algorithm.as_str(), "kid": "k"}), &claims());
    assert!(check(&token(Algorithm::Rs512), &only, &demands(Algorithm::ALL, &[]), NOW).is_ok());
    assert_eq!(check(&token(Algorithm::Rs256), &only, &demands(Algorithm::ALL, &[]), NOW), Err(Refused::UnknownKey));
    assert!(matches!(Keys::parse(b"[]"), Err(KeysError::Malformed(_))) && matches!(Keys::parse(b"<html>"), Err(KeysError::Malformed(_))));
    assert_eq!(Keys::parse(&vec![b' '; limits::JWKS_BYTES + 1]), Err(KeysError::TooLarge));
}

#[test]
fn so_many_keys_of_an_issuer_are_tried_and_no_more() {
    let token = P256.token(Algorithm::Es256, &json!({"alg": "ES256", "kid": "mine"}), &claims());
    let after = |others: usize| {
        let others = (0..others).map(|n| P256.jwk(&format!("other-{n}")));
        Keys::parse(json!({ "keys": others.chain([P256.jwk("mine")]).collect::<Vec<_>>() }).to_string().as_bytes()).unwrap()
    };
    assert!(check(&token, &after(limits::JWKS_KEYS - 1), &demands(Algorithm::ALL, &[]), NOW).is_ok());
    assert_eq!(check(&token, &after(limits::JWKS_KEYS), &demands(Algorithm::ALL, &[]), NOW), Err(Refused::UnknownKey));
}
