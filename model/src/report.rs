//! What front ends say back: problems with a place, and the status of each object.

use crate::ObjectRef;
use std::sync::Arc;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    Note,
    Warning,
    Error,
}

/// One step into an object: `spec`, `rules`, `0`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    Field(Arc<str>),
    Index(usize),
}

/// A problem: what, where, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub severity: Severity,
    pub object: ObjectRef,
    /// From the object's root; empty for the object as a whole.
    pub path: Vec<Step>,
    /// A short word of the standard where it has one (`RefNotPermitted`, `BackendNotFound`, `InvalidValue`).
    pub reason: Arc<str>,
    pub message: String,
    /// What to do about it.
    pub fix: Option<String>,
}

impl Report {
    /// `spec.rules[0].backendRefs[1].name`.
    pub fn path_text(&self) -> String {
        let mut text = String::new();
        for step in &self.path {
            match step {
                Step::Field(name) if text.is_empty() => text.push_str(name),
                Step::Field(name) => {
                    text.push('.');
                    text.push_str(name);
                }
                Step::Index(i) => text.push_str(&format!("[{i}]")),
            }
        }
        text
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConditionStatus {
    True,
    False,
    Unknown,
}

impl ConditionStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// A Kubernetes condition, but for its time, which the writer of status knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    pub kind: Arc<str>,
    pub status: ConditionStatus,
    pub reason: Arc<str>,
    pub message: String,
}

/// What one parent says of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParentStatus {
    pub parent: ObjectRef,
    pub section: Option<Arc<str>>,
    pub port: Option<u16>,
    pub conditions: Vec<Condition>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerStatus {
    pub name: Arc<str>,
    /// Kinds of route that it takes, as `group/kind`.
    pub supported_kinds: Vec<(Arc<str>, Arc<str>)>,
    pub attached_routes: u32,
    pub conditions: Vec<Condition>,
}

/// The status of one object, as its front end decided it; what proxies acknowledged is added by `control`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    pub object: ObjectRef,
    pub conditions: Vec<Condition>,
    pub parents: Vec<ParentStatus>,
    pub listeners: Vec<ListenerStatus>,
}
