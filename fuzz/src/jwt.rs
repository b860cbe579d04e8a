//! Tokens of outsiders and sets of their issuers' keys. Whatever is written, nothing is believed that was not signed: the set that is read beside a token
//! comes from the same hand, and still no token is verified by it unless a signature is right; what is read twice is read alike.

use identity::jwt::{Demands, Jwt, Keys};
use model::token::Algorithm;
use std::time::Duration;

pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (token, set) = text.split_once('\n').unwrap_or((text, ""));
    let keys = Keys::parse(set.as_bytes());
    assert_eq!(keys, Keys::parse(set.as_bytes()));
    let Ok(jwt) = Jwt::read(token) else { return };
    let demands = Demands { algorithms: Algorithm::ALL, audiences: &[], leeway: Duration::ZERO };
    // By no key nothing is verified.
    assert!(jwt.verify(&Keys::default(), &demands, 0).is_err(), "{token:?}");
    // No algorithm is allowed: none is believed, whatever the token says that it is signed by.
    let nothing = Demands { algorithms: &[], ..demands };
    let keys = keys.unwrap_or_default();
    assert!(jwt.verify(&keys, &nothing, 0).is_err(), "{token:?}");
    if let Ok(claims) = jwt.verify(&keys, &demands, 0) {
        assert_eq!(claims.all.get("iss").and_then(|iss| iss.as_str()), jwt.issuer());
        assert!(jwt.verify(&keys, &demands, claims.expires).is_err(), "a token ends when it says so");
    }
}
