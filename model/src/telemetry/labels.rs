//! The labels of Istio's metrics, by name, and a set of those that a proxy leaves out. What they hold is the metrics' own business.

use std::fmt;

/// Labels that may be left out. `reporter` may not: both ends tell of a call, and would be added up.
pub const LABELS: [&str; 24] = [
    "source_workload",
    "source_workload_namespace",
    "source_principal",
    "source_app",
    "source_version",
    "source_cluster",
    "source_canonical_service",
    "source_canonical_revision",
    "destination_workload",
    "destination_workload_namespace",
    "destination_principal",
    "destination_app",
    "destination_version",
    "destination_cluster",
    "destination_canonical_service",
    "destination_canonical_revision",
    "destination_service",
    "destination_service_name",
    "destination_service_namespace",
    "request_protocol",
    "response_flags",
    "connection_security_policy",
    "response_code",
    "grpc_response_status",
];

/// Some of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Labels(u32);

impl Labels {
    pub const NONE: Self = Self(0);

    /// With one more; `None` where that is no label that may be left out.
    pub fn with(self, name: &str) -> Option<Self> {
        let at = LABELS.iter().position(|label| *label == name)?;
        Some(Self(self.0 | 1 << at))
    }

    pub fn has(self, name: &str) -> bool {
        self.names().any(|label| label == name)
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// In the order of [`LABELS`].
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        LABELS.iter().enumerate().filter(move |(at, _)| self.0 >> at & 1 == 1).map(|(_, label)| *label)
    }

    /// As one number, for whoever shares it between threads.
    pub fn bits(self) -> u32 {
        self.0
    }

    /// Of such a number.
    pub fn of_bits(bits: u32) -> Self {
        Self(bits & ((1 << LABELS.len()) - 1))
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}
