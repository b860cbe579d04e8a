//! Front ends: users' objects in, resources of the model, reports and statuses out. Pure; it never fails and never does I/O
//! but for `file`. One module per dialect; dialects meet in the model, never in each other's types.

pub mod file;
pub mod gateway_api;
pub mod judge;
pub mod kubernetes;
pub mod limits;
pub mod object;
pub mod organza;
pub mod schema;
mod wrong;

pub use object::{Object, Place};

use model::{Report, Resource, Status, Workload};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use wrong::Wrong;

/// What translation needs to know besides the objects.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options<'a> {
    /// The processes that joined; Services select among them.
    pub workloads: &'a [Workload],
}

#[derive(Debug, Clone, Default)]
pub struct Translation {
    pub resources: Vec<Resource>,
    pub reports: Vec<Report>,
    pub statuses: Vec<Status>,
}

/// All passes over all objects: inventory, settings, gateways, routes, policies. Broken objects become reports and broken values, never an error.
pub fn translate(objects: &[Object], options: &Options<'_>) -> Translation {
    let mut out = Translation::default();
    let objects = &*without_repeats(objects, &mut out.reports);
    let mut inventory = kubernetes::take_inventory(objects, options);
    gateway_api::selected::take(objects, options, &mut inventory);
    out.reports.extend(inventory.reports.iter().cloned());
    let settings = organza::settings::Settings::read(objects, &inventory, &mut out);
    for service in inventory.services.values_mut() {
        service.normalisation = settings.normalisation(&service.key.namespace);
    }
    gateway_api::translate(objects, &mut inventory, &settings, &mut out);
    organza::translate(objects, &mut inventory, &mut out);
    organza::access::translate(objects, &inventory, options.workloads, &mut out);
    organza::rates::translate(objects, &inventory, &mut out);
    organza::issuer::translate(objects, &inventory, &mut out);
    organza::consumer::translate(objects, &inventory, &mut out);
    organza::telemetry::translate(objects, &inventory, &mut out);
    organza::authorizer::translate(objects, &inventory, &mut out);
    settings.access(&mut out);
    out.resources.extend(inventory.services.into_values().map(|s| Resource::Service(Arc::new(s))));
    out.resources.extend(inventory.endpoints.into_iter().map(|e| Resource::Endpoints(Arc::new(e))));
    organza::access::notes_of_bytes(&mut out);
    organza::access::notes_of_proofs(&mut out);
    out
}

/// Of two objects of one name the first counts, whatever file it stands in; the second is said aloud.
fn without_repeats<'a>(objects: &'a [Object], reports: &mut Vec<Report>) -> Cow<'a, [Object]> {
    let mut seen = BTreeMap::new();
    let mut repeated = BTreeSet::new();
    for (i, object) in objects.iter().enumerate() {
        let Some(first) = seen.insert(&object.object, object) else { continue };
        let place = if first.place.file.is_empty() { String::new() } else { format!(" at {}:{}", first.place.file, first.place.line) };
        let wrong = Wrong::new("Repeated", format!("{} is written twice; the first{place} counts.", object.object));
        reports.push(wrong.fix("Remove one of the two, or rename it.").at("name").at("metadata").report(&object.object));
        seen.insert(&object.object, first);
        repeated.insert(i);
    }
    match repeated.is_empty() {
        true => Cow::Borrowed(objects),
        false => objects.iter().enumerate().filter(|(i, _)| !repeated.contains(i)).map(|(_, object)| object.clone()).collect(),
    }
}

#[cfg(test)]
mod tests;
