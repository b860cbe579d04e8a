//! Services as lines: one for each, and below it one for each of its endpoints, with what becomes of it and why.

use super::tables::{Line, Shown, listed};
use wire::api::{Endpoint, EndpointState, Service};

/// Endpoints of one service that the narrow table shows; the wide one shows all.
const ENDPOINTS: usize = 12;

/// Cells of a service and, below it, of its endpoints.
pub fn shown(service: Service, wide: bool) -> Shown {
    let count = |counted: fn(&Endpoint) -> bool| service.endpoints.iter().filter(|one| counted(one)).count();
    let of = |n: usize| format!("{n}/{}", service.endpoints.len());
    let ports: Vec<String> = service.ports.iter().map(|port| format!("{}/{}", port.number, port.protocol)).collect();
    let cells = |state: String| {
        vec![
            service.name.clone(),
            ports.join(","),
            of(count(is_healthy)),
            of(count(is_secured)),
            state,
            service.hostnames.join(","),
            service.identities.join(","),
            "–".into(),
        ]
    };
    let (breakers, settled) = breakers(&service);
    let (cells, settled) = (cells(breakers), cells(settled));
    let below = endpoints(&service.endpoints, if wide { usize::MAX } else { ENDPOINTS });
    let shown = Shown::object("", "Service", service.namespace, service.name, service.labels, cells);
    Shown { settled, below, ..shown }
}

fn is_healthy(endpoint: &Endpoint) -> bool {
    endpoint.state() == EndpointState::Healthy
}

fn is_secured(endpoint: &Endpoint) -> bool {
    endpoint.tunnel != "none"
}

/// Where there are too many, those that are well are left out first, and the last line says how many were.
fn endpoints(all: &[Endpoint], most: usize) -> Vec<Line> {
    let mut chosen: Vec<&Endpoint> = all.iter().collect();
    if chosen.len() > most {
        chosen.sort_by_key(|endpoint| is_healthy(endpoint));
    }
    let rest = chosen.split_off(most.min(chosen.len()));
    let mut lines: Vec<Line> = chosen.into_iter().map(endpoint).collect();
    if !rest.is_empty() {
        let healthy = rest.iter().filter(|endpoint| is_healthy(endpoint)).count();
        let name = format!("  … {} more", rest.len());
        let (healthy, told) = (format!("{healthy}/{}", rest.len()), "-o wide shows all".to_owned());
        let cells: Vec<String> =
            [name, "–".into(), healthy, "–".into(), told].into_iter().chain(std::iter::repeat_n("–".into(), 3)).collect();
        lines.push(Line { key: "…".into(), settled: cells.clone(), cells });
    }
    lines
}

fn endpoint(endpoint: &Endpoint) -> Line {
    let cells = |state: String| {
        vec![
            format!("  {}", endpoint.id),
            endpoint.address.clone(),
            if is_healthy(endpoint) { "yes" } else { "no" }.into(),
            if is_secured(endpoint) { &*endpoint.tunnel } else { "no" }.to_owned(),
            state,
            "–".into(),
            endpoint.identity.clone().unwrap_or_else(|| "–".into()),
            checks(endpoint),
        ]
    };
    let (word, why) = (endpoint.state().word(), endpoint.why());
    // Who leaves it out says the word himself, for one may eject it and another find it unhealthy.
    let state = if endpoint.ejected.is_empty() || !endpoint.healthy { format!("{word}: {why}") } else { why };
    let causes = endpoint.ejected.iter().map(|one| format!("{} {} {}", one.proxy, one.unhealthy, one.cause)).collect();
    let settled = if endpoint.ejected.is_empty() { state.clone() } else { listed(causes) };
    Line { key: endpoint.id.clone(), cells: cells(state), settled: cells(settled) }
}

/// `passed: GET /healthz answered 200 in 1.2 ms by web-1`, for the last check that each proxy made of it.
fn checks(endpoint: &Endpoint) -> String {
    let told = |one: &wire::api::Check| {
        let how = if one.passed { "passed" } else { "failed" };
        format!("{how}: {} by {}", one.said, one.proxy)
    };
    listed(endpoint.checks.iter().map(told).collect())
}

/// `breaker open 4 s after 60 % of 20 requests failed by web-1`; `10 of 10 connections, 3 waiting, by web-1`. And the same without ages and what waits.
fn breakers(service: &Service) -> (String, String) {
    let open = |one: &wire::api::OpenBreaker| {
        let state = if one.half_open { "breaker half-open" } else { "breaker open" };
        let why = format!("after {} % of {} requests failed by {}", one.percent, one.requests, one.proxy);
        (format!("{state} {} s {why}", one.since_millis / 1000), format!("{state} {why}"))
    };
    let full = |one: &wire::api::Crowded| {
        let of = if one.limit > 0 { format!(" of {}", one.limit) } else { String::new() };
        (format!("{}{of} connections, {} waiting, by {}", one.open, one.waiting, one.proxy), format!("full by {}", one.proxy))
    };
    let (told, settled) = service.breakers.iter().map(open).chain(service.crowded.iter().map(full)).unzip();
    (listed(told), listed(settled))
}
