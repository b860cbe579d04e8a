//! Fields of a request and its answer whose values are recorded, since a policy names them: what was asked for, and what was found. Bounded, and never one
//! that says who somebody is ([`model::telemetry::recorded::NEVER`]).

use crate::{Record, access_log, limits};
use model::HeaderBlock;
use model::telemetry::recorded::{Names, may_be_recorded};
use model::telemetry::{RedactedField, Redaction};
use std::sync::Arc;

/// Which are recorded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted {
    pub request: Option<Names>,
    pub response: Option<Names>,
}

/// What was found, in the order asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recorded {
    pub request: Vec<(Arc<str>, String)>,
    pub response: Vec<(Arc<str>, String)>,
}

/// Those of these fields that are there and no secret; several of one name are joined, as a list is (RFC 9110).
pub fn found(names: &Names, headers: &HeaderBlock, is_secret: impl Fn(&str) -> bool) -> Vec<(Arc<str>, String)> {
    let value = |name: &Arc<str>| {
        let mut value = String::new();
        let all = headers.get_all(name).take(limits::HEADER_VALUES);
        for (i, part) in all.enumerate() {
            if i > 0 {
                value.push_str(", ");
            }
            value.push_str(&String::from_utf8_lossy(&part[..part.len().min(limits::HEADER_VALUE_BYTES)]));
        }
        value.truncate(access_log::cut(&value, limits::HEADER_VALUE_BYTES).len());
        value
    };
    names
        .iter()
        .filter(|name| may_be_recorded(name) && headers.contains(name) && !is_secret(name))
        .map(|name| (name.clone(), value(name)))
        .collect()
}

/// What a record says once these parts of it are made unreadable; `None` where nothing matches.
pub fn redacted(record: &Record, redactions: &[Redaction]) -> Option<Record> {
    let mut made: Option<Record> = None;
    for Redaction { field, pattern, replacement } in redactions {
        let now = made.as_ref().unwrap_or(record);
        let (list, name) = match field {
            RedactedField::Path => {
                if let Some(path) = pattern.replaced(&now.path, replacement) {
                    made.get_or_insert_with(|| record.clone()).path = path;
                }
                continue;
            }
            RedactedField::RequestHeader(name) => (&now.headers.request, name),
            RedactedField::ResponseHeader(name) => (&now.headers.response, name),
        };
        let Some(at) = list.iter().position(|(known, _)| known == name) else { continue };
        let Some(value) = pattern.replaced(&list[at].1, replacement) else { continue };
        let headers = &mut made.get_or_insert_with(|| record.clone()).headers;
        let list = if matches!(field, RedactedField::RequestHeader(_)) { &mut headers.request } else { &mut headers.response };
        list[at].1 = value;
    }
    made
}

#[cfg(test)]
mod tests;
