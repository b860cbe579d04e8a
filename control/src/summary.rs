//! What changed between two worlds, in words for people: `HTTPRoute catalog 90/10 → 50/50`.

use crate::world::World;
use frontends::Object;
use model::Severity;
use serde_json::Value;
use std::collections::BTreeMap;
use wire::api::{Change, ChangeKind, Located};

pub fn changes(before: &World, after: &World) -> Vec<Change> {
    let index = |world: &World| -> BTreeMap<model::ObjectRef, usize> {
        world.objects.iter().enumerate().map(|(i, o)| (o.object.clone(), i)).collect()
    };
    let (old, new) = (index(before), index(after));
    let mut out = Vec::new();
    for (key, i) in &new {
        let object = &after.objects[*i];
        match old.get(key).map(|i| &before.objects[*i]) {
            None => out.push(change(ChangeKind::Added, object, format!("{} {} added", key.kind, key.name))),
            Some(was) if was.value != object.value => {
                out.push(change(ChangeKind::Changed, object, format!("{} {} {}", key.kind, key.name, difference(was, object))));
            }
            Some(_) => {}
        }
    }
    for (key, i) in old.iter().filter(|(key, _)| !new.contains_key(*key)) {
        out.push(change(ChangeKind::Removed, &before.objects[*i], format!("{} {} removed", key.kind, key.name)));
    }
    out
}

fn change(kind: ChangeKind, object: &Object, summary: String) -> Change {
    Change {
        change: kind,
        kind: object.object.kind.to_string(),
        namespace: object.object.namespace.to_string(),
        name: object.object.name.to_string(),
        file: object.place.file.to_string(),
        summary,
    }
}

fn difference(was: &Object, is: &Object) -> String {
    let (old, new) = (weights(was), weights(is));
    let splits: Vec<String> = old.iter().zip(&new).filter(|(a, b)| a != b).map(|(a, b)| format!("{a} → {b}")).collect();
    match splits.is_empty() || old.len() != new.len() {
        true => {
            let mut fields = Vec::new();
            differing(&was.value, &is.value, String::new(), &mut fields);
            match &fields[..] {
                [] => "changed".to_owned(),
                few if few.len() <= FIELDS => format!("changed: {}", few.join(", ")),
                [few @ .., _] => format!("changed: {} and more", few.join(", ")),
            }
        }
        false => splits.join(", "),
    }
}

/// Fields named in one change.
const FIELDS: usize = 3;

/// Paths of the fields that differ, the highest of each branch where it came or went; one more than are named.
fn differing(was: &Value, is: &Value, path: String, fields: &mut Vec<String>) {
    if was == is || fields.len() > FIELDS {
        return;
    }
    match (was, is) {
        (Value::Object(a), Value::Object(b)) => {
            let names: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for name in names {
                let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                differing(a.get(name).unwrap_or(&Value::Null), b.get(name).unwrap_or(&Value::Null), below, fields);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (i, (a, b)) in a.iter().zip(b).enumerate() {
                differing(a, b, format!("{path}[{i}]"), fields);
            }
        }
        _ => fields.push(path),
    }
}

/// `90/10` for each rule.
fn weights(object: &Object) -> Vec<String> {
    let weight = |backend: &Value| backend.get("weight").and_then(Value::as_u64).unwrap_or(1).to_string();
    let rule = |rule: &Value| {
        let backends = rule.get("backendRefs").and_then(Value::as_array);
        backends.map_or_else(String::new, |all| all.iter().map(weight).collect::<Vec<_>>().join("/"))
    };
    object.list("/spec/rules").iter().map(rule).collect()
}

/// Problems that came with a change: told at once, since whoever saved the file is looking.
pub fn new_problems(before: &World, after: &World) -> Vec<Located> {
    let fresh = after.problems().filter(|report| !before.reports.contains(report));
    fresh.map(|report| located(after, report)).collect()
}

/// A report with the place that its object has in a file.
pub fn located(world: &World, report: &model::Report) -> Located {
    let object = world.objects.iter().find(|o| o.object == report.object);
    let path = report.path_text();
    let place = object.map(|o| nearest(o, &path)).unwrap_or_default();
    Located {
        severity: match report.severity {
            Severity::Note => wire::api::Severity::Note,
            Severity::Warning => wire::api::Severity::Warning,
            Severity::Error => wire::api::Severity::Error,
        },
        file: place.file.to_string(),
        line: place.line,
        column: place.column,
        object: report.object.to_string(),
        path,
        reason: report.reason.to_string(),
        message: report.message.clone(),
        fix: report.fix.clone(),
    }
}

/// The place of the field, or of the nearest one above it that has a place.
fn nearest(object: &Object, path: &str) -> frontends::Place {
    let mut path = path;
    loop {
        if let Some(place) = object.spans.get(path) {
            return place.clone();
        }
        match path.rfind(['.', '[']) {
            Some(at) => path = &path[..at],
            None => return object.place.clone(),
        }
    }
}
