//! Matches of HTTPRoute and GRPCRoute, and who goes first among them, in the order that the specification gives.

use crate::kubernetes::text;
use model::*;
use serde_json::Value;

fn value_match(value: &Value) -> Result<ValueMatch, String> {
    let want = text(value, "value").unwrap_or("");
    match text(value, "type") {
        Some("RegularExpression") => Regex::new(want).map(ValueMatch::Regex).map_err(|e| e.to_string()),
        None | Some("Exact") => Ok(ValueMatch::Exact(want.into())),
        Some(other) => Err(format!("match type {other} is not known")),
    }
}

/// Of several entries of one name only the first counts; header names ignore case.
fn named<T>(value: &Value, field: &str, fold: bool, make: impl Fn(&str, ValueMatch) -> T) -> Result<Vec<T>, String> {
    let mut seen = Vec::new();
    let mut all = Vec::new();
    for item in value.get(field).and_then(Value::as_array).into_iter().flatten() {
        let name = text(item, "name").unwrap_or("");
        let name = if fold { name.to_ascii_lowercase() } else { name.to_owned() };
        if !seen.contains(&name) {
            all.push(make(&name, value_match(item)?));
            seen.push(name);
        }
    }
    Ok(all)
}

fn headers(value: &Value) -> Result<Vec<HeaderMatch>, String> {
    named(value, "headers", true, |name, value| HeaderMatch { name: name.into(), value })
}

/// More is earlier.
fn most(count: usize) -> u32 {
    u32::MAX - count as u32
}

pub fn http(value: &Value) -> Result<(RouteMatch, [u32; 5]), String> {
    let path = value.get("path").unwrap_or(&Value::Null);
    let want = text(path, "value").unwrap_or("/");
    let (kind, path) = match text(path, "type") {
        Some("Exact") => (0, PathMatch::Exact(want.into())),
        None | Some("PathPrefix") => (1, PathMatch::prefix(want)),
        Some("RegularExpression") => (2, PathMatch::Regex(Regex::new(want).map_err(|e| e.to_string())?)),
        Some(other) => return Err(format!("path match type {other} is not known")),
    };
    let method = match text(value, "method") {
        Some(method) => Some(Method::parse(method).ok_or("method is no token")?),
        None => None,
    };
    let headers = headers(value)?;
    let query = named(value, "queryParams", false, |name, value| QueryMatch { name: name.into(), value })?;
    let order = [kind, most(want.len()), u32::from(method.is_none()), most(headers.len()), most(query.len())];
    Ok((RouteMatch { path: Some(path), method, headers, query }, order))
}

/// gRPC methods are paths, `/service/method`. Order: longest service, longest method, most headers.
pub fn grpc(value: &Value) -> Result<(RouteMatch, [u32; 5]), String> {
    let method = value.get("method").unwrap_or(&Value::Null);
    let filled = |field| text(method, field).filter(|word| !word.is_empty());
    let (service, name) = (filled("service"), filled("method"));
    let regex = |pattern: String| Regex::new(&pattern).map(PathMatch::Regex).map_err(|e| e.to_string());
    let path = match (text(method, "type"), service, name) {
        (None | Some("Exact" | "RegularExpression"), None, None) => None,
        (Some("RegularExpression"), service, name) => {
            Some(regex(format!("/(?:{})/(?:{})", service.unwrap_or("[^/]+"), name.unwrap_or("[^/]+")))?)
        }
        (None | Some("Exact"), Some(service), Some(name)) => Some(PathMatch::Exact(format!("/{service}/{name}").into())),
        (None | Some("Exact"), Some(service), None) => Some(PathMatch::prefix(&format!("/{service}"))),
        (None | Some("Exact"), None, Some(name)) => Some(regex(format!("/[^/]+/{name}"))?),
        (Some(other), ..) => return Err(format!("method match type {other} is not known")),
    };
    let headers = headers(value)?;
    let order = [most(service.map_or(0, str::len)), most(name.map_or(0, str::len)), most(headers.len()), 0, 0];
    Ok((RouteMatch { path, method: None, headers, query: Vec::new() }, order))
}
