//! The keys of sessions (GEP-1619): one secret, kept in the store, and from it a key for each rule or Service that keeps sessions. A key travels inside
//! the resource that needs it, so that only proxies that are sent the rule or the Service have it, and all of them have the same: a session outlives
//! every proxy. Whoever reads resources without being a proxy is shown none, nor anything else that would let somebody in.

use crate::store::{Store, Txn};
use identity::seal;
use model::session::{Persistence, SessionKey};
use model::telemetry::{Exporter, Hidden, SpansTo, TelemetryPolicy};
use model::{Resource, Route, Service};
use std::sync::Arc;

const STORED: &str = "session-secret";

/// The secret of this mesh; made where there is none yet. `None` where none can be made: then no session is kept.
pub fn secret(store: &dyn Store) -> Option<[u8; 32]> {
    if let Some(kept) = store.get(STORED).ok().flatten().and_then(|kept| <[u8; 32]>::try_from(&kept[..]).ok()) {
        return Some(kept);
    }
    let made = seal::secret().inspect_err(|e| tracing::error!("no session can be kept: {e}")).ok()?;
    if let Err(e) = store.txn(Txn { put: vec![(STORED.to_owned(), made.to_vec())], delete: Vec::new() }) {
        tracing::error!("sessions end with this control plane, whose store took no secret: {e}");
    }
    Some(made)
}

/// The resource with a key for each session that it keeps.
pub fn keyed(resource: Resource, secret: Option<&[u8; 32]>) -> Resource {
    with_keys(resource, |usage| secret.map(|secret| SessionKey(seal::derive(secret, usage))))
}

/// The resource as it may be shown: without keys, and without what goes along with spans to a collector. `None` where it has neither anyway.
pub fn shown(resource: &Resource) -> Option<Resource> {
    if let Resource::Telemetry(policy) = resource {
        return without_headers(policy);
    }
    has_sessions(resource).then(|| with_keys(resource.clone(), |_| None))
}

/// Names stay: who looks is to see that something is sent.
fn without_headers(policy: &TelemetryPolicy) -> Option<Resource> {
    let Some(SpansTo::Exporter(to)) = &policy.says.spans else { return None };
    if to.headers.is_empty() {
        return None;
    }
    let headers = to.headers.iter().map(|(name, _)| (name.clone(), Hidden("".into()))).collect();
    let to = Exporter { headers, ..Exporter::clone(to) };
    let mut shown = policy.clone();
    shown.says.spans = Some(SpansTo::Exporter(Arc::new(to)));
    Some(Resource::Telemetry(Arc::new(shown)))
}

fn has_sessions(resource: &Resource) -> bool {
    match resource {
        Resource::Route(route) => route.rules.iter().any(|rule| rule.session.is_some()),
        Resource::Service(service) => service.policies.iter().any(|at| at.policy.session.is_some()),
        _ => false,
    }
}

fn with_keys(resource: Resource, key: impl Fn(&str) -> Option<SessionKey>) -> Resource {
    if !has_sessions(&resource) {
        return resource;
    }
    let put = |session: &Persistence, usage: String| Persistence { key: key(&usage), ..session.clone() };
    match resource {
        Resource::Route(mut route) => {
            let Route { key: name, rules, .. } = Arc::make_mut(&mut route);
            for rule in rules {
                let usage = format!("session {name} {}", rule.name);
                rule.session = rule.session.as_deref().map(|session| Box::new(put(session, usage)));
            }
            Resource::Route(route)
        }
        Resource::Service(mut service) => {
            let Service { key: name, policies, .. } = Arc::make_mut(&mut service);
            for at in policies {
                let usage = format!("session {name} {}", at.port.unwrap_or(0));
                let policy = Arc::make_mut(&mut at.policy);
                policy.session = policy.session.as_ref().map(|session| put(session, usage));
            }
            Resource::Service(service)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests;
