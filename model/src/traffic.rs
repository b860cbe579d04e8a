//! How calls to a service are kept from harming it or being harmed by it: limits, ejection, breaker, slow start, retry budget. What
//! `BackendTrafficPolicy` says, and the defaults that hold where nobody said anything. Here are values only; `routing` acts on them.
//!
//! The defaults protect without hiding: an endpoint that cannot be reached is left out, one that answers 5xx is not.

use crate::session::Persistence;
use crate::{HealthCheck, Origin};
use std::sync::Arc;
use std::time::Duration;

/// What holds for calls to one service, or one of its ports.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrafficPolicy {
    /// The object that says so; `None` for the defaults.
    pub origin: Option<Origin>,
    pub limits: RequestLimits,
    pub connections: ConnectionLimits,
    /// Requests of one proxy under way at one endpoint; one that has so many is passed over. `None`: as many as the service may have.
    pub endpoint_requests: Option<u32>,
    pub ejection: Ejection,
    /// Asks endpoints whether they are well; `None`: nobody asks.
    pub health: Option<HealthCheck>,
    pub breaker: Option<Breaker>,
    /// An endpoint that is new or was ejected gets its full share only after this time.
    pub slow_start: Option<Duration>,
    pub retry_budget: RetryBudget,
    /// Where the rule that leads here has none of its own.
    pub session: Option<Persistence>,
    /// Endpoints that are not in the mesh are told for whom a connection is opened, before all else on it.
    pub proxy_header: Option<ProxyHeader>,
}

/// Version of the PROXY protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyHeader {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

/// A policy, for one port of its service or for all that have none of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachedPolicy {
    pub port: Option<u16>,
    pub policy: Arc<TrafficPolicy>,
}

/// Limits of one proxy (not of one worker) towards one service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestLimits {
    /// Requests under way at once; further ones wait.
    pub parallel_requests: u32,
    /// Requests waiting; further ones are refused at once.
    pub pending_requests: u32,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self { parallel_requests: 8192, pending_requests: 1024 }
    }
}

/// Connections that one proxy (not one worker) may have open at once. `None`: no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ConnectionLimits {
    /// To the service, idle ones too.
    pub service: Option<u32>,
    /// To each of its endpoints.
    pub endpoint: Option<u32>,
}

/// When an endpoint is left out for a while. A threshold that is `None` is not looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ejection {
    /// Answers of class 5xx one after another.
    pub consecutive_5xx: Option<u32>,
    /// 502, 503 and 504 one after another; failures without an answer count too.
    pub consecutive_gateway_errors: Option<u32>,
    /// Connections that could not be opened, one after another.
    pub consecutive_local_failures: Option<u32>,
    /// Share of requests that failed in one interval, in percent.
    pub failure_percentage: Option<u8>,
    /// Mean time to the end of an answer in one interval.
    pub latency: Option<Duration>,
    /// Requests of one interval below which neither share nor mean says anything.
    pub minimum_requests: u32,
    pub interval: Duration,
    /// The first ejection; each further one in a row takes twice as long, up to `longest`.
    pub base_time: Duration,
    pub longest_time: Duration,
    /// Share of a service's endpoints that may be ejected at once, in percent. One always may where there are others.
    pub max_percent: u8,
    /// Where fewer than this share of endpoints can be used, all are used, in percent. Where none can, all are used in any case.
    pub panic_percent: u8,
}

impl Ejection {
    /// Short where nobody asked for it: trying an endpoint that cannot be reached costs no request.
    pub const BASE_TIME: Duration = Duration::from_secs(5);
    pub const LONGEST_TIME: Duration = Duration::from_secs(30);
    pub const INTERVAL: Duration = Duration::from_secs(3);
    pub const MINIMUM_REQUESTS: u32 = 20;
    pub const LOCAL_FAILURES: u32 = 3;
}

/// Endpoints that cannot be reached, and nothing else: what an application answers is its own affair.
impl Default for Ejection {
    fn default() -> Self {
        Self {
            consecutive_5xx: None,
            consecutive_gateway_errors: None,
            consecutive_local_failures: Some(Self::LOCAL_FAILURES),
            failure_percentage: None,
            latency: None,
            minimum_requests: Self::MINIMUM_REQUESTS,
            interval: Self::INTERVAL,
            base_time: Self::BASE_TIME,
            longest_time: Self::LONGEST_TIME,
            max_percent: 100,
            panic_percent: 0,
        }
    }
}

/// A service that fails is not called for a while: closed, open, half-open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Breaker {
    /// Share of failed requests in one interval that opens it, in percent.
    pub failure_percentage: u8,
    pub minimum_requests: u32,
    pub interval: Duration,
    /// How long it stays open before requests are let through to try.
    pub open_time: Duration,
    /// Requests let through while half-open; if all succeed it closes.
    pub half_open_requests: u32,
}

/// Retries allowed: a share of requests, and a few each second whatever their number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryBudget {
    pub percent: u8,
    pub interval: Duration,
    /// This many in each `min_interval`.
    pub min_count: u32,
    pub min_interval: Duration,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self { percent: 20, interval: Duration::from_secs(10), min_count: 10, min_interval: Duration::from_secs(1) }
    }
}
