//! `sessionPersistence` (GEP-1619), of rules and of policies alike. What the schema says is said again here, for objects that no schema saw; the key that
//! seals a client's token is the control plane's to give.

use super::duration;
use crate::kubernetes::{fnv, text};
use crate::limits;
use crate::wrong::{Within, Wrong};
use model::http::is_token_byte;
use model::session::{Carrier, Persistence, is_cookie_path};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// `place` names what the session is of, for a name where the user gives none: the same object has the same name on every machine.
///
/// Up to v1.6 the name stood beside the type (`sessionName`, `cookieConfig`), and a cookie's path was what the rule matched; since v1.7 each type has its own
/// part (`cookie`, `header`), and a cookie's path is `/` where nothing is said.
pub fn read(value: &Value, place: &str) -> Result<Persistence, Wrong> {
    let part = |field: &str| value.get(field).filter(|part| !part.is_null());
    let (cookie, header) = (part("cookie"), part("header"));
    let old = ["sessionName", "cookieConfig"].into_iter().find(|field| part(field).is_some());
    if let (Some(old), true) = (old, cookie.or(header).is_some()) {
        let wrong = Wrong::value(format!("{old} is of Gateway API up to v1.6, and cookie and header are of v1.7."));
        return Err(wrong.fix("Write one or the other.").at(old));
    }
    let settings = if cookie.is_some() { ("cookie", cookie) } else { ("cookieConfig", part("cookieConfig")) };
    let carrier = carrier(value, settings, header)?;
    let (field, written) = match (old, carrier) {
        (None, Carrier::Header) => ("name", header.map(|header| (text(header, "name"), "header"))),
        (None, _) => ("name", cookie.map(|cookie| (text(cookie, "name"), "cookie"))),
        (Some(_), _) => ("sessionName", None),
    };
    let name = match written {
        Some((written, within)) => name(written, carrier, place).at(field).at(within)?,
        None => name(text(value, "sessionName"), carrier, place).at("sessionName")?,
    };
    let absolute = time(value, "absoluteTimeout")?;
    if carrier == Carrier::PermanentCookie && absolute.is_none() {
        let wrong = Wrong::value("A permanent cookie needs an absoluteTimeout, for which it is kept.");
        return Err(wrong.fix("Set absoluteTimeout.").at("absoluteTimeout"));
    }
    let path = cookie.map(|cookie| path(cookie).at("cookie")).transpose()?;
    Ok(Persistence { name, carrier, absolute, idle: time(value, "idleTimeout")?, path, within: false, key: None })
}

fn carrier(value: &Value, (field, cookie): (&str, Option<&Value>), header: Option<&Value>) -> Result<Carrier, Wrong> {
    let lifetime = cookie.and_then(|config| text(config, "lifetimeType")).unwrap_or("Session");
    match (text(value, "type").unwrap_or("Cookie"), lifetime) {
        ("Header", _) if cookie.is_some() => Err(Wrong::value("A header has no lifetime.").fix("Remove the field.").at(field)),
        ("Cookie", _) if header.is_some() => {
            Err(Wrong::value("The session is carried by a cookie.").fix("Write type: Header, or remove the field.").at("header"))
        }
        ("Header", _) => Ok(Carrier::Header),
        ("Cookie", "Session") => Ok(Carrier::Cookie),
        ("Cookie", "Permanent") => Ok(Carrier::PermanentCookie),
        ("Cookie", other) => Err(Wrong::value(format!("The lifetime {other:?} is not known.")).at("lifetimeType").at(field)),
        (other, _) => Err(Wrong::value(format!("The type {other:?} is not known.")).at("type")),
    }
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

fn path(cookie: &Value) -> Result<Arc<str>, Wrong> {
    let path = text(cookie, "path").filter(|path| !path.is_empty()).unwrap_or("/");
    match is_cookie_path(path) {
        true => Ok(path.into()),
        false => Err(Wrong::value(format!("{path:?} is no path that a cookie can have.")).fix("Write it as /cart.").at("path")),
    }
}

fn name(written: Option<&str>, carrier: Carrier, place: &str) -> Result<Arc<str>, Wrong> {
    let Some(name) = written.filter(|name| !name.is_empty()) else {
        return Ok(format!("organza-session-{:08x}", fnv(place)).into());
    };
    if name.len() > limits::SESSION_NAME || !name.bytes().all(is_token_byte) {
        let wrong = Wrong::value(format!("The name {name:?} is no name of a cookie or a header."));
        return Err(wrong.fix(format!("Use up to {} letters, digits, hyphens and underscores.", limits::SESSION_NAME)));
    }
    if carrier == Carrier::Header && RESERVED.iter().any(|taken| taken.eq_ignore_ascii_case(name)) {
        let wrong = Wrong::value(format!("The header {name} has a meaning of its own."));
        return Err(wrong.fix("Choose a name that nothing else uses."));
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

#[cfg(test)]
mod tests;
