//! Policies of traffic, read from bytes.

use super::read::{Read, Result, port, some, word, wrong};
use super::{header_name, origin, v1};
use bytes::Bytes;
use model::session::{Persistence, SessionKey};
use model::traffic::{AttachedPolicy, Breaker, Ejection, RequestLimits, RetryBudget, TrafficPolicy};
use std::sync::Arc;
use std::time::Duration;

pub(super) fn attached(m: v1::AttachedPolicy) -> Result<AttachedPolicy> {
    let policy = policy(some(m.policy).at("policy")?).at("policy")?;
    Ok(AttachedPolicy { port: m.port.map(port).transpose().at("port")?, policy: Arc::new(policy) })
}

fn policy(m: v1::TrafficPolicy) -> Result<TrafficPolicy> {
    let limits = some(m.limits).at("limits")?;
    let budget = some(m.retry_budget).at("retry_budget")?;
    Ok(TrafficPolicy {
        origin: m.origin.map(|m| origin(Some(m))).transpose()?,
        limits: RequestLimits { parallel_requests: limits.parallel_requests, pending_requests: limits.pending_requests },
        ejection: ejection(some(m.ejection).at("ejection")?).at("ejection")?,
        breaker: m.breaker.map(breaker).transpose().at("breaker")?,
        slow_start: m.slow_start_nanos.map(Duration::from_nanos),
        session: m.session.map(session).transpose().at("session")?,
        retry_budget: RetryBudget {
            percent: percent(budget.percent).at("retry_budget.percent")?,
            interval: Duration::from_nanos(budget.interval_nanos),
            min_count: budget.min_count,
            min_interval: Duration::from_nanos(budget.min_interval_nanos),
        },
    })
}

pub(super) fn session(m: v1::SessionPersistence) -> Result<Persistence> {
    let key = |bytes: Bytes| <[u8; 32]>::try_from(&bytes[..]).map(SessionKey).map_err(|_| wrong("is not of 32 bytes"));
    Ok(Persistence {
        name: header_name(m.name).at("name")?,
        carrier: word(m.carrier).at("carrier")?,
        absolute: m.absolute_nanos.map(Duration::from_nanos),
        idle: m.idle_nanos.map(Duration::from_nanos),
        key: m.key.map(key).transpose().at("key")?,
    })
}

fn ejection(m: v1::Ejection) -> Result<Ejection> {
    Ok(Ejection {
        consecutive_5xx: m.consecutive_5xx,
        consecutive_gateway_errors: m.consecutive_gateway_errors,
        consecutive_local_failures: m.consecutive_local_failures,
        failure_percentage: m.failure_percentage.map(percent).transpose().at("failure_percentage")?,
        latency: m.latency_nanos.map(Duration::from_nanos),
        minimum_requests: m.minimum_requests,
        interval: Duration::from_nanos(m.interval_nanos),
        base_time: Duration::from_nanos(m.base_time_nanos),
        longest_time: Duration::from_nanos(m.longest_time_nanos),
        max_percent: percent(m.max_percent).at("max_percent")?,
        panic_percent: percent(m.panic_percent).at("panic_percent")?,
    })
}

fn breaker(m: v1::Breaker) -> Result<Breaker> {
    Ok(Breaker {
        failure_percentage: percent(m.failure_percentage).at("failure_percentage")?,
        minimum_requests: m.minimum_requests,
        interval: Duration::from_nanos(m.interval_nanos),
        open_time: Duration::from_nanos(m.open_time_nanos),
        half_open_requests: m.half_open_requests,
    })
}

fn percent(number: u32) -> Result<u8> {
    u8::try_from(number).ok().filter(|percent| *percent <= 100).ok_or_else(|| wrong(format!("{number} is no percentage")))
}
