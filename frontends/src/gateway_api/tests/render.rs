//! Resources and statuses as text that a person can write from the specification: one thing a line, what belongs to it below.

mod access;
mod telemetry;

use super::told;
use crate::Translation;
use model::backend::UpstreamRoots;
use model::route::{HeaderEdits, PathEdit};
use model::*;
use std::fmt::Write;

pub fn model(t: &Translation) -> String {
    let mut out = String::new();
    for resource in &t.resources {
        match resource {
            Resource::Listener(listener) => render_listener(listener, &mut out),
            Resource::Route(route) => render_route(route, &mut out),
            Resource::Certificate(certificate) => line(&mut out, 0, format!("certificate {}", short(&certificate.key))),
            Resource::Service(service) => {
                let ports: Vec<String> = service.ports.iter().map(|p| format!("{}/{}", p.number, p.protocol.as_str())).collect();
                line(&mut out, 0, format!("service {} {}", short(&service.key), ports.join(" ")));
                render_level(service.normalisation, &mut out);
                render_policies(service, &mut out);
                service.tls.iter().for_each(|at| render_tls(at, &mut out));
            }
            Resource::Endpoints(all) => {
                for endpoint in &all.endpoints {
                    let mut ports: Vec<String> = endpoint.ports.iter().map(|(from, to)| format!("{from}>{to}")).collect();
                    ports.extend(endpoint.datagrams.iter().map(|(from, to)| format!("{from}>{to}/udp")));
                    let text = format!("endpoint of {}: {} {} {:?}", short(&all.key), endpoint.address, ports.join(" "), endpoint.health);
                    line(&mut out, 0, text);
                }
            }
            Resource::Access(policy) => access::policy(policy, &mut out),
            Resource::AccessSettings(settings) => access::settings(settings, &mut out),
            Resource::RateLimit(policy) => access::rates(policy, &mut out),
            Resource::TokenIssuer(issuer) => access::issuer(issuer, &mut out),
            Resource::Telemetry(policy) => telemetry::policy(policy, &mut out),
            Resource::Consumer(consumer) => access::consumer(consumer, &mut out),
            Resource::ExternalAuthorizer(one) => access::authorizer(one, &mut out),
            Resource::Workload(_) | Resource::TrustBundle(_) => {}
        }
    }
    let mut ranks: Vec<_> = t.resources.iter().filter_map(|r| if let Resource::Route(r) = r { Some(r) } else { None }).collect();
    ranks.retain(|route| matches!(route.protocol, RouteProtocol::Http | RouteProtocol::Grpc));
    let mut ranks: Vec<_> =
        ranks.iter().flat_map(|r| &r.rules).flat_map(|rule| rule.matches.iter().map(|m| (&m.rank, &rule.name))).collect();
    ranks.sort();
    for (rank, rule) in ranks {
        line(&mut out, 0, format!("order {} {rule} match {}", rank.name, rank.position));
    }
    out
}

pub fn status(t: &Translation) -> String {
    let mut out = String::new();
    for status in &t.statuses {
        line(&mut out, 0, format!("{} {}", status.object, told(&status.conditions).join(" ")));
        for parent in &status.parents {
            let section = parent.section.as_ref().map(|s| format!(" section {s}")).unwrap_or_default();
            let port = parent.port.map(|p| format!(" port {p}")).unwrap_or_default();
            line(&mut out, 1, format!("on {}{section}{port}: {}", parent.parent, told(&parent.conditions).join(" ")));
        }
        for listener in &status.listeners {
            let kinds: Vec<&str> = listener.supported_kinds.iter().map(|(_, kind)| &**kind).collect();
            let conditions = told(&listener.conditions).join(" ");
            line(
                &mut out,
                1,
                format!("listener {} [{}] routes {}: {conditions}", listener.name, kinds.join(" "), listener.attached_routes),
            );
        }
    }
    for report in &t.reports {
        let severity = format!("{:?}", report.severity).to_lowercase();
        line(&mut out, 0, format!("{severity} {} {} {}", report.object, report.path_text(), report.reason));
    }
    out
}

fn line(out: &mut String, depth: usize, text: String) {
    writeln!(out, "{:width$}{}", "", text.trim_end(), width = depth * 2).unwrap();
}

fn render_level(level: Normalisation, out: &mut String) {
    if level != Normalisation::default() {
        line(out, 1, format!("paths {level:?}"));
    }
}

fn render_policies(service: &Service, out: &mut String) {
    if service.balancer != Balancer::default() {
        line(out, 1, format!("balancer {:?}", service.balancer));
    }
    if let Some(nearest) = service.nearest {
        line(out, 1, format!("prefers {nearest:?}"));
    }
    for at in &service.policies {
        let (p, e) = (&at.policy, &at.policy.ejection);
        let origin = p.origin.as_ref().map_or_else(String::new, |origin| origin.object.to_string());
        let port = at.port.map(|port| format!(" on {port}")).unwrap_or_default();
        line(out, 1, format!("policy{port} of {origin}"));
        let each = p.endpoint_requests.map(|most| format!(", at one endpoint {most}")).unwrap_or_default();
        line(out, 2, format!("under way {}, waiting {}{each}", p.limits.parallel_requests, p.limits.pending_requests));
        let (all, each) = (p.connections.service, p.connections.endpoint);
        if all.is_some() || each.is_some() {
            let said = |limit: Option<u32>| limit.map_or_else(|| "any".to_owned(), |limit| limit.to_string());
            line(out, 2, format!("connections {}, to one endpoint {}", said(all), said(each)));
        }
        let mut causes: Vec<String> = Vec::new();
        let counts = [("5xx", e.consecutive_5xx), ("gateway", e.consecutive_gateway_errors), ("local", e.consecutive_local_failures)];
        causes.extend(counts.iter().filter_map(|(name, count)| count.map(|count| format!("{name} {count}"))));
        causes.extend(e.failure_percentage.map(|share| format!("failed {share}%")));
        causes.extend(e.latency.map(|time| format!("slower than {time:?}")));
        let times = format!("{:?} to {:?}, at most {}%, panic {}%", e.base_time, e.longest_time, e.max_percent, e.panic_percent);
        line(out, 2, format!("ejects by {} over {:?}/{} for {times}", causes.join(", "), e.interval, e.minimum_requests));
        if let Some(h) = &p.health {
            let times = format!("{:?}+{:?}, first within {:?}, waits {:?}", h.interval, h.jitter, h.first_within, h.timeout);
            let counts = format!("out after {}, back after {}, first {:?}", h.unhealthy_threshold, h.healthy_threshold, h.initial);
            line(out, 2, format!("checks every {times}: {counts}"));
            line(out, 3, format!("{:?}", h.probe));
        }
        if let Some(b) = p.breaker {
            let text = format!(
                "opens at {}% of {} in {:?} for {:?}, tries {}",
                b.failure_percentage, b.minimum_requests, b.interval, b.open_time, b.half_open_requests
            );
            line(out, 2, text);
        }
        if let Some(window) = p.slow_start {
            line(out, 2, format!("starts in {window:?}"));
        }
        let r = p.retry_budget;
        line(out, 2, format!("retries {}% kept {:?}, or {} in {:?}", r.percent, r.interval, r.min_count, r.min_interval));
        if let Some(session) = &p.session {
            line(out, 2, told_session(session));
        }
        if let Some(version) = p.proxy_header {
            line(out, 2, format!("tells who calls by the PROXY protocol, {version:?}"));
        }
    }
}

fn render_tls(at: &AttachedTls, out: &mut String) {
    let port = at.port.map(|port| format!(" on {port}")).unwrap_or_default();
    line(
        out,
        1,
        match &at.tls {
            BackendTls::Broken(_) => format!("tls{port} broken"),
            BackendTls::Verified(tls) => {
                let roots = match &tls.roots {
                    UpstreamRoots::System => "the system".to_owned(),
                    UpstreamRoots::Given(pem) => format!("{} roots", count(pem)),
                };
                let names: String = tls.subject_alt_names.iter().map(|name| format!(" or {name}")).collect();
                format!("tls{port} to {} by {roots}{names}, shows {:?}", tls.server_name, tls.shown)
            }
        },
    );
}

fn short(key: &Key) -> String {
    format!("{}/{}", key.namespace, key.name)
}

fn host(pattern: &HostPattern) -> String {
    match pattern {
        HostPattern::Any => "*".to_owned(),
        HostPattern::Suffix(suffix) => format!("*.{suffix}"),
        HostPattern::Exact(name) => name.to_string(),
    }
}

fn render_listener(listener: &Listener, out: &mut String) {
    let protocol = format!("{:?}", listener.protocol);
    line(out, 0, format!("listener {} {} {protocol} {}", short(&listener.key), listener.port, host(&listener.hostname)));
    for key in listener.tls.iter().flat_map(|tls| &tls.certificates) {
        line(out, 1, format!("certificate {}", short(key)));
    }
    match listener.tls.as_ref().map(|tls| &tls.clients) {
        Some(ClientCertificates::Required(roots)) => line(out, 1, format!("clients by {} roots", count(roots))),
        Some(ClientCertificates::Insecure(roots)) => line(out, 1, format!("clients of any kind, {} roots", count(roots))),
        Some(ClientCertificates::Unasked) | None => {}
    }
    for asking in &listener.asks {
        line(out, 1, format!("asks {}", access::asking(asking)));
    }
    render_level(listener.normalisation, out);
    match &listener.shown {
        GatewayCertificate::Nothing => {}
        GatewayCertificate::Shown(key) => line(out, 1, format!("shows {} to backends", short(key))),
        GatewayCertificate::Broken(_) => line(out, 1, "shows nothing to backends, and calls none".to_owned()),
    }
    if let model::ProxyProtocol::Require(trusted) = &listener.front.proxy_protocol {
        line(out, 1, format!("proxy protocol from {}", trusted.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")));
    }
    let trusted = &listener.front.trusted;
    let field = if trusted.field == model::OriginField::Forwarded { " by Forwarded" } else { "" };
    match &trusted.who {
        model::Trusted::Nobody => {}
        model::Trusted::Sources(blocks) => {
            line(out, 1, format!("trusted {}{field}", blocks.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")));
        }
        model::Trusted::Hops(hops) => line(out, 1, format!("trusted hops {hops}{field}")),
    }
    let limits = listener.front.limits;
    let FrontLimits { connections, handshakes, handshake_time, head_bytes, head_time, idle, body_idle, requests, streams, .. } = limits;
    let FrontLimits { sessions, session_idle, datagram_bytes, .. } = limits;
    let counts = [
        ("connections", connections),
        ("handshakes", handshakes),
        ("head bytes", head_bytes),
        ("requests", requests),
        ("streams", streams),
        ("sessions", sessions),
        ("datagram bytes", datagram_bytes),
    ];
    for (what, most) in counts {
        out.extend(most.map(|most| format!("  {what} {most}\n")));
    }
    let times =
        [("handshake", handshake_time), ("head", head_time), ("idle", idle), ("body idle", body_idle), ("session idle", session_idle)];
    for (what, time) in times {
        out.extend(time.map(|time| format!("  {what} within {time:?}\n")));
    }
    if let Some(why) = &listener.broken {
        line(out, 1, format!("broken {why}"));
    }
}

fn count(pem: &[u8]) -> usize {
    String::from_utf8_lossy(pem).matches("-----BEGIN CERTIFICATE").count()
}

fn render_route(route: &Route, out: &mut String) {
    line(out, 0, format!("route {} {:?}", short(&route.key), route.protocol));
    for attachment in &route.attachments {
        let hosts: Vec<String> = attachment.hosts.iter().map(host).collect();
        let target = match &attachment.target {
            Target::Listener(key) => format!("listener {}", short(key)),
            Target::Service { service, port, callers } => {
                let port = port.map(|p| format!(":{p}")).unwrap_or_default();
                let callers = callers.as_ref().map(|c| format!(" callers in {c}")).unwrap_or_default();
                format!("service {}{port}{callers}", short(service))
            }
        };
        line(out, 1, format!("on {target} hosts {}", hosts.join(" ")));
    }
    for rule in &route.rules {
        line(out, 1, format!("rule {}", rule.name));
        for ranked in &rule.matches {
            line(out, 2, format!("match{}", match_text(&ranked.matches)));
        }
        for filter in &rule.filters {
            line(out, 2, filter_text(filter));
        }
        for weighted in &rule.backends {
            line(out, 2, format!("backend {} weight {}", backend(&weighted.backend), weighted.weight));
            for filter in &weighted.filters {
                line(out, 3, filter_text(filter));
            }
        }
        for (what, bound) in [("request", rule.timeouts.request), ("backend", rule.timeouts.backend_request)] {
            if let Some(bound) = bound {
                line(out, 2, format!("timeout {what} {bound:?}"));
            }
        }
        if let Some(retry) = &rule.retry {
            line(out, 2, format!("retry {} on {:?} after {:?}", retry.attempts, retry.codes, retry.backoff));
        }
        if let Some(session) = &rule.session {
            line(out, 2, told_session(session));
        }
    }
}

fn value(value: &ValueMatch) -> String {
    match value {
        ValueMatch::Exact(text) => format!("= {text}"),
        ValueMatch::Regex(regex) => format!("~ {}", regex.pattern()),
    }
}

fn match_text(matches: &RouteMatch) -> String {
    let mut text = match &matches.path {
        None => String::new(),
        Some(PathMatch::Exact(path)) => format!(" path = {path}"),
        Some(PathMatch::Prefix(path)) => format!(" path {path}…"),
        Some(PathMatch::Regex(regex)) => format!(" path ~ {}", regex.pattern()),
    };
    if let Some(method) = &matches.method {
        write!(text, ", method {}", method.as_str()).unwrap();
    }
    for header in &matches.headers {
        write!(text, ", header {} {}", header.name, value(&header.value)).unwrap();
    }
    for query in &matches.query {
        write!(text, ", query {} {}", query.name, value(&query.value)).unwrap();
    }
    text
}

pub(super) fn backend(backend: &Backend) -> String {
    match backend {
        Backend::Service(to) => format!("{}:{}", short(&to.service), to.port),
        Backend::External(host) => {
            let tls = if host.tls.is_some() { " tls" } else { "" };
            format!("external {:?}:{} {}{tls}", host.host, host.port, host.protocol.as_str())
        }
        Backend::Invalid { reason, .. } => format!("invalid {}", reason.as_str()),
    }
}

fn edits(edits: &HeaderEdits) -> String {
    let mut text = String::new();
    for (what, fields) in [("set", &edits.set), ("add", &edits.add)] {
        for (name, value) in fields {
            write!(text, " {what} {name}: {value}").unwrap();
        }
    }
    for name in &edits.remove {
        write!(text, " remove {name}").unwrap();
    }
    text
}

fn path_edit(edit: &Option<PathEdit>) -> String {
    match edit {
        None => String::new(),
        Some(PathEdit::Full(path)) => format!(" path {path}"),
        Some(PathEdit::Prefix(path)) => format!(" prefix {path}"),
    }
}

fn filter_text(filter: &Filter) -> String {
    match filter {
        Filter::RequestHeaders(all) => format!("request-headers{}", edits(all)),
        Filter::ResponseHeaders(all) => format!("response-headers{}", edits(all)),
        Filter::Redirect(to) => {
            let mut text = format!("redirect {}", to.code);
            let parts = [to.scheme.map(|s| format!(" scheme {}", s.as_str())), to.host.as_ref().map(|h| format!(" host {h}"))];
            text.extend(parts.into_iter().flatten());
            text.extend(to.port.map(|p| format!(" port {p}")));
            text + &path_edit(&to.path)
        }
        Filter::Rewrite(to) => {
            let host = to.host.as_ref().map(|h| format!(" host {h}")).unwrap_or_default();
            format!("rewrite{host}{}", path_edit(&to.path))
        }
        Filter::Mirror(mirror) => format!("mirror {} {}/{}", backend(&mirror.backend), mirror.fraction.0, mirror.fraction.1),
        Filter::Cors(cors) => {
            let list = |all: &[std::sync::Arc<str>]| all.join(" ");
            let credentials = if cors.allow_credentials { " credentials" } else { "" };
            format!(
                "cors origins [{}] methods [{}] headers [{}] expose [{}]{credentials} age {:?}",
                list(&cors.allow_origins),
                list(&cors.allow_methods),
                list(&cors.allow_headers),
                list(&cors.expose_headers),
                cors.max_age
            )
        }
        Filter::ExternalAuth(asking) => format!("ask {}", access::asking(asking)),
        Filter::Invalid { .. } => "answer 500".to_owned(),
    }
}

fn told_session(session: &model::session::Persistence) -> String {
    let limits = [("at most", session.absolute), ("idle", session.idle)];
    let limits = limits.iter().filter_map(|(name, limit)| Some(format!(", {name} {:?}", (*limit)?)));
    let below = session.path.as_ref().map(|path| format!(", below {path}")).unwrap_or_default();
    let within = if session.within { ", within its backend" } else { "" };
    format!("session {} by {:?}{}{below}{within}", session.name, session.carrier, limits.collect::<String>())
}
