//! Policies of traffic as bytes.

use super::route::nanos;
use super::{origin, text};
use crate::enums::Word;
use crate::v1;
use bytes::Bytes;
use model::session::Persistence;
use model::traffic::{AttachedPolicy, Breaker, Ejection, TrafficPolicy};

pub(super) fn attached(at: &AttachedPolicy) -> v1::AttachedPolicy {
    v1::AttachedPolicy { port: at.port.map(u32::from), policy: Some(policy(&at.policy)) }
}

fn policy(p: &TrafficPolicy) -> v1::TrafficPolicy {
    v1::TrafficPolicy {
        origin: p.origin.as_ref().map(origin),
        limits: Some(v1::RequestLimits { parallel_requests: p.limits.parallel_requests, pending_requests: p.limits.pending_requests }),
        ejection: Some(ejection(&p.ejection)),
        breaker: p.breaker.as_ref().map(breaker),
        slow_start_nanos: p.slow_start.map(nanos),
        session: p.session.as_ref().map(session),
        retry_budget: Some(v1::RetryBudget {
            percent: u32::from(p.retry_budget.percent),
            interval_nanos: nanos(p.retry_budget.interval),
            min_count: p.retry_budget.min_count,
            min_interval_nanos: nanos(p.retry_budget.min_interval),
        }),
    }
}

pub(super) fn session(s: &Persistence) -> v1::SessionPersistence {
    v1::SessionPersistence {
        name: text(&s.name),
        carrier: s.carrier.number(),
        absolute_nanos: s.absolute.map(nanos),
        idle_nanos: s.idle.map(nanos),
        key: s.key.map(|key| Bytes::copy_from_slice(&key.0)),
    }
}

fn ejection(e: &Ejection) -> v1::Ejection {
    v1::Ejection {
        consecutive_5xx: e.consecutive_5xx,
        consecutive_gateway_errors: e.consecutive_gateway_errors,
        consecutive_local_failures: e.consecutive_local_failures,
        failure_percentage: e.failure_percentage.map(u32::from),
        latency_nanos: e.latency.map(nanos),
        minimum_requests: e.minimum_requests,
        interval_nanos: nanos(e.interval),
        base_time_nanos: nanos(e.base_time),
        longest_time_nanos: nanos(e.longest_time),
        max_percent: u32::from(e.max_percent),
        panic_percent: u32::from(e.panic_percent),
    }
}

fn breaker(b: &Breaker) -> v1::Breaker {
    v1::Breaker {
        failure_percentage: u32::from(b.failure_percentage),
        minimum_requests: b.minimum_requests,
        interval_nanos: nanos(b.interval),
        open_time_nanos: nanos(b.open_time),
        half_open_requests: b.half_open_requests,
    }
}
