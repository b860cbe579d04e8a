//! From the world and the sessions to the API's own words.

use super::Api;
use super::having::{Had, Having};
use super::keyless::{self, Keyless};
use crate::core::{Core, Inner, Session, now, seconds};
use crate::limits;
use crate::summary::located;
use crate::world::{Item, World};
use frontends::Object;
use frontends::kubernetes::slim::LAST_APPLIED;
use model::{Backend, ConditionStatus, Kind, Resource, Target, Tunnel};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use wire::api::{self, Condition};
use wire::delta::Encoded;

pub fn status(api: &Api) -> api::Status {
    let core = &api.core;
    let world = core.world();
    let problems = problems(core);
    let inner = core.lock();
    let connected = || inner.sessions.values().filter(|s| s.connected);
    api::Status {
        mesh: core.mesh.clone(),
        trust_domain: core.trust_domain.to_string(),
        version: api.release.to_owned(),
        pid: std::process::id(),
        started: seconds(core.started),
        time: seconds(now()),
        generation: world.generation,
        proxies_connected: count(connected()),
        proxies_current: count(connected().filter(|s| s.current >= world.generation)),
        xds_address: api.xds_address.clone(),
        problems,
        process: inner.processes.own().cloned(),
    }
}

/// What is wrong with what is read: files, the store, and keys of issuers that are elsewhere.
pub fn problems(core: &Core) -> Vec<api::Located> {
    let (world, mut problems) = (core.world(), core.store_problem().into_iter().collect::<Vec<_>>());
    let inner = core.lock();
    problems.extend(inner.problems.iter().cloned());
    problems.extend(world.problems().map(|report| located(&world, report)));
    problems.extend(keyless::problems(&world, &inner, seconds(now())));
    problems
}

fn count<T>(items: impl Iterator<Item = T>) -> u32 {
    u32::try_from(items.count()).unwrap_or(u32::MAX)
}

fn condition(condition: &model::Condition) -> Condition {
    Condition {
        kind: condition.kind.to_string(),
        status: condition.status.as_str().to_owned(),
        reason: condition.reason.to_string(),
        message: condition.message.clone(),
    }
}

/// `Programmed` and `organza.dev/Applied`: what only acknowledgements can say.
fn acknowledged(mut conditions: Vec<Condition>, had: Had, programs: bool) -> Vec<Condition> {
    let accepted = conditions.iter().any(|c| c.kind == "Accepted" && c.status == "True");
    let refused = conditions.iter().find(|c| c.kind == "Accepted" && c.status != "True").map(|c| c.message.clone());
    let (whole, message) = match had {
        Had::By(applied, concerned) => (concerned > 0 && applied == concerned, format!("applied by {applied} of {concerned} proxies")),
        Had::Before => (true, "applied before this control plane led; its proxies are on their way".into()),
    };
    if programs {
        // What translation found impossible stays so, however many proxies were told of it.
        let impossible = |c: &Condition| c.status == "False" && (!accepted || c.reason != "Pending");
        conditions.retain(|c| c.kind != "Programmed" || impossible(c));
        if !conditions.iter().any(|c| c.kind == "Programmed") {
            // Where every proxy has it nothing is waited for any more.
            let (status, reason, message) = match refused {
                Some(why) if whole => ("False", "Invalid", why),
                _ if accepted && whole => ("True", "Programmed", message.clone()),
                _ => ("False", "Pending", message.clone()),
            };
            conditions.push(Condition { kind: "Programmed".into(), status: status.into(), reason: reason.into(), message });
        }
    }
    let (status, reason) = if whole { ("True", "Applied") } else { ("False", "Pending") };
    conditions.push(Condition { kind: "organza.dev/Applied".into(), status: status.into(), reason: reason.into(), message });
    conditions
}

/// `manifests`: with what each object's file says.
pub fn objects(core: &Core, manifests: bool) -> api::ObjectList {
    let world = core.world();
    let telling = Telling::new(core, &world);
    let items = world.objects.iter().map(|object| {
        let manifest = manifests.then(|| manifest(object));
        api::Object { manifest, ..telling.of(object) }
    });
    api::ObjectList { generation: world.generation, items: items.collect() }
}

/// What is told of the objects of a world, one by one.
pub struct Telling<'w> {
    world: &'w World,
    statuses: HashMap<&'w model::ObjectRef, &'w Arc<model::Status>>,
    made: HashMap<&'w model::ObjectRef, Vec<&'w Item>>,
    having: Having,
    keyless: HashMap<model::ObjectRef, Keyless>,
}

impl<'w> Telling<'w> {
    pub fn new(core: &Core, world: &'w World) -> Self {
        let statuses = world.statuses.iter().map(|status| (&status.object, status)).collect();
        Self { world, statuses, made: made(world), having: Having::look(core), keyless: Keyless::all(core, world) }
    }

    /// What translation says of it, if it is ours to judge.
    pub fn status(&self, object: &Object) -> Option<&'w Arc<model::Status>> {
        self.statuses.get(&object.object).copied()
    }

    /// How many proxies have what became of it, and of how many.
    pub fn applied(&self, object: &Object) -> (u32, u32) {
        self.having.applied(self.world, self.made.get(&object.object).map_or(&[], Vec::as_slice))
    }

    /// Whether what was written of it before this control plane led stands.
    pub fn stands(&self, object: &Object, applied: (u32, u32)) -> bool {
        self.having.had(object, applied) == Had::Before
    }

    pub fn of(&self, object: &Object) -> api::Object {
        let status = self.status(object);
        let (applied, concerned) = self.applied(object);
        let had = self.having.had(object, (applied, concerned));
        let own = status.map_or_else(Vec::new, |s| s.conditions.iter().map(condition).collect());
        let keyless = self.keyless.get(&object.object);
        let parents = status.into_iter().flat_map(|s| &s.parents).map(|p| api::Parent {
            group: p.parent.group.to_string(),
            kind: p.parent.kind.to_string(),
            namespace: p.parent.namespace.to_string(),
            name: p.parent.name.to_string(),
            section: p.section.as_ref().map(ToString::to_string),
            port: p.port,
            conditions: keyless
                .into_iter()
                .fold(acknowledged(p.conditions.iter().map(condition).collect(), had, true), |conditions, keyless| {
                    keyless.tell(conditions)
                }),
        });
        let listeners = status.into_iter().flat_map(|s| &s.listeners).map(|l| api::Listener {
            name: l.name.to_string(),
            supported_kinds: l.supported_kinds.iter().map(|(group, kind)| format!("{group}/{kind}")).collect(),
            attached_routes: l.attached_routes,
            conditions: acknowledged(l.conditions.iter().map(condition).collect(), had, true),
        });
        // Of another controller's nothing is said here.
        let programs = status.is_some() && matches!(&*object.object.kind, "Gateway" | "ListenerSet");
        api::Object {
            group: object.object.group.to_string(),
            kind: object.object.kind.to_string(),
            namespace: object.object.namespace.to_string(),
            name: object.object.name.to_string(),
            place: object.origin().place.to_string(),
            labels: labels(object),
            manifest: None,
            conditions: acknowledged(own, had, programs),
            parents: parents.collect(),
            listeners: listeners.collect(),
            applied,
            concerned,
        }
    }
}

/// `metadata.labels`.
pub(super) fn labels(object: &Object) -> BTreeMap<String, String> {
    let pair = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
    object.at("/metadata/labels").as_object().into_iter().flatten().filter_map(pair).collect()
}

pub(super) fn by_name(world: &World) -> HashMap<&model::ObjectRef, &Object> {
    world.objects.iter().map(|object| (&object.object, object)).collect()
}

/// The object as it was written. A Secret's values stay where they are, and so does what goes along to a collector: it may be who we are there. What kubectl
/// applied last says both once more.
fn manifest(object: &Object) -> Value {
    let mut value = Value::clone(&object.value);
    if let Some(Value::Object(annotations)) = value.pointer_mut("/metadata/annotations") {
        annotations.remove(LAST_APPLIED);
    }
    if let Some(Value::Array(fields)) = value.pointer_mut("/spec/tracing/provider/headers") {
        fields.iter_mut().filter_map(|field| field.get_mut("value")).for_each(|value| *value = Value::from("(hidden)"));
    }
    if object.is("", "Secret")
        && let Some(fields) = value.as_object_mut()
    {
        for field in ["data", "stringData"] {
            fields.remove(field);
        }
    }
    value
}

/// What came from each object.
fn made(world: &World) -> HashMap<&model::ObjectRef, Vec<&Item>> {
    let mut made: HashMap<_, Vec<&Item>> = HashMap::new();
    for item in world.items.values() {
        let origin = match &item.resource {
            Resource::Service(s) => &s.origin,
            Resource::Listener(l) => &l.origin,
            Resource::Route(r) => &r.origin,
            Resource::Access(r) => &r.origin,
            Resource::AccessSettings(r) => &r.origin,
            Resource::RateLimit(r) => &r.origin,
            Resource::TokenIssuer(r) => &r.origin,
            Resource::Telemetry(r) => &r.origin,
            Resource::ExternalAuthorizer(r) => &r.origin,
            Resource::Consumer(r) => &r.origin,
            _ => continue,
        };
        made.entry(&origin.object).or_default().push(item);
    }
    made
}

pub fn proxies(core: &Core) -> api::ProxyList {
    let generation = core.world().generation;
    let inner = core.lock();
    let items = inner.registry.entries().map(|entry| {
        let session = inner.sessions.get(&entry.proxy).cloned().unwrap_or_default();
        let gateway = entry.gateway();
        api::Proxy {
            name: entry.proxy.clone(),
            role: if gateway.is_some() { api::Role::Gateway } else { api::Role::Workload },
            namespace: entry.request.namespace.clone(),
            service: gateway.map_or_else(|| entry.request.service.clone().unwrap_or_default(), |g| g.name.to_string()),
            revision: entry.request.labels.get("version").cloned().unwrap_or_default(),
            labels: entry.request.labels.clone(),
            identity: entry.identity.clone(),
            version: session.release.clone(),
            leaving: count(inner.leaving.keys().filter(|(proxy, _)| *proxy == entry.proxy)),
            connected: session.connected,
            acknowledged: told_generation(&session, generation),
            resources: u32::try_from(held(&session).count()).unwrap_or(u32::MAX),
            refused: session.refused.into_iter().chain(session.withheld).collect(),
            mtls: session.connected,
            since: session.since,
            process: inner.processes.of(&entry.proxy).cloned(),
            drops_trace_context: inner.contexts.dropped(&entry.proxy, seconds(now())).is_some(),
        }
    });
    api::ProxyList { generation, items: items.collect() }
}

/// What a proxy was sent and did not refuse.
pub(super) fn held(session: &Session) -> impl Iterator<Item = &Encoded> {
    session.held.items().iter().filter(|item| !session.refused.contains_key(&*item.name)).map(|item| &**item)
}

/// A proxy that nothing of the last generations concerned has them all the same.
pub(super) fn told_generation(session: &Session, generation: u64) -> Option<u64> {
    session.acknowledged.map(|a| a.max(session.current.min(generation)))
}

pub fn services(core: &Core) -> api::ServiceList {
    let world = core.world();
    let objects = by_name(&world);
    let items = world.resources().filter_map(|resource| {
        let Resource::Service(service) = resource else { return None };
        let endpoints = endpoints(&world, &core.lock(), &service.key, seconds(now())).collect();
        Some(api::Service {
            namespace: service.key.namespace.to_string(),
            name: service.key.name.to_string(),
            labels: objects.get(&service.origin.object).map(|object| labels(object)).unwrap_or_default(),
            hostnames: service.hostnames.iter().map(ToString::to_string).collect(),
            ports: service
                .ports
                .iter()
                .map(|p| api::ServicePort {
                    number: p.number,
                    name: p.name.as_ref().map(ToString::to_string),
                    protocol: p.protocol.as_str().into(),
                })
                .collect(),
            endpoints,
            identities: service.identities.iter().map(ToString::to_string).collect(),
            breakers: breakers(core, &service.key),
            crowded: crowded(core, &service.key),
        })
    });
    api::ServiceList { generation: world.generation, items: items.collect() }
}

fn crowded(core: &Core, service: &model::Key) -> Vec<api::Crowded> {
    let inner = core.lock();
    let full = inner.ejections.crowded(&service.namespace, &service.name, seconds(now()));
    let told = |(proxy, one): (&str, &crate::ejections::Crowded)| api::Crowded {
        proxy: proxy.to_owned(),
        open: one.open,
        limit: one.limit,
        waiting: one.waiting,
    };
    full.into_iter().map(told).collect()
}

fn breakers(core: &Core, service: &model::Key) -> Vec<api::OpenBreaker> {
    let inner = core.lock();
    let open = inner.ejections.breakers(&service.namespace, &service.name, seconds(now()));
    let told = |(proxy, one): (&str, &crate::ejections::OpenBreaker)| api::OpenBreaker {
        proxy: proxy.to_owned(),
        percent: one.percent,
        requests: one.requests,
        since_millis: one.since_millis,
        half_open: one.half_open,
    };
    open.into_iter().map(told).collect()
}

/// Endpoints of a service, with who leaves them out at `time`.
pub fn endpoints<'w>(world: &'w World, inner: &'w Inner, service: &'w model::Key, time: u64) -> impl Iterator<Item = api::Endpoint> + 'w {
    let endpoints = match world.get(&service.with_kind(Kind::Endpoints)).map(|item| &item.resource) {
        Some(Resource::Endpoints(endpoints)) => endpoints.endpoints.as_slice(),
        _ => &[],
    };
    endpoints.iter().map(move |one| endpoint(world, inner, service, one, time))
}

fn endpoint(world: &World, inner: &Inner, service: &model::Key, endpoint: &model::Endpoint, time: u64) -> api::Endpoint {
    let workload = endpoint.workload.as_ref().and_then(|key| match world.get(key).map(|item| &item.resource) {
        Some(Resource::Workload(w)) => Some(w),
        _ => None,
    });
    let (tunnel, address) = match endpoint.tunnel {
        Tunnel::None => {
            ("none", format!("{}:{}", endpoint.address, endpoint.ports.iter().chain(&endpoint.datagrams).next().map_or(0, |(_, to)| *to)))
        }
        Tunnel::Hbone(address) => ("hbone", address.to_string()),
        Tunnel::Organza(address) => ("organza", address.to_string()),
    };
    let told = |(proxy, one): (&str, &crate::ejections::Ejection)| api::Ejected {
        proxy: proxy.to_owned(),
        cause: one.cause.clone(),
        since_millis: one.since_millis,
        left_millis: one.left_millis,
        unhealthy: one.unhealthy,
    };
    let ejected = inner.ejections.of(&service.namespace, &service.name, &endpoint.id, time).into_iter().map(told).collect();
    let place = (service.namespace.to_string(), service.name.to_string(), endpoint.id.to_string());
    let checked = |(proxy, check): (&str, &crate::checks::Check)| api::Check {
        proxy: proxy.to_owned(),
        passed: check.passed,
        said: check.said.clone(),
        at: check.at,
    };
    api::Endpoint {
        id: endpoint.id.to_string(),
        address,
        workload: workload.map_or_else(String::new, |w| w.canonical_name.to_string()),
        revision: workload.map_or_else(String::new, |w| w.revision.to_string()),
        healthy: endpoint.health == model::Health::Healthy,
        tunnel: tunnel.into(),
        identity: endpoint.identity.as_ref().map(ToString::to_string),
        ejected,
        checks: inner.checks.of(&place, time).map(checked).collect(),
    }
}

/// Every route that the files declare, also one that no parent takes.
pub fn routes(core: &Core) -> api::RouteList {
    let world = core.world();
    let made: HashMap<&model::ObjectRef, &Item> = world.items.values().filter_map(|item| route_of(item).zip(Some(item))).collect();
    let statuses: HashMap<&model::ObjectRef, &model::Status> = world.statuses.iter().map(|status| (&status.object, &**status)).collect();
    let having = Having::look(core);
    let declared = world.objects.iter().filter(|o| &*o.object.group == frontends::gateway_api::GROUP && o.object.kind.ends_with("Route"));
    let items =
        declared.map(|object| route(&having, &world, object, made.get(&object.object).copied(), statuses.get(&object.object).copied()));
    api::RouteList { generation: world.generation, items: items.collect() }
}

fn route_of(item: &Item) -> Option<&model::ObjectRef> {
    match &item.resource {
        Resource::Route(route) => Some(&route.origin.object),
        _ => None,
    }
}

fn route(having: &Having, world: &World, object: &Object, item: Option<&Item>, status: Option<&model::Status>) -> api::Route {
    let made = item.and_then(|item| match &item.resource {
        Resource::Route(route) => Some(route),
        _ => None,
    });
    let attachments = || made.iter().flat_map(|route| &route.attachments);
    let mut hosts: Vec<String> = attachments().flat_map(|a| &a.hosts).map(ToString::to_string).collect();
    hosts.dedup();
    let parents = attachments().map(|a| match &a.target {
        Target::Listener(key) => format!("Gateway {}/{}", key.namespace, key.name),
        Target::Service { service, .. } => format!("Service {}/{}", service.namespace, service.name),
    });
    let rule = |rule: &model::Rule| api::RouteRule { name: rule.name.to_string(), backends: rule.backends.iter().map(backend).collect() };
    // What no parent takes concerns no proxy.
    let (applied, concerned) = item.map_or((0, 0), |item| having.applied(world, &[item]));
    api::Route {
        kind: object.object.kind.to_string(),
        namespace: object.object.namespace.to_string(),
        name: object.object.name.to_string(),
        place: object.origin().place.to_string(),
        labels: labels(object),
        hosts,
        parents: parents.collect(),
        rules: made.iter().flat_map(|route| &route.rules).map(rule).collect(),
        conditions: by_parents(status, having.had(object, (applied, concerned)), true),
        applied,
        concerned,
    }
}

/// The first parent that is not content speaks for all; where all are, the first.
pub(super) fn by_parents(status: Option<&model::Status>, had: Had, programs: bool) -> Vec<Condition> {
    let refuses =
        |parent: &&model::ParentStatus| parent.conditions.iter().any(|c| &*c.kind == "Accepted" && c.status != ConditionStatus::True);
    let parent = status.and_then(|s| s.parents.iter().find(refuses).or(s.parents.first()));
    let said = parent.map(|p| acknowledged(p.conditions.iter().map(condition).collect(), had, programs));
    said.unwrap_or_default()
}

fn backend(weighted: &model::WeightedBackend) -> api::WeightedBackend {
    let (backend, valid) = match &weighted.backend {
        Backend::Service(to) => (format!("{}/{}:{}", to.service.namespace, to.service.name, to.port), true),
        Backend::External(host) => (format!("{}:{}", host.key.name, host.port), true),
        Backend::Invalid { reason, message } => (format!("{}: {message}", reason.as_str()), false),
    };
    api::WeightedBackend { weight: weighted.weight, backend, valid }
}

pub fn edges(core: &Core) -> api::EdgeList {
    let inner = core.lock();
    let mut calls: Vec<_> = inner.graph.calls(seconds(now()), limits::RATE_SECONDS as u64).collect();
    calls.sort_unstable_by_key(|edge| edge.id);
    let items = calls.iter().map(api_edge).collect();
    api::EdgeList { generation: core.world().generation, items }
}

fn api_edge(edge: &crate::graph::Told<'_>) -> api::Edge {
    let (id, totals) = (edge.id, edge.totals);
    let is_busy = edge.recent.requests > 0;
    let (failures, requests) = if is_busy { (edge.recent.failures, edge.recent.requests) } else { (totals.failures, totals.requests) };
    let latest = (!is_busy).then(|| edge.latest());
    let latency = &latest.as_ref().unwrap_or(&edge.recent).latency;
    let quantile = |q| latency.quantile(q).map(|d| d.as_secs_f64() * 1000.0);
    api::Edge {
        source_namespace: id.source_namespace.to_string(),
        source: id.source_workload.to_string(),
        source_version: id.source_version.to_string(),
        service_namespace: id.service_namespace.to_string(),
        service: id.service.to_string(),
        destination_namespace: id.destination_namespace.to_string(),
        destination: id.destination_workload.to_string(),
        destination_version: id.destination_version.to_string(),
        protocol: id.protocol.as_str().into(),
        security: security(id.security),
        requests: totals.requests,
        failures: totals.failures,
        retries: totals.retries,
        requests_per_second: edge.recent.requests as f64 / edge.seconds,
        success_rate: if requests == 0 { 1.0 } else { 1.0 - failures as f64 / requests as f64 },
        p50_millis: quantile(0.5),
        p99_millis: quantile(0.99),
    }
}

pub fn security(seen: telemetry::Security) -> api::Security {
    match seen {
        telemetry::Security::Plain => api::Security::Plain,
        telemetry::Security::Tls => api::Security::Tls,
        telemetry::Security::MutualTls => api::Security::Mtls,
    }
}

pub fn certificates(core: &Core) -> api::CertificateList {
    use identity::Signer;
    let inner = core.lock();
    let mut items = Vec::new();
    for root in inner.authority.roots() {
        if let Ok((not_before, not_after)) = identity::certificate_times(&root) {
            items.push(api::Certificate {
                identity: format!("root {}", &identity::pem::fingerprint(&root)[..16]),
                kind: "root".into(),
                proxy: String::new(),
                issuer: "itself".into(),
                not_before: seconds(not_before),
                not_after: seconds(not_after),
            });
        }
    }
    if let Some(issuing) = inner.authority.issuing()
        && let Ok((not_before, not_after)) = identity::certificate_times(issuing)
    {
        items.push(api::Certificate {
            identity: format!("issuing of {}", core.trust_domain),
            kind: "issuing".into(),
            proxy: String::new(),
            issuer: "root".into(),
            not_before: seconds(not_before),
            not_after: seconds(not_after),
        });
    }
    items.extend(inner.issued.iter().map(|(proxy, (identity, not_before, not_after))| api::Certificate {
        identity: identity.clone(),
        kind: "workload".into(),
        proxy: proxy.clone(),
        issuer: "issuing".into(),
        not_before: *not_before,
        not_after: *not_after,
    }));
    api::CertificateList { items }
}

#[cfg(test)]
mod tests;
