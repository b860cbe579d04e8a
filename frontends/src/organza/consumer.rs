//! `Consumer`: who consumes an API, by the hashes of its keys. It fails closed: where a part of it cannot be read, or the schema refuses it, a key is
//! demanded where it stands and none is its own. Of two that name the same key at the same target the second has it in vain, and is told.

use super::access::{is_refused, unread};
use super::issuer::{NEVER_WRITTEN, list};
use super::{GROUP, guarded};
use crate::kubernetes::{Inventory, text};
use crate::wrong::{Within, Wrong};
use crate::{Object, Translation};
use model::consumer::{Consumer, KeyHash, KeyPlace};
use model::{Key, Kind, Report, Resource, Severity, Source, Status};
use serde_json::Value;
use std::sync::Arc;

pub const KIND: &str = "Consumer";

/// Where a key stands if nobody says.
const USUAL: &str = "x-api-key";

pub fn translate(objects: &[Object], inventory: &Inventory, out: &mut Translation) {
    let mut made: Vec<Arc<Consumer>> = Vec::new();
    for object in objects.iter().filter(|object| object.is(GROUP, KIND)) {
        let consumer = one(object, objects, inventory, out);
        if consumer.targets.is_empty() {
            continue;
        }
        out.reports.extend(made.iter().find_map(|other| same_key(object, &consumer, other)));
        made.push(Arc::new(consumer));
    }
    out.resources.extend(made.into_iter().map(Resource::Consumer));
}

/// A key of both, where both are read. The first by key has it, and the place in the files does not matter.
fn same_key(object: &Object, one: &Consumer, other: &Consumer) -> Option<Report> {
    let meet = one.targets.iter().any(|target| other.targets.contains(target));
    let at = one.keys.iter().position(|hash| other.keys.contains(hash)).filter(|_| meet)?;
    let (first, second) = if one.key < other.key { (one, other) } else { (other, one) };
    let message = format!("{} has the same key at the same target as {}, whose it is.", second.origin.object, first.origin.object);
    let wrong = Wrong::new("SameKey", message).fix("Give each consumer keys of its own.").item(at).at("keys").at("spec");
    Some(Report { severity: Severity::Warning, ..wrong.report(&object.object) })
}

/// What becomes of the object of this name has this key.
pub fn key(namespace: &str, name: &str) -> Key {
    Key::new(Source::files(), Kind::Consumer, namespace, &format!("{}.{name}", KIND.to_lowercase()))
}

fn one(object: &Object, objects: &[Object], inventory: &Inventory, out: &mut Translation) -> Consumer {
    let is_refused = is_refused(object);
    let read = read(object).at("spec");
    let wrong = read.as_ref().err().filter(|_| !is_refused).cloned();
    let report = wrong.as_ref().map(|wrong| wrong.report(&object.object));
    let closed = format!("A part of it cannot be read: a key is demanded, and none is its own. {}.", unread(object, report.as_ref()));
    out.reports.extend(report);
    let said = match (is_refused || wrong.is_some(), wrong.as_ref().map_or("Invalid", |wrong| wrong.reason)) {
        (true, reason) => (reason, &*closed),
        (false, _) => ("", "The consumer's keys are read."),
    };
    let (targets, parents) = guarded(object, objects, inventory, said, out);
    out.statuses.push(Status { object: object.object.clone(), conditions: Vec::new(), parents, listeners: Vec::new() });
    let Said { keys, groups, from, required, passed_on } = match read {
        Ok(said) if !is_refused => said,
        _ => Said::default(),
    };
    let key = key(&object.object.namespace, &object.object.name);
    Consumer { key, origin: object.origin(), targets, keys, groups, from, required, passed_on }
}

struct Said {
    keys: Vec<KeyHash>,
    groups: Vec<Arc<str>>,
    from: Vec<KeyPlace>,
    required: bool,
    passed_on: bool,
}

impl Default for Said {
    fn default() -> Self {
        Self { keys: Vec::new(), groups: Vec::new(), from: Vec::new(), required: true, passed_on: false }
    }
}

fn invalid(message: impl Into<String>) -> Wrong {
    Wrong::new("Invalid", message)
}

fn read(object: &Object) -> Result<Said, Wrong> {
    let spec = object.at("/spec");
    let flag = |field: &str, default: bool| match spec.get(field) {
        None | Some(Value::Null) => Ok(default),
        Some(Value::Bool(yes)) => Ok(*yes),
        Some(odd) => Err(invalid(format!("{odd} is neither true nor false.")).at(field)),
    };
    let group = |value: &Value| match value.as_str().filter(|name| !name.is_empty() && !name.contains('/')) {
        Some(name) => Ok(Arc::from(format!("{}/{name}", object.object.namespace))),
        None => Err(invalid(format!("{value} is no name of a group."))),
    };
    // What stands there may be a key: it is not said again.
    if spec.get("keys").is_some_and(|keys| !keys.is_array()) {
        return Err(invalid("The keys are no list.").at("keys"));
    }
    let keys = list(spec, "keys", hash)?.unwrap_or_default();
    if keys.is_empty() {
        return Err(invalid("It has no keys, and nobody is it.").at("keys"));
    }
    Ok(Said {
        keys,
        groups: list(spec, "groups", group)?.unwrap_or_default(),
        from: list(spec, "from", place)?.unwrap_or_else(|| vec![KeyPlace::Header(USUAL.into())]),
        required: flag("required", true)?,
        passed_on: flag("passOn", false)?,
    })
}

/// Headers in which keys of any consumer stand, in lower case, whatever else is said of it.
pub(super) fn headers_of_keys(objects: &[Object]) -> Vec<String> {
    let places = objects.iter().filter(|object| object.is(GROUP, KIND)).flat_map(|object| object.list("/spec/from"));
    places.filter_map(|place| Some(text(place.get("header")?, "name")?.to_ascii_lowercase())).collect()
}

fn hash(value: &Value) -> Result<KeyHash, Wrong> {
    // What is written there may be the key itself: it is not said again.
    let wrong = || invalid("This is no SHA-256 in 64 hexadecimal digits.").fix("Write what organza access key prints.").at("sha256");
    let digits = text(value, "sha256").map(str::as_bytes).filter(|digits| digits.len() == 64).ok_or_else(wrong)?;
    let mut hash = KeyHash::default();
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |at: usize| char::from(pair[at]).to_digit(16).ok_or_else(wrong);
        *byte = (digit(0)? << 4 | digit(1)?) as u8;
    }
    Ok(hash)
}

fn place(value: &Value) -> Result<KeyPlace, Wrong> {
    let kind = text(value, "type").unwrap_or("");
    let named = |field: &str| {
        let name = value.get(field).and_then(|place| text(place, "name")).unwrap_or("");
        match !name.is_empty() && name.bytes().all(model::http::is_token_byte) {
            true => Ok(name),
            false => Err(invalid(format!("{name:?} is no name of a {field}.")).at("name").at(field)),
        }
    };
    match kind {
        "Header" => {
            let name = named("header")?.to_ascii_lowercase();
            match NEVER_WRITTEN.contains(&&*name) {
                true => Err(invalid(format!("A key does not stand in {name}.")).at("name").at("header")),
                false => Ok(KeyPlace::Header(name.into())),
            }
        }
        "Query" => named("query").map(|name| KeyPlace::Query(name.into())),
        "Cookie" => named("cookie").map(|name| KeyPlace::Cookie(name.into())),
        other => Err(invalid(format!("{other:?} is no place of a key.")).fix("Use Header, Query or Cookie.").at("type")),
    }
}

#[cfg(test)]
mod tests;
