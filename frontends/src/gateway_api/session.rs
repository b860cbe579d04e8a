//! `sessionPersistence` (GEP-1619), of rules and of policies alike. What the schema says is said again here, for objects that no schema saw; the key that
//! seals a client's token is the control plane's to give.

use super::duration;
use crate::kubernetes::text;
use crate::wrong::{Within, Wrong};
use model::http::is_token_byte;
use model::session::{Carrier, Persistence};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// `place` names what the session is of, for a name where the user gives none: the same object has the same name on every machine.
pub fn read(value: &Value, place: &str) -> Result<Persistence, Wrong> {
    let cookie = value.get("cookieConfig");
    let lifetime = cookie.and_then(|config| text(config, "lifetimeType")).unwrap_or("Session");
    let carrier = match (text(value, "type").unwrap_or("Cookie"), lifetime) {
        ("Header", _) if cookie.is_some() => {
            return Err(Wrong::value("A header has no lifetime.").fix("Remove the field.").at("cookieConfig"));
        }
        ("Header", _) => Carrier::Header,
        ("Cookie", "Session") => Carrier::Cookie,
        ("Cookie", "Permanent") => Carrier::PermanentCookie,
        ("Cookie", other) => {
            return Err(Wrong::value(format!("The lifetime {other:?} is not known.")).at("lifetimeType").at("cookieConfig"));
        }
        (other, _) => return Err(Wrong::value(format!("The type {other:?} is not known.")).at("type")),
    };
    let absolute = time(value, "absoluteTimeout")?;
    if carrier == Carrier::PermanentCookie && absolute.is_none() {
        let wrong = Wrong::value("A permanent cookie needs an absoluteTimeout, for which it is kept.");
        return Err(wrong.fix("Set absoluteTimeout.").at("absoluteTimeout"));
    }
    Ok(Persistence { name: name(value, carrier, place)?, carrier, absolute, idle: time(value, "idleTimeout")?, key: None })
}

/// A token is as good to the second as clocks are.
fn time(value: &Value, field: &str) -> Result<Option<Duration>, Wrong> {
    let Some(found) = value.get(field).filter(|found| !found.is_null()) else { return Ok(None) };
    let time = duration::read(found.as_str().unwrap_or("")).at(field)?;
    match time >= Duration::from_secs(1) {
        true => Ok(Some(time)),
        false => Err(Wrong::value("A session of less than a second is none.").fix("Set 1s or more.").at(field)),
    }
}

fn name(value: &Value, carrier: Carrier, place: &str) -> Result<Arc<str>, Wrong> {
    let Some(name) = text(value, "sessionName").filter(|name| !name.is_empty()) else {
        return Ok(format!("organza-session-{:08x}", fnv(place)).into());
    };
    if name.len() > 128 || !name.bytes().all(is_token_byte) {
        let wrong = Wrong::value(format!("The name {name:?} is no name of a cookie or a header."));
        return Err(wrong.fix("Use up to 128 letters, digits, hyphens and underscores.").at("sessionName"));
    }
    if carrier == Carrier::Header && RESERVED.iter().any(|taken| taken.eq_ignore_ascii_case(name)) {
        let wrong = Wrong::value(format!("The header {name} has a meaning of its own."));
        return Err(wrong.fix("Choose a name that nothing else uses.").at("sessionName"));
    }
    Ok(name.into())
}

/// Headers that frame a message, belong to a connection, or say who asks or where to go.
const RESERVED: [&str; 18] = [
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "grpc-message",
    "grpc-status",
    "host",
    "keep-alive",
    "location",
    "proxy-authorization",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "www-authenticate",
];

/// FNV-1a of 32 bits: a short name that nobody has to guess.
fn fnv(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests;
