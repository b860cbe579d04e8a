//! How a proxy asks endpoints whether they are well, without waiting for a request to find out. Values only; `routing` counts, `proxy` asks.

use crate::Method;
use std::sync::Arc;
use std::time::Duration;

/// Active checks of the endpoints of one service, by each proxy that calls it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    pub probe: Probe,
    /// From the end of one check to the next.
    pub interval: Duration,
    /// For one check, connection included.
    pub timeout: Duration,
    /// Failures in a row after which an endpoint is left out.
    pub unhealthy_threshold: u32,
    /// Passes in a row after which it is back.
    pub healthy_threshold: u32,
    /// The first check comes somewhen within this time.
    pub first_within: Duration,
    /// Each pause is longer by up to this, so that proxies do not ask in step.
    pub jitter: Duration,
    pub initial: InitialHealth,
}

impl HealthCheck {
    pub const INTERVAL: Duration = Duration::from_secs(3);
    pub const TIMEOUT: Duration = Duration::from_secs(1);
    pub const UNHEALTHY: u32 = 3;
    pub const HEALTHY: u32 = 1;
    /// The first check comes within this time or one interval, whichever is shorter.
    pub const FIRST_WITHIN: Duration = Duration::from_secs(1);
}

/// What is believed of an endpoint that was never checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum InitialHealth {
    #[default]
    Healthy,
    /// It gets nothing until its first check has passed.
    Unhealthy,
}

/// What is asked, and which answer is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    Http {
        method: Method,
        path: Arc<str>,
        /// `None`: the service's own name.
        hostname: Option<Arc<str>>,
        expected: Vec<u16>,
    },
    /// `grpc.health.v1.Health/Check`; good is `SERVING`.
    Grpc {
        /// Empty: the server as a whole.
        service: Arc<str>,
    },
    /// A connection that opens is good, unless something has to be received.
    Tcp {
        send: Arc<[u8]>,
        /// Looked for in what comes; empty: nothing is awaited.
        receive: Arc<[u8]>,
    },
}
