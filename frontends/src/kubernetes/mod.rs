//! The first pass: what exists. Services become services and endpoints, from registered workloads and from EndpointSlices;
//! ReferenceGrants and labels of namespaces are kept for the passes that follow. Nothing here knows a route.

use crate::{Object, Options};
use model::*;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// What later passes look references up in.
#[derive(Debug, Default)]
pub struct Inventory {
    /// By namespace and name.
    pub services: BTreeMap<(Arc<str>, Arc<str>), Service>,
    pub endpoints: Vec<Endpoints>,
    pub namespaces: BTreeMap<Arc<str>, Labels>,
    grants: Vec<Grant>,
}

#[derive(Debug)]
struct Grant {
    namespace: Arc<str>,
    /// Group, kind, namespace.
    from: Vec<(String, String, String)>,
    /// Group, kind, name or any.
    to: Vec<(String, String, Option<String>)>,
}

impl Inventory {
    pub fn service(&self, namespace: &str, name: &str) -> Option<&Service> {
        self.services.get(&(namespace.into(), name.into()))
    }

    /// Labels of a namespace. Each has at least its own name, whether or not an object describes it: off Kubernetes few do.
    pub fn labels_of(&self, namespace: &str) -> Labels {
        let mut labels = self.namespaces.get(namespace).cloned().unwrap_or_default();
        labels.insert("kubernetes.io/metadata.name".into(), namespace.into());
        labels
    }

    /// Whether `from` may refer to that object; within one namespace it always may.
    pub fn permits(&self, from: &ObjectRef, to: &ObjectRef) -> bool {
        *from.namespace == *to.namespace
            || self.grants.iter().any(|grant| {
                *grant.namespace == *to.namespace
                    && grant.from.iter().any(|(g, k, n)| *g == *from.group && *k == *from.kind && *n == *from.namespace)
                    && grant
                        .to
                        .iter()
                        .any(|(g, k, n)| *g == *to.group && *k == *to.kind && n.as_ref().is_none_or(|name| **name == *to.name))
            })
    }
}

pub fn take_inventory(objects: &[Object], options: &Options<'_>) -> Inventory {
    let mut inventory = Inventory::default();
    for object in objects {
        if object.is("", "Namespace") {
            let labels = labels_at(object.at("/metadata/labels"));
            inventory.namespaces.insert(object.object.name.clone(), labels);
        } else if object.is("gateway.networking.k8s.io", "ReferenceGrant") {
            inventory.grants.push(read_grant(object));
        } else if object.is("", "Service") {
            let (service, endpoints) = read_service(object, objects, options);
            inventory.services.insert((object.object.namespace.clone(), object.object.name.clone()), service);
            inventory.endpoints.push(endpoints);
        }
    }
    inventory
}

pub fn labels_at(value: &Value) -> Labels {
    let pairs = value.as_object().into_iter().flatten();
    pairs.filter_map(|(name, value)| Some((name.as_str().into(), value.as_str()?.into()))).collect()
}

pub fn text<'a>(value: &'a Value, field: &str) -> Option<&'a str> {
    value.get(field).and_then(Value::as_str)
}

pub fn port(value: &Value, field: &str) -> Option<u16> {
    value.get(field).and_then(Value::as_u64).and_then(|n| u16::try_from(n).ok()).filter(|n| *n > 0)
}

fn read_grant(object: &Object) -> Grant {
    let word = |v: &Value, field: &str| text(v, field).unwrap_or("").to_owned();
    Grant {
        namespace: object.object.namespace.clone(),
        from: object.list("/spec/from").iter().map(|v| (word(v, "group"), word(v, "kind"), word(v, "namespace"))).collect(),
        to: object.list("/spec/to").iter().map(|v| (word(v, "group"), word(v, "kind"), text(v, "name").map(str::to_owned))).collect(),
    }
}

fn read_service(object: &Object, objects: &[Object], options: &Options<'_>) -> (Service, Endpoints) {
    let (namespace, name) = (&object.object.namespace, &object.object.name);
    let key = Key::new(Source::files(), Kind::Service, namespace, name);
    let ports = object.list("/spec/ports");
    let mut endpoints: Vec<Endpoint> = options
        .workloads
        .iter()
        .filter(|workload| backs(workload, &key, object))
        .flat_map(|workload| workload_endpoint(workload, ports))
        .collect();
    let slices = objects.iter().filter(|slice| {
        slice.is("discovery.k8s.io", "EndpointSlice")
            && slice.object.namespace == *namespace
            && text(slice.at("/metadata/labels"), "kubernetes.io/service-name") == Some(&**name)
    });
    for endpoint in slices.flat_map(|slice| slice_endpoints(slice, ports)) {
        // A workload that registered itself knows more of itself than the slice does.
        if !endpoints.iter().any(|known| known.address == endpoint.address && known.ports == endpoint.ports) {
            endpoints.push(endpoint);
        }
    }
    let mut identities: Vec<SpiffeId> = endpoints.iter().filter_map(|e| e.identity.clone()).collect();
    identities.sort();
    identities.dedup();
    let hosts = [
        name.to_string(),
        format!("{name}.{namespace}"),
        format!("{name}.{namespace}.svc"),
        format!("{name}.{namespace}.svc.cluster.local"),
    ];
    let service = Service {
        key: key.clone(),
        origin: object.origin(),
        hostnames: hosts.iter().filter_map(|host| Hostname::parse(host).ok()).collect(),
        addresses: cluster_addresses(object),
        ports: ports.iter().filter_map(service_port).collect(),
        identities,
        balancer: Balancer::default(),
    };
    (service, Endpoints { key: key.with_kind(Kind::Endpoints), endpoints })
}

fn cluster_addresses(object: &Object) -> Vec<IpAddr> {
    let mut all: Vec<IpAddr> = Vec::new();
    for value in std::iter::once(object.at("/spec/clusterIP")).chain(object.list("/spec/clusterIPs")) {
        if let Some(address) = value.as_str().and_then(|text| text.parse().ok())
            && !all.contains(&address)
        {
            all.push(address);
        }
    }
    all
}

fn service_port(value: &Value) -> Option<ServicePort> {
    let name = text(value, "name");
    let declared = text(value, "appProtocol").or(name).and_then(AppProtocol::declared);
    let protocol = match text(value, "protocol") {
        Some("UDP") => AppProtocol::Udp,
        _ => declared.unwrap_or_default(),
    };
    Some(ServicePort { number: port(value, "port")?, name: name.map(Arc::from), protocol })
}

fn backs(workload: &Workload, key: &Key, object: &Object) -> bool {
    let selector = labels_at(object.at("/spec/selector"));
    let selected = !selector.is_empty()
        && *workload.key.namespace == *key.namespace
        && selector.iter().all(|(name, value)| workload.labels.get(name) == Some(value));
    selected || workload.services.contains(key)
}

/// `targetPort` as number or name of a workload's port; without one the port itself.
fn workload_endpoint(workload: &Workload, ports: &[Value]) -> Option<Endpoint> {
    let target = |value: &Value| match text(value, "targetPort") {
        Some(name) => workload.ports.iter().find(|p| p.name.as_deref() == Some(name)).map(|p| p.number),
        None => port(value, "targetPort").or_else(|| port(value, "port")),
    };
    let meshed = workload.tunnel != Tunnel::None;
    Some(Endpoint {
        id: workload.key.name.clone(),
        workload: Some(workload.key.clone()),
        address: *workload.addresses.first()?,
        ports: ports.iter().filter_map(|value| Some((port(value, "port")?, target(value)?))).collect(),
        tunnel: workload.tunnel.clone(),
        identity: meshed.then(|| workload.identity.clone()),
        health: Health::Healthy,
        weight: workload.weight,
        priority: 0,
        locality: workload.locality.clone(),
        labels: workload.labels.clone(),
        tls: None,
    })
}

/// Ports of a slice answer for the Service's port of the same name (none is the empty name).
fn slice_endpoints(slice: &Object, ports: &[Value]) -> Vec<Endpoint> {
    let named = |value: &Value| text(value, "name").unwrap_or("").to_owned();
    let targets: Vec<(u16, u16)> = ports
        .iter()
        .filter_map(|p| {
            let target = slice.list("/ports").iter().find(|s| named(s) == named(p))?;
            Some((port(p, "port")?, port(target, "port")?))
        })
        .collect();
    let mut found = Vec::new();
    for value in slice.list("/endpoints") {
        let is = |condition: &str, default: bool| {
            value.get("conditions").and_then(|c| c.get(condition)).and_then(Value::as_bool).unwrap_or(default)
        };
        let ready = is("ready", true);
        let health = match (ready, is("terminating", false) && is("serving", ready)) {
            (true, _) => Health::Healthy,
            (false, true) => Health::Draining,
            (false, false) => Health::Unhealthy,
        };
        let addresses = value.get("addresses").and_then(Value::as_array).into_iter().flatten();
        // Addresses of one endpoint are interchangeable: the first is enough.
        let Some(address) = addresses.filter_map(|a| a.as_str()?.parse::<IpAddr>().ok()).next() else { continue };
        let id = match targets.first() {
            Some((_, target)) => SocketAddr::new(address, *target).to_string(),
            None => address.to_string(),
        };
        let word = |field: &str| Arc::from(text(value, field).unwrap_or(""));
        found.push(Endpoint {
            id: id.into(),
            workload: None,
            address,
            ports: targets.clone(),
            tunnel: Tunnel::None,
            identity: None,
            health,
            weight: 1,
            priority: 0,
            locality: Locality { region: "".into(), zone: word("zone"), node: word("nodeName") },
            labels: Labels::new(),
            tls: None,
        });
    }
    found
}
