use super::*;
use crate::registry::tests::request;
use crate::store::Memory;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

fn fingerprint(signed: &Signed) -> String {
    identity::pem::fingerprint(&signed.0.chain[0])
}

#[test]
fn who_is_revoked_at_the_instant_of_its_renewal_has_nothing_left_that_is_believed() {
    let folder = tempfile::tempdir().unwrap();
    let (core, _) = crate::open(&crate::tests::config(folder.path()), Arc::new(Memory::default())).unwrap();
    let id = SpiffeId::parse("spiffe://organza.local/ns/shop/sa/web").unwrap();
    let csr = identity::Csr::generate(&id).unwrap();
    // Revoked while it asks, after more and more was given: never when it has as many as it may, for then nothing is signed that could slip through.
    for enough in 0..12 {
        let so_far = AtomicUsize::new(0);
        let proxy = core.register(request("far"), None).unwrap().proxy;
        let first = fingerprint(&core.sign(&csr.der, &id, &proxy).unwrap());
        // Until it is refused for good; that it has as many as it may is no such refusal.
        let renew = || {
            let mut given = Vec::new();
            loop {
                match core.renew(&csr.der, &id, &first) {
                    Ok(signed) => {
                        so_far.fetch_add(1, Ordering::Relaxed);
                        given.push(fingerprint(&signed));
                    }
                    Err(Unsigned::Bad(_)) => std::thread::yield_now(),
                    Err(Unsigned::Revoked | Unsigned::Nobody(_)) => return given,
                }
            }
        };
        let given = std::thread::scope(|scope| {
            let asking: Vec<_> = (0..3).map(|_| scope.spawn(renew)).collect();
            while so_far.load(Ordering::Relaxed) < enough {
                std::thread::yield_now();
            }
            core.revoke(&proxy).unwrap();
            asking.into_iter().flat_map(|one| one.join().unwrap()).collect::<Vec<_>>()
        });
        let believed: Vec<_> = given.iter().filter(|sha256| !core.lock().registry.is_revoked(sha256)).collect();
        assert!(believed.is_empty(), "{} of {} are believed still", believed.len(), given.len());
    }
}

#[test]
fn nothing_is_signed_for_who_was_taken_out_while_it_asked() {
    let folder = tempfile::tempdir().unwrap();
    let (core, _) = crate::open(&crate::tests::config(folder.path()), Arc::new(Memory::default())).unwrap();
    let id = SpiffeId::parse("spiffe://organza.local/ns/shop/sa/web").unwrap();
    let other = SpiffeId::parse("spiffe://organza.local/ns/shop/sa/admin").unwrap();
    let csr = identity::Csr::generate(&id).unwrap();
    let proxy = core.register(request("far"), None).unwrap().proxy;
    assert!(matches!(core.sign(&csr.der, &other, &proxy), Err(Unsigned::Nobody(_))), "it is registered as another");
    let first = fingerprint(&core.sign(&csr.der, &id, &proxy).unwrap());
    assert!(core.renew(&csr.der, &id, &first).is_ok());
    core.revoke(&proxy).unwrap();
    assert!(matches!(core.sign(&csr.der, &id, &proxy), Err(Unsigned::Nobody(_))));
    assert!(matches!(core.renew(&csr.der, &id, &first), Err(Unsigned::Revoked)));
    // Whoever has its name and identity now is another.
    assert_eq!(core.register(request("far"), None).unwrap().proxy, proxy);
    assert!(core.sign(&csr.der, &id, &proxy).is_ok());
    assert!(matches!(core.renew(&csr.der, &id, &first), Err(Unsigned::Revoked)));
}
