//! Front ends: users' objects in, resources of the model, reports and statuses out. Pure; it never fails and never does I/O
//! but for `file`. One module per dialect; dialects meet in the model, never in each other's types.

pub mod gateway_api;
pub mod kubernetes;
pub mod limits;
pub mod object;
mod wrong;

pub use object::{Object, Place};

use model::{Report, Resource, Status, Workload};
use std::sync::Arc;

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

/// All passes over all objects: inventory, gateways, routes. Broken objects become reports and broken values, never an error.
pub fn translate(objects: &[Object], options: &Options<'_>) -> Translation {
    let mut out = Translation::default();
    let inventory = kubernetes::take_inventory(objects, options);
    out.reports.extend(inventory.reports.iter().cloned());
    gateway_api::translate(objects, &inventory, &mut out);
    out.resources.extend(inventory.services.into_values().map(|s| Resource::Service(Arc::new(s))));
    out.resources.extend(inventory.endpoints.into_iter().map(|e| Resource::Endpoints(Arc::new(e))));
    out
}

#[cfg(test)]
mod tests;
