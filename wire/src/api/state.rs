//! What becomes of an endpoint, in one word and with its reason: the same in tables, in documents and wherever endpoints are counted.

use super::{Ejected, Endpoint};
use serde::{Deserialize, Serialize};

/// Whether an endpoint gets its share of the requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EndpointState {
    /// No proxy leaves it out.
    Healthy,
    /// A proxy leaves it out for what it answered, or because it could not be reached.
    Ejected,
    /// A proxy leaves it out because it fails its checks.
    Unhealthy,
    /// No proxy is to call it.
    Withdrawn,
}

impl EndpointState {
    /// As people and scripts read it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Ejected => "ejected",
            Self::Unhealthy => "unhealthy",
            Self::Withdrawn => "withdrawn",
        }
    }
}

impl Endpoint {
    /// The worst that anybody says of it.
    pub fn state(&self) -> EndpointState {
        match self {
            Self { healthy: false, .. } => EndpointState::Withdrawn,
            Self { ejected, .. } if ejected.is_empty() => EndpointState::Healthy,
            Self { ejected, .. } if ejected.iter().any(|one| one.unhealthy) => EndpointState::Unhealthy,
            _ => EndpointState::Ejected,
        }
    }

    /// Why it is so: what each proxy says that leaves it out, or that none does.
    pub fn why(&self) -> String {
        let (all, failed) = (self.checks.len(), self.checks.iter().filter(|check| !check.passed).count());
        match (self.state(), all, failed) {
            (EndpointState::Withdrawn, ..) => "not ready, or ending, as who declares it says".into(),
            (EndpointState::Ejected | EndpointState::Unhealthy, ..) => {
                self.ejected.iter().map(|one| one.words(&format!(" by {}", one.proxy))).collect::<Vec<_>>().join(", ")
            }
            (EndpointState::Healthy, 0, _) => "no proxy leaves it out".into(),
            (EndpointState::Healthy, _, 0) => "no proxy leaves it out, and its checks pass".into(),
            (EndpointState::Healthy, ..) => format!("no proxy leaves it out, but its last check failed for {failed} of {all}"),
        }
    }
}

impl Ejected {
    /// `ejected 12 s ago after 5 × 503; tried again in 3 s`, `unhealthy for 12 s: GET /healthz answered 503 (3 in a row)`.
    pub fn told(&self) -> String {
        self.words("")
    }

    fn words(&self, by: &str) -> String {
        let (seconds, cause) = (self.since_millis / 1000, &self.cause);
        match (self.unhealthy, self.left_millis) {
            (true, _) => format!("unhealthy for {seconds} s: {cause}{by}"),
            (false, 0) => format!("ejected {seconds} s ago after {cause}{by}; a request tries it now"),
            (false, left) => format!("ejected {seconds} s ago after {cause}{by}; tried again in {} s", left.div_ceil(1000)),
        }
    }
}
