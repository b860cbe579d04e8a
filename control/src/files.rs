//! YAML files as objects. A file that cannot be read whole keeps its last good objects in force: what worked is never taken down by a mistake.

use frontends::{Object, Place};
use model::ObjectRef;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use wire::api::{Located, Severity};

/// What tells that a file is another than before.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Stamp(Option<SystemTime>, u64);

/// The files of a mesh, as they were last read.
#[derive(Debug, Default)]
pub struct Files {
    paths: Vec<PathBuf>,
    stamps: BTreeMap<PathBuf, Stamp>,
    /// What the last look saw, if it was news.
    seen: Option<BTreeMap<PathBuf, Stamp>>,
    good: BTreeMap<PathBuf, Vec<Object>>,
    pub problems: Vec<Located>,
}

/// A read of the files that differed from the one before.
#[derive(Debug, Default)]
pub struct Read {
    pub objects: Vec<Object>,
    pub problems: Vec<Located>,
}

impl Files {
    pub fn new(paths: Vec<PathBuf>) -> Self {
        Self { paths, ..Self::default() }
    }

    /// Looks at the files, once they have stopped changing: an editor that empties a file before it writes it is never caught half-way. `None`
    /// where there is nothing new.
    pub fn look(&mut self) -> Option<Read> {
        let (found, _) = list(&self.paths);
        let stamps: BTreeMap<_, _> = found.iter().map(|path| (path.clone(), stamp(path))).collect();
        let first = self.stamps.is_empty() && self.good.is_empty() && self.problems.is_empty();
        if stamps != self.stamps && !first && self.seen.as_ref() != Some(&stamps) {
            self.seen = Some(stamps);
            return None;
        }
        self.seen = None;
        self.read()
    }

    /// Reads what is new.
    fn read(&mut self) -> Option<Read> {
        let (found, mut problems) = list(&self.paths);
        let stamps: BTreeMap<_, _> = found.iter().map(|path| (path.clone(), stamp(path))).collect();
        let vanished = !self.stamps.is_empty() && found.is_empty();
        if stamps == self.stamps && (problems.is_empty() || problems == self.problems) {
            return None;
        }
        if vanished {
            // A folder that is gone says nothing of what its owner wants: what was served goes on.
            problems.push(problem("", 0, 0, "the configuration is gone; put it back, or end the mesh".into()));
            self.problems.clone_from(&problems);
            return Some(Read { objects: self.objects(), problems });
        }
        self.good.retain(|path, _| stamps.contains_key(path));
        for path in &found {
            if self.stamps.get(path) == stamps.get(path) && self.good.contains_key(path) {
                continue;
            }
            match parse(path) {
                Ok(objects) => drop(self.good.insert(path.clone(), objects)),
                Err(problem) => problems.push(*problem),
            }
        }
        self.stamps = stamps;
        self.problems.clone_from(&problems);
        Some(Read { objects: self.objects(), problems })
    }

    fn objects(&self) -> Vec<Object> {
        self.good.values().flatten().cloned().collect()
    }
}

fn stamp(path: &Path) -> Stamp {
    let meta = std::fs::metadata(path).ok();
    Stamp(meta.as_ref().and_then(|m| m.modified().ok()), meta.map_or(0, |m| m.len()))
}

fn list(paths: &[PathBuf]) -> (Vec<PathBuf>, Vec<Located>) {
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    for path in paths {
        if path.is_dir() {
            let entries = std::fs::read_dir(path).into_iter().flatten().flatten().map(|e| e.path());
            found.extend(entries.filter(|p| is_yaml(p)));
        } else if path.exists() {
            found.push(path.clone());
        } else {
            problems.push(problem(&path.display().to_string(), 0, 0, "there is no such file or folder".into()));
        }
    }
    found.sort();
    (found, problems)
}

fn is_yaml(path: &Path) -> bool {
    let hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
    !hidden && path.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json")
}

fn parse(path: &Path) -> Result<Vec<Object>, Box<Located>> {
    let file = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let text = std::fs::read_to_string(path).map_err(|e| Box::new(problem(&file, 0, 0, e.to_string())))?;
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text).map_err(|e| {
        let (line, column) = e.location().map_or((0, 0), |l| (l.line(), l.column()));
        let said = e.to_string();
        let said = said.lines().next().unwrap_or_default();
        // It says `error: line 3 column 4: …`; the place is told beside it.
        let said = said.strip_prefix("error: ").unwrap_or(said);
        let said = said.split_once(": ").filter(|(place, _)| place.starts_with("line ")).map_or(said, |(_, what)| what);
        Box::new(problem(&file, line as u32, column as u32, said.to_owned()))
    })?;
    let starts: Vec<u32> = document_lines(&text);
    let mut objects = Vec::new();
    for (i, value) in documents.into_iter().enumerate() {
        let line = starts.get(i).copied().unwrap_or(1);
        if value.is_null() {
            continue;
        }
        objects.push(object(value, &file, line)?);
    }
    Ok(objects)
}

/// Line of the first content of each document.
fn document_lines(text: &str) -> Vec<u32> {
    let mut starts = Vec::new();
    let mut fresh = true;
    for (i, line) in text.lines().enumerate() {
        if line.starts_with("---") {
            fresh = true;
        } else if fresh && !line.trim().is_empty() && !line.trim_start().starts_with('#') {
            starts.push(i as u32 + 1);
            fresh = false;
        }
    }
    starts
}

fn object(mut value: Value, file: &str, line: u32) -> Result<Object, Box<Located>> {
    let text = |value: &Value, pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (api_version, kind, name) = (text(&value, "/apiVersion"), text(&value, "/kind"), text(&value, "/metadata/name"));
    if api_version.is_empty() || kind.is_empty() || name.is_empty() {
        return Err(Box::new(problem(file, line, 1, "an object needs apiVersion, kind and metadata.name".into())));
    }
    let namespace = Some(text(&value, "/metadata/namespace")).filter(|n| !n.is_empty()).unwrap_or_else(|| "default".into());
    if let Some(metadata) = value.pointer_mut("/metadata").and_then(Value::as_object_mut) {
        metadata.insert("namespace".into(), namespace.as_str().into());
    }
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    let object = ObjectRef::new(group, &kind, &namespace, &name);
    let place = Place { file: file.into(), line, column: 1 };
    Ok(Object { object, api_version, value, place, spans: BTreeMap::new() })
}

fn problem(file: &str, line: u32, column: u32, message: String) -> Located {
    Located {
        severity: Severity::Error,
        file: file.to_owned(),
        line,
        column,
        object: String::new(),
        path: String::new(),
        reason: "Unreadable".into(),
        message,
        fix: None,
    }
}
