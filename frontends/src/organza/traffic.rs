//! What a policy of traffic says, as the model has it. Names of fields are those of Envoy Gateway's BackendTrafficPolicy where it has them, and
//! `retryConstraint` is Gateway API's. Bounds are the schema's; what it cannot say is said here.

use crate::gateway_api::{duration, session};
use crate::kubernetes::text;
use crate::wrong::{Within, Wrong};
use crate::{Object, limits};
use model::service::HashOn;
use model::traffic::{Breaker, ConnectionLimits, Ejection, ProxyHeader, RequestLimits, RetryBudget, TrafficPolicy};
use model::{Balancer, Nearest};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

mod health;
use health::active;

#[derive(Debug)]
pub struct Read {
    pub policy: TrafficPolicy,
    /// `None`: as it was.
    pub balancer: Option<Balancer>,
    /// `None`: as it was.
    pub nearest: Option<Nearest>,
}

pub fn read(object: &Object) -> Result<Read, Wrong> {
    let spec = object.at("/spec");
    let persistence = spec.get("sessionPersistence").filter(|value| !value.is_null());
    let session = persistence.map(|value| session::read(value, &object.object.to_string()).at("sessionPersistence")).transpose()?;
    let breaker = part(spec, "circuitBreaker");
    let health = part(spec, "healthCheck");
    let balancer = part(spec, "loadBalancer");
    let policy = TrafficPolicy {
        origin: Some(object.origin()),
        limits: request_limits(breaker).at("circuitBreaker")?,
        connections: connection_limits(breaker).at("circuitBreaker")?,
        ejection: ejection(health).at("healthCheck")?,
        endpoint_requests: number(part(breaker, "perEndpoint"), "maxParallelRequests").at("perEndpoint").at("circuitBreaker")?,
        health: active(health).at("active").at("healthCheck")?,
        breaker: failure_rate(breaker).at("failureRate").at("circuitBreaker")?,
        slow_start: time(part(balancer, "slowStart"), "window").at("slowStart").at("loadBalancer")?,
        retry_budget: retry_budget(part(spec, "retryConstraint")).at("retryConstraint")?,
        session,
        proxy_header: proxy_header(part(spec, "proxyProtocol")).at("proxyProtocol")?,
    };
    let balancer = if spec.get("loadBalancer").is_some() { Some(algorithm(balancer).at("loadBalancer")?) } else { None };
    let nearest = nearest(part(part(spec, "loadBalancer"), "locality")).at("locality").at("loadBalancer")?;
    Ok(Read { policy, balancer, nearest })
}

fn part<'v>(value: &'v Value, field: &str) -> &'v Value {
    value.get(field).unwrap_or(&Value::Null)
}

fn number(value: &Value, field: &str) -> Result<Option<u32>, Wrong> {
    match value.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(found) => match found.as_u64().and_then(|number| u32::try_from(number).ok()) {
            Some(number) => Ok(Some(number)),
            None => Err(Wrong::new("Invalid", format!("{found} is no number that is used here.")).at(field)),
        },
    }
}

fn percent(value: &Value, field: &str) -> Result<Option<u8>, Wrong> {
    match number(value, field)? {
        Some(over @ 101..) => Err(Wrong::new("Invalid", format!("{over} is no percentage.")).at(field)),
        share => Ok(share.map(|share| share as u8)),
    }
}

fn time(value: &Value, field: &str) -> Result<Option<Duration>, Wrong> {
    match value.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(found) => duration::read(found.as_str().unwrap_or("")).map(Some).at(field),
    }
}

fn request_limits(value: &Value) -> Result<RequestLimits, Wrong> {
    let default = RequestLimits::default();
    Ok(RequestLimits {
        parallel_requests: number(value, "maxParallelRequests")?.unwrap_or(default.parallel_requests).max(1),
        pending_requests: number(value, "maxPendingRequests")?.unwrap_or(default.pending_requests),
    })
}

fn connection_limits(value: &Value) -> Result<ConnectionLimits, Wrong> {
    let limit = |value: &Value| number(value, "maxConnections").map(|limit| limit.map(|limit| limit.max(1)));
    Ok(ConnectionLimits { service: limit(value)?, endpoint: limit(part(value, "perEndpoint")).at("perEndpoint")? })
}

fn failure_rate(value: &Value) -> Result<Option<Breaker>, Wrong> {
    let Some(value) = value.get("failureRate") else { return Ok(None) };
    let missing = || Wrong::new("Invalid", "The share of failures that opens the breaker is missing.").at("threshold");
    Ok(Some(Breaker {
        failure_percentage: percent(value, "threshold")?.filter(|share| *share > 0).ok_or_else(missing)?,
        minimum_requests: number(value, "minimumRequests")?.unwrap_or(Ejection::MINIMUM_REQUESTS),
        interval: time(value, "interval")?.unwrap_or(limits::DEFAULT_BREAKER_TIME),
        open_time: time(value, "openTime")?.unwrap_or(limits::DEFAULT_BREAKER_TIME),
        half_open_requests: number(value, "halfOpenRequests")?.unwrap_or(limits::DEFAULT_HALF_OPEN_REQUESTS),
    }))
}

/// Without `passive` the defaults hold: endpoints that cannot be reached, and no others.
fn ejection(value: &Value) -> Result<Ejection, Wrong> {
    let panic_percent = percent(value, "panicThreshold")?.unwrap_or(0);
    let Some(value) = value.get("passive") else { return Ok(Ejection { panic_percent, ..Ejection::default() }) };
    let read = || {
        let count = |field, default| Ok::<_, Wrong>(number(value, field)?.or(default).filter(|count| *count > 0));
        Ok(Ejection {
            consecutive_5xx: count("consecutive5XxErrors", Some(limits::DEFAULT_CONSECUTIVE_5XX))?,
            consecutive_gateway_errors: count("consecutiveGatewayErrors", None)?,
            consecutive_local_failures: count("consecutiveLocalOriginFailures", Some(Ejection::LOCAL_FAILURES))?,
            failure_percentage: percent(value, "failurePercentageThreshold")?.filter(|share| *share > 0),
            latency: time(value, "latencyThreshold")?.filter(|time| !time.is_zero()),
            minimum_requests: number(value, "minimumRequests")?.unwrap_or(Ejection::MINIMUM_REQUESTS),
            interval: time(value, "interval")?.unwrap_or(Ejection::INTERVAL),
            base_time: time(value, "baseEjectionTime")?.unwrap_or(limits::DEFAULT_EJECTION_TIME),
            longest_time: time(value, "maxEjectionTime")?.unwrap_or(limits::DEFAULT_LONGEST_EJECTION_TIME),
            max_percent: percent(value, "maxEjectionPercent")?.unwrap_or(limits::DEFAULT_EJECTION_PERCENT),
            panic_percent,
        })
    };
    read().at("passive")
}

fn retry_budget(value: &Value) -> Result<RetryBudget, Wrong> {
    let default = RetryBudget::default();
    let (budget, rate) = (part(value, "budget"), part(value, "minRetryRate"));
    let read = RetryBudget {
        percent: percent(budget, "percent").at("budget")?.unwrap_or(default.percent),
        interval: time(budget, "interval").at("budget")?.unwrap_or(default.interval),
        min_count: number(rate, "count").at("minRetryRate")?.unwrap_or(default.min_count),
        min_interval: time(rate, "interval").at("minRetryRate")?.unwrap_or(default.min_interval),
    };
    match read.min_interval.is_zero() {
        true => Err(Wrong::new("Invalid", "A rate over no time has no meaning.").at("interval").at("minRetryRate")),
        false => Ok(read),
    }
}

fn algorithm(value: &Value) -> Result<Balancer, Wrong> {
    match text(value, "type").unwrap_or("PeakEwma") {
        "PeakEwma" => Ok(Balancer::PeakEwma),
        "LeastRequest" => Ok(Balancer::LeastRequest),
        "RoundRobin" => Ok(Balancer::RoundRobin),
        "ConsistentHash" => hash_on(part(value, "consistentHash")).at("consistentHash").map(Balancer::Maglev),
        other => Err(Wrong::new("Invalid", format!("The type {other:?} is not known.")).at("type")),
    }
}

fn proxy_header(value: &Value) -> Result<Option<ProxyHeader>, Wrong> {
    match text(value, "version") {
        None if value.is_null() => Ok(None),
        Some("V1") => Ok(Some(ProxyHeader::V1)),
        Some("V2") => Ok(Some(ProxyHeader::V2)),
        other => Err(Wrong::new("Invalid", format!("The version {:?} is not known.", other.unwrap_or(""))).at("version")),
    }
}

fn nearest(value: &Value) -> Result<Option<Nearest>, Wrong> {
    match text(value, "prefer") {
        None => Ok(None),
        Some("Node") => Ok(Some(Nearest::Node)),
        Some("Zone") => Ok(Some(Nearest::Zone)),
        Some("Region") => Ok(Some(Nearest::Region)),
        Some(other) => Err(Wrong::new("Invalid", format!("The place {other:?} is not known.")).at("prefer")),
    }
}

fn hash_on(value: &Value) -> Result<HashOn, Wrong> {
    let named = |field: &str| {
        let name = text(part(value, field), "name");
        name.map(Arc::from).ok_or_else(|| Wrong::new("Invalid", "The name is missing.").at("name").at(field))
    };
    match text(value, "type").unwrap_or("") {
        "SourceIP" => Ok(HashOn::SourceAddress),
        "Header" => named("header").map(HashOn::Header),
        "Cookie" => named("cookie").map(HashOn::Cookie),
        other => Err(Wrong::new("Invalid", format!("The type {other:?} is not known.")).at("type")),
    }
}
