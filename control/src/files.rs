//! YAML files as objects. A file that cannot be read whole keeps its last good objects in force: what worked is never taken down by a mistake.

use frontends::Object;
use model::ObjectRef;
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
    problems: Vec<Located>,
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
    /// The file that each object in force stands in: where another declares it too, what worked goes on.
    homes: BTreeMap<ObjectRef, PathBuf>,
}

/// A read of the files that differed from the one before.
#[derive(Debug, Default)]
pub struct Read {
    pub objects: Vec<Object>,
    pub problems: Vec<Located>,
}

impl Files {
    pub fn new(mut paths: Vec<PathBuf>) -> Self {
        let mut seen = std::collections::BTreeSet::new();
        paths.retain(|path| seen.insert(path.clone()));
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

    /// Whether the last look saw a change that the next one may read.
    pub fn is_changing(&self) -> bool {
        self.seen.is_some()
    }

    /// Reads what is new, and keeps of the rest what is still good.
    fn take(&mut self, found: Found) -> Read {
        // A folder that is gone, or empty of a sudden, says nothing of what its owner wants: what was served goes on.
        let vanished = found.files.is_empty() && !self.known.is_empty();
        let lost = |path: &Path| vanished || found.missing.iter().any(|root| path.starts_with(root));
        self.known.retain(|path, _| found.files.contains_key(path) || lost(path));
        for (path, stamp) in &found.files {
            let before = self.known.get(path).filter(|known| known.stamp != *stamp).map(|known| known.good.as_slice());
            if before.is_none() && self.known.contains_key(path) {
                continue;
            }
            let (good, problems) = parse(path, &frontends::file::name_among(&self.paths, path), before.unwrap_or_default());
            self.known.insert(path.clone(), Known { stamp: *stamp, good, problems });
        }
        let mut problems: Vec<_> = found.missing.iter().map(|p| gone(p)).collect();
        if vanished && problems.is_empty() {
            problems.push(problem("", 0, 0, "the configuration is gone; put it back, or end the mesh".into()));
        }
        problems.extend(self.known.values().flat_map(|known| &known.problems).cloned());
        self.read = Some(found);
        let (objects, twins) = self.one_of_each();
        problems.extend(twins);
        Read { objects, problems }
    }

    /// The same object written twice is in force once: as the file has it that it was read from before, else as the first has it.
    fn one_of_each(&mut self) -> (Vec<Object>, Vec<Located>) {
        let mut homes: BTreeMap<ObjectRef, &PathBuf> = BTreeMap::new();
        for (path, known) in &self.known {
            for object in &known.good {
                if self.homes.get(&object.object) == Some(path) {
                    homes.insert(object.object.clone(), path);
                } else {
                    homes.entry(object.object.clone()).or_insert(path);
                }
            }
        }
        let mut taken: BTreeMap<&ObjectRef, &Object> = BTreeMap::new();
        let mut twins = Vec::new();
        for (path, known) in &self.known {
            for object in &known.good {
                match taken.get(&object.object) {
                    None if homes.get(&object.object) == Some(&path) => drop(taken.insert(&object.object, object)),
                    _ => twins.push(object),
                }
            }
        }
        let told = twins.into_iter().map(|twin| twice(twin, taken.get(&twin.object).map(|first| &first.place))).collect();
        let objects = self.known.iter().flat_map(|(path, known)| known.good.iter().map(move |object| (path, object)));
        let kept = objects.filter(|(_, object)| taken.get(&object.object).is_some_and(|taken| std::ptr::eq(*taken, *object)));
        let objects = kept.map(|(_, object)| object.clone()).collect();
        let homes = homes.into_iter().map(|(object, path)| (object, path.clone())).collect();
        self.homes = homes;
        (objects, told)
    }
}

fn twice(twin: &Object, first: Option<&frontends::Place>) -> Located {
    let first = first.map_or_else(String::new, |place| format!(": {}:{} is in force", place.file, place.line));
    Located {
        object: twin.object.to_string(),
        reason: "Duplicate".into(),
        fix: Some("keep one of them".into()),
        ..problem(&twin.place.file, twin.place.line, twin.place.column, format!("it is written twice{first}"))
    }
}

fn find(paths: &[PathBuf]) -> Found {
    let mut found = Found::default();
    for path in paths {
        if path.is_dir() {
            let entries = std::fs::read_dir(path).into_iter().flatten().flatten().map(|e| e.path());
            found.files.extend(entries.filter(|p| frontends::file::is_configuration(p)).filter_map(|p| stamp(&p).map(|stamp| (p, stamp))));
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

/// A file's objects, and what is wrong with it. What is broken stays in force as it last was: the whole file where its syntax is broken, single
/// objects where their schema refuses them.
fn parse(path: &Path, file: &str, before: &[Object]) -> (Vec<Object>, Vec<Located>) {
    let text = match frontends::file::read(path) {
        Ok(text) => text,
        Err(why) => return (before.to_vec(), vec![problem(file, 0, 0, why)]),
    };
    let (objects, broken) = frontends::file::parse(file, &text);
    let mut problems: Vec<Located> = broken.into_iter().map(located).collect();
    if !problems.is_empty() {
        return (before.to_vec(), problems);
    }
    let named: Vec<_> = objects.iter().map(|o| o.object.clone()).collect();
    let (mut good, refused) = frontends::schema::check_again(objects, before);
    problems.extend(refused.into_iter().map(located));
    let kept = before.iter().filter(|old| named.contains(&old.object) && !good.iter().any(|new| new.object == old.object)).cloned();
    let kept: Vec<Object> = kept.collect();
    good.extend(kept);
    (good, problems)
}

/// In the API's words.
fn located(found: frontends::file::Located) -> Located {
    let report = found.report;
    Located {
        severity: Severity::Error,
        file: found.place.file.to_string(),
        line: found.place.line,
        column: found.place.column,
        object: if report.object.kind.is_empty() { String::new() } else { report.object.to_string() },
        path: report.path_text(),
        reason: report.reason.to_string(),
        message: report.message,
        fix: report.fix,
    }
}

fn gone(path: &Path) -> Located {
    let fix = "put it back, or end the mesh and leave it out; what it held stays in force".to_owned();
    Located { fix: Some(fix), ..problem(&path.display().to_string(), 0, 0, "there is no such file or folder".into()) }
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
