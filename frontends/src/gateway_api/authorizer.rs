//! How an authorizer outside is asked, as the filter `ExternalAuth` of HTTPRoutes writes it, and `ExternalAuthorizer` in the same words.

use super::backend;
use crate::kubernetes::text;
use crate::limits;
use crate::wrong::{Within, Wrong};
use model::authorizer::{AskedBy, Asking, Fields};
use model::{ObjectRef, RouteProtocol};
use serde_json::Value;
use std::sync::Arc;

/// A broken reference is no error of what is written: its second part is the reference's. Nobody can be asked then, and nobody is let through.
pub fn asking(value: &Value, from: &ObjectRef, world: &backend::World<'_>) -> Result<(Asking, Option<Wrong>), Wrong> {
    let (protocol, told) = match text(value, "protocol") {
        Some("HTTP") => http(part(value, "http", "grpc")?).at("http")?,
        Some("GRPC") => (AskedBy::Grpc, fields(part(value, "grpc", "http")?, "allowedHeaders").at("grpc")?.unwrap_or(Fields::All)),
        other => {
            let wrong = Wrong::value(format!("The protocol {:?} is not known.", other.unwrap_or("")));
            return Err(wrong.fix("Use HTTP or GRPC.").at("protocol"));
        }
    };
    let body = match value.get("forwardBody").map_or(&Value::Null, |body| &body["maxSize"]) {
        Value::Null => 0,
        found => found.as_u64().filter(|size| *size <= limits::AUTHORIZER_BODY).map(|size| size as u32).ok_or_else(|| {
            let wrong = Wrong::value(format!("{found} is no number of bytes from 0 to {}.", limits::AUTHORIZER_BODY));
            wrong.at("maxSize").at("forwardBody")
        })?,
    };
    let carries = if protocol == AskedBy::Grpc { RouteProtocol::Grpc } else { RouteProtocol::Http };
    let found = backend::resolve(value.get("backendRef").unwrap_or(&Value::Null), from, carries, world).at("backendRef");
    let (backend, broken) = match found {
        Ok(backend) => (backend, None),
        Err(wrong) => (backend::invalid(&wrong), Some(wrong)),
    };
    let timeout = limits::DEFAULT_AUTHORIZER_TIME;
    Ok((Asking { backend, protocol, told, body, timeout, fail_open: false }, broken))
}

/// The part that belongs to the protocol, without that of another: what would be left out may have been meant.
fn part<'v>(value: &'v Value, own: &str, other: &str) -> Result<&'v Value, Wrong> {
    match value.get(other) {
        Some(found) if !found.is_null() => Err(Wrong::value(format!("{other} is of another protocol.")).fix("Remove it.").at(other)),
        _ => Ok(value.get(own).unwrap_or(&Value::Null)),
    }
}

fn http(value: &Value) -> Result<(AskedBy, Fields), Wrong> {
    let prefix = text(value, "path").unwrap_or("");
    let odd = |b: u8| !b.is_ascii_graphic() || b"?#\\;%".contains(&b);
    let sound = |segment: &str| !matches!(segment, "" | "." | "..") && !segment.bytes().any(odd);
    let fits = match prefix.trim_end_matches('/').strip_prefix('/') {
        Some(segments) => segments.split('/').all(sound),
        None => matches!(prefix, "" | "/"),
    };
    if !fits {
        let wrong = Wrong::value(format!("{prefix:?} is no path that can stand before others."));
        return Err(wrong.fix("Write it as /check.").at("path"));
    }
    let prefix: Arc<str> = prefix.trim_end_matches('/').into();
    let taken = fields(value, "allowedResponseHeaders")?.unwrap_or(Fields::All);
    let told = fields(value, "allowedHeaders")?.unwrap_or(Fields::Only(Vec::new()));
    Ok((AskedBy::Http { prefix, taken }, told))
}

/// `None` where the list is left out or empty, which the specification takes for the same.
fn fields(value: &Value, field: &str) -> Result<Option<Fields>, Wrong> {
    let all = match value.get(field) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Array(all)) if all.is_empty() => return Ok(None),
        Some(Value::Array(all)) => all,
        Some(odd) => return Err(Wrong::value(format!("{odd} is no list.")).at(field)),
    };
    let name = |(i, value): (usize, &Value)| {
        let name = value.as_str().unwrap_or("").to_ascii_lowercase();
        match !name.is_empty() && name.bytes().all(model::http::is_token_byte) {
            true => Ok(Arc::from(name)),
            false => Err(Wrong::value(format!("{value} is no name of a header.")).item(i).at(field)),
        }
    };
    all.iter().enumerate().map(name).collect::<Result<_, _>>().map(Fields::Only).map(Some)
}
