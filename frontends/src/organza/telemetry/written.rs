//! How a request is written down: which, in what form, where, what of its head, and what of that is made unreadable.

use crate::gateway_api::matches;
use crate::kubernetes::text;
use crate::wrong::{Within, Wrong};
use model::RouteMatch;
use model::telemetry::recorded::may_be_recorded;
use model::telemetry::{LineFile, LineFormat, Names, Pattern, RedactedField, Redaction};
use serde_json::Value;
use std::sync::Arc;

/// As the schema has them, where a field is left out.
const FILE: (&str, u64, u64) = ("access.log", 16 * 1024 * 1024, 4);
const REPLACEMENT: &str = "[redacted]";

fn invalid(what: impl Into<String>) -> Wrong {
    Wrong::new("Invalid", what.into())
}

fn list<'v>(value: &'v Value, field: &str) -> Option<&'v [Value]> {
    value[field].as_array().map(Vec::as_slice)
}

pub fn matches(log: &Value) -> Result<Option<Vec<RouteMatch>>, Wrong> {
    let read = |(i, value): (usize, &Value)| matches::http(value).map(|(found, _)| found).item(i).at("matches");
    list(log, "matches").map(|all| all.iter().enumerate().map(read).collect()).transpose()
}

pub fn format(log: &Value) -> Result<Option<LineFormat>, Wrong> {
    match text(log, "format") {
        None => Ok(None),
        Some("Json") => Ok(Some(LineFormat::Json)),
        Some("Text") => Ok(Some(LineFormat::Text)),
        Some(word) => Err(invalid(format!("{word:?} is none of Json, Text.")).at("format")),
    }
}

pub fn file(value: &Value) -> Result<Option<Arc<LineFile>>, Wrong> {
    if value.is_null() {
        return Ok(None);
    }
    let name = text(value, "name").unwrap_or(FILE.0);
    let number = |field: &str, else_: u64| value[field].as_u64().unwrap_or(else_);
    let kept = u32::try_from(number("kept", FILE.2)).unwrap_or(u32::MAX);
    let made = LineFile::new(name, number("maxBytes", FILE.1), kept);
    made.map(|file| Some(Arc::new(file))).map_err(|why| invalid(format!("{name:?} {why}.")))
}

/// `keys`: headers that bear keys of consumers, in lower case.
pub fn headers(recorded: &Value, field: &str, keys: &[String]) -> Result<Option<Names>, Wrong> {
    let read = |(i, value): (usize, &Value)| {
        let name = value.as_str().unwrap_or("");
        let bears_key = |name: &Arc<str>| keys.iter().any(|key| **key == **name);
        let wrong = |name: &Arc<str>| invalid(format!("{name} bears keys of a Consumer, and is never recorded.")).fix("Take it out.");
        header(name).and_then(|name| if bears_key(&name) { Err(wrong(&name)) } else { Ok(name) }).item(i).at(field)
    };
    list(recorded, field).map(|all| all.iter().enumerate().map(read).collect()).transpose()
}

/// In lower case.
fn header(name: &str) -> Result<Arc<str>, Wrong> {
    let lower = name.to_ascii_lowercase();
    if lower.is_empty() || !lower.bytes().all(model::http::is_token_byte) {
        return Err(invalid(format!("{name:?} is no name of a header.")));
    }
    match may_be_recorded(&lower) {
        true => Ok(lower.into()),
        false => Err(invalid(format!("{name} is never recorded: who reads a log could be whoever called.")).fix("Take it out.")),
    }
}

pub fn redactions(recorded: &Value) -> Result<Option<Arc<[Redaction]>>, Wrong> {
    let read = |(i, value): (usize, &Value)| redaction(value).item(i).at("redactions");
    list(recorded, "redactions").map(|all| all.iter().enumerate().map(read).collect()).transpose()
}

fn redaction(value: &Value) -> Result<Redaction, Wrong> {
    let name = || header(text(value, "name").unwrap_or("")).at("name");
    let field = match text(value, "field") {
        Some("Path") => RedactedField::Path,
        Some("RequestHeader") => RedactedField::RequestHeader(name()?),
        Some("ResponseHeader") => RedactedField::ResponseHeader(name()?),
        other => return Err(invalid(format!("{:?} is none of Path, RequestHeader, ResponseHeader.", other.unwrap_or(""))).at("field")),
    };
    let pattern = Pattern::new(text(value, "pattern").unwrap_or(""));
    let pattern = pattern.map_err(|e| invalid(format!("The {}.", e.to_string().replace('\n', " "))).at("pattern"))?;
    Ok(Redaction { field, pattern, replacement: text(value, "replacement").unwrap_or(REPLACEMENT).into() })
}
