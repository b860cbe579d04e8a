//! Where a Gateway is reached: what it asks for (`spec.addresses`, with the reach of each since Gateway API v1.7), what its Service was given, and what of the
//! one the other satisfies. Pure.

use frontends::Object;
use frontends::kubernetes::text;
use serde_json::Value;
use wire::api::Condition;

/// The reach of a Service's own addresses, which the cluster alone has.
pub const CLUSTER: &str = "Cluster";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// `IPAddress` or `Hostname`.
    pub kind: &'static str,
    pub value: String,
    /// `Cluster`, or empty.
    pub reach: &'static str,
}

/// What a Gateway has of what it asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Assigned {
    pub addresses: Vec<Address>,
    /// What it asks for and has not, in words.
    pub lacks: Vec<String>,
}

fn reach(entry: &Value) -> &str {
    text(entry, "routability").unwrap_or("")
}

/// Addresses that a Gateway asks for by their value, from whoever gives addresses to Services.
pub fn wanted(gateway: &Object) -> impl Iterator<Item = &str> {
    let entries = gateway.list("/spec/addresses").iter().filter(|entry| reach(entry).is_empty());
    entries.filter_map(|entry| text(entry, "value")).filter(|value| !value.is_empty())
}

/// Whether it is to be reached within the cluster alone.
pub fn is_inner(gateway: &Object) -> bool {
    let entries = gateway.list("/spec/addresses");
    !entries.is_empty() && entries.iter().all(|entry| reach(entry) == CLUSTER)
}

/// Whether it says of an address what it must reach; then each entry gets one, and what cannot be had leaves the others in force.
fn says_reach(gateway: &Object) -> bool {
    gateway.list("/spec/addresses").iter().any(|entry| !reach(entry).is_empty())
}

/// From the spec and the status of the Gateway's Service.
pub fn assigned(gateway: &Object, spec: &Value, status: &Value) -> Assigned {
    let inner = spec["clusterIPs"].as_array().into_iter().flatten().filter_map(Value::as_str).filter(|ip| *ip != "None");
    let inner: Vec<Address> = inner.map(|ip| Address { kind: "IPAddress", value: ip.to_owned(), reach: CLUSTER }).collect();
    // A cluster's own address is not where clients come, where there is another.
    let usual = if spec["type"] == "LoadBalancer" { given(status) } else { inner.clone() };
    let entries = gateway.list("/spec/addresses");
    if !says_reach(gateway) {
        let missing = |value: &&str| !usual.iter().any(|given| given.value == **value);
        let lacks = wanted(gateway).filter(missing).map(str::to_owned).collect();
        return Assigned { addresses: usual, lacks };
    }
    let mut assigned = Assigned::default();
    let names_one = |entry: &&Value| text(entry, "value").is_some_and(|value| !value.is_empty());
    // Who names an address comes first: what takes any must leave it.
    let (named, others): (Vec<&Value>, Vec<&Value>) = entries.iter().partition(names_one);
    for entry in named.into_iter().chain(others) {
        let from: &[Address] = match reach(entry) {
            "" => &usual,
            CLUSTER => &inner,
            _ => &[],
        };
        let value = text(entry, "value").filter(|value| !value.is_empty());
        // As the schema has it where nothing is said.
        let kind = text(entry, "type").unwrap_or("IPAddress");
        let is_free = |one: &Address| !assigned.addresses.iter().any(|had| had.value == one.value);
        let fits = |one: &&Address| one.kind == kind && value.is_none_or(|value| one.value == value) && is_free(one);
        match from.iter().find(fits).cloned() {
            Some(found) => assigned.addresses.push(found),
            None => assigned.lacks.push([value.unwrap_or("any"), reach(entry)].join(" ").trim_end().to_owned()),
        }
    }
    assigned
}

fn given(status: &Value) -> Vec<Address> {
    let ingress = status["loadBalancer"]["ingress"].as_array().into_iter().flatten();
    let one = |one: &Value| {
        let (kind, value) = match one["ip"].as_str() {
            Some(ip) => ("IPAddress", ip),
            None => ("Hostname", one["hostname"].as_str()?),
        };
        Some(Address { kind, value: value.to_owned(), reach: "" })
    };
    ingress.filter_map(one).collect()
}

/// Why a Gateway is not programmed, whatever its proxies say: nobody can reach it, or not where it asks to be reached.
pub fn unreached(gateway: &Object, assigned: &Assigned) -> Option<(&'static str, String)> {
    match (assigned.lacks.first(), assigned.addresses.is_empty()) {
        (Some(lacks), _) if !says_reach(gateway) => Some(("AddressNotUsable", format!("Its Service was not given the address {lacks}."))),
        (_, true) => Some(("AddressNotAssigned", "Its Service has no address yet.".to_owned())),
        _ => None,
    }
}

/// What v1.7 has said of it.
pub fn told(assigned: &Assigned) -> Condition {
    let lacks = assigned.lacks.join(", ");
    let (status, reason, message) = match (assigned.lacks.is_empty(), assigned.addresses.is_empty()) {
        (true, false) => ("True", "AddressesAssigned", "It has all the addresses that it asks for.".to_owned()),
        (true, true) => ("False", "NotAssigned", "Its Service has no address yet.".to_owned()),
        (false, true) => ("False", "NotAssigned", format!("It has none of what it asks for: {lacks}.")),
        (false, false) => ("False", "PartiallyAssigned", format!("It has not: {lacks}.")),
    };
    Condition { kind: "AddressesAssigned".into(), status: status.into(), reason: reason.into(), message }
}

#[cfg(test)]
mod tests;
