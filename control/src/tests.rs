//! What tests of several rooms have alike.

use super::*;

/// A control plane of no files, on ports that are free.
pub fn config(folder: &Path) -> ControlConfig {
    ControlConfig {
        mesh: "test".into(),
        state: folder.to_owned(),
        paths: Vec::new(),
        trust_domain: TrustDomain::parse("organza.local").unwrap(),
        listen: ([127, 0, 0, 1], 0).into(),
        dashboard: ([127, 0, 0, 1], 0).into(),
        metrics: None,
        svid_life: Duration::from_secs(600),
        own_ca: None,
        cluster: None,
        beyond: Default::default(),
    }
}

#[tokio::test]
async fn a_control_plane_that_ends_waits_so_long_for_what_is_open_and_no_longer() {
    let folder = tempfile::tempdir().unwrap();
    let control = Control::start(config(folder.path())).await.unwrap();
    // A connection that does not end still holds it.
    let held = control.core.clone();
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    tokio::time::timeout(limits::SHUTDOWN * 3, control.stop()).await.expect("it ends");
    assert!(begun.elapsed() >= limits::SHUTDOWN, "{:?}", begun.elapsed());
    drop(held);
}

#[tokio::test]
async fn what_a_process_is_given_is_bounded_and_stored_and_what_a_pod_is_given_neither() {
    let folder = tempfile::tempdir().unwrap();
    let memory = store::Memory::default();
    let (core, _) = open(&config(folder.path()), Arc::new(memory.clone())).unwrap();
    let stored = || store::Store::list(&memory, "registration/").unwrap().len();
    let id = SpiffeId::parse("spiffe://organza.local/ns/shop/sa/gateway-edge").unwrap();
    let csr = Csr::generate(&id).unwrap();
    let sign = |proxy: &str| {
        core.lock().registry.admit(proxy, &id, 0).unwrap();
        core.sign(&csr.der, &id, proxy)
    };
    (0..limits::CERTIFICATES).for_each(|_| drop(sign("a.shop").unwrap()));
    let refused = sign("a.shop").unwrap_err().to_string();
    assert!(refused.contains("the most there may be") && stored() == 1, "{refused}");
    core.join_cluster(kube::Client::try_from(kube::Config::new("http://127.0.0.1:9".parse().unwrap())).unwrap());
    (0..3 * limits::CERTIFICATES).for_each(|_| drop(sign("b.shop").unwrap()));
    assert_eq!(stored(), 1, "it is let in again by its certificate");
    assert_eq!(core.lock().registry.get("b.shop").unwrap().certificates.len(), 2 * limits::CERTIFICATES);
}
