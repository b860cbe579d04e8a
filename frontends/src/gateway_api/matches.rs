//! Matches of HTTPRoute and GRPCRoute, and who goes first among them, in the order that the specification gives.

use crate::kubernetes::text;
use crate::wrong::{Within, Wrong};
use model::http::is_token_byte;
use model::*;
use serde_json::Value;

fn unknown(what: &str, got: &str) -> Wrong {
    Wrong::value(format!("The {what} type {got} is not known.")).at("type")
}

fn regex(pattern: &str) -> Result<Regex, Wrong> {
    Regex::new(pattern).map_err(|e| Wrong::value(format!("The {e}.")))
}

fn value_match(value: &Value) -> Result<ValueMatch, Wrong> {
    let want = text(value, "value").unwrap_or("");
    match text(value, "type") {
        Some("RegularExpression") => regex(want).map(ValueMatch::Regex).at("value"),
        None | Some("Exact") => Ok(ValueMatch::Exact(want.into())),
        Some(other) => Err(unknown("match", other)),
    }
}

/// Of several entries of one name only the first counts; header names ignore case.
fn named<T>(value: &Value, field: &str, fold: bool, make: impl Fn(&str, ValueMatch) -> T) -> Result<Vec<T>, Wrong> {
    let mut seen = Vec::new();
    let mut all = Vec::new();
    for (i, item) in value.get(field).and_then(Value::as_array).into_iter().flatten().enumerate() {
        let name = text(item, "name").unwrap_or("");
        if name.is_empty() || !name.bytes().all(is_token_byte) {
            return Err(Wrong::value(format!("The name {name:?} is no token.")).at("name").item(i).at(field));
        }
        let name = if fold { name.to_ascii_lowercase() } else { name.to_owned() };
        if !seen.contains(&name) {
            all.push(make(&name, value_match(item).item(i).at(field)?));
            seen.push(name);
        }
    }
    Ok(all)
}

pub fn headers(value: &Value) -> Result<Vec<HeaderMatch>, Wrong> {
    named(value, "headers", true, |name, value| HeaderMatch { name: name.into(), value })
}

/// A path that a request can have once it is made regular; any other would be a rule that silently never matches.
fn written_path(path: &str) -> Result<(), Wrong> {
    let refuse = |what: &str, fix: &str| Err(Wrong::value(format!("The path {path:?} {what}.")).fix(fix));
    if !path.starts_with('/') {
        return refuse("is not absolute", "Begin it with a slash.");
    }
    let dots = path.split('/').any(|segment| matches!(segment, "." | ".."));
    if dots || path.contains("//") || path.to_ascii_lowercase().contains("%2f") {
        return refuse("has dot segments, empty segments or an escaped slash", "Write the path that they lead to.");
    }
    let mut rest = path.bytes();
    while let Some(b) = rest.next() {
        let good = match b {
            b'%' => rest.next().is_some_and(|b| b.is_ascii_hexdigit()) && rest.next().is_some_and(|b| b.is_ascii_hexdigit()),
            _ => b.is_ascii_alphanumeric() || b"-/._~!$&'()*+,;=:@".contains(&b),
        };
        if !good {
            return refuse("holds what no path can", "Escape it with a percent sign.");
        }
    }
    Ok(())
}

/// More is earlier.
fn most(count: usize) -> u32 {
    u32::MAX - count as u32
}

pub fn http(value: &Value) -> Result<(RouteMatch, [u32; 5]), Wrong> {
    let path = value.get("path").unwrap_or(&Value::Null);
    let want = text(path, "value").unwrap_or("/");
    if !matches!(text(path, "type"), Some("RegularExpression")) {
        written_path(want).at("value").at("path")?;
    }
    let (kind, path) = match text(path, "type") {
        Some("Exact") => (0, PathMatch::Exact(want.into())),
        None | Some("PathPrefix") => (1, PathMatch::prefix(want)),
        Some("RegularExpression") => (2, PathMatch::Regex(regex(want).at("value").at("path")?)),
        Some(other) => return Err(unknown("path match", other).at("path")),
    };
    let method = match text(value, "method") {
        Some(method) => {
            Some(Method::parse(method).ok_or_else(|| Wrong::value(format!("The method {method:?} is no token.")).at("method"))?)
        }
        None => None,
    };
    let headers = headers(value)?;
    let query = named(value, "queryParams", false, |name, value| QueryMatch { name: name.into(), value })?;
    // A trailing slash adds nothing to a prefix: `/a/` goes no earlier than `/a`.
    let length = if let PathMatch::Prefix(prefix) = &path { prefix.len() } else { want.len() };
    let order = [kind, most(length), u32::from(method.is_none()), most(headers.len()), most(query.len())];
    Ok((RouteMatch { path: Some(path), method, headers, query }, order))
}

/// gRPC methods are paths, `/service/method`. Order: longest service, longest method, most headers.
pub fn grpc(value: &Value) -> Result<(RouteMatch, [u32; 5]), Wrong> {
    let method = value.get("method").unwrap_or(&Value::Null);
    let filled = |field| text(method, field).filter(|word| !word.is_empty());
    let (service, name) = (filled("service"), filled("method"));
    let whole = |pattern: String| regex(&pattern).map(PathMatch::Regex).at("method");
    let kind = text(method, "type");
    // Each part must be sound alone: brackets around it must not make `a)|(b` valid. A written-out method has no operators.
    for (field, part) in [("service", service), ("method", name)] {
        let Some(part) = part else { continue };
        let word = part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || (field == "service" && b == b'.'));
        match kind {
            Some("RegularExpression") => drop(regex(part).at(field).at("method")?),
            None | Some("Exact") if !word => {
                return Err(Wrong::value(format!("The {field} {part:?} is no gRPC name.")).at(field).at("method"));
            }
            _ => {}
        }
    }
    let path = match (kind, service, name) {
        (None | Some("Exact" | "RegularExpression"), None, None) => None,
        (Some("RegularExpression"), service, name) => {
            Some(whole(format!("/(?:{})/(?:{})", service.unwrap_or("[^/]+"), name.unwrap_or("[^/]+")))?)
        }
        (None | Some("Exact"), Some(service), Some(name)) => Some(PathMatch::Exact(format!("/{service}/{name}").into())),
        (None | Some("Exact"), Some(service), None) => Some(PathMatch::prefix(&format!("/{service}"))),
        (None | Some("Exact"), None, Some(name)) => Some(whole(format!("/[^/]+/{name}"))?),
        (Some(other), ..) => return Err(unknown("method match", other).at("method")),
    };
    let headers = headers(value)?;
    let order = [most(service.map_or(0, str::len)), most(name.map_or(0, str::len)), most(headers.len()), 0, 0];
    Ok((RouteMatch { path, method: None, headers, query: Vec::new() }, order))
}
