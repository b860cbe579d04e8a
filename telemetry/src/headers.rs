//! Fields of a request and its answer whose values are recorded, since a policy names them: what was asked for, and what was found. Bounded, and never one
//! that says who somebody is ([`model::telemetry::recorded::NEVER`]).

use crate::{Record, access_log, limits};
use model::HeaderBlock;
use model::telemetry::recorded::{Names, may_be_recorded, recordable};
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

/// Whose head it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Head {
    Request,
    Response,
}

impl Head {
    /// Whether a redaction is of this field of this head.
    fn is_redacted(self, name: &str, field: &RedactedField) -> bool {
        match (self, field) {
            (Self::Request, RedactedField::RequestHeader(of)) | (Self::Response, RedactedField::ResponseHeader(of)) => **of == *name,
            _ => false,
        }
    }
}

/// Those of these fields that are there and no secret, redacted and only then cut, so that what a pattern is to find is whole. What is named first has
/// its room first; what finds none is left out.
pub fn found(
    names: &Names,
    headers: &HeaderBlock,
    (head, redactions): (Head, &[Redaction]),
    is_secret: impl Fn(&str) -> bool,
) -> Vec<(Arc<str>, String)> {
    let mut found = Vec::new();
    let mut room = limits::HEADERS_BYTES;
    for name in names.iter().filter(|name| may_be_recorded(name) && headers.contains(name) && !is_secret(name)) {
        let Some(left) = room.checked_sub(name.len() + FIELD_BYTES) else { continue };
        let mut value = joined(name, headers);
        for redaction in redactions.iter().filter(|redaction| head.is_redacted(name, &redaction.field)) {
            if let Some(made) = redaction.pattern.replaced(&value, &redaction.replacement) {
                value = made;
                // What puts more there than it finds makes nothing grow, however many of them follow each other.
                value.truncate(access_log::cut(&value, limits::HEADER_READ_BYTES).len());
            }
        }
        let (end, bytes) = fitting(&value, left);
        value.truncate(end);
        room = left - bytes;
        found.push((name.clone(), value));
    }
    found
}

/// What JSON puts around a name and its value: `"":"",`.
const FIELD_BYTES: usize = 6;

/// Several of one name are joined, as a list is (RFC 9110).
fn joined(name: &str, headers: &HeaderBlock) -> String {
    let mut value = String::new();
    for (i, part) in headers.get_all(name).take(limits::HEADER_VALUES).enumerate() {
        if i > 0 {
            value.push_str(", ");
        }
        let part = recordable(name, part);
        let room = limits::HEADER_READ_BYTES.saturating_sub(value.len());
        value.push_str(&String::from_utf8_lossy(&part[..part.len().min(room)]));
    }
    value
}

/// How much of a value fits: the bytes of it, and those that it has in a line of JSON, where controls are written as `\u001b`.
fn fitting(value: &str, room: usize) -> (usize, usize) {
    let mut written = 0;
    for (at, c) in value.char_indices() {
        let more = match c {
            '"' | '\\' => 2,
            c if c.is_control() => 6,
            c => c.len_utf8(),
        };
        if at + c.len_utf8() > limits::HEADER_VALUE_BYTES || written + more > room {
            return (at, written);
        }
        written += more;
    }
    (value.len(), written)
}

/// What a record says once these parts of its path are made unreadable; `None` where nothing matches. Fields of heads are redacted where they are
/// [`found`].
pub fn redacted(record: &Record, redactions: &[Redaction]) -> Option<Record> {
    let mut made: Option<String> = None;
    for redaction in redactions.iter().filter(|redaction| redaction.field == RedactedField::Path) {
        if let Some(path) = redaction.pattern.replaced(made.as_deref().unwrap_or(&record.path), &redaction.replacement) {
            made = Some(path);
        }
    }
    made.map(|path| Record { path, ..record.clone() })
}

#[cfg(test)]
mod tests;
