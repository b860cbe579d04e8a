//! What a proxy says of itself as it is now: which configuration is in force and since when, and when the certificates end that it shows. Looked at
//! again and again; set where something changed. Carries no request and decides nothing.

use crate::snapshot::Snapshot;
use identity::{Credentials, certificate_times, pem, unix_seconds};
use model::{Certificate, Key};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;
use telemetry::Metrics;

const EXPIRY: &str = "organza_certificate_expiry_timestamp_seconds";
const EXPIRY_HELP: &str = "End of a certificate that this proxy shows: its own, or one of a gateway's listeners by its key";

pub struct Gauges {
    metrics: Metrics,
    generation: Option<u64>,
    svid_ends: Option<SystemTime>,
    certificates: BTreeMap<Key, Arc<Certificate>>,
}

impl Gauges {
    pub fn new(metrics: Metrics) -> Self {
        Self { metrics, generation: None, svid_ends: None, certificates: BTreeMap::new() }
    }

    /// Says whether the configuration is another one than when this was last asked.
    pub fn look(&mut self, snapshot: &Snapshot, credentials: &Credentials, now: SystemTime) -> bool {
        let ends = credentials.svid().map(|svid| svid.not_after());
        if let Some(ends) = ends.filter(|_| self.svid_ends != ends) {
            self.metrics.gauge(EXPIRY, EXPIRY_HELP, &[]).set(unix_seconds(ends) as f64);
        }
        self.svid_ends = ends;
        if self.generation == Some(snapshot.generation) {
            return false;
        }
        self.generation = Some(snapshot.generation);
        let gauge = |name, help, value: u64| self.metrics.gauge(name, help, &[]).set(value as f64);
        gauge("organza_config_generation", "Generation of the configuration in force", snapshot.generation);
        gauge("organza_config_applied_timestamp_seconds", "When the configuration in force was put in force", unix_seconds(now));
        self.certificates(snapshot);
        true
    }

    fn certificates(&mut self, snapshot: &Snapshot) {
        for key in self.certificates.keys().filter(|key| !snapshot.certificates.contains_key(*key)) {
            self.metrics.forget(EXPIRY, &[("certificate", &key.to_string())]);
        }
        self.certificates.retain(|key, _| snapshot.certificates.contains_key(key));
        for (key, certificate) in snapshot.certificates.iter() {
            if self.certificates.get(key).is_some_and(|known| Arc::ptr_eq(known, certificate)) {
                continue;
            }
            self.certificates.insert(key.clone(), certificate.clone());
            // One that cannot be read is refused elsewhere, with its reason.
            let times = pem::decode("CERTIFICATE", &certificate.chain).and_then(|leaf| certificate_times(&leaf));
            if let Ok((_, ends)) = times {
                self.metrics.gauge(EXPIRY, EXPIRY_HELP, &[("certificate", &key.to_string())]).set(unix_seconds(ends) as f64);
            }
        }
    }
}

#[cfg(test)]
mod tests;
