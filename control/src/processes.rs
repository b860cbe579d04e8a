//! What each proxy's process costs, from what it tells of itself: two words of one process make a share of a core. It knows no clock.

use std::collections::HashMap;
use std::time::Instant;
use wire::api;
use wire::v1::report_request::Process;

/// The name of the control plane among them, which no proxy has.
const OWN: &str = "";

#[derive(Debug)]
struct Seen {
    incarnation: u64,
    at: Instant,
    cpu_millis: u64,
    shown: api::Process,
}

/// By proxy; where two processes have one name, the one that spoke last.
#[derive(Debug, Default)]
pub struct Processes(HashMap<String, Seen>);

impl Processes {
    pub fn report(&mut self, (proxy, incarnation): (&str, u64), told: &Process, now: Instant) {
        let before = self.0.get(proxy).filter(|before| before.incarnation == incarnation);
        let cpu_percent = before.map_or(0.0, |before| {
            let passed = now.saturating_duration_since(before.at).as_secs_f64() * 1000.0;
            // Two reports at once say nothing of what lies between.
            if passed < 100.0 {
                before.shown.cpu_percent
            } else {
                told.cpu_millis.saturating_sub(before.cpu_millis) as f64 * 100.0 / passed
            }
        });
        let shown = api::Process {
            cpu_percent: (cpu_percent * 10.0).round() / 10.0,
            resident_bytes: told.resident_bytes,
            threads: told.threads,
            descriptors: told.descriptors,
        };
        self.0.insert(proxy.to_owned(), Seen { incarnation, at: now, cpu_millis: told.cpu_millis, shown });
    }

    /// Looks at the control plane's own.
    pub fn look(&mut self, now: Instant) {
        let Some(telemetry::process::Process { cpu_millis, resident_bytes, threads, descriptors }) = telemetry::process::look() else {
            return;
        };
        self.report((OWN, 0), &Process { cpu_millis, resident_bytes, threads, descriptors }, now);
    }

    pub fn own(&self) -> Option<&api::Process> {
        self.of(OWN)
    }

    pub fn of(&self, proxy: &str) -> Option<&api::Process> {
        self.0.get(proxy).map(|seen| &seen.shown)
    }

    pub fn forget(&mut self, proxy: &str) {
        self.0.remove(proxy);
    }
}

#[cfg(test)]
mod tests;
