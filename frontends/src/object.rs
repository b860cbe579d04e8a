//! A user's object as a front end receives it: read, located, not yet understood.
//!
//! Readers of files (and later watches of Kubernetes) make these; translation reads them and must survive any shape of
//! `value`. Nothing here knows a dialect.

use model::{ObjectRef, Origin};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A place in a file; lines and columns count from 1. An empty file name: the object came from no file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place {
    pub file: Arc<str>,
    pub line: u32,
    pub column: u32,
}

/// One object, with the places of its fields by [`model::Report::path_text`].
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    pub object: ObjectRef,
    pub api_version: String,
    /// Shared, as are the places: worlds, files and readers of them hold the same objects.
    pub value: Arc<Value>,
    pub place: Place,
    pub spans: Arc<BTreeMap<String, Place>>,
    /// Fingerprint of what was written, before defaults were put in; 0 where it came from no text. It tells within this process alone whether
    /// an object is the one that was judged before.
    pub written: u64,
}

impl Object {
    /// One that came from no file.
    pub fn new(object: ObjectRef, api_version: &str, value: Value) -> Self {
        let api_version = api_version.to_owned();
        Self { object, api_version, value: Arc::new(value), place: Place::default(), spans: Arc::default(), written: 0 }
    }

    /// The place of a field, else of the object.
    pub fn place_of(&self, path: &str) -> &Place {
        self.spans.get(path).unwrap_or(&self.place)
    }

    /// A value by JSON pointer; `Null` where there is none.
    pub fn at(&self, pointer: &str) -> &Value {
        self.value.pointer(pointer).unwrap_or(&Value::Null)
    }

    /// The items of a list by JSON pointer; none where it is no list.
    pub fn list(&self, pointer: &str) -> &[Value] {
        self.at(pointer).as_array().map_or(&[], Vec::as_slice)
    }

    pub fn is(&self, group: &str, kind: &str) -> bool {
        *self.object.group == *group && *self.object.kind == *kind
    }

    pub fn origin(&self) -> Origin {
        let place = match self.place.file.is_empty() {
            true => String::new(),
            false => format!("{}:{}", self.place.file, self.place.line),
        };
        Origin::new(self.object.clone(), &place)
    }
}
