//! How a request is written down: which, in what form, where, what of its head, and what of that is made unreadable.

use crate::gateway_api::matches;
use crate::kubernetes::text;
use crate::limits;
use crate::wrong::{Within, Wrong};
use model::RouteMatch;
use model::telemetry::recorded::may_be_recorded;
use model::telemetry::{Labels, LineFile, LineFormat, Names, Pattern, RedactedField, Redaction, TelemetrySettings};
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

pub fn headers(recorded: &Value, field: &str) -> Result<Option<Names>, Wrong> {
    let read = |(i, value): (usize, &Value)| header(value.as_str().unwrap_or("")).item(i).at(field);
    list(recorded, field).map(|all| all.iter().enumerate().map(read).collect()).transpose()
}

pub fn labels(metrics: &Value) -> Result<Option<Labels>, Wrong> {
    let Some(names) = list(metrics, "dropLabels") else { return Ok(None) };
    let with = |labels: Labels, (i, name): (usize, &Value)| {
        let name = name.as_str().unwrap_or("");
        labels.with(name).ok_or_else(|| invalid(format!("{name:?} is no label that metrics can do without.")).item(i).at("dropLabels"))
    };
    names.iter().enumerate().try_fold(Labels::NONE, with).map(Some)
}

/// Takes out of the names of this field what bears keys of consumers (`keys`, in lower case), and tells of each. No more than that: whoever may write a
/// Consumer anywhere would else put out of force what others redact.
pub fn withhold(names: &mut Option<Names>, field: &str, keys: &[String]) -> Vec<Wrong> {
    let Some(all) = names else { return Vec::new() };
    let bears_key = |name: &str| keys.iter().any(|key| **key == *name);
    let told = |(i, name): (usize, &Arc<str>)| {
        let message = format!("{name} bears keys of a Consumer, and is not recorded.");
        Wrong::new("BearsKeys", message).fix("Take it out.").item(i).at(field)
    };
    let withheld: Vec<Wrong> = all.iter().enumerate().filter(|(_, name)| bears_key(name)).map(told).collect();
    if !withheld.is_empty() {
        let left: Names = all.iter().filter(|name| !bears_key(name)).cloned().collect();
        *all = left;
    }
    withheld
}

/// In lower case.
pub fn header(name: &str) -> Result<Arc<str>, Wrong> {
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

/// What holds of a policy that cannot be read, so that a mistake in it never shows what it hides: those of its redactions that can be read, and of heads
/// nothing is recorded, for what should be redacted there may be what cannot be read. `None` where it redacts nothing.
pub fn hidden(recorded: &Value) -> Option<TelemetrySettings> {
    let said = list(recorded, "redactions").filter(|said| !said.is_empty())?;
    let readable: Vec<Redaction> = said.iter().filter_map(|value| redaction(value).ok()).collect();
    // Where none can be read, those of the next wider policy are better than none.
    let redactions = (!readable.is_empty()).then(|| readable.into());
    let nothing = || Some(Names::from([]));
    Some(TelemetrySettings { request_headers: nothing(), response_headers: nothing(), redactions, ..TelemetrySettings::default() })
}

/// What of a head is recorded where two policies of different kinds say it. An empty list of `ours` stands: it records nothing, or it cannot be read and hides.
pub fn either(ours: Option<Names>, theirs: Option<Names>) -> Option<Names> {
    match (ours, theirs) {
        (Some(ours), Some(theirs)) if !ours.is_empty() => {
            let more = theirs.iter().filter(|name| !ours.contains(name));
            Some(ours.iter().chain(more).take(limits::RECORDED_HEADERS).cloned().collect())
        }
        (Some(ours), _) => Some(ours),
        (None, theirs) => theirs,
    }
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
