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
