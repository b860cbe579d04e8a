//! Lists beside those of objects: workloads, and everything that is wrong in one place.

use super::keyless;
use super::picture::Places;
use crate::core::{Core, now, seconds};
use crate::limits;
use crate::summary::located;
use crate::world::World;
use model::{Key, Resource, Tunnel};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use wire::api::{self, Located, Severity};

pub fn workloads(core: &Core) -> api::WorkloadList {
    let world = core.world();
    let places = Places::of(&world, &core.lock().registry);
    let items = world.resources().filter_map(|resource| {
        let Resource::Workload(workload) = resource else { return None };
        let place = places.workload(&workload.key.namespace, &workload.canonical_name);
        let locality = &workload.locality;
        Some(api::Workload {
            namespace: workload.key.namespace.to_string(),
            name: workload.key.name.to_string(),
            canonical_name: workload.canonical_name.to_string(),
            version: workload.revision.to_string(),
            identity: workload.identity.to_string(),
            labels: workload.labels.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect(),
            addresses: workload.addresses.iter().map(ToString::to_string).collect(),
            ports: workload.ports.iter().map(|port| port.number).collect(),
            tunnel: match workload.tunnel {
                Tunnel::None => "none",
                Tunnel::Hbone(_) => "hbone",
                Tunnel::Organza(_) => "organza",
            }
            .to_owned(),
            locality: match (&*locality.region, &*locality.zone) {
                (region, "") => region.to_owned(),
                (region, zone) => format!("{region}/{zone}"),
            },
            services: world.services_of(&workload.key),
            node: place.map(super::picture::Place::id).unwrap_or_default(),
        })
    });
    api::WorkloadList { generation: world.generation, items: items.collect() }
}

/// Calls seen, with what callers are called.
pub fn calls(core: &Core) -> api::CallList {
    let world = core.world();
    let mut services: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for resource in world.resources() {
        let Resource::Service(service) = resource else { continue };
        for identity in service.identities.iter() {
            services.entry(identity.to_string()).or_default().push(format!("{}/{}", service.key.namespace, service.key.name));
        }
    }
    let by_address = by_address(&world);
    // Who proved nothing has the names that its address has.
    let names = |source: &str| match services.get(source) {
        Some(services) => services.clone(),
        None => source
            .parse()
            .ok()
            .and_then(|address: IpAddr| Some(by_address.get(&address)?.iter().map(service_name).collect()))
            .unwrap_or_default(),
    };
    let inner = core.lock();
    let items = inner.calls.told().map(|told| api::Call {
        source: told.source.to_owned(),
        source_services: names(told.source),
        namespace: told.called.namespace.clone(),
        service: told.called.service.clone(),
        workload: told.called.workload.clone(),
        port: told.call.port,
        protocol: told.call.protocol.clone(),
        method: told.call.method.clone(),
        path: told.call.path.clone(),
        allowed: told.counts.allowed,
        denied: told.counts.denied,
        first_seen: told.first,
        last_seen: told.last,
        last_allowed: told.last_allowed,
    });
    api::CallList { generation: world.generation, items: items.collect(), days: limits::CALL_DAYS, left_out: inner.calls.left_out() }
}

/// Services by where they are answered. An address of this machine alone is anybody's.
pub(super) fn by_address(world: &World) -> HashMap<IpAddr, BTreeSet<&Key>> {
    let mut all: HashMap<IpAddr, BTreeSet<&Key>> = HashMap::new();
    for resource in world.resources() {
        let Resource::Endpoints(endpoints) = resource else { continue };
        for endpoint in endpoints.endpoints.iter().filter(|endpoint| !endpoint.address.is_loopback()) {
            all.entry(endpoint.address).or_default().insert(&endpoints.key);
        }
    }
    all
}

fn service_name(key: &&Key) -> String {
    format!("{}/{}", key.namespace, key.name)
}

/// What files say wrong, what proxies refuse, who is gone, what is left out, what ends soon.
pub fn problems(core: &Core) -> api::ProblemList {
    let world = core.world();
    let mut items: Vec<Located> = core.store_problem().into_iter().collect();
    let inner = core.lock();
    items.extend(inner.problems.iter().cloned());
    items.extend(world.problems().map(|report| located(&world, report)));
    let time = seconds(now());
    for entry in inner.registry.entries() {
        let Some(session) = inner.sessions.get(&entry.proxy) else { continue };
        let of =
            |severity, reason: &str, message: String, fix: String| said(severity, format!("Proxy {}", entry.proxy), reason, message, fix);
        for (key, reason) in &session.refused {
            let fix = "change the object it came from; its last good version stays in force there".to_owned();
            items.push(of(Severity::Error, "Refused", format!("it refused {key}: {reason}"), fix));
        }
        for (key, means) in &session.withheld {
            let fix = "start it by this release: organza up --upgrade, or organza run anew".to_owned();
            let message = format!("it is of release {:?} and cannot be given {key}: {means}", session.release);
            items.push(of(Severity::Error, "OlderRelease", message, fix));
        }
        if !session.connected && session.since > 0 {
            items.push(of(
                Severity::Warning,
                "NotConnected",
                "it has no connection to the control plane; it serves what it knows".into(),
                format!("read its log: organza logs {}", entry.proxy),
            ));
        }
    }
    for entry in inner.registry.entries() {
        let Some((dropped, all)) = inner.contexts.dropped(&entry.proxy, time) else { continue };
        let message = format!("{dropped} of its last {all} calls came without the trace of the request that they serve: traces end here");
        let fix = "pass the header traceparent on with each call (or b3, or the X-B3- headers, where those came)".to_owned();
        items.push(said(Severity::Warning, format!("Proxy {}", entry.proxy), "DropsTraceContext", message, fix));
    }
    for (proxy, (identity, not_before, not_after)) in &inner.issued {
        // Renewed at half life: what has so little left was not.
        let life = not_after.saturating_sub(*not_before);
        if time + life / 4 > *not_after {
            let left = not_after.saturating_sub(time);
            let fix = format!("read its log: organza logs {proxy}");
            items.push(said(
                Severity::Warning,
                format!("Certificate {identity}"),
                "EndsSoon",
                format!("it ends in {left} s and was not renewed"),
                fix,
            ));
        }
    }
    items.extend(keyless::problems(&world, &inner, time));
    for resource in world.resources() {
        let Resource::Service(service) = resource else { continue };
        let key = &service.key;
        let object = || format!("Service {}/{}", key.namespace, key.name);
        for (proxy, breaker) in inner.ejections.breakers(&key.namespace, &key.name, time) {
            let message = format!("{proxy} does not call it: {} % of {} requests failed", breaker.percent, breaker.requests);
            items.push(said(Severity::Warning, object(), "BreakerOpen", message, "see why it fails: flows, or organza logs".into()));
        }
        for (proxy, full) in inner.ejections.crowded(&key.namespace, &key.name, time) {
            let message = format!("{proxy} may open no more connections to it: {} are open, {} calls wait", full.open, full.waiting);
            items.push(said(Severity::Warning, object(), "Crowded", message, "raise its limit of connections, or add endpoints".into()));
        }
        let endpoints: Vec<_> = super::told::endpoints(&world, &inner, key, time).collect();
        if endpoints.is_empty() {
            let fix = "start a workload with the labels that its selector names, or take it out".to_owned();
            items.push(said(Severity::Warning, object(), "NoEndpoint", "nobody answers for it: a call gets 503".into(), fix));
        }
        for endpoint in endpoints {
            for one in &endpoint.ejected {
                let reason = if one.unhealthy { "Unhealthy" } else { "Ejected" };
                let message = format!("{} leaves endpoint {} out: {}", one.proxy, endpoint.id, one.cause);
                items.push(said(Severity::Warning, object(), reason, message, "see why it fails: flows, or organza logs".into()));
            }
        }
    }
    items.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| (&a.file, a.line, &a.object).cmp(&(&b.file, b.line, &b.object))));
    items.truncate(limits::PROBLEMS);
    api::ProblemList { generation: world.generation, items }
}

pub(super) fn said(severity: Severity, object: String, reason: &str, message: String, fix: String) -> Located {
    Located {
        severity,
        file: String::new(),
        line: 0,
        column: 0,
        object,
        path: String::new(),
        reason: reason.into(),
        message,
        fix: Some(fix),
    }
}
