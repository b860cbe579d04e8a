//! YAML and JSON files as objects, with the place of every field. The one room of this crate that does I/O; what it reads is strangers' bytes,
//! bounded in size and depth by `limits` and by the parser's own budget.

mod node;

use crate::{Object, Place, limits};
use model::{ObjectRef, Report, Severity};
use node::Node;
use serde_json::Value;
use serde_saphyr::{Options, Spanned};
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

/// A problem and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    pub place: Place,
    pub report: Report,
}

/// What was read: objects that are well-formed, and what is wrong with the rest.
#[derive(Debug, Default)]
pub struct Loaded {
    pub objects: Vec<Object>,
    pub problems: Vec<Located>,
    /// The text of each file, for showing lines.
    pub texts: BTreeMap<String, String>,
}

/// Reads files and folders; `-` is standard input. Folders are read one level deep: `*.yaml`, `*.yml`, `*.json`, hidden files left out, sorted.
pub fn load(paths: &[PathBuf]) -> Loaded {
    let mut loaded = Loaded::default();
    for path in paths {
        if path.as_os_str() == "-" {
            let mut text = String::new();
            match std::io::stdin().take(limits::FILE_BYTES + 1).read_to_string(&mut text) {
                Ok(_) => loaded.take("(standard input)", text),
                Err(e) => loaded.problems.push(problem("(standard input)", 0, 0, "Unreadable", e.to_string(), None)),
            }
        } else if path.is_dir() {
            loaded.folder(path);
        } else {
            loaded.file(path);
        }
    }
    loaded.find_twins();
    loaded
}

/// Its keys are drawn when the process starts: nobody can write two objects that have one fingerprint.
static FINGERPRINT: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// Kinds that stand in no namespace.
const CLUSTER_WIDE: [&str; 4] = ["Namespace", "GatewayClass", "XMesh", "ClusterAccessPolicy"];

/// Whether a file of a folder is read.
pub fn is_configuration(path: &Path) -> bool {
    let hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
    !hidden && path.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json")
}

/// What a file is called where a mesh is made of `roots` (files and folders): `routes.yaml` where they are one, else with as much of its root before it as
/// tells the roots apart (`shop/routes.yaml`).
pub fn name_among(roots: &[PathBuf], path: &Path) -> String {
    let file = || path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned());
    let Some(root) = roots.iter().find(|root| *root == path || path.parent() == Some(root)).filter(|_| roots.len() > 1) else {
        return file();
    };
    let parts = |path: &Path| -> Vec<String> { path.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect() };
    let own = parts(root);
    let others: Vec<Vec<String>> = roots.iter().filter(|other| *other != root).map(|other| parts(other)).collect();
    let tells_apart = |length: &usize| !others.iter().any(|other| other.ends_with(&own[own.len() - length..]));
    let length = (1..=own.len()).find(tells_apart).unwrap_or(own.len());
    let label = own[own.len() - length..].join("/").replacen("//", "/", 1);
    if root == path { label } else { format!("{label}/{}", file()) }
}

impl Loaded {
    fn folder(&mut self, folder: &Path) {
        let shown = folder.display().to_string();
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(e) => return self.problems.push(problem(&shown, 0, 0, "Unreadable", e.to_string(), None)),
        };
        let mut files: Vec<PathBuf> = entries.flatten().map(|e| e.path()).filter(|p| is_configuration(p)).collect();
        files.sort();
        if files.is_empty() {
            let fix = Some("put *.yaml files into it, or name another folder".to_owned());
            self.problems.push(problem(&shown, 0, 0, "Empty", "the folder holds no *.yaml, *.yml or *.json file".into(), fix));
        }
        files.iter().for_each(|file| self.file(file));
    }

    fn file(&mut self, path: &Path) {
        let shown = path.display().to_string();
        match read(path) {
            Ok(text) => self.take(&shown, text),
            Err(why) => self.problems.push(problem(&shown, 0, 0, "Unreadable", why, None)),
        }
    }

    fn take(&mut self, name: &str, text: String) {
        let (objects, problems) = parse(name, &text);
        self.objects.extend(objects);
        self.problems.extend(problems);
        self.texts.insert(name.to_owned(), text);
    }

    /// The same object written twice: which of them would be in force is anybody's guess, so neither is taken silently.
    fn find_twins(&mut self) {
        let mut seen: BTreeMap<ObjectRef, Place> = BTreeMap::new();
        for object in self.objects.iter().filter(|object| !object.object.name.is_empty()) {
            match seen.get(&object.object) {
                Some(first) => {
                    let message = format!("{} is written twice: first in {}:{}", object.object, first.file, first.line);
                    let report = report(&object.object, "Duplicate", message, Some("keep one of them".into()));
                    self.problems.push(Located { place: object.place.clone(), report });
                }
                None => drop(seen.insert(object.object.clone(), object.place.clone())),
            }
        }
    }
}

/// A file's text, if it is one and within bounds.
///
/// # Errors
/// In words for people.
pub fn read(path: &Path) -> Result<String, String> {
    let size = std::fs::metadata(path).map_err(|e| e.to_string())?.len();
    if size > limits::FILE_BYTES {
        return Err(format!("is larger than {} MiB", limits::FILE_BYTES / 1024 / 1024));
    }
    std::fs::read_to_string(path).map_err(|e| e.to_string())
}

/// The objects of one text, and what is wrong with it. Broken syntax takes the whole text: where one document ends is then unknown.
pub fn parse(file: &str, text: &str) -> (Vec<Object>, Vec<Located>) {
    if text.len() as u64 > limits::FILE_BYTES {
        return (Vec::new(), vec![problem(file, 0, 0, "Unreadable", "it is too large".into(), None)]);
    }
    let name: Arc<str> = file.into();
    let (mut objects, mut problems) = (Vec::new(), Vec::new());
    // One document after another: the parser's budget is each document's, and only one of them is held as nodes.
    let mut bytes = text.as_bytes();
    let documents = serde_saphyr::read_with_options::<_, Spanned<Node>>(&mut bytes, Options::default());
    for (number, document) in documents.enumerate() {
        match document {
            Err(error) => return (Vec::new(), vec![syntax(file, &error)]),
            Ok(document) if number == limits::DOCUMENTS => {
                let (line, column) = (document.referenced.line() as u32, document.referenced.column() as u32);
                let message = format!("a file holds {} documents at most", limits::DOCUMENTS);
                return (Vec::new(), vec![problem(file, line, column, "Unreadable", message, Some("split it into several files".into()))]);
            }
            Ok(document) => take_document(&name, document, &mut objects, &mut problems),
        }
    }
    (objects, problems)
}

fn syntax(file: &str, error: &serde_saphyr::Error) -> Located {
    let (line, column) = error.location().map_or((0, 0), |l| (l.line() as u32, l.column() as u32));
    let said = error.to_string();
    let said = said.lines().next().unwrap_or_default();
    // It says `error: line 3 column 4: …`; the place is told beside it.
    let said = said.strip_prefix("error: ").unwrap_or(said);
    let said = said.rsplit_once(" at line ").map_or(said, |(what, _)| what);
    let said = said.split_once(": ").filter(|(place, _)| place.starts_with("line ")).map_or(said, |(_, what)| what);
    // What follows is for programmers of its library.
    let said = said.split_once(", set ").map_or(said, |(what, _)| what);
    problem(file, line, column, "Syntax", said.to_owned(), None)
}

fn take_document(file: &Arc<str>, document: Spanned<Node>, objects: &mut Vec<Object>, problems: &mut Vec<Located>) {
    let mut spans = BTreeMap::new();
    let value = node::into_value(document, file, "", &mut spans);
    if value.is_null() {
        return;
    }
    let is_list = value.get("kind").and_then(Value::as_str).is_some_and(|kind| kind.ends_with("List")) && value.get("items").is_some();
    if !is_list {
        return take_object(file, value, spans, objects, problems);
    }
    let Value::Object(mut map) = value else { return };
    let Some(Value::Array(items)) = map.remove("items") else { return };
    for (i, item) in items.into_iter().enumerate() {
        let prefix = format!("items[{i}]");
        let own = spans.iter().filter_map(|(path, place)| {
            let rest = path.strip_prefix(&prefix)?;
            let rest = rest.strip_prefix('.').unwrap_or(rest);
            Some((rest.to_owned(), place.clone()))
        });
        take_object(file, item, own.collect(), objects, problems);
    }
}

fn take_object(file: &Arc<str>, mut value: Value, spans: BTreeMap<String, Place>, objects: &mut Vec<Object>, problems: &mut Vec<Located>) {
    let place = spans.get("").cloned().unwrap_or_else(|| Place { file: file.clone(), line: 1, column: 1 });
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (api_version, kind, name) = (text("/apiVersion"), text("/kind"), text("/metadata/name"));
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    // Others' have no name now and then (`kustomization.yaml`, `generateName`): whether they may be here is asked later.
    let needs_no_name = !api_version.is_empty() && !kind.is_empty() && name.is_empty() && crate::schema::is_others(group, &kind);
    for (field, found) in [("apiVersion", &api_version), ("kind", &kind), ("metadata.name", &name)] {
        if found.is_empty() && !(needs_no_name && field == "metadata.name") {
            let pointer = format!("/{}", field.replace('.', "/"));
            let (what, fix) = match value.pointer(&pointer) {
                // Such as `no`, which YAML reads as a truth.
                Some(other) if !other.is_null() && !other.is_string() => {
                    (format!("{field} is no text: {other}"), "put it in quotes".into())
                }
                _ => (format!("an object without {field}"), format!("write a {field}")),
            };
            problems.push(problem(file, place.line, place.column, "Required", what, Some(fix)));
            return;
        }
    }
    if !crate::schema::is_others(group, &kind) {
        let namespace = text("/metadata/namespace");
        let wrong = if is_segment(&name) { None } else { Some(("name", &name, SEGMENT)) };
        let wrong = wrong.or_else(|| (!namespace.is_empty() && !is_label(&namespace)).then_some(("namespace", &namespace, LABEL)));
        if let Some((field, found, rule)) = wrong {
            let at = spans.get(&format!("metadata.{field}")).unwrap_or(&place);
            let what = format!("metadata.{field} is no name: {found:?}");
            problems.push(problem(file, at.line, at.column, "Invalid", what, Some(rule.into())));
            return;
        }
    }
    let namespaced = !CLUSTER_WIDE.contains(&kind.as_str());
    let written = Some(text("/metadata/namespace")).filter(|n| !n.is_empty());
    let namespace = if namespaced { written.unwrap_or_else(|| "default".into()) } else { String::new() };
    if namespaced && let Some(metadata) = value.pointer_mut("/metadata").and_then(Value::as_object_mut) {
        metadata.insert("namespace".into(), namespace.as_str().into());
    }
    let object = ObjectRef::new(group, &kind, &namespace, &name);
    let written = FINGERPRINT.hash_one(&value);
    objects.push(Object { object, api_version, value: Arc::new(value), place, spans: Arc::new(spans), written });
}

const SEGMENT: &str = "write a name of at most 253 bytes without white space, `/` and `%`, as Kubernetes has them";
const LABEL: &str = "write a DNS label (RFC 1123): at most 63 small letters, digits and `-`, a letter or digit at each end";

/// What Kubernetes takes for the name of any object; most kinds want a DNS name.
fn is_segment(name: &str) -> bool {
    let is_odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | '%');
    name.len() <= 253 && !matches!(name, "." | "..") && !name.contains(is_odd)
}

/// What Kubernetes takes for the name of a namespace.
fn is_label(name: &str) -> bool {
    let is_end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    let fits = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-';
    bytes.len() <= 63 && is_end(bytes.first()) && is_end(bytes.last()) && bytes.iter().all(fits)
}

pub(crate) fn report(object: &ObjectRef, reason: &str, message: String, fix: Option<String>) -> Report {
    Report { severity: Severity::Error, object: object.clone(), path: Vec::new(), reason: reason.into(), message, fix }
}

fn problem(file: &str, line: u32, column: u32, reason: &str, message: String, fix: Option<String>) -> Located {
    let place = Place { file: file.into(), line, column };
    Located { place, report: report(&ObjectRef::new("", "", "", ""), reason, message, fix) }
}

#[cfg(test)]
mod tests;
