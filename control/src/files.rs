//! YAML files as objects. A file that cannot be read whole keeps its last good objects in force: what worked is never taken down by a mistake.

use frontends::{Object, Place};
use model::ObjectRef;
use serde_json::Value;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use wire::api::{Located, Severity};

/// What tells one content of a path from another: a file that was put in another's place differs in the number, one that was written to in the
/// time of change, which nobody can set back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Stamp {
    number: u64,
    changed: (i64, i64),
    length: u64,
}

/// A file as it was last read.
#[derive(Debug)]
struct Known {
    stamp: Stamp,
    /// Of its last version that could be read.
    good: Vec<Object>,
    problem: Option<Located>,
}

/// What a look finds: files with their stamps, and which of the user's paths are not there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Found {
    files: BTreeMap<PathBuf, Stamp>,
    missing: Vec<PathBuf>,
}

/// The files of a mesh, as they were last read.
#[derive(Debug, Default)]
pub struct Files {
    paths: Vec<PathBuf>,
    known: BTreeMap<PathBuf, Known>,
    /// What was read last.
    read: Option<Found>,
    /// What the last look saw, if it was news.
    seen: Option<Found>,
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
        let found = find(&self.paths);
        if self.read.as_ref() == Some(&found) {
            self.seen = None;
            return None;
        }
        if self.read.is_some() && self.seen.as_ref() != Some(&found) {
            self.seen = Some(found);
            return None;
        }
        self.seen = None;
        Some(self.take(found))
    }

    /// Reads what is new, and keeps of the rest what is still good.
    fn take(&mut self, found: Found) -> Read {
        // A folder that is gone, or empty of a sudden, says nothing of what its owner wants: what was served goes on.
        let vanished = found.files.is_empty() && !self.known.is_empty();
        let lost = |path: &Path| vanished || found.missing.iter().any(|root| path.starts_with(root));
        self.known.retain(|path, _| found.files.contains_key(path) || lost(path));
        for (path, stamp) in &found.files {
            match self.known.get_mut(path) {
                Some(known) if known.stamp == *stamp => {}
                Some(known) => {
                    known.stamp = *stamp;
                    match parse(path) {
                        Ok(objects) => (known.good, known.problem) = (objects, None),
                        Err(problem) => known.problem = Some(*problem),
                    }
                }
                None => {
                    let (good, problem) = match parse(path) {
                        Ok(objects) => (objects, None),
                        Err(problem) => (Vec::new(), Some(*problem)),
                    };
                    self.known.insert(path.clone(), Known { stamp: *stamp, good, problem });
                }
            }
        }
        let mut problems: Vec<_> =
            found.missing.iter().map(|p| problem(&p.display().to_string(), 0, 0, "there is no such file or folder".into())).collect();
        if vanished && problems.is_empty() {
            problems.push(problem("", 0, 0, "the configuration is gone; put it back, or end the mesh".into()));
        }
        problems.extend(self.known.values().filter_map(|known| known.problem.clone()));
        self.read = Some(found);
        let objects = self.known.values().flat_map(|known| &known.good).cloned().collect();
        Read { objects, problems }
    }
}

fn find(paths: &[PathBuf]) -> Found {
    let mut found = Found::default();
    for path in paths {
        if path.is_dir() {
            let entries = std::fs::read_dir(path).into_iter().flatten().flatten().map(|e| e.path());
            found.files.extend(entries.filter(|p| is_yaml(p)).filter_map(|p| stamp(&p).map(|stamp| (p, stamp))));
        } else if let Some(stamp) = stamp(path) {
            found.files.insert(path.clone(), stamp);
        } else {
            found.missing.push(path.clone());
        }
    }
    found
}

/// `None`: there is no such file.
fn stamp(path: &Path) -> Option<Stamp> {
    let meta = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
    Some(Stamp { number: meta.ino(), changed: (meta.ctime(), meta.ctime_nsec()), length: meta.len() })
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
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    let everywhere = matches!((group, kind.as_str()), ("", "Namespace") | ("gateway.networking.k8s.io", "GatewayClass"));
    let namespace = match text(&value, "/metadata/namespace") {
        _ if everywhere => String::new(),
        none if none.is_empty() => "default".to_owned(),
        namespace => namespace,
    };
    if !everywhere && let Some(metadata) = value.pointer_mut("/metadata").and_then(Value::as_object_mut) {
        metadata.insert("namespace".into(), namespace.as_str().into());
    }
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

#[cfg(test)]
mod tests;
