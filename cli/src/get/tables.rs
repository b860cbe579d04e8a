//! One line for each thing that `organza get` shows: its name, its labels, its cells. Cells beyond the narrow table's are for `-o wide`.

use super::{Kind, Selector};
use serde::Deserialize;
use serde_json::Value;
use wire::api::{Certificate, Condition, Edge, Object, Proxy, Role, Route, Security, Service};

#[derive(Debug)]
pub struct Shown {
    pub namespace: String,
    pub name: String,
    /// Other names by which it may be asked for.
    pub also: Vec<String>,
    pub labels: Selector,
    pub cells: Vec<String>,
}

impl Shown {
    pub fn names(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.name).chain(&self.also)
    }
}

/// Column heads, and how many cells a line has.
pub fn head(kind: Kind, wide: bool) -> (Vec<&'static str>, usize) {
    let (mut narrow, more): (Vec<&str>, &[&str]) = match kind {
        Kind::Proxies => (vec!["NAME", "ROLE", "FOR", "CONNECTED", "GENERATION", "REFUSED"], &["IDENTITY", "VERSION", "RESOURCES"]),
        Kind::Services => (vec!["NAME", "PORTS", "HEALTHY", "SECURED"], &["HOSTNAMES", "IDENTITIES"]),
        Kind::Routes => (vec!["NAME", "KIND", "PARENTS", "SPLIT", "ACCEPTED", "APPLIED"], &["HOSTS", "PLACE"]),
        Kind::Edges => (vec!["FROM", "TO", "REQ/S", "SUCCESS", "RETRIES", "P50", "P99", "SECURITY"], &["PROTOCOL", "REQUESTS", "FAILURES"]),
        Kind::Certificates => (vec!["IDENTITY", "KIND", "PROXY", "EXPIRES"], &["ISSUER"]),
        Kind::Objects => (vec!["KIND", "NAME", "CONDITIONS", "APPLIED", "PLACE"], &["LISTENERS"]),
    };
    if wide {
        narrow.extend(more);
    }
    let columns = narrow.len();
    (narrow, columns)
}

pub fn shown(kind: Kind, item: &Value) -> Result<Shown, serde_json::Error> {
    Ok(match kind {
        Kind::Proxies => proxy(Proxy::deserialize(item)?),
        Kind::Services => service(Service::deserialize(item)?),
        Kind::Routes => route(Route::deserialize(item)?),
        Kind::Edges => edge(Edge::deserialize(item)?),
        Kind::Certificates => certificate(Certificate::deserialize(item)?),
        Kind::Objects => object(Object::deserialize(item)?),
    })
}

fn labels(pairs: [(&str, &str); 2]) -> Selector {
    pairs.into_iter().filter(|(_, value)| !value.is_empty()).map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn proxy(proxy: Proxy) -> Shown {
    let role = match proxy.role {
        Role::Gateway => "gateway",
        Role::Workload => "workload",
    };
    let stands_for = if proxy.service.is_empty() { "–".into() } else { proxy.service.clone() };
    let connected = match (proxy.connected, proxy.mtls) {
        (true, true) => "mTLS",
        (true, false) => "yes",
        (false, _) => "no",
    };
    let cells = vec![
        proxy.name.clone(),
        role.into(),
        stands_for,
        connected.into(),
        proxy.acknowledged.map_or("–".into(), |generation| generation.to_string()),
        proxy.refused.len().to_string(),
        proxy.identity,
        proxy.version,
        proxy.resources.to_string(),
    ];
    Shown {
        labels: labels([("app", &proxy.service), ("version", &proxy.revision)]),
        namespace: proxy.namespace,
        name: proxy.name,
        also: vec![proxy.service],
        cells,
    }
}

fn service(service: Service) -> Shown {
    let ports: Vec<String> = service.ports.iter().map(|port| format!("{}/{}", port.number, port.protocol)).collect();
    let healthy = service.endpoints.iter().filter(|endpoint| endpoint.healthy).count();
    let secured = service.endpoints.iter().filter(|endpoint| endpoint.tunnel != "none").count();
    let of = |n: usize| format!("{n}/{}", service.endpoints.len());
    let cells =
        vec![service.name.clone(), ports.join(","), of(healthy), of(secured), service.hostnames.join(","), service.identities.join(",")];
    Shown {
        labels: labels([("app", &service.name), ("version", "")]),
        namespace: service.namespace,
        name: service.name,
        also: Vec::new(),
        cells,
    }
}

fn route(route: Route) -> Shown {
    let split = |rule: &wire::api::RouteRule| {
        let weights: Vec<String> = rule.backends.iter().map(|b| b.weight.to_string()).collect();
        weights.join("/")
    };
    let splits: Vec<String> = route.rules.iter().map(split).collect();
    let cells = vec![
        route.name.clone(),
        route.kind,
        route.parents.join(","),
        splits.join(" "),
        accepted(&route.conditions),
        applied(route.applied, route.concerned),
        if route.hosts.is_empty() { "*".into() } else { route.hosts.join(",") },
        route.place,
    ];
    Shown { namespace: route.namespace, name: route.name, also: Vec::new(), labels: Selector::new(), cells }
}

fn edge(edge: Edge) -> Shown {
    let end = |name: &str, version: &str| if version.is_empty() { name.to_owned() } else { format!("{name} {version}") };
    let to = if edge.destination.is_empty() { edge.service.clone() } else { end(&edge.destination, &edge.destination_version) };
    let millis =
        |value: Option<f64>| value.map_or("–".into(), |ms| crate::units::short(std::time::Duration::from_secs_f64(ms.max(0.0) / 1e3)));
    let security = match edge.security {
        Security::Plain => "plain",
        Security::Tls => "TLS",
        Security::Mtls => "mTLS",
    };
    let success = if edge.requests == 0 { "–".into() } else { percent(edge.success_rate) };
    let cells = vec![
        end(&edge.source, &edge.source_version),
        to,
        format!("{:.1}", edge.requests_per_second),
        success,
        edge.retries.to_string(),
        millis(edge.p50_millis),
        millis(edge.p99_millis),
        security.into(),
        edge.protocol,
        edge.requests.to_string(),
        edge.failures.to_string(),
    ];
    Shown {
        labels: labels([("app", &edge.destination), ("version", &edge.destination_version)]),
        namespace: if edge.destination_namespace.is_empty() { edge.service_namespace } else { edge.destination_namespace },
        name: edge.destination,
        also: vec![edge.source, edge.service],
        cells,
    }
}

fn percent(rate: f64) -> String {
    // Rounding must not call a hundred what is not.
    if rate >= 1.0 { "100 %".into() } else { format!("{:.2} %", (rate * 100.0).min(99.99)) }
}

fn certificate(certificate: Certificate) -> Shown {
    let seconds = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let left = match certificate.not_after.checked_sub(seconds) {
        None => "expired".into(),
        Some(left) if left >= 2 * 86_400 => format!("in {} days", left / 86_400),
        Some(left) if left >= 7_200 => format!("in {} h", left / 3_600),
        Some(left) => format!("in {} min", left / 60),
    };
    let cells = vec![certificate.identity.clone(), certificate.kind, certificate.proxy.clone(), left, certificate.issuer];
    // Asked for by proxy or by identity; a certificate is the mesh's, not a namespace's.
    Shown { namespace: String::new(), name: certificate.identity, also: vec![certificate.proxy], labels: Selector::new(), cells }
}

fn object(object: Object) -> Shown {
    let parents = object.parents.iter().flat_map(|parent| &parent.conditions);
    let conditions: Vec<&Condition> = object.conditions.iter().chain(parents).collect();
    let bad: Vec<String> = conditions.iter().filter(|c| is_bad(c)).map(|c| format!("{}={} ({})", c.kind, c.status, c.reason)).collect();
    let said = match (bad.is_empty(), conditions.is_empty()) {
        (true, true) => "–".into(),
        (true, false) => {
            let mut names: Vec<&str> = conditions.iter().filter(|c| c.status == "True").map(|c| &*c.kind).collect();
            names.dedup();
            names.join(",")
        }
        (false, _) => bad.join(", "),
    };
    let listeners: Vec<String> = object.listeners.iter().map(|l| format!("{} ({} routes)", l.name, l.attached_routes)).collect();
    let cells =
        vec![object.kind.clone(), object.name.clone(), said, applied(object.applied, object.concerned), object.place, listeners.join(", ")];
    let also = vec![format!("{}/{}", object.kind.to_lowercase(), object.name)];
    Shown { namespace: object.namespace, name: object.name, also, labels: Selector::new(), cells }
}

/// `Conflicted` and `PartiallyInvalid` are good when false; all others when true.
pub fn is_bad(condition: &Condition) -> bool {
    let negative = matches!(&*condition.kind, "Conflicted" | "PartiallyInvalid" | "OverlappingTLSConfig");
    condition.status != if negative { "False" } else { "True" }
}

fn accepted(conditions: &[Condition]) -> String {
    conditions.iter().find(|c| is_bad(c)).map_or("True".into(), |c| format!("{}: {}", c.kind, c.reason))
}

fn applied(applied: u32, concerned: u32) -> String {
    if concerned == 0 { "–".into() } else { format!("{applied} of {concerned}") }
}
