//! Policies of traffic, read from bytes.

use super::read::{Read, Result, blob, port, short, some, text, word, wrong};
use super::{header_name, origin, v1};
use crate::limits;
use bytes::Bytes;
use model::Method;
use model::health::{HealthCheck, Probe};
use model::session::{Persistence, SessionKey};
use model::traffic::{AttachedPolicy, Breaker, ConnectionLimits, Ejection, RequestLimits, RetryBudget, TrafficPolicy};
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
        connections: ConnectionLimits { service: m.connections, endpoint: m.endpoint_connections },
        endpoint_requests: m.endpoint_requests,
        health: m.health.map(health).transpose().at("health")?,
        breaker: m.breaker.map(breaker).transpose().at("breaker")?,
        slow_start: m.slow_start_nanos.map(Duration::from_nanos),
        session: m.session.map(session).transpose().at("session")?,
        proxy_header: m.proxy_header.map(word).transpose().at("proxy_header")?,
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
        path: m.path.map(cookie_path).transpose().at("path")?,
        within: m.within,
    })
}

/// What ends an attribute cannot stand in one.
fn cookie_path(path: String) -> Result<Arc<str>> {
    match model::session::is_cookie_path(&path) {
        true => Ok(path.into()),
        false => Err(wrong("is no path of a cookie")),
    }
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

fn health(m: v1::HealthCheck) -> Result<HealthCheck> {
    let positive = |nanos: u64| match nanos {
        0 => Err(wrong("is no time")),
        nanos => Ok(Duration::from_nanos(nanos)),
    };
    Ok(HealthCheck {
        probe: probe(some(m.probe).at("probe")?)?,
        interval: positive(m.interval_nanos).at("interval")?,
        timeout: positive(m.timeout_nanos).at("timeout")?,
        unhealthy_threshold: m.unhealthy_threshold,
        healthy_threshold: m.healthy_threshold,
        first_within: Duration::from_nanos(m.first_within_nanos),
        jitter: Duration::from_nanos(m.jitter_nanos),
        initial: word(m.initial).at("initial")?,
    })
}

fn probe(m: v1::health_check::Probe) -> Result<Probe> {
    use v1::health_check::Probe as M;
    Ok(match m {
        M::Http(m) => {
            if m.expected.len() > limits::EXPECTED_STATUSES {
                return Err(wrong(format!("has more than {} members", limits::EXPECTED_STATUSES))).at("http.expected");
            }
            let status =
                |n: u32| u16::try_from(n).ok().filter(|n| (100..600).contains(n)).ok_or_else(|| wrong(format!("{n} is no status")));
            short(&m.method).at("http.method")?;
            let method = Method::parse(&m.method).ok_or_else(|| wrong("is no method")).at("http.method")?;
            // It goes into a request as it is.
            let clean = |text: &str| {
                if text.bytes().all(|b| b.is_ascii_graphic()) { Ok(()) } else { Err(wrong("has characters that no request may have")) }
            };
            clean(&m.path).at("http.path")?;
            m.hostname.as_deref().map(clean).transpose().at("http.hostname")?;
            Probe::Http {
                method,
                path: text(m.path).at("http.path")?,
                hostname: m.hostname.map(text).transpose().at("http.hostname")?,
                expected: m.expected.into_iter().map(status).collect::<Result<_>>().at("http.expected")?,
            }
        }
        M::Grpc(m) => Probe::Grpc { service: text(m.service).at("grpc.service")? },
        M::Tcp(m) => Probe::Tcp { send: blob(m.send).at("tcp.send")?, receive: blob(m.receive).at("tcp.receive")? },
    })
}

fn percent(number: u32) -> Result<u8> {
    u8::try_from(number).ok().filter(|percent| *percent <= 100).ok_or_else(|| wrong(format!("{number} is no percentage")))
}
