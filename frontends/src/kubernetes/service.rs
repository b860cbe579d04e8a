//! Services and who answers for them: workloads that registered themselves, and EndpointSlices. Nothing here knows a route.

use super::{Inventory, Name, labels_at, port, text};
use crate::wrong::Wrong;
use crate::{Object, Options};
use model::*;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

pub const SERVICE_LABEL: &str = "kubernetes.io/service-name";

/// EndpointSlices by namespace and name of their Service.
pub fn by_service(objects: &[Object]) -> BTreeMap<Name, Vec<&Object>> {
    let mut found: BTreeMap<Name, Vec<&Object>> = BTreeMap::new();
    for slice in objects.iter().filter(|o| o.is("discovery.k8s.io", "EndpointSlice")) {
        if let Some(name) = text(slice.at("/metadata/labels"), SERVICE_LABEL) {
            found.entry((slice.object.namespace.clone(), name.into())).or_default().push(slice);
        }
    }
    found
}

pub fn read_service(object: &Object, slices: &[&Object], options: &Options<'_>) -> (Service, Endpoints) {
    let (namespace, name) = (&object.object.namespace, &object.object.name);
    let key = Key::new(Source::files(), Kind::Service, namespace, name);
    let ports = object.list("/spec/ports");
    let mut endpoints: Vec<Endpoint> = options
        .workloads
        .iter()
        .filter(|workload| backs(workload, &key, object))
        .flat_map(|workload| workload_endpoint(workload, ports))
        .collect();
    for endpoint in of_one_family(object, slices).flat_map(|slice| slice_endpoints(slice, ports)) {
        // One address may stand in several slices, each with other ports of it.
        if let Some(known) = endpoints.iter_mut().find(|known| known.workload.is_none() && is_other_half(known, &endpoint)) {
            known.ports.extend(endpoint.ports);
            known.datagrams.extend(endpoint.datagrams);
            continue;
        }
        // A workload that registered itself knows more of itself than the slice does.
        if !endpoints
            .iter()
            .any(|known| known.address == endpoint.address && (&known.ports, &known.datagrams) == (&endpoint.ports, &endpoint.datagrams))
        {
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
        nearest: distribution(object),
        policies: Vec::new(),
        normalisation: Normalisation::default(),
        tls: Vec::new(),
    };
    (service, Endpoints { key: key.with_kind(Kind::Endpoints), endpoints })
}

/// `trafficDistribution`; what this release does not know prefers nobody, as Kubernetes has it.
fn distribution(object: &Object) -> Option<Nearest> {
    match text(object.at("/spec"), "trafficDistribution")? {
        "PreferClose" | "PreferSameZone" => Some(Nearest::Zone),
        "PreferSameNode" => Some(Nearest::Node),
        _ => None,
    }
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
        Some("SCTP") => return None,
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
    let (datagrams, connections): (Vec<_>, Vec<_>) =
        ports.iter().filter_map(|value| Some((is_datagrams(value), (port(value, "port")?, target(value)?)))).partition(|(udp, _)| *udp);
    let pairs = |all: Vec<(bool, (u16, u16))>| all.into_iter().map(|(_, pair)| pair).collect();
    Some(Endpoint {
        id: workload.key.name.clone(),
        workload: Some(workload.key.clone()),
        address: *workload.addresses.first()?,
        ports: pairs(connections),
        datagrams: pairs(datagrams),
        tunnel: workload.tunnel.clone(),
        identity: meshed.then(|| workload.identity.clone()),
        health: Health::Healthy,
        weight: workload.weight,
        priority: Endpoint::priority_of(workload.labels.get(Endpoint::PRIORITY_LABEL).map(AsRef::as_ref)).unwrap_or_default(),
        locality: workload.locality.clone(),
        labels: workload.labels.clone(),
        tls: None,
    })
}

/// A Service of both families has each pod in two slices, once by either address: those of the family that it names first are enough, unless nobody
/// is in them.
fn of_one_family<'s, 'o>(object: &Object, slices: &'s [&'o Object]) -> impl Iterator<Item = &'s &'o Object> {
    let families = object.list("/spec/ipFamilies");
    let is_of = |slice: &Object, family: &Value| slice.value.get("addressType") == Some(family);
    let some = |family: &&Value| slices.iter().any(|slice| is_of(slice, family) && !slice.list("/endpoints").is_empty());
    let family = families.iter().filter(|_| families.len() > 1).find(some).cloned();
    slices.iter().filter(move |slice| family.as_ref().is_none_or(|family| is_of(slice, family)))
}

/// Whether the two are one place, told of by the ports that each names.
fn is_other_half(a: &Endpoint, b: &Endpoint) -> bool {
    let apart = |a: &[(u16, u16)], b: &[(u16, u16)]| !a.iter().any(|(port, _)| b.iter().any(|(other, _)| port == other));
    let alike = (a.address, a.health, a.priority, &a.locality) == (b.address, b.health, b.priority, &b.locality);
    alike && apart(&a.ports, &b.ports) && apart(&a.datagrams, &b.datagrams)
}

fn is_datagrams(port: &Value) -> bool {
    text(port, "protocol") == Some("UDP")
}

/// Ports of a slice answer for the Service's port of the same name (none is the empty name).
fn slice_endpoints(slice: &Object, ports: &[Value]) -> Vec<Endpoint> {
    let named = |value: &Value| text(value, "name").unwrap_or("").to_owned();
    let targets = |datagrams: bool| -> Vec<(u16, u16)> {
        let alike = ports.iter().filter(|p| is_datagrams(p) == datagrams);
        let pair = |p: &Value| {
            let target = slice.list("/ports").iter().find(|s| named(s) == named(p))?;
            Some((port(p, "port")?, port(target, "port")?))
        };
        alike.filter_map(pair).collect()
    };
    let (connections, datagrams) = (targets(false), targets(true));
    let priority = Endpoint::priority_of(text(slice.at("/metadata/labels"), Endpoint::PRIORITY_LABEL)).unwrap_or_default();
    let mut found = Vec::new();
    let usable = text(&slice.value, "addressType") != Some("FQDN");
    for value in slice.list("/endpoints").iter().filter(|_| usable) {
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
        let id = match connections.iter().chain(&datagrams).next() {
            Some((_, target)) => SocketAddr::new(address, *target).to_string(),
            None => address.to_string(),
        };
        let word = |field: &str| Arc::from(text(value, field).unwrap_or(""));
        found.push(Endpoint {
            id: id.into(),
            workload: None,
            address,
            ports: connections.clone(),
            datagrams: datagrams.clone(),
            tunnel: Tunnel::None,
            identity: None,
            health,
            weight: 1,
            priority,
            locality: Locality { region: "".into(), zone: word("zone"), node: word("nodeName") },
            labels: Labels::new(),
            tls: None,
        });
    }
    found
}

/// What a Service says that nobody heeds.
pub fn check_service(object: &Object, inventory: &mut Inventory) {
    let mut warn = |wrong: Wrong| {
        let report = wrong.at("spec").report(&object.object);
        inventory.reports.push(Report { severity: Severity::Warning, ..report });
    };
    if text(object.at("/spec"), "sessionAffinity") == Some("ClientIP") {
        let wrong = Wrong::value("Session affinity of a Service has no effect.");
        let fix = "Use a BackendTrafficPolicy with loadBalancer.type ConsistentHash, by SourceIP.";
        warn(wrong.fix(fix).at("sessionAffinity"));
    }
    for (i, _) in object.list("/spec/ports").iter().enumerate().filter(|(_, port)| text(port, "protocol") == Some("SCTP")) {
        warn(Wrong::value("SCTP is not carried, so the port is left out.").at("protocol").item(i).at("ports"));
    }
}

/// What slices say that nobody can use.
pub fn check_slices(objects: &[Object], inventory: &mut Inventory) {
    for slice in objects.iter().filter(|o| o.is("discovery.k8s.io", "EndpointSlice")) {
        let mut report = |wrong: Wrong| {
            let report = wrong.report(&slice.object);
            inventory.reports.push(Report { severity: Severity::Warning, ..report });
        };
        match text(slice.at("/metadata/labels"), SERVICE_LABEL) {
            None => report(
                Wrong::new("NoService", "The slice names no Service, so nobody uses it.")
                    .fix(format!("Label it {SERVICE_LABEL}: NAME."))
                    .at("labels")
                    .at("metadata"),
            ),
            Some(name) if !inventory.services.contains_key(&(slice.object.namespace.clone(), name.into())) => {
                let wrong =
                    Wrong::new("NoService", format!("Service {}/{name} does not exist, so nobody uses the slice.", slice.object.namespace));
                report(wrong.fix("Create the Service, or correct the label.").at(SERVICE_LABEL).at("labels").at("metadata"));
            }
            Some(_) => {}
        }
        let priority = text(slice.at("/metadata/labels"), Endpoint::PRIORITY_LABEL);
        if Endpoint::priority_of(priority).is_none() {
            let wrong = Wrong::value(format!("Priority {:?} is none, so its endpoints are used first.", priority.unwrap_or_default()));
            report(wrong.fix("Write a number from 0 to 255; 0 is used first.").at(Endpoint::PRIORITY_LABEL).at("labels").at("metadata"));
        }
        if text(&slice.value, "addressType") == Some("FQDN") {
            let wrong = Wrong::value("Endpoints that are host names are not used.").fix("Use an XBackend of type ExternalHostname.");
            report(wrong.at("addressType"));
            continue;
        }
        for (i, value) in slice.list("/endpoints").iter().enumerate() {
            for (j, address) in value.get("addresses").and_then(Value::as_array).into_iter().flatten().enumerate() {
                if address.as_str().and_then(|text| text.parse::<IpAddr>().ok()).is_none() {
                    let wrong = Wrong::value(format!("{address} is no IPv4 or IPv6 address."))
                        .fix("Write the bare address; the port stands in ports.");
                    report(wrong.item(j).at("addresses").item(i).at("endpoints"));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
