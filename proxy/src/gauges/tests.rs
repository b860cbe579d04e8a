use super::*;
use crate::tests::{Mesh, key};
use model::{Change, Kind, Resource};
use std::time::{Duration, UNIX_EPOCH};

fn value(metrics: &Metrics, series: &str) -> Option<f64> {
    metrics.encode().lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
}

#[test]
fn what_is_in_force_since_when_and_until_when_is_told() {
    let mut mesh = Mesh::new();
    let credentials = mesh.credentials("web");
    let metrics = Metrics::new();
    let mut gauges = Gauges::new(metrics.clone());
    let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
    let chain = credentials.svid().unwrap().to_pem();
    let certificate = Certificate { key: key(Kind::Certificate, "front"), chain: chain.as_bytes().into(), private_key: Arc::from([]) };
    let name = certificate.key.to_string();
    let apply = |before: &Snapshot, generation, change| before.apply(generation, &[change], &Default::default());
    let first = apply(&Snapshot::default(), 7, Change::Put(Resource::Certificate(Arc::new(certificate))));
    assert!(gauges.look(&first, &credentials, at(100)));
    assert!(!gauges.look(&first, &credentials, at(200)));
    let told = |series: &str| value(&metrics, series);
    assert_eq!(told("organza_config_generation{}"), Some(7.0));
    assert_eq!(told("organza_config_applied_timestamp_seconds{}"), Some(100.0));
    let ends = unix_seconds(credentials.svid().unwrap().not_after()) as f64;
    assert_eq!(told("organza_certificate_expiry_timestamp_seconds{}"), Some(ends));
    let listener = format!("organza_certificate_expiry_timestamp_seconds{{certificate=\"{name}\"}}");
    assert_eq!(told(&listener), Some(ends));
    // One that is gone is not told any more, and a renewed one is told without another configuration.
    assert!(gauges.look(&apply(&first, 8, Change::Remove(key(Kind::Certificate, "front"))), &credentials, at(300)));
    assert_eq!((told(&listener), told("organza_config_applied_timestamp_seconds{}")), (None, Some(300.0)));
    let other = Mesh::new().credentials("web");
    gauges.look(&first, &other, at(400));
    let renewed = unix_seconds(other.svid().unwrap().not_after()) as f64;
    assert_eq!(told("organza_certificate_expiry_timestamp_seconds{}"), Some(renewed));
}
