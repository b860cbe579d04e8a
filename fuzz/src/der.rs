//! Certificate requests and certificates of peers.

use identity::SignRequest;

pub fn check(bytes: &[u8]) {
    let _ = SignRequest::parse(bytes);
    let _ = identity::peer_identity(&bytes.into());
}
