//! What an edit of the rules of some HTTPRoutes alone changes: of all that is translated, those routes. They are translated among what they can refer to, which
//! makes of them what the whole translation makes. Whatever is not plain (another object that changed too, a route that hangs elsewhere or on other hosts than
//! before or on a Service, that anything is said about, or whose hosts a GRPCRoute may contest) is left to the whole translation.

use super::{GROUP, external, mesh, selected};
use crate::kubernetes::text;
use crate::{Object, Options, limits, translate};
use model::{ObjectRef, Resource, Route, Status};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The routes whose rules differ between the two, where nothing else does; `None` where something else does, where nothing does, or where they are many.
pub fn alone<'a>(before: &[Object], after: &'a [Object]) -> Option<Vec<&'a Object>> {
    if before.len() != after.len() {
        return None;
    }
    let mut edited = Vec::new();
    for (was, is) in before.iter().zip(after).filter(|(was, is)| was != is) {
        if edited.len() == limits::EDITED || !is_edit(was, is) {
            return None;
        }
        edited.push(is);
    }
    (!edited.is_empty() && !after.iter().any(|object| object.is(GROUP, "GRPCRoute"))).then_some(edited)
}

/// Of the same name and place, by Gateways alone, and different in nothing but its rules.
fn is_edit(was: &Object, is: &Object) -> bool {
    let same = (&was.object, &was.api_version, &was.place) == (&is.object, &is.api_version, &is.place);
    let by_gateways = !is.list("/spec/parentRefs").iter().any(mesh::is_service);
    // XBackends say who leads to them.
    let to_services = [was, is].iter().all(|route| external::named(&route.value).is_empty());
    same && to_services
        && is.is(GROUP, "HTTPRoute")
        && by_gateways
        && alike(was, is, "/metadata", "generation")
        && alike(was, is, "/spec", "rules")
}

/// Whether what stands there is the same but for one field.
fn alike(a: &Object, b: &Object, at: &str, but: &str) -> bool {
    let (Some(a), Some(b)) = (a.at(at).as_object(), b.at(at).as_object()) else { return false };
    a.iter().all(|(name, value)| name == but || b.get(name) == Some(value)) && b.keys().all(|name| name == but || a.contains_key(name))
}

/// What these routes are among `objects`, with their statuses; `None` where anything is to be said about one, or one is served by nobody.
pub fn routes<'o>(
    objects: impl Iterator<Item = &'o Object>,
    edited: &[&Object],
    options: &Options<'_>,
) -> Option<(Vec<Arc<Route>>, Vec<Status>)> {
    let is_one = |object: &ObjectRef| edited.iter().any(|route| route.object == *object);
    let among = neighbours(objects, edited);
    let made = translate(&among, options);
    if made.reports.iter().any(|report| is_one(&report.object)) {
        return None;
    }
    let routes = made.resources.into_iter().filter_map(|resource| match resource {
        Resource::Route(route) if is_one(&route.origin.object) => Some(route),
        _ => None,
    });
    let routes: Vec<_> = routes.collect();
    let statuses: Vec<_> = made.statuses.into_iter().filter(|status| is_one(&status.object)).collect();
    (routes.len() == edited.len() && statuses.len() == edited.len()).then_some((routes, statuses))
}

/// These routes, with all that says what becomes of them: other routes do not, nor do Services that they cannot mean.
pub fn neighbours<'o>(objects: impl Iterator<Item = &'o Object>, routes: &[&Object]) -> Vec<Object> {
    let mut names = BTreeSet::new();
    routes.iter().for_each(|route| collect_names(&route.value, &mut names));
    let concerns = |object: &&Object| match (&*object.object.group, &*object.object.kind) {
        ("discovery.k8s.io", "EndpointSlice") => false,
        // Those that were made for an XBackend are referred to by its name.
        ("", "Service") => names.contains(&*object.object.name) || text(object.at("/metadata/labels"), selected::LABEL).is_some(),
        (GROUP, kind) if kind.ends_with("Route") => routes.iter().any(|route| route.object == object.object),
        _ => true,
    };
    objects.filter(concerns).cloned().collect()
}

/// All that is said by a field `name`: what may be referred to is among it.
fn collect_names<'v>(value: &'v Value, names: &mut BTreeSet<&'v str>) {
    match value {
        Value::Object(fields) => {
            names.extend(fields.get("name").and_then(Value::as_str));
            fields.values().for_each(|value| collect_names(value, names));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_names(item, names)),
        _ => {}
    }
}
