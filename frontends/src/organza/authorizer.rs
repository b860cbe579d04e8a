//! `ExternalAuthorizer`: who is asked, outside of the mesh's own rules, whether a request may be. It fails closed: where a part of it cannot be read, or
//! what it refers to is not there, its targets answer nobody, and what the schema refuses is held closed in the same way.

use super::access::{is_refused, unread};
use super::{GROUP, guarded};
use crate::gateway_api::{authorizer, backend, duration, external, mesh};
use crate::kubernetes::Inventory;
use crate::wrong::{Within, Wrong};
use crate::{Object, Translation, limits};
use model::authorizer::{AskedBy, Asking, ExternalAuthorizer, Fields};
use model::{Backend, InvalidBackend, Key, Kind, Resource, Source, Status};
use serde_json::Value;
use std::sync::Arc;

pub const KIND: &str = "ExternalAuthorizer";

pub fn translate(objects: &[Object], inventory: &Inventory, out: &mut Translation) {
    if !objects.iter().any(|object| object.is(GROUP, KIND)) {
        return;
    }
    let (externals, _) = external::read_all(objects, inventory);
    let claims = mesh::Claims::read(&[], inventory);
    let world = backend::World { inventory, externals: &externals, claims: &claims, meshed: false };
    for object in objects.iter().filter(|object| object.is(GROUP, KIND)) {
        let authorizer = one(object, objects, &world, out);
        if !authorizer.targets.is_empty() {
            out.resources.push(Resource::ExternalAuthorizer(Arc::new(authorizer)));
        }
    }
}

fn one(object: &Object, objects: &[Object], world: &backend::World<'_>, out: &mut Translation) -> ExternalAuthorizer {
    let is_refused = is_refused(object);
    let read = read(object, world).map(|(asked, broken)| (asked, broken.map(|wrong| wrong.at("spec")))).at("spec");
    let wrong = match &read {
        Err(wrong) => Some(wrong),
        Ok((_, broken)) => broken.as_ref(),
    };
    let wrong = wrong.filter(|_| !is_refused).cloned();
    let report = wrong.as_ref().map(|wrong| wrong.report(&object.object));
    let closed = format!("Nobody can be asked by it: no request is let through. {}.", unread(object, report.as_ref()));
    out.reports.extend(report);
    let broken = (is_refused || wrong.is_some()).then(|| wrong.as_ref().map_or("Invalid", |wrong| wrong.reason));
    let broken = broken.map(|reason| (reason, &*closed));
    let (targets, parents) = guarded(object, objects, world.inventory, broken.unwrap_or(("", "The authorizer is asked.")), out);
    out.statuses.push(Status { object: object.object.clone(), conditions: Vec::new(), parents, listeners: Vec::new() });
    let name = format!("{}.{}", KIND.to_lowercase(), object.object.name);
    let asked = match read {
        Ok((asked, _)) if !is_refused => asked,
        _ => nobody(),
    };
    let key = Key::new(Source::files(), Kind::ExternalAuthorizer, &object.object.namespace, &name);
    ExternalAuthorizer { key, origin: object.origin(), targets, only: None, asked }
}

/// Who cannot be asked, and so allows nothing.
fn nobody() -> Asking {
    let message = "a part of it cannot be read".into();
    Asking {
        backend: Backend::Invalid { reason: InvalidBackend::UnsupportedValue, message },
        protocol: AskedBy::Grpc,
        told: Fields::Only(Vec::new()),
        body: 0,
        timeout: limits::DEFAULT_AUTHORIZER_TIME,
        fail_open: false,
    }
}

fn read(object: &Object, world: &backend::World<'_>) -> Result<(Asking, Option<Wrong>), Wrong> {
    let spec = object.at("/spec");
    let (asking, broken) = authorizer::asking(spec, &object.object, world)?;
    let timeout = match spec.get("timeout") {
        None | Some(Value::Null) => asking.timeout,
        Some(found) => duration::read(found.as_str().unwrap_or("")).at("timeout")?,
    };
    if !limits::AUTHORIZER_TIME.contains(&timeout) {
        return Err(Wrong::new("Invalid", format!("A time-out of {timeout:?} is not from 1ms to 1m.")).at("timeout"));
    }
    let fail_open = match spec.get("failOpen") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(open)) => *open,
        Some(odd) => return Err(Wrong::new("Invalid", format!("{odd} is neither true nor false.")).at("failOpen")),
    };
    Ok((Asking { timeout, fail_open, ..asking }, broken))
}

#[cfg(test)]
mod tests;
