use super::*;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls_pki_types::{ServerName, UnixTime};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

fn now() -> SystemTime {
    UNIX_EPOCH + std::time::Duration::from_secs(1_800_000_000)
}

/// Whether who trusts `authority` takes `chain` for `name`.
fn is_believed(authority: &Development, chain: &str, name: &str) -> bool {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.certificate.clone()).unwrap();
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), crate::config::provider().clone()).build().unwrap();
    let leaf = pem::certificates(chain.as_bytes()).unwrap().swap_remove(0);
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let at = UnixTime::since_unix_epoch(now().duration_since(UNIX_EPOCH).unwrap());
    verifier.verify_server_cert(&leaf, &[], &name, &[], at).is_ok()
}

#[test]
fn names_that_the_internet_may_have_get_no_certificate() {
    for good in
        ["localhost", "shop.localhost", "*.shop.test", "a.home.arpa", "10.1.2.3", "127.0.0.9", "172.31.0.1", "::1", "fd00::1", "fe80::1"]
    {
        assert!(Name::parse(good).is_ok(), "{good}");
    }
    for public in ["bank.com", "notlocalhost", "test.com", "8.8.8.8", "172.32.0.1", "128.0.0.1", "::2", "2001:db8::1", "home.arpa.com"] {
        assert!(matches!(Name::parse(public), Err(NameError::Public(_))), "{public}");
    }
    for bad in ["", "*", "a b", "-x.test", "http://shop.test"] {
        assert!(matches!(Name::parse(bad), Err(NameError::Malformed(_))), "{bad}");
    }
}

#[test]
fn who_trusts_the_authority_believes_its_certificates_for_their_names_alone() {
    let authority = Development::create("somebody", now()).unwrap();
    let names = ["shop.localhost", "*.shop.test", "127.0.0.1", "::1"].map(|name| Name::parse(name).unwrap());
    let shown = authority.issue(&names, now()).unwrap();
    for name in ["shop.localhost", "a.shop.test", "127.0.0.1", "::1"] {
        assert!(is_believed(&authority, &shown.chain, name), "{name}");
    }
    assert!(!is_believed(&authority, &shown.chain, "other.localhost"));
    let leaf = pem::certificates(shown.chain.as_bytes()).unwrap().swap_remove(0);
    assert_eq!(crate::certificate_times(&leaf).unwrap().1, now() + limits::DEVELOPMENT_LIFE);
    crate::certified_key(shown.chain.as_bytes(), shown.key.as_bytes()).unwrap();
    let another = Development::create("another", now()).unwrap();
    assert!(!is_believed(&another, &shown.chain, "shop.localhost"));
}

#[test]
fn whoever_has_its_key_cannot_be_somebody_on_the_internet() {
    let authority = Development::create("somebody", now()).unwrap();
    for (name, san) in [("bank.com", Name::Host("bank.com".into())), ("8.8.8.8", Name::Address("8.8.8.8".parse().unwrap()))] {
        let forged = authority.issue(&[san], now()).unwrap();
        assert!(!is_believed(&authority, &forged.chain, name), "{name}");
    }
}

#[test]
fn what_was_stored_is_the_same_authority() {
    let authority = Development::create("somebody", now()).unwrap();
    let again = Development::load(authority.certificate().as_bytes(), authority.key().as_bytes(), now()).unwrap();
    let shown = again.issue(&[Name::parse("localhost").unwrap()], now()).unwrap();
    assert!(is_believed(&authority, &shown.chain, "localhost"));
    let other = Development::create("another", now()).unwrap();
    assert!(Development::load(authority.certificate().as_bytes(), other.key().as_bytes(), now()).is_err());
    assert!(Development::load(authority.certificate().as_bytes(), authority.key().as_bytes(), now() + limits::ROOT_LIFE * 2).is_err());
}
