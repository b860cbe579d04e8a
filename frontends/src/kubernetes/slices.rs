//! What EndpointSlices alone change: they come and go all day where nothing else does, and of all that is translated they decide only who answers for a
//! Service. Whatever is not plain (a slice that is warned of, another object that changed too) is left to the whole translation.

use super::{Name, service, text};
use crate::{Object, Options};
use model::Endpoints;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// The Services whose slices differ between the two, where nothing else does; `None` where something else does, or where nothing does.
pub fn changed_alone(before: &[Object], after: &[Object]) -> Option<BTreeSet<Name>> {
    let others = |objects| <[Object]>::iter(objects).filter(|object| !is_slice(object));
    if !others(before).eq(others(after)) {
        return None;
    }
    let (before, after) = (by_name(before)?, by_name(after)?);
    let mut services = BTreeSet::new();
    let gone = before.iter().filter(|(name, _)| !after.contains_key(*name));
    let fresh = after.iter().filter(|(name, slice)| before.get(*name) != Some(slice));
    for (name, slice) in gone.chain(fresh) {
        services.insert(service_of(slice)?);
        // It may have been another Service's.
        if let Some(was) = before.get(name) {
            services.insert(service_of(was)?);
        }
    }
    (!services.is_empty()).then_some(services)
}

/// Who answers for these Services; `None` where one is not declared, or twice.
pub fn endpoints(objects: &[Object], services: &BTreeSet<Name>, options: &Options<'_>) -> Option<Vec<Endpoints>> {
    let slices = service::by_service(objects);
    let name = |object: &Object| (object.object.namespace.clone(), object.object.name.clone());
    let meant = objects.iter().filter(|object| object.is("", "Service") && services.contains(&name(object)));
    let found: Vec<Endpoints> =
        meant.map(|object| service::read_service(object, slices.get(&name(object)).map_or(&[], Vec::as_slice), options).1).collect();
    (found.len() == services.len()).then_some(found)
}

fn is_slice(object: &Object) -> bool {
    object.is("discovery.k8s.io", "EndpointSlice")
}

/// `None` where two have one name, of which the first counts.
fn by_name(objects: &[Object]) -> Option<BTreeMap<&model::ObjectRef, &Object>> {
    let slices = || objects.iter().filter(|object| is_slice(object));
    let named: BTreeMap<_, _> = slices().map(|slice| (&slice.object, slice)).collect();
    (named.len() == slices().count()).then_some(named)
}

/// Whose a slice is that nobody is warned of.
fn service_of(slice: &Object) -> Option<Name> {
    let service = text(slice.at("/metadata/labels"), service::SERVICE_LABEL)?;
    let addresses = slice.list("/endpoints").iter().flat_map(|endpoint| endpoint["addresses"].as_array().into_iter().flatten());
    let is_plain = |address: &serde_json::Value| address.as_str().is_some_and(|text| text.parse::<IpAddr>().is_ok());
    let plain = text(&slice.value, "addressType") != Some("FQDN") && addresses.into_iter().all(is_plain);
    plain.then(|| (slice.object.namespace.clone(), service.into()))
}
