//! The answer of `explain`: finds where the request would be decided, lets `routing` explain, and shows that as lines or JSON. What is decided
//! and why is never worked out here.

use super::question::{From, Question};
use routing::explain::{Explanation, Outcome, Share};
use routing::{Caller, Entry, Table};
use serde_json::{Value, json};

#[derive(Debug)]
pub struct Story {
    request: String,
    explained: Explanation,
}

pub fn tell(table: &Table, question: &Question) -> Story {
    let explained = match &question.from {
        From::Gateway { namespace, name } => at_gateway(table, question, namespace, name),
        From::Workload { namespace, .. } => at_service(table, question, namespace),
    };
    Story { request: question.text(), explained }
}

fn at_gateway(table: &Table, question: &Question, namespace: &str, name: &str) -> Explanation {
    let here = table.listeners().find(|l| *l.gateway.namespace == *namespace && *l.gateway.name == *name);
    let place = format!("Gateway {namespace}/{name} port {}", question.port);
    let Some(gateway) = here.map(|listener| &listener.gateway) else {
        return refused(place, model::Fault::NoRoute, "the gateway has no listener".into());
    };
    let tls = question.head.scheme == model::Scheme::Https;
    match table.listener_for(gateway, question.port, tls, question.head.host()) {
        Some(listener) => table.explain(&Entry::Listener(listener.key.clone()), &question.head, &Caller::default()),
        None => refused(place, model::Fault::NoRoute, "no listener of this gateway on this port takes this host".into()),
    }
}

fn at_service(table: &Table, question: &Question, namespace: &str) -> Explanation {
    let host = question.head.host();
    match table.service_by_host(host, namespace) {
        Some(service) => {
            let entry = Entry::Service { service: service.key.clone(), port: question.port };
            table.explain(&entry, &question.head, &Caller::in_namespace(namespace))
        }
        None => {
            let why = format!("the proxy knows no service called {host} from namespace {namespace}");
            refused(format!("host {host}"), model::Fault::NoSuchService, why)
        }
    }
}

fn refused(entry: String, fault: model::Fault, reason: String) -> Explanation {
    Explanation { entry, outcome: Outcome::Refused { fault, reason, object: None }, near_misses: Vec::new() }
}

impl Story {
    pub fn text(&self) -> String {
        let mut text = self.request.clone() + "\n";
        for line in self.explained.lines() {
            text.push_str(&format!("  {line}\n"));
        }
        text
    }

    pub fn to_json(&self) -> Value {
        let misses: Vec<Value> =
            self.explained.near_misses.iter().map(|miss| json!({"route": miss.route, "rule": miss.rule, "why": miss.why})).collect();
        let outcome = match &self.explained.outcome {
            Outcome::Refused { fault, reason, object } => {
                json!({"refused": {"status": fault.http_status(), "fault": fault.label(), "reason": reason, "object": object}})
            }
            Outcome::Forward(chain) => {
                let split: Vec<Value> =
                    chain.split.iter().map(|s| json!({"backend": s.backend, "weight": s.weight, "percent": s.percent})).collect();
                let millis = |limit: Option<std::time::Duration>| limit.map(|limit| limit.as_millis() as u64);
                json!({"forward": {
                    "host": chain.host, "route": chain.route, "rule": chain.rule, "match": chain.matched.0, "matched": chain.matched.1,
                    "filters": chain.filters, "split": split, "requestTimeoutMs": millis(chain.request_timeout),
                    "backendTimeoutMs": millis(chain.backend_timeout), "retry": chain.retry,
                }})
            }
        };
        json!({"request": self.request, "entry": self.explained.entry, "outcome": outcome, "nearMisses": misses})
    }

    /// Whether every request of this kind ends at one of `expected`, and each of those gets some.
    pub fn goes_to(&self, expected: &[String]) -> bool {
        let Outcome::Forward(chain) = &self.explained.outcome else { return false };
        let reached: Vec<&Share> = chain.split.iter().filter(|share| share.weight > 0).collect();
        let meant = |share: &Share, name: &String| is_called(&share.backend, name);
        !reached.is_empty()
            && reached.iter().all(|share| expected.iter().any(|name| meant(share, name)))
            && expected.iter().all(|name| reached.iter().any(|share| meant(share, name)))
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
