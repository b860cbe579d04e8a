//! `healthCheck.active`, with the names of fields that Envoy Gateway has.

use super::{number, part, time};
use crate::kubernetes::text;
use crate::limits;
use crate::wrong::{Within, Wrong};
use base64::Engine;
use model::Method;
use model::health::{HealthCheck, InitialHealth, Probe};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

pub fn active(health: &Value) -> Result<Option<HealthCheck>, Wrong> {
    let Some(value) = health.get("active") else { return Ok(None) };
    let interval = positive(value, "interval")?.unwrap_or(HealthCheck::INTERVAL);
    Ok(Some(HealthCheck {
        probe: probe(value)?,
        interval,
        timeout: positive(value, "timeout")?.unwrap_or(HealthCheck::TIMEOUT),
        unhealthy_threshold: number(value, "unhealthyThreshold")?.unwrap_or(HealthCheck::UNHEALTHY).max(1),
        healthy_threshold: number(value, "healthyThreshold")?.unwrap_or(HealthCheck::HEALTHY).max(1),
        first_within: time(value, "initialJitter")?.unwrap_or(HealthCheck::FIRST_WITHIN.min(interval)),
        jitter: time(value, "jitter")?.unwrap_or(interval / limits::CHECK_JITTER_PART),
        initial: match text(value, "initialState").unwrap_or("Healthy") {
            "Healthy" => InitialHealth::Healthy,
            "Unhealthy" => InitialHealth::Unhealthy,
            other => return Err(unknown("state", other).at("initialState")),
        },
    }))
}

/// Without a pause, or without time for an answer, nothing else would be done.
fn positive(value: &Value, field: &str) -> Result<Option<Duration>, Wrong> {
    match time(value, field)? {
        Some(Duration::ZERO) => Err(Wrong::new("Invalid", "A check takes some time.").at(field)),
        read => Ok(read),
    }
}

fn probe(value: &Value) -> Result<Probe, Wrong> {
    match text(value, "type").unwrap_or("") {
        "HTTP" => http(part(value, "http")).at("http"),
        "GRPC" => Ok(Probe::Grpc { service: text(part(value, "grpc"), "service").unwrap_or("").into() }),
        "TCP" => {
            let tcp = part(value, "tcp");
            let read = || Ok(Probe::Tcp { send: payload(tcp, "send")?, receive: payload(tcp, "receive")? });
            read().at("tcp")
        }
        other => Err(unknown("type", other).at("type")),
    }
}

fn http(value: &Value) -> Result<Probe, Wrong> {
    let path = text(value, "path").filter(|path| path.starts_with('/') && is_plain(path));
    let path =
        path.ok_or_else(|| Wrong::new("Invalid", "The path is missing, or is none.").fix("Write one such as /healthz.").at("path"))?;
    let method = text(value, "method").unwrap_or("GET");
    let method = Method::parse(method).ok_or_else(|| unknown("method", method).at("method"))?;
    let hostname = text(value, "hostname").map(|host| match is_plain(host) {
        true => Ok(Arc::from(host)),
        false => Err(Wrong::new("Invalid", format!("{host:?} is no host.")).at("hostname")),
    });
    let status = |value: &Value| {
        let status = value.as_u64().filter(|status| (100..600).contains(status));
        status.map(|status| status as u16).ok_or_else(|| Wrong::new("Invalid", format!("{value} is no status.")).at("expectedStatuses"))
    };
    let expected = match value.get("expectedStatuses").and_then(Value::as_array) {
        Some(all) => all.iter().map(status).collect::<Result<_, _>>()?,
        None => vec![200],
    };
    Ok(Probe::Http { method, path: path.into(), hostname: hostname.transpose()?, expected })
}

/// Whether it can stand in a request as it is.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn payload(value: &Value, field: &str) -> Result<Arc<[u8]>, Wrong> {
    let value = part(value, field);
    if value.is_null() {
        return Ok(Arc::from([]));
    }
    let bytes = match text(value, "type").unwrap_or("") {
        "Text" => text(value, "text").unwrap_or("").as_bytes().to_vec(),
        "Binary" => {
            let read = base64::engine::general_purpose::STANDARD.decode(text(value, "binary").unwrap_or(""));
            read.map_err(|e| Wrong::new("Invalid", format!("It is no base64: {e}.")).at("binary").at(field))?
        }
        other => return Err(unknown("type", other).at("type").at(field)),
    };
    match bytes.is_empty() {
        true => Err(Wrong::new("Invalid", "It is empty.").at(field)),
        false => Ok(bytes.into()),
    }
}

fn unknown(what: &str, word: &str) -> Wrong {
    Wrong::new("Invalid", format!("The {what} {word:?} is not known."))
}
