use super::*;
use crate::{Csr, Svid};
use std::time::UNIX_EPOCH;

const NOW: Duration = Duration::from_secs(1_800_000_000);

fn now() -> SystemTime {
    UNIX_EPOCH + NOW
}
fn domain() -> TrustDomain {
    TrustDomain::parse("organza.local").unwrap()
}
fn web() -> SpiffeId {
    SpiffeId::new(domain(), "shop", "web").unwrap()
}

fn issue(authority: &mut Authority, id: &SpiffeId, now: SystemTime) -> Svid {
    let csr = Csr::generate(id).unwrap();
    let issued = authority.sign(&SignRequest::parse(&csr.der).unwrap(), id, now).unwrap();
    Svid::new(issued.chain, csr.key()).unwrap()
}

#[test]
fn names_in_the_request_are_ignored() {
    let mut authority = Authority::create(domain(), now()).unwrap();
    let other = SpiffeId::new(domain(), "bank", "vault").unwrap();
    let csr = Csr::generate(&other).unwrap();
    let issued = authority.sign(&SignRequest::parse(&csr.der).unwrap(), &web(), now()).unwrap();
    assert_eq!(Svid::new(issued.chain, csr.key()).unwrap().id(), &web());
}

/// The API server of a cluster knows it by its name; in the mesh it is nobody.
#[test]
fn what_is_signed_for_a_server_has_names_and_no_identity() {
    let mut authority = Authority::create(domain(), now()).unwrap();
    let csr = Csr::generate(&web()).unwrap();
    let issued = authority.sign_server(&SignRequest::parse(&csr.der).unwrap(), &["hook.organza-system.svc"], now()).unwrap();
    let leaf = rustls_pki_types::CertificateDer::from(issued.chain[0].clone());
    assert!(crate::peer_identity(&leaf).is_err());
    let cert = webpki::EndEntityCert::try_from(&leaf).unwrap();
    let valid = |name: &str| cert.verify_is_valid_for_subject_name(&name.try_into().unwrap()).is_ok();
    assert!(valid("hook.organza-system.svc") && !valid("other.organza-system.svc"));
    let roots: Vec<_> = Signer::roots(&authority).into_iter().map(rustls_pki_types::CertificateDer::from).collect();
    let anchors = [webpki::anchor_from_trusted_cert(&roots[0]).unwrap()];
    let between = [rustls_pki_types::CertificateDer::from(issued.chain[1].clone())];
    let at = rustls_pki_types::UnixTime::since_unix_epoch(NOW);
    let as_ = |usage| crate::verify::verify_chain(&leaf, &between, &anchors, at, usage, crate::provider());
    assert!(as_(webpki::KeyUsage::server_auth()).is_ok() && as_(webpki::KeyUsage::client_auth()).is_err());
}

#[test]
fn svids_live_a_day_and_never_longer_than_their_issuer() {
    let mut authority = Authority::create(domain(), now()).unwrap();
    let svid = issue(&mut authority, &web(), now());
    assert_eq!(svid.not_after(), now() + limits::SVID_LIFE);
    let late = authority.issuing_not_after().unwrap() - Duration::from_secs(60);
    assert_eq!(issue(&mut authority, &web(), late).not_after(), late + Duration::from_secs(60));
    assert!(svid.check(now()).is_ok());
    assert!(svid.check(now() - limits::BACKDATE).is_ok(), "a clock that goes a little slow");
    assert_eq!((svid.signed_at(), svid.life()), (now(), limits::SVID_LIFE));
    let second = Duration::from_secs(1);
    assert!(matches!(svid.check(now() - limits::BACKDATE - second), Err(Error::NotYetValid { .. })));
    assert!(matches!(svid.check(now() - Duration::from_secs(3600)), Err(Error::NotYetValid { .. })), "a clock an hour slow has a reason");
    assert!(matches!(svid.check(now() + Duration::from_secs(25 * 3600)), Err(Error::Expired { .. })));
}

#[test]
fn a_foreign_trust_domain_is_not_signed() {
    let mut authority = Authority::create(domain(), now()).unwrap();
    let id = SpiffeId::parse("spiffe://other.local/ns/a/sa/b").unwrap();
    let csr = Csr::generate(&id).unwrap();
    assert!(authority.sign(&SignRequest::parse(&csr.der).unwrap(), &id, now()).is_err());
}

#[test]
fn possession_of_the_key_is_proven() {
    let csr = Csr::generate(&web()).unwrap();
    let mut forged = csr.der.clone();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    assert!(SignRequest::parse(&forged).is_err());
    assert!(SignRequest::parse(&csr.der[..csr.der.len() - 1]).is_err());
    assert!(SignRequest::parse(b"").is_err());
}

#[test]
fn files_bring_the_same_authority_back() {
    let mut authority = Authority::create(domain(), now()).unwrap();
    let before = issue(&mut authority, &web(), now());
    let mut again = Authority::load(domain(), &authority.files(), now()).unwrap();
    assert_eq!(again.roots(), authority.roots());
    assert_eq!(again.files(), authority.files());
    assert_eq!(issue(&mut again, &web(), now()).chain()[1], before.chain()[1]);
    let mut offline = authority.files();
    offline.root_key = None;
    let mut offline = Authority::load(domain(), &offline, now()).unwrap();
    issue(&mut offline, &web(), now());
    let later = now() + limits::ISSUING_LIFE.mul_f64(0.6);
    assert!(!offline.renew_issuing(later).unwrap(), "without the root's key nothing is renewed");
    assert!(again.renew_issuing(later).unwrap());
}

#[test]
fn a_key_that_is_not_the_certificates_is_refused() {
    let a = Authority::create(domain(), now()).unwrap().files();
    let mut b = Authority::create(domain(), now()).unwrap().files();
    b.issuing_key = a.issuing_key;
    assert!(matches!(Authority::load(domain(), &b, now()), Err(Error::KeyMismatch)));
}

#[test]
fn a_users_own_authority_signs_and_a_leaf_is_no_authority() {
    let files = Authority::create(domain(), now()).unwrap().files();
    let chain = format!("{}{}", files.issuing, files.roots);
    let mut own = Authority::from_user(domain(), chain.as_bytes(), files.issuing_key.as_bytes(), now()).unwrap();
    let svid = issue(&mut own, &web(), now());
    assert_eq!(svid.chain().len(), 2);
    let pem = svid.to_pem();
    assert!(Authority::from_user(domain(), pem.as_bytes(), pem.as_bytes(), now()).is_err());
    // The root alone, signing directly.
    let root = Authority::create(domain(), now()).unwrap().files();
    let key = root.root_key.clone().unwrap();
    let mut flat = Authority::from_user(domain(), root.roots.as_bytes(), key.as_bytes(), now()).unwrap();
    assert_eq!(issue(&mut flat, &web(), now()).chain().len(), 1);
}

#[test]
fn roots_overlap_and_one_in_use_is_not_dropped() {
    let mut authority = Authority::create(domain(), now()).unwrap();
    issue(&mut authority, &web(), now());
    let old = authority.fingerprints()[0].clone();
    let next = authority.add_root(now()).unwrap();
    let next = NewRoot::from_pem(next.to_pem().as_bytes()).unwrap();
    assert_eq!(authority.roots().len(), 2);
    assert!(matches!(authority.drop_root(&old, now()), Err(Error::RootInUse { .. })), "it still signs");
    authority.issue_from(next, now()).unwrap();
    assert_ne!(authority.fingerprints()[0], old);
    assert!(matches!(authority.drop_root(&old, now()), Err(Error::RootInUse { .. })), "certificates under it are valid");
    let mut authority = Authority::load(domain(), &authority.files(), now()).unwrap();
    authority.drop_root(&old, now() + limits::SVID_LIFE + Duration::from_secs(1)).unwrap();
    assert_eq!(authority.roots().len(), 1);
    assert!(authority.drop_root("00", now()).is_err());
}

#[test]
fn secrets_do_not_show() {
    let authority = Authority::create(domain(), now()).unwrap();
    assert!(!format!("{:?}", authority.files()).contains("PRIVATE"));
    let mut authority = authority;
    let svid = issue(&mut authority, &web(), now());
    assert_eq!(Svid::from_pem(svid.to_pem().as_bytes()).unwrap().id(), svid.id());
    assert!(!format!("{svid:?}").contains("PRIVATE"));
}

#[test]
fn a_root_signs_for_ten_years_and_what_it_signed_for_one() {
    let authority = Authority::create(domain(), now()).unwrap();
    let (start, end) = times(&authority.roots()[0]).unwrap();
    assert_eq!((start, end), (now() - limits::BACKDATE, now() + limits::ROOT_LIFE));
    assert_eq!(authority.issuing_not_after().unwrap(), now() + limits::ISSUING_LIFE);
}
