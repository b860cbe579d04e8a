//! Gateway API v1.6 and v1.7 (`gateway.networking.k8s.io`), north-south and by GAMMA east-west. Attachment, intersection of hosts and
//! precedence are decided here, once; routing only sorts by rank.

pub mod authorizer;
pub mod backend;
pub mod backend_tls;
pub mod before;
pub mod certificate;
pub mod clients;
pub mod duration;
pub mod edited;
pub mod external;
pub mod features;
pub mod filter;
pub mod gateway;
pub mod listener;
pub mod matches;
pub mod mesh;
pub mod roots;
pub mod route;
pub mod rule;
pub mod selected;
pub mod session;
pub mod sets;
pub mod target;

pub const GROUP: &str = "gateway.networking.k8s.io";
pub const CONTROLLER: &str = "organza.dev/gateway-controller";

use crate::kubernetes::Inventory;
use crate::organza::settings::Settings;
use crate::wrong::printable;
use crate::{Object, Translation, limits};
use model::{Condition, ConditionStatus};

/// Gateways with their listeners, then routes, oldest first: of two that exclude each other the older is accepted.
pub fn translate(objects: &[Object], inventory: &mut Inventory, settings: &Settings, out: &mut Translation) {
    // Routes lead to ports of the application's own TLS only where a policy says how.
    let policies = backend_tls::attach(objects, inventory);
    let (externals, certificates) = external::read_all(objects, inventory);
    selected::attach(external::selected(&externals), inventory);
    let inventory = &*inventory;
    let mut routes: Vec<_> = objects.iter().filter_map(route::RouteObject::of).collect();
    routes.sort_by(|a, b| a.age().cmp(&b.age()));
    let claims = mesh::Claims::read(&routes, inventory);
    let world = backend::World { inventory, externals: &externals, claims: &claims, meshed: false };
    let mut gateways = gateway::Gateways::read(objects, &world, settings, out);
    gateways.shown.extend(certificates);
    external::report(objects, &externals, out);
    for route in routes {
        route::translate(route, &world, &mut gateways, out);
    }
    external::finish(objects, &externals, &gateways.doors, out);
    let mut strays = sets::strays(objects, &gateways);
    backend_tls::finish(policies, &gateways.doors, out);
    gateways.finish(out);
    out.reports.extend(objects.iter().filter_map(gateway::unsupported));
    out.reports.append(&mut strays);
}

pub fn condition(kind: &str, holds: bool, reason: &str, message: &str) -> Condition {
    let status = if holds { ConditionStatus::True } else { ConditionStatus::False };
    Condition { kind: kind.into(), status, reason: reason.into(), message: printable(message.to_owned(), limits::CONDITION_BYTES) }
}

#[cfg(test)]
mod tests;
