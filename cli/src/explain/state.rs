//! What the proxy that was asked about has found out of the endpoints behind a decision: who is left out and why, which breakers are not closed, and
//! where all connections are in use. As the proxy told the control plane within the last seconds.

use serde_json::{Value, json};
use wire::api::{Ejected, Service, ServiceList};

/// What one proxy says of the services that a request may go to.
#[derive(Debug, Default)]
pub struct State {
    left_out: Vec<LeftOut>,
    breakers: Vec<Open>,
    crowded: Vec<Full>,
}

#[derive(Debug)]
struct LeftOut {
    service: String,
    endpoint: String,
    how: Ejected,
}

#[derive(Debug)]
struct Open {
    service: String,
    half_open: bool,
    percent: u32,
    requests: u32,
    since_millis: u64,
}

#[derive(Debug)]
struct Full {
    service: String,
    open: u32,
    limit: u32,
    waiting: u32,
}

impl State {
    /// `backends` as a split names them: `default/catalog-v1:80`.
    pub fn of(services: &ServiceList, proxy: &str, backends: &[&str]) -> Self {
        let mut state = Self::default();
        let name = |service: &Service| format!("{}/{}", service.namespace, service.name);
        let behind = |service: &&Service| backends.iter().any(|b| b.rsplit_once(':').is_some_and(|(host, _)| host == name(service)));
        for service in services.items.iter().filter(behind) {
            for endpoint in &service.endpoints {
                let mine = endpoint.ejected.iter().filter(|one| one.proxy == proxy);
                state.left_out.extend(mine.map(|one| LeftOut { service: name(service), endpoint: endpoint.id.clone(), how: one.clone() }));
            }
            state.breakers.extend(service.breakers.iter().filter(|one| one.proxy == proxy).map(|one| Open {
                service: name(service),
                half_open: one.half_open,
                percent: one.percent,
                requests: one.requests,
                since_millis: one.since_millis,
            }));
            state.crowded.extend(service.crowded.iter().filter(|one| one.proxy == proxy).map(|one| Full {
                service: name(service),
                open: one.open,
                limit: one.limit,
                waiting: one.waiting,
            }));
        }
        state
    }

    /// Lines in the manner of the story's; none where all is well.
    pub fn lines(&self) -> Vec<String> {
        let left_out = self.left_out.iter().map(|one| format!("{} {}: {}", one.service, one.endpoint, one.how.told()));
        let breakers = self.breakers.iter().map(|one| {
            let state = if one.half_open { "half-open" } else { "open" };
            format!("{} {state} for {} s after {} % of {} requests failed", one.service, one.since_millis / 1000, one.percent, one.requests)
        });
        let crowded = self.crowded.iter().map(|one| {
            let of = if one.limit > 0 { format!(" of {}", one.limit) } else { String::new() };
            format!("{} {}{of} connections are open, {} calls wait for one", one.service, one.open, one.waiting)
        });
        listed("left out", left_out).chain(listed("breaker", breakers)).chain(listed("full", crowded)).collect()
    }

    pub fn to_json(&self) -> Value {
        let left_out = |one: &LeftOut| {
            json!({
                "service": one.service, "endpoint": one.endpoint, "state": if one.how.unhealthy { "unhealthy" } else { "ejected" },
                "cause": one.how.cause, "since_ms": one.how.since_millis, "left_ms": one.how.left_millis,
            })
        };
        let breaker = |one: &Open| {
            json!({
                "service": one.service, "state": if one.half_open { "half_open" } else { "open" }, "percent": one.percent,
                "requests": one.requests, "since_ms": one.since_millis,
            })
        };
        let full = |one: &Full| json!({"service": one.service, "open": one.open, "limit": one.limit, "waiting": one.waiting});
        json!({
            "crowded": self.crowded.iter().map(full).collect::<Vec<_>>(),
            "left_out": self.left_out.iter().map(left_out).collect::<Vec<_>>(),
            "breakers": self.breakers.iter().map(breaker).collect::<Vec<_>>(),
        })
    }
}

/// The label stands before the first alone.
fn listed(label: &'static str, lines: impl Iterator<Item = String>) -> impl Iterator<Item = String> {
    lines.enumerate().map(move |(i, line)| format!("{:<10} {line}", if i == 0 { label } else { "" }))
}

#[cfg(test)]
mod tests;
