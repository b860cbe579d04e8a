//! What is wrong with objects before anybody has them, as they would stand among others: for `organza validate`, and for an API server that asks before it
//! takes one. What is found is what translation would report; it knows no dialect's fields.

use crate::gateway_api::{self, edited};
use crate::{Object, Options, Translation, organza, translate};
use model::{ObjectRef, Report, Severity};
use std::collections::BTreeSet;

/// What is there, with new objects in the place of those that are called like them.
pub fn over(new: &[Object], there: &[Object]) -> Vec<Object> {
    let written: BTreeSet<_> = new.iter().map(|object| &object.object).collect();
    new.iter().chain(there.iter().filter(|object| !written.contains(&object.object))).cloned().collect()
}

/// What translation makes of all of it; of its reports those about new objects, for what is wrong with the rest already is told elsewhere.
pub fn among(new: &[Object], there: &[Object], options: &Options<'_>) -> Translation {
    let mut translation = translate(&over(new, there), options);
    translation.reports.retain(|report| new.iter().any(|object| object.object == report.object));
    translation
}

/// The errors of one object. `None` where it is not ours to judge: it hangs on nobody's Gateway but another controller's, or nowhere yet.
pub fn of_one(new: &Object, there: &[Object], options: &Options<'_>) -> Option<Vec<Report>> {
    let is_route = new.object.group.as_ref() == gateway_api::GROUP && new.object.kind.ends_with("Route");
    let translation = match is_route {
        // Of thousands of others none says what becomes of it.
        true => among(std::slice::from_ref(new), &edited::neighbours(there.iter(), &[new]), options),
        false => among(std::slice::from_ref(new), there, options),
    };
    if !is_ours(&new.object, &translation) {
        return None;
    }
    Some(translation.reports.into_iter().filter(|report| report.severity == Severity::Error).collect())
}

/// Our own kinds are ours wherever they hang; of Gateway API's, what has a status of ours. A policy (or a backend) has one whoever leads there: it is ours where one
/// of its parents is a Gateway of ours.
fn is_ours(object: &ObjectRef, translation: &Translation) -> bool {
    let told = |object: &ObjectRef| translation.statuses.iter().find(|status| status.object == *object);
    let is_gateway = |object: &ObjectRef| object.group.as_ref() == gateway_api::GROUP && object.kind.as_ref() == "Gateway";
    let is_told_if_ours = ["GatewayClass", "Gateway", "ListenerSet", "Route"].iter().any(|end| object.kind.ends_with(end));
    let leads = |parent: &ObjectRef| is_gateway(parent) && told(parent).is_some();
    object.group.as_ref() == organza::GROUP
        || told(object).is_some_and(|status| is_told_if_ours || status.parents.iter().any(|parent| leads(&parent.parent)))
}

/// Why an object is wrong in itself: nothing else that comes or goes mends it. What refers to something that is not there may be early.
const OF_ITSELF: &[&str] =
    &["Invalid", "InvalidValue", "UnsupportedValue", "UnsupportedProtocol", "IncompatibleFilters", "InvalidListenerFilter"];

pub fn is_of_itself(report: &Report) -> bool {
    OF_ITSELF.contains(&&*report.reason)
}

#[cfg(test)]
mod tests;
