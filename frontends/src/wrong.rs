//! A value that cannot be used: where it stands, why, and what to do. Readers return it with the path below what they read;
//! each caller puts its own step before. It knows no dialect.

use crate::limits;
use model::report::Step;
use model::{ObjectRef, Report, Severity};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// Innermost step first, for callers add theirs at the end.
    inside_out: Vec<Step>,
    pub reason: &'static str,
    /// A sentence.
    pub message: String,
    pub fix: Option<String>,
}

impl Wrong {
    pub fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self { inside_out: Vec::new(), reason, message: printable(message.into(), limits::MESSAGE_BYTES), fix: None }
    }

    /// What is known but not supported, or cannot be read at all.
    pub fn value(message: impl Into<String>) -> Self {
        Self::new("UnsupportedValue", message)
    }

    pub fn fix(mut self, what: impl Into<String>) -> Self {
        self.fix = Some(printable(what.into(), limits::MESSAGE_BYTES));
        self
    }

    pub fn at(mut self, field: &str) -> Self {
        self.inside_out.push(Step::Field(field.into()));
        self
    }

    pub fn item(mut self, index: usize) -> Self {
        self.inside_out.push(Step::Index(index));
        self
    }

    pub fn report(&self, object: &ObjectRef) -> Report {
        Report {
            severity: Severity::Error,
            object: object.clone(),
            path: self.inside_out.iter().rev().cloned().collect(),
            reason: self.reason.into(),
            message: self.message.clone(),
            fix: self.fix.clone(),
        }
    }
}

/// Names that users wrote stand in messages, and messages go to terminals and logs: controls are escaped, and length is bounded.
pub fn printable(text: String, limit: usize) -> String {
    if text.len() <= limit && !text.contains(char::is_control) {
        return text;
    }
    let mut out = String::new();
    for c in text.chars() {
        if out.len() >= limit {
            out.push_str("….");
            break;
        }
        if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

/// Steps added to the error of a reader.
pub trait Within {
    fn at(self, field: &str) -> Self;
    fn item(self, index: usize) -> Self;
}

impl<T> Within for Result<T, Wrong> {
    fn at(self, field: &str) -> Self {
        self.map_err(|wrong| wrong.at(field))
    }
    fn item(self, index: usize) -> Self {
        self.map_err(|wrong| wrong.item(index))
    }
}

#[cfg(test)]
mod tests;
