//! Policies of traffic as bytes.

use super::route::nanos;
use super::{origin, text};
use crate::enums::Word;
use crate::v1;
use bytes::Bytes;
use model::health::{HealthCheck, Probe};
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
        endpoint_requests: p.endpoint_requests,
        connections: p.connections.service,
        endpoint_connections: p.connections.endpoint,
        health: p.health.as_ref().map(health),
        breaker: p.breaker.as_ref().map(breaker),
        slow_start_nanos: p.slow_start.map(nanos),
        session: p.session.as_ref().map(session),
        proxy_header: p.proxy_header.map(Word::number),
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
        path: s.path.as_ref().map(text),
        within: s.within,
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

fn health(h: &HealthCheck) -> v1::HealthCheck {
    use v1::health_check as wire;
    let probe = match &h.probe {
        Probe::Http { method, path, hostname, expected } => wire::Probe::Http(wire::Http {
            method: method.as_str().to_owned(),
            path: path.to_string(),
            hostname: hostname.as_ref().map(ToString::to_string),
            expected: expected.iter().copied().map(u32::from).collect(),
        }),
        Probe::Grpc { service } => wire::Probe::Grpc(wire::Grpc { service: service.to_string() }),
        Probe::Tcp { send, receive } => wire::Probe::Tcp(wire::Tcp { send: send.to_vec().into(), receive: receive.to_vec().into() }),
    };
    v1::HealthCheck {
        probe: Some(probe),
        interval_nanos: nanos(h.interval),
        timeout_nanos: nanos(h.timeout),
        unhealthy_threshold: h.unhealthy_threshold,
        healthy_threshold: h.healthy_threshold,
        first_within_nanos: nanos(h.first_within),
        jitter_nanos: nanos(h.jitter),
        initial: h.initial.number(),
    }
}
