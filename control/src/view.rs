//! What one proxy may and must know: pure, from a world, who the proxy is, and what it asked for. Private keys go only to the gateway that
//! references them.

use crate::registry::Entry;
use crate::world::World;
use model::access::AccessTarget;
use model::backend::Shown;
use model::telemetry::{SpansTo, TelemetryTarget};
use model::{Backend, GatewayCertificate, Key, Kind, Resource, Route, Target};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use wire::delta::{Set, View};

/// `last` is the last world in which the proxy's workload could be called. Who was taken out finishes what it has, and judges it by what it was: so
/// much of it stays as it was, while policies go on as they are.
pub fn view<'s>(world: &World, last: Option<&World>, proxy: &Entry, subscriptions: impl IntoIterator<Item = &'s str>) -> View {
    let (items, answers) = set(world, last, proxy, subscriptions);
    View { generation: world.generation, items: Arc::new(items), answers }
}

/// What each `host/…` subscription resolves to.
type Answers = BTreeMap<Arc<str>, Option<Arc<str>>>;

/// The same, but for the number of the world.
pub fn set<'s>(world: &World, last: Option<&World>, proxy: &Entry, subscriptions: impl IntoIterator<Item = &'s str>) -> (Set, Answers) {
    let mut wanted = Wanted { world, keys: BTreeSet::new(), kept: BTreeSet::new() };
    let mut answers = BTreeMap::new();
    wanted.keys.extend(world.items.keys().filter(|key| key.kind == Kind::TrustBundle).cloned());
    for name in subscriptions {
        if name == wire::SELF {
            wanted.own(proxy, last.unwrap_or(world));
        } else if let Some((namespace, host)) = wire::parse_host_subscription(name) {
            // Short names mean something in one's own namespace only: nobody asks for another's.
            let key = (namespace == proxy.request.namespace).then(|| called(world, host, namespace)).flatten();
            if let Some(key) = &key {
                wanted.called(key, namespace);
            }
            answers.insert(Arc::from(name), key.map(|key| Arc::from(key.to_string())));
        }
    }
    wanted.telemetry(proxy);
    let now = wanted.keys.iter().filter(|key| !wanted.kept.contains(*key)).filter_map(|key| world.get(key));
    let kept = wanted.kept.iter().filter_map(|key| last?.get(key));
    (now.chain(kept).map(|item| item.encoded.clone()).collect(), answers)
}

/// The service that a caller in `namespace` means by `host`; one of its own namespace goes first.
fn called(world: &World, host: &str, namespace: &str) -> Option<Key> {
    let services = || {
        world.resources().filter_map(|r| match r {
            Resource::Service(s) if s.is_called(host, namespace) => Some(s),
            _ => None,
        })
    };
    services().find(|s| *s.key.namespace == *namespace).or_else(|| services().next()).map(|s| s.key.clone())
}

struct Wanted<'w> {
    world: &'w World,
    keys: BTreeSet<Key>,
    /// Of those, the ones that stay as they were in the last world.
    kept: BTreeSet<Key>,
}

impl<'w> Wanted<'w> {
    /// What the proxy's role needs before anyone asks.
    fn own(&mut self, proxy: &Entry, last: &World) {
        if let Some(gateway) = proxy.gateway() {
            return self.gateway(&gateway);
        }
        let own = proxy.workload_key();
        self.keys.insert(own.clone());
        let taken_out = self.world.get(&own).is_none();
        let of = if taken_out { last } else { self.world };
        let backed: Vec<Key> = of
            .resources()
            .filter_map(|r| match r {
                Resource::Endpoints(e) if e.endpoints.iter().any(|e| e.workload.as_ref() == Some(&own)) => {
                    Some(e.key.with_kind(Kind::Service))
                }
                _ => None,
            })
            .collect();
        backed.iter().for_each(|service| self.service(service));
        if taken_out {
            self.kept.insert(own.clone());
            self.kept.extend(backed.iter().map(|service| service.with_kind(Kind::Endpoints)));
        }
        let labels = match of.get(&own).map(|item| &item.resource) {
            Some(Resource::Workload(workload)) => workload.labels.clone(),
            _ => Default::default(),
        };
        self.access(&proxy.request.namespace, |target| match target {
            AccessTarget::Mesh => true,
            AccessTarget::Namespace(name) => **name == *proxy.request.namespace,
            AccessTarget::Workloads { namespace, labels: wanted } => {
                **namespace == *proxy.request.namespace && wanted.iter().all(|(name, value)| labels.get(name) == Some(value))
            }
            AccessTarget::Service { service, .. } => backed.contains(service),
            AccessTarget::Gateway(_) | AccessTarget::Listener(_) | AccessTarget::Route(_) => false,
        });
    }

    /// The policies of access and of rates, the issuers of tokens, the consumers and the authorizers that can concern a proxy, and what holds in its namespace beside them.
    fn access(&mut self, namespace: &str, concerns: impl Fn(&AccessTarget) -> bool) {
        let wanted = |resource: &&Resource| match resource {
            Resource::Access(policy) => policy.targets.iter().any(&concerns),
            Resource::RateLimit(policy) => policy.targets.iter().any(&concerns),
            Resource::TokenIssuer(issuer) => issuer.targets.iter().any(&concerns),
            Resource::ExternalAuthorizer(authorizer) => authorizer.targets.iter().any(&concerns),
            Resource::Consumer(consumer) => consumer.targets.iter().any(&concerns),
            Resource::AccessSettings(settings) => settings.key.namespace.is_empty() || *settings.key.namespace == *namespace,
            _ => false,
        };
        let wanted: Vec<&Resource> = self.world.resources().filter(wanted).collect();
        for resource in wanted {
            self.keys.insert(resource.key().clone());
            // Whoever asks must be able to reach who is asked.
            if let Resource::ExternalAuthorizer(authorizer) = resource {
                self.asked(&authorizer.asked.backend);
            }
        }
    }

    /// Who is asked whether requests may be.
    fn asked(&mut self, backend: &Backend) {
        match backend {
            Backend::Service(to) => self.service(&to.service),
            outside => self.keys.extend(own_certificate(outside).cloned()),
        }
    }

    /// What is told of requests here: by whom the proxy is, and by what it carries, which is all known by now.
    fn telemetry(&mut self, proxy: &Entry) {
        let gateway = proxy.gateway();
        let concerns = |target: &TelemetryTarget| match target {
            TelemetryTarget::Mesh => true,
            TelemetryTarget::Namespace(name) => **name == *proxy.request.namespace,
            TelemetryTarget::Gateway(key) => gateway.as_ref() == Some(key),
            TelemetryTarget::Service(key) | TelemetryTarget::Route(key) => self.keys.contains(key),
        };
        let wanted = |resource: &&Resource| matches!(resource, Resource::Telemetry(policy) if concerns(&policy.target));
        let found: Vec<&Resource> = self.world.resources().filter(wanted).collect();
        for resource in found {
            self.keys.insert(resource.key().clone());
            // Whoever sends must be able to reach whom it sends to.
            let Resource::Telemetry(policy) = resource else { continue };
            match &policy.says.spans {
                Some(SpansTo::Exporter(to)) => match &to.backend {
                    Backend::Service(to) => self.service(&to.service),
                    outside => self.keys.extend(own_certificate(outside).cloned()),
                },
                Some(SpansTo::Collector(_)) | None => {}
            }
        }
    }

    fn gateway(&mut self, gateway: &Key) {
        let world = self.world;
        let listeners: Vec<_> = world
            .resources()
            .filter_map(|r| match r {
                Resource::Listener(l) if l.gateway == *gateway => Some(l),
                _ => None,
            })
            .collect();
        for listener in &listeners {
            self.keys.insert(listener.key.clone());
            self.keys.extend(listener.tls.iter().flat_map(|tls| tls.certificates.iter().cloned()));
            self.keys.extend(if let GatewayCertificate::Shown(key) = &listener.shown { Some(key.clone()) } else { None });
            listener.asks.iter().for_each(|asking| self.asked(&asking.backend));
        }
        let on = |target: &Target| matches!(target, Target::Listener(key) if listeners.iter().any(|l| l.key == *key));
        let on_gateway = self.routes(on);
        self.keys.extend(on_gateway.iter().flat_map(|route| route.backends()).filter_map(own_certificate).cloned());
        let sends = |key: &Key| match world.get(key).map(|item| &item.resource) {
            Some(Resource::Route(route)) => route.attachments.iter().any(|a| on(&a.target)),
            _ => false,
        };
        self.access(&gateway.namespace, |target| match target {
            AccessTarget::Gateway(key) => key == gateway,
            AccessTarget::Listener(key) => listeners.iter().any(|l| l.key == *key),
            AccessTarget::Route(key) => sends(key),
            AccessTarget::Mesh | AccessTarget::Namespace(_) | AccessTarget::Workloads { .. } | AccessTarget::Service { .. } => false,
        });
    }

    /// A service that is called: itself, the routes on it, and where they lead.
    fn called(&mut self, service: &Key, namespace: &str) {
        self.service(service);
        let on = |target: &Target| match target {
            Target::Service { service: key, callers, .. } => key == service && callers.as_deref().is_none_or(|only| only == namespace),
            Target::Listener(_) => false,
        };
        self.routes(on);
    }

    /// Routes there, with the services that they lead to.
    fn routes(&mut self, on: impl Fn(&Target) -> bool) -> Vec<&'w Route> {
        let world = self.world;
        let all = world.resources().filter_map(|resource| if let Resource::Route(route) = resource { Some(&**route) } else { None });
        let found: Vec<&Route> = all.filter(|route| route.attachments.iter().any(|a| on(&a.target))).collect();
        for route in &found {
            self.keys.insert(route.key.clone());
            for backend in route.backends() {
                if let Backend::Service(to) = backend {
                    self.service(&to.service);
                }
            }
        }
        found
    }

    /// A service with those who answer for it.
    fn service(&mut self, key: &Key) {
        self.keys.insert(key.clone());
        let endpoints = key.with_kind(Kind::Endpoints);
        if let Some(Resource::Endpoints(e)) = self.world.get(&endpoints).map(|item| &item.resource) {
            self.keys.extend(e.endpoints.iter().filter_map(|e| e.workload.clone()));
        }
        self.keys.insert(endpoints);
    }
}

/// A certificate that is shown to a host outside.
fn own_certificate(backend: &Backend) -> Option<&Key> {
    let Backend::External(host) = backend else { return None };
    match &host.tls.as_ref()?.shown {
        Shown::Own(key) => Some(key),
        Shown::Nothing | Shown::Gateways => None,
    }
}
