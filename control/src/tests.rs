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
