//! One line for each thing that `organza get` shows: its name, its labels, its cells; where it consists of others, theirs below. Cells beyond the narrow
//! table's are for `-o wide`.

use super::selector::Labels;
use super::services;
use super::target::Kind;
use crate::units;
use serde::Deserialize;
use serde_json::Value;
use wire::api::{Call, Certificate, Condition, Consumer, Edge, Object, Proxy, Role, Route, Security, Service};

#[derive(Debug)]
pub struct Shown {
    /// As `-o name` writes it: `service`, `httproute.gateway.networking.k8s.io`.
    pub kind: String,
    /// `HTTPRoute`; empty for what is no object.
    pub object_kind: String,
    pub namespace: String,
    pub name: String,
    /// Other names by which it may be asked for.
    pub also: Vec<String>,
    /// What no other of its kind is called.
    pub key: String,
    pub labels: Labels,
    pub cells: Vec<String>,
    /// Cells without what changes by itself (ages): under `-w` it is another line where these are others.
    pub settled: Vec<String>,
    /// What it consists of.
    pub below: Vec<Line>,
}

/// A line below another one's.
#[derive(Debug)]
pub struct Line {
    /// What no other below the same is called.
    pub key: String,
    pub cells: Vec<String>,
    /// As of [`Shown`].
    pub settled: Vec<String>,
}

impl Shown {
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name || self.also.iter().any(|also| also == name)
    }

    pub fn full_name(&self) -> String {
        format!("{}/{}", self.kind, self.name)
    }

    pub fn order(&self) -> (&str, &str, &str) {
        (&self.namespace, &self.name, &self.key)
    }

    /// Something that is no object.
    fn report(kind: &str, namespace: String, name: String, labels: Labels, cells: Vec<String>) -> Self {
        let key = format!("{namespace}/{name}");
        Self::new((kind.into(), String::new()), (namespace, name), key, labels, cells)
    }

    pub fn object(group: &str, kind: &str, namespace: String, name: String, labels: Labels, cells: Vec<String>) -> Self {
        let lower = kind.to_lowercase();
        let full = if group.is_empty() { lower } else { format!("{lower}.{group}") };
        let key = format!("{full}/{namespace}/{name}");
        Self::new((full, kind.into()), (namespace, name), key, labels, cells)
    }

    fn new(
        (kind, object_kind): (String, String),
        (namespace, name): (String, String),
        key: String,
        labels: Labels,
        cells: Vec<String>,
    ) -> Self {
        let settled = cells.clone();
        Self { kind, object_kind, namespace, name, also: Vec::new(), key, labels, cells, settled, below: Vec::new() }
    }
}

/// Column heads; a line has as many cells.
pub fn head(kind: Kind, wide: bool) -> Vec<&'static str> {
    let (mut narrow, more): (Vec<&str>, &[&str]) = match kind {
        Kind::Proxies => {
            (vec!["NAME", "ROLE", "FOR", "CONNECTED", "GENERATION", "REFUSED"], &["IDENTITY", "VERSION", "RESOURCES", "LACKS"])
        }
        Kind::Services => (vec!["NAME", "PORTS", "HEALTHY", "SECURED", "STATE"], &["HOSTNAMES", "IDENTITIES", "CHECKS"]),
        Kind::Routes => (vec!["NAME", "KIND", "PARENTS", "SPLIT", "ACCEPTED", "APPLIED"], &["HOSTS", "PLACE"]),
        Kind::Edges => {
            (vec!["FROM", "TO", "REQ/S", "SUCCESS", "RETRIES", "P50", "P99", "SECURITY"], &["PROTOCOL", "REQUESTS", "FAILURES", "NAME"])
        }
        Kind::Calls => (vec!["FROM", "TO", "PORT", "METHOD", "PATH", "CALLS", "SEEN"], &["PROTOCOL", "DENIED", "SINCE", "IDENTITY"]),
        Kind::Consumers => {
            (vec!["NAME", "GROUPS", "REQUESTS", "REFUSED", "SEEN", "ACCEPTED", "APPLIED"], &["4XX", "FAILURES", "SINCE", "KEYS", "APIS"])
        }
        Kind::Certificates => (vec!["NAME", "KIND", "IDENTITY", "EXPIRES"], &["SPIFFE-ID", "ISSUER"]),
        Kind::Objects => (vec!["KIND", "NAME", "CONDITIONS", "APPLIED", "PLACE"], &["LISTENERS"]),
    };
    if wide {
        narrow.extend(more);
    }
    narrow
}

pub fn shown(kind: Kind, item: &Value, wide: bool) -> Result<Shown, serde_json::Error> {
    Ok(match kind {
        Kind::Proxies => proxy(Proxy::deserialize(item)?),
        Kind::Services => services::shown(Service::deserialize(item)?, wide),
        Kind::Routes => route(Route::deserialize(item)?),
        Kind::Edges => edge(Edge::deserialize(item)?),
        Kind::Calls => call(Call::deserialize(item)?),
        Kind::Consumers => consumer(Consumer::deserialize(item)?),
        Kind::Certificates => certificate(Certificate::deserialize(item)?),
        Kind::Objects => object(Object::deserialize(item)?),
    })
}

fn labels(pairs: [(&str, &str); 2]) -> Labels {
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
    let lacks: Vec<&str> = proxy.refused.keys().map(String::as_str).collect();
    let cells = vec![
        proxy.name.clone(),
        role.into(),
        stands_for,
        connected.into(),
        proxy.acknowledged.map_or("–".into(), |generation| generation.to_string()),
        proxy.refused.len().to_string(),
        proxy.identity,
        match proxy.leaving {
            0 => proxy.version,
            elder => format!("{} (+{elder} leaving)", proxy.version),
        },
        proxy.resources.to_string(),
        if lacks.is_empty() { "–".into() } else { lacks.join(", ") },
    ];
    let shown = Shown::report("proxy", proxy.namespace, proxy.name, proxy.labels, cells);
    // A client stands for no service.
    Shown { also: Some(proxy.service).filter(|service| !service.is_empty()).into_iter().collect(), ..shown }
}

/// A dash for nothing.
pub fn listed(told: Vec<String>) -> String {
    if told.is_empty() { "–".into() } else { told.join(", ") }
}

fn route(route: Route) -> Shown {
    let split = |rule: &wire::api::RouteRule| {
        let weights: Vec<String> = rule.backends.iter().map(|b| b.weight.to_string()).collect();
        // A redirect, say, has no backend.
        if weights.is_empty() { "–".to_owned() } else { weights.join("/") }
    };
    let splits: Vec<String> = route.rules.iter().map(split).collect();
    let cells = vec![
        route.name.clone(),
        route.kind.clone(),
        parents(&route),
        splits.join(" "),
        accepted(&route.conditions),
        applied(route.applied, route.concerned),
        if route.hosts.is_empty() { "*".into() } else { route.hosts.join(",") },
        route.place,
    ];
    Shown::object("gateway.networking.k8s.io", &route.kind, route.namespace, route.name, route.labels, cells)
}

/// The namespace of a parent is said where it is another than the route's.
fn parents(route: &Route) -> String {
    let own = format!("{}/", route.namespace);
    let short = |parent: &String| match parent.split_once(' ') {
        Some((kind, key)) => format!("{kind} {}", key.strip_prefix(&own).unwrap_or(key)),
        None => parent.clone(),
    };
    let mut all: Vec<String> = route.parents.iter().map(short).collect();
    all.dedup();
    if all.is_empty() { "–".into() } else { all.join(",") }
}

fn edge(edge: Edge) -> Shown {
    // `catalog-v1` says its version already, and `latest` is what Istio calls none; who is `unknown` is so once.
    let says =
        |name: &str, version: &str| version.is_empty() || version == "latest" || version == name || name.ends_with(&format!("-{version}"));
    let end = |name: &str, version: &str| if says(name, version) { name.to_owned() } else { format!("{name} {version}") };
    // What was sent to nobody was protected in no way.
    let is_sent = !edge.destination.is_empty();
    let to = match (is_sent, &*edge.service) {
        (true, _) => end(&edge.destination, &edge.destination_version),
        (false, "") => "–".into(),
        (false, service) => service.to_owned(),
    };
    let millis =
        |value: Option<f64>| value.map_or("–".into(), |ms| crate::units::short(std::time::Duration::from_secs_f64(ms.max(0.0) / 1e3)));
    let security = match edge.security {
        _ if !is_sent => "–",
        Security::Plain => "plain",
        Security::Tls => "TLS",
        Security::Mtls => "mTLS",
    };
    let success = if edge.requests == 0 { "–".into() } else { percent(edge.success_rate) };
    let joined = |name: &str, version: &str| if says(name, version) { name.to_owned() } else { format!("{name}-{version}") };
    let called = if edge.destination.is_empty() { edge.service.clone() } else { joined(&edge.destination, &edge.destination_version) };
    let name = format!("{}.{called}", joined(&edge.source, &edge.source_version));
    let key = format!("{}/{name}/{}/{}/{security}", edge.source_namespace, edge.service, edge.protocol);
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
        name.clone(),
    ];
    let labels = labels([("app", &edge.destination), ("version", &edge.destination_version)]);
    let namespace = if edge.destination_namespace.is_empty() { edge.service_namespace } else { edge.destination_namespace };
    let shown = Shown::report("edge", namespace, name, labels, cells);
    Shown { also: vec![edge.source, edge.destination, edge.service], key, ..shown }
}

fn call(call: Call) -> Shown {
    let seconds = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let dash = |text: &str| if text.is_empty() { "–".to_owned() } else { text.to_owned() };
    // `shop/web`, as an identity says it.
    let place = call.source.split_once("/ns/").map(|(_, place)| place.replacen("/sa/", "/", 1));
    let from = place.unwrap_or_else(|| if call.source.is_empty() { "unknown".into() } else { call.source.clone() });
    let called = if call.service.is_empty() { call.workload.clone() } else { call.service.clone() };
    let account = from.rsplit('/').next().unwrap_or_default().to_owned();
    let name = format!("{account}.{called}");
    let key = format!("{}/{from}/{called}/{}/{}/{}/{}", call.namespace, call.port, call.protocol, call.method, call.path);
    // An address alone is told with what is answered there.
    let names = if call.source.parse::<std::net::IpAddr>().is_ok() { call.source_services.join(", ") } else { String::new() };
    let cells = vec![
        if names.is_empty() { from.clone() } else { format!("{from} ({names})") },
        called.clone(),
        call.port.to_string(),
        dash(&call.method),
        dash(&call.path),
        call.allowed.to_string(),
        units::ago(call.last_seen, seconds),
        call.protocol,
        call.denied.to_string(),
        units::ago(call.first_seen, seconds),
        dash(&call.source),
    ];
    let labels = labels([("app", &called), ("version", "")]);
    let shown = Shown::report("call", call.namespace, name, labels, cells);
    Shown { also: [vec![from, account, called], call.source_services].concat(), key, ..shown }
}

/// Figures are of the last month; those of each API stand in the last column.
fn consumer(consumer: Consumer) -> Shown {
    let seconds = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let when = |seen: Option<u64>| seen.map_or("never".into(), |seen| units::ago(seen, seconds));
    let own = format!("{}/", consumer.namespace);
    let groups: Vec<String> = consumer.groups.iter().map(|group| group.strip_prefix(&own).unwrap_or(group).to_owned()).collect();
    let used = consumer.used;
    let cells = vec![
        consumer.name.clone(),
        listed(groups),
        used.requests.to_string(),
        used.refused.to_string(),
        when(consumer.last_seen),
        accepted(&consumer.conditions),
        applied(consumer.applied, consumer.concerned),
        used.client_errors.to_string(),
        used.failures.to_string(),
        when(consumer.first_seen),
        consumer.keys.to_string(),
        listed(consumer.apis.iter().map(|one| format!("{}: {}", one.api, one.used.requests)).collect()),
    ];
    Shown::object("organza.dev", "Consumer", consumer.namespace, consumer.name, consumer.labels, cells)
}

fn percent(rate: f64) -> String {
    // Rounding must not call a hundred what is not.
    if rate >= 1.0 { "100 %".into() } else { format!("{:.2} %", (rate * 100.0).min(99.99)) }
}

fn certificate(certificate: Certificate) -> Shown {
    let seconds = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let left = units::left(certificate.not_after, seconds).unwrap_or_else(|| "expired".into());
    // A workload's is called after the proxy that holds it, an authority's after what it is: `root-1f2e…`, `issuing`.
    let name = match certificate.kind.as_str() {
        "workload" => certificate.proxy.clone(),
        "root" => certificate.identity.replace(' ', "-"),
        other => other.to_owned(),
    };
    let place = certificate.identity.split_once("/ns/").and_then(|(_, place)| place.split_once("/sa/"));
    let namespace = place.map_or("", |(namespace, _)| namespace).to_owned();
    let short = place.map_or("–".into(), |(namespace, account)| format!("{namespace}/{account}"));
    let spiffe = if place.is_some() { certificate.identity.clone() } else { "–".into() };
    let cells = vec![name.clone(), certificate.kind, short, left, spiffe, certificate.issuer];
    let key = format!("{namespace}/{name}/{}", certificate.identity);
    let shown = Shown::report("certificate", namespace, name, Labels::new(), cells);
    Shown { also: vec![certificate.identity], key, ..shown }
}

fn object(object: Object) -> Shown {
    let parents = object.parents.iter().flat_map(|parent| &parent.conditions);
    let conditions: Vec<&Condition> = object.conditions.iter().chain(parents).collect();
    // What several parents say alike is said once.
    let mut bad: Vec<String> = Vec::new();
    for condition in conditions.iter().filter(|c| is_bad(c) && !is_applied(c)) {
        let told = format!("{}={} ({})", condition.kind, condition.status, condition.reason);
        if !bad.contains(&told) {
            bad.push(told);
        }
    }
    let said = match (bad.is_empty(), conditions.is_empty()) {
        (true, true) => "–".into(),
        (true, false) => {
            let mut names: Vec<&str> = Vec::new();
            for condition in conditions.iter().filter(|c| c.status == "True" && !is_applied(c)) {
                if !names.contains(&&*condition.kind) {
                    names.push(&condition.kind);
                }
            }
            if names.is_empty() { "–".into() } else { names.join(",") }
        }
        (false, _) => bad.join(", "),
    };
    let listeners: Vec<String> = object.listeners.iter().map(|l| format!("{} ({} routes)", l.name, l.attached_routes)).collect();
    let cells =
        vec![object.kind.clone(), object.name.clone(), said, applied(object.applied, object.concerned), object.place, listeners.join(", ")];
    Shown::object(&object.group, &object.kind, object.namespace, object.name, object.labels, cells)
}

/// `Conflicted`, `PartiallyInvalid` and `NeedsHttp` are good when false; all others when true.
pub fn is_bad(condition: &Condition) -> bool {
    let negative = matches!(&*condition.kind, "Conflicted" | "PartiallyInvalid" | "OverlappingTLSConfig" | "organza.dev/NeedsHttp");
    condition.status != if negative { "False" } else { "True" }
}

/// What the column APPLIED says in numbers.
fn is_applied(condition: &Condition) -> bool {
    condition.kind == "organza.dev/Applied"
}

fn accepted(conditions: &[Condition]) -> String {
    // Nobody whom it names as its parent has said a word.
    if conditions.is_empty() {
        return "no parent".into();
    }
    conditions.iter().find(|c| is_bad(c) && !is_applied(c)).map_or("True".into(), |c| format!("{}: {}", c.kind, c.reason))
}

fn applied(applied: u32, concerned: u32) -> String {
    if concerned == 0 { "–".into() } else { format!("{applied} of {concerned}") }
}
