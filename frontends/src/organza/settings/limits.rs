//! `spec.limits` of GatewayParameters, with the bounds that its schema has: where nobody checked that, it is refused here. Whether a limit is kept is
//! the proxy's affair.

use crate::gateway_api::duration;
use crate::wrong::{Within, Wrong};
use model::FrontLimits;
use serde_json::Value;
use std::ops::RangeInclusive;
use std::time::Duration;

const MOST: RangeInclusive<u32> = 1..=1_000_000;

pub fn read(value: &Value) -> Result<FrontLimits, Wrong> {
    Ok(FrontLimits {
        connections: number(value, "maxConnections", MOST)?,
        handshakes: number(value, "maxHandshakes", MOST)?,
        handshake_time: time(value, "tlsHandshakeTimeout", 60)?,
        head_bytes: number(value, "maxRequestHeadBytes", 1024..=model::limits::HEAD_BYTES as u32)?,
        head_time: time(value, "requestHeadTimeout", 3600)?,
        idle: time(value, "idleTimeout", 3600)?,
        body_idle: time(value, "bodyIdleTimeout", 3600)?,
        requests: number(value, "maxRequestsPerConnection", 1..=1_000_000_000)?,
        streams: number(value, "maxConcurrentStreams", 1..=1000)?,
        sessions: number(value, "maxUdpSessions", MOST)?,
        session_idle: time(value, "udpIdleTimeout", 3600)?,
        datagram_bytes: number(value, "maxDatagramBytes", 512..=65_507)?,
    })
}

fn number(value: &Value, field: &str, within: RangeInclusive<u32>) -> Result<Option<u32>, Wrong> {
    let found = &value[field];
    if found.is_null() {
        return Ok(None);
    }
    let (least, most) = (within.start(), within.end());
    let wrong =
        || Wrong::new("Invalid", format!("{found} is not within {least} and {most}.")).fix("Use a whole number within these.").at(field);
    let number = found.as_u64().and_then(|number| u32::try_from(number).ok()).filter(|number| within.contains(number));
    number.map(Some).ok_or_else(wrong)
}

/// From a second to `most` of them.
fn time(value: &Value, field: &str, most: u64) -> Result<Option<Duration>, Wrong> {
    let found = &value[field];
    if found.is_null() {
        return Ok(None);
    }
    let time = duration::read(found.as_str().unwrap_or("")).at(field)?;
    match (Duration::from_secs(1)..=Duration::from_secs(most)).contains(&time) {
        true => Ok(Some(time)),
        false => Err(Wrong::new("Invalid", format!("{found} is not within 1s and {most}s.")).fix("Use a time within these.").at(field)),
    }
}
