//! The answer of `explain`: the decision that a proxy would take, and the chain of objects and rules behind it. Uses the code that carries
//! traffic (`routing::Table`), so that it cannot say anything else than what happens.

use super::question::{From, Question};
use model::{HeaderMatch, PathMatch, QueryMatch, RouteMatch, ValueMatch};
use routing::{Caller, Decision, Entry, Refusal, Table};
use serde::Serialize;

#[derive(Debug, Serialize, PartialEq)]
pub struct Story {
    pub request: String,
    /// The listener or service at which the request is decided.
    pub entry: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chosen: Option<Chosen>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refused>,
}

#[derive(Debug, Serialize, PartialEq)]
pub struct Chosen {
    /// `HTTPRoute default/catalog`, or the service itself where no route hangs on it.
    pub route: String,
    pub place: String,
    pub rule: String,
    pub host: String,
    /// The match that won, in words.
    pub matched: String,
    pub filters: Vec<String>,
    pub split: Vec<Share>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_timeout_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend_timeout_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<String>,
}

#[derive(Debug, Serialize, PartialEq)]
pub struct Share {
    pub backend: String,
    pub weight: u32,
    pub percent: f64,
    /// An invalid backend keeps its share and answers 500.
    pub valid: bool,
}

#[derive(Debug, Serialize, PartialEq)]
pub struct Refused {
    pub status: u16,
    pub fault: String,
    pub why: String,
    /// The object that caused it, with its place.
    pub object: String,
}

pub fn tell(table: &Table, question: &Question) -> Story {
    match &question.from {
        From::Gateway { namespace, name } => at_gateway(table, question, namespace, name),
        From::Workload { namespace, .. } => at_service(table, question, namespace),
    }
}

fn at_gateway(table: &Table, question: &Question, namespace: &str, name: &str) -> Story {
    let listener = table.listeners().find(|l| *l.gateway.namespace == *namespace && *l.gateway.name == *name);
    let Some(gateway) = listener.map(|listener| listener.gateway.clone()) else {
        let why = format!("there is no gateway {namespace}/{name} with a listener");
        return story(question, format!("gateway {namespace}/{name}"), Err(refused_as(404, "no_route", why)));
    };
    let tls = (question.head.scheme == model::Scheme::Https).then(|| Some(question.head.host()));
    match table.gateway_route(&gateway, question.port, tls, &question.head) {
        Ok((listener, decision)) => {
            let entry = format!("gateway {namespace}/{name}, listener {} ({})", listener.section, listener.origin.place);
            story(question, entry, Ok(chosen(&decision)))
        }
        Err(refusal) => story(question, format!("gateway {namespace}/{name}, port {}", question.port), Err(refused(&refusal))),
    }
}

fn at_service(table: &Table, question: &Question, namespace: &str) -> Story {
    let host = question.head.host();
    let Some(service) = table.service_by_host(host, namespace) else {
        let why = format!("no service is called {host} from namespace {namespace}");
        return story(question, format!("host {host}"), Err(refused_as(502, "no_such_service", why)));
    };
    let entry = Entry::Service { service: service.key.clone(), port: question.port };
    let name = format!("service {}/{} port {}", service.key.namespace, service.key.name, question.port);
    let decided = table.route(&entry, &question.head, &Caller::in_namespace(namespace));
    story(question, name, decided.map(|decision| chosen(&decision)).map_err(|refusal| refused(&refusal)))
}

fn story(question: &Question, entry: String, decided: Result<Chosen, Refused>) -> Story {
    let (chosen, refused) = match decided {
        Ok(chosen) => (Some(chosen), None),
        Err(refused) => (None, Some(refused)),
    };
    Story { request: question.text(), entry, chosen, refused }
}

fn refused(refusal: &Refusal<'_>) -> Refused {
    let object = refusal.origin.map(|origin| format!("{} ({})", origin.object, origin.place)).unwrap_or_default();
    Refused { object, ..refused_as(refusal.fault.http_status(), refusal.fault.label(), refusal.reason.to_string()) }
}

fn refused_as(status: u16, fault: &str, why: String) -> Refused {
    Refused { status, fault: fault.into(), why, object: String::new() }
}

fn chosen(decision: &Decision<'_>) -> Chosen {
    let millis = |d: std::time::Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
    let total = decision.total_weight().max(1);
    let share = |backend: &routing::SplitBackend| Share {
        backend: backend.label(),
        weight: backend.weight,
        percent: f64::from(backend.weight) * 100.0 / total as f64,
        valid: !matches!(backend.backend, model::Backend::Invalid { .. }),
    };
    let retry = decision.retry().map(|retry| {
        let codes: Vec<String> = retry.codes.iter().map(u16::to_string).collect();
        format!("{} attempts on {}, pause {} ms", retry.attempts, codes.join(" "), retry.backoff.as_millis())
    });
    Chosen {
        route: decision.origin().object.to_string(),
        place: decision.origin().place.to_string(),
        rule: decision.rule_name().to_string(),
        host: host(decision.host_pattern()),
        matched: if decision.is_default() { "no route hangs on the service".into() } else { matched(decision.matched()) },
        filters: filters(decision.phases()),
        split: decision.split().iter().map(share).collect(),
        request_timeout_ms: decision.timeouts().request.map(millis),
        backend_timeout_ms: decision.timeouts().backend_request.map(millis),
        retry,
    }
}

fn host(pattern: &model::HostPattern) -> String {
    match pattern {
        model::HostPattern::Any => "*".into(),
        model::HostPattern::Suffix(suffix) => format!("*.{suffix}"),
        model::HostPattern::Exact(name) => name.to_string(),
    }
}

fn matched(condition: &RouteMatch) -> String {
    let value = |value: &ValueMatch| match value {
        ValueMatch::Exact(text) => format!("= {text}"),
        ValueMatch::Regex(regex) => format!("~ {}", regex.pattern()),
    };
    let mut words = Vec::new();
    if let Some(method) = &condition.method {
        words.push(format!("method {}", method.as_str()));
    }
    match &condition.path {
        Some(PathMatch::Exact(path)) => words.push(format!("path = {path}")),
        Some(PathMatch::Prefix(path)) => words.push(format!("path prefix {path}")),
        Some(PathMatch::Regex(regex)) => words.push(format!("path ~ {}", regex.pattern())),
        None => {}
    }
    words.extend(condition.headers.iter().map(|HeaderMatch { name, value: v }| format!("header {name} {}", value(v))));
    words.extend(condition.query.iter().map(|QueryMatch { name, value: v }| format!("query {name} {}", value(v))));
    if words.is_empty() { "everything".into() } else { words.join(", ") }
}

/// In the order in which they run.
fn filters(phases: &routing::Phases) -> Vec<String> {
    let edits = |what: &str, edits: &model::route::HeaderEdits| {
        let mut words: Vec<String> = edits.set.iter().map(|(name, value)| format!("set {name}: {value}")).collect();
        words.extend(edits.add.iter().map(|(name, value)| format!("add {name}: {value}")));
        words.extend(edits.remove.iter().map(|name| format!("remove {name}")));
        format!("{what} headers: {}", words.join(", "))
    };
    let mut all = Vec::new();
    all.extend(phases.invalid.iter().map(|why| format!("invalid: {why}")));
    all.extend(phases.cors.iter().map(|cors| format!("CORS for {}", cors.allow_origins.join(" "))));
    all.extend(phases.redirect.iter().map(|redirect| {
        let to = redirect.host.as_deref().map_or(String::new(), |host| format!(" to {host}"));
        format!("redirect {}{to}", redirect.code)
    }));
    all.extend(phases.request_headers.iter().map(|e| edits("request", e)));
    all.extend(phases.rewrites.iter().map(|rewrite| {
        let host = rewrite.host.as_deref().map_or(String::new(), |host| format!(" host {host}"));
        let path = match &rewrite.path {
            Some(model::route::PathEdit::Full(path)) => format!(" path {path}"),
            Some(model::route::PathEdit::Prefix(path)) => format!(" matched prefix {path}"),
            None => String::new(),
        };
        format!("rewrite{host}{path}")
    }));
    all.extend(phases.mirrors.iter().map(|mirror| format!("mirror {} of {} requests", mirror.fraction.0, mirror.fraction.1)));
    all.extend(phases.response_headers.iter().map(|e| edits("response", e)));
    all
}

impl Story {
    pub fn text(&self) -> String {
        let mut text = format!("{}\n  at     {}\n", self.request, self.entry);
        if let Some(refused) = &self.refused {
            text.push_str(&format!("  answer {} {}: {}\n", refused.status, refused.fault, refused.why));
            if !refused.object.is_empty() {
                text.push_str(&format!("  by     {}\n", refused.object));
            }
        }
        if let Some(chosen) = &self.chosen {
            text.push_str(&chosen.text());
        }
        text
    }

    /// Whether every request of this kind ends at one of `expected`, and each of those gets some.
    pub fn goes_to(&self, expected: &[String]) -> bool {
        let Some(chosen) = &self.chosen else { return false };
        let reached: Vec<&Share> = chosen.split.iter().filter(|share| share.weight > 0).collect();
        let meant = |share: &Share, name: &String| share.valid && is_called(&share.backend, name);
        !reached.is_empty()
            && reached.iter().all(|share| expected.iter().any(|name| meant(share, name)))
            && expected.iter().all(|name| reached.iter().any(|share| meant(share, name)))
    }
}

impl Chosen {
    fn text(&self) -> String {
        let mut text = format!("  route  {} ({})\n  rule   {}: host {}, {}\n", self.route, self.place, self.rule, self.host, self.matched);
        for filter in &self.filters {
            text.push_str(&format!("  filter {filter}\n"));
        }
        for share in &self.split {
            let valid = if share.valid { "" } else { " answers 500" };
            text.push_str(&format!("  to     {:>5.1} %  {}{valid}\n", share.percent, share.backend));
        }
        for (name, value) in [("request", self.request_timeout_ms), ("backend", self.backend_timeout_ms)] {
            if let Some(value) = value {
                text.push_str(&format!("  within {value} ms ({name})\n"));
            }
        }
        if let Some(retry) = &self.retry {
            text.push_str(&format!("  retry  {retry}\n"));
        }
        text
    }
}

/// `default/catalog-v2:80` is called by that name and by `catalog-v2`, `catalog-v2:80`, `default/catalog-v2`.
fn is_called(backend: &str, name: &str) -> bool {
    let without_namespace = backend.split_once('/').map_or(backend, |(_, rest)| rest);
    let without_port = |text: &str| text.rsplit_once(':').map_or(text.to_owned(), |(rest, _)| rest.to_owned());
    [backend.to_owned(), without_namespace.to_owned(), without_port(backend), without_port(without_namespace)]
        .iter()
        .any(|other| other == name)
}

#[cfg(test)]
mod tests;
