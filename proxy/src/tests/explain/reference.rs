//! What Gateway API says becomes of a request, slowly: every match of every route is tried, and those that hold are sorted by the text of the
//! specification. It shares no code with front ends, routing or proxy.

use super::ask::{Ask, Door};
use super::world::{Backend, Filter, LISTENERS, Listener, MERGING, MERGING_NAMESPACE, Match, Parent, Path, Route, Rule, Want, World};
use std::cmp::Reverse;

pub enum Verdict<'w> {
    /// By Organza itself, with this fault.
    Refused(&'static str),
    Routed {
        listener: Option<&'static str>,
        route: &'w Route,
        rule: usize,
        matched: usize,
    },
    /// To the service itself, for no route hangs on it.
    Own(&'static str),
    Outside,
}

/// What is seen of a request when routes are looked up.
struct Seen<'a> {
    ask: &'a Ask,
    path: String,
    headers: Vec<(String, String)>,
}

pub fn verdict<'w>(world: &'w World, ask: &Ask) -> Verdict<'w> {
    let stranger = ask.door != Door::Call;
    if ask.headers.iter().any(|(name, _)| name == "Expect") {
        return Verdict::Refused("expectation_failed");
    }
    if ask.method == "TRACE" && stranger {
        return Verdict::Refused("malformed_request");
    }
    if !stranger {
        return call(world, ask);
    }
    let (tls, port) = if let Door::Tls(_) = ask.door { (true, 443) } else { (false, 80) };
    let Some(listener) = listener(port, tls, &ask.host) else { return Verdict::Refused("no_route") };
    if let Door::Tls(name) = ask.door
        && self::listener(port, tls, name).is_none_or(|opened| opened.name != listener.name)
    {
        return Verdict::Refused("misdirected_request");
    }
    let Some(path) = ask.path.clone() else { return Verdict::Refused("malformed_request") };
    if listener.name == "broken" {
        return Verdict::Refused("no_route");
    }
    let path = if listener.name == MERGING { merged(path) } else { path };
    let mut headers = seen_headers(ask);
    headers.retain(|(name, _)| name != "x-forwarded-proto");
    headers.push(("x-forwarded-proto".to_owned(), if tls { "https" } else { "http" }.to_owned()));
    let seen = Seen { ask, path, headers };
    let attached = world.routes.iter().filter_map(|route| Some((attached(route, listener, &ask.host)?, route)));
    best(attached.collect(), &seen, Some(listener.name))
}

fn call<'w>(world: &'w World, ask: &Ask) -> Verdict<'w> {
    let Some(path) = ask.path.clone() else { return Verdict::Refused("malformed_request") };
    let (host, port) = ask.host.split_once(':').unwrap_or((&ask.host, "80"));
    let (name, namespace) = match host {
        "127.0.0.1" => return Verdict::Outside,
        _ if port != "80" => return Verdict::Refused("no_such_service"),
        "gold" => return Verdict::Own("shop/gold:80"),
        _ => host.split_once('.').unwrap(),
    };
    let here = |route: &&Route| matches!(route.parent, Parent::Service { namespace: ns, name: of } if ns == namespace && of == name);
    // Routes of the caller's namespace on a service of another replace that one's own (GAMMA).
    let consumer = |route: &Route| route.namespace != namespace;
    let ours = world.routes.iter().filter(here).any(consumer);
    let every = world.routes.iter().filter(here).filter(|route| consumer(route) == ours).map(|route| (0, route));
    let path = if namespace == MERGING_NAMESPACE { merged(path) } else { path };
    best(every.collect(), &Seen { ask, path, headers: seen_headers(ask) }, None)
}

fn merged(mut path: String) -> String {
    while path.contains("//") {
        path = path.replace("//", "/");
    }
    path
}

fn seen_headers(ask: &Ask) -> Vec<(String, String)> {
    let lower: Vec<(String, String)> = ask.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect();
    let named: Vec<String> = lower.iter().filter(|(name, _)| name == "connection").map(|(_, names)| names.to_ascii_lowercase()).collect();
    lower.into_iter().filter(|(name, _)| !named.contains(name) && name != "connection").collect()
}

fn fits(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix('*') {
        _ if pattern.is_empty() => true,
        Some(suffix) => host.ends_with(suffix) && host.len() > suffix.len(),
        None => pattern == host,
    }
}

/// A name written out before wildcards, a longer wildcard before a shorter.
fn says(pattern: &str) -> usize {
    if pattern.is_empty() || pattern.starts_with('*') { pattern.len() } else { 1000 }
}

fn listener(port: u16, tls: bool, host: &str) -> Option<&'static Listener> {
    LISTENERS.iter().filter(|l| l.port == port && l.tls == tls && fits(l.host, host)).max_by_key(|l| says(l.host))
}

/// How specific the host is by which the route takes it at this listener.
fn attached(route: &Route, listener: &Listener, host: &str) -> Option<usize> {
    let Parent::Gateway(section) = route.parent else { return None };
    if listener.kind != route.kind || section.is_some_and(|section| section != listener.name) {
        return None;
    }
    if route.hosts.is_empty() {
        return Some(says(listener.host));
    }
    route.hosts.iter().filter(|pattern| fits(pattern, host)).map(|pattern| says(pattern).max(says(listener.host))).max()
}

/// Precedence, as the specifications of HTTPRoute and GRPCRoute have it, after the host.
fn best<'w>(routes: Vec<(usize, &'w Route)>, seen: &Seen<'_>, listener: Option<&'static str>) -> Verdict<'w> {
    let mut found = Vec::new();
    for (host, route) in routes {
        for (i, rule) in route.rules.iter().enumerate() {
            for (j, wanted) in rule.matches.iter().enumerate().filter(|(_, wanted)| holds(wanted, seen)) {
                let key = (Reverse(host), order(wanted), route.age, format!("{}/{}", route.namespace, route.name), i, j);
                found.push((key, route, i, j));
            }
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    match found.first() {
        Some((_, route, rule, matched)) => Verdict::Routed { listener, route, rule: *rule, matched: *matched },
        None => Verdict::Refused("no_route"),
    }
}

/// Smaller is earlier.
fn order(wanted: &Match) -> [Reverse<usize>; 5] {
    let length = |part: Option<&str>| part.map_or(0, str::len);
    if let Some((service, method)) = wanted.grpc {
        return [length(service), length(method), wanted.headers.len(), 0, 0].map(Reverse);
    }
    let (kind, characters) = match wanted.path {
        Path::Is(Want::Exact(path)) => (2, path.len()),
        Path::Prefix(prefix) => (1, prefix.trim_end_matches('/').len().max(1)),
        Path::Any => (1, 1),
        Path::Is(Want::Regex { pattern, .. }) => (0, pattern.len()),
    };
    [kind, characters, usize::from(wanted.method.is_some()), wanted.headers.len(), wanted.query.len()].map(Reverse)
}

fn holds(wanted: &Match, seen: &Seen<'_>) -> bool {
    let value = |want: &Want, got: &str| match want {
        Want::Exact(text) => *text == got,
        Want::Regex { holds, .. } => holds(got),
    };
    let path = match (wanted.grpc, wanted.path) {
        (Some((service, method)), _) => calls(&seen.path, service, method),
        (None, Path::Any) => true,
        (None, Path::Is(want)) => value(&want, &seen.path),
        (None, Path::Prefix(prefix)) => {
            let (prefix, path) = (prefix.trim_end_matches('/'), seen.path.as_str());
            path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        }
    };
    let header = |(name, want): &(&str, Want)| {
        let all: Vec<&str> = seen.headers.iter().filter(|(got, _)| got == name).map(|(_, value)| value.as_str()).collect();
        !all.is_empty() && value(want, &all.join(","))
    };
    let query = |(name, want): &(&str, Want)| seen.ask.query.iter().find(|(got, _)| got == name).is_some_and(|(_, got)| value(want, got));
    path && wanted.method.is_none_or(|method| method == seen.ask.method)
        && wanted.headers.iter().all(header)
        && wanted.query.iter().all(query)
}

fn calls(path: &str, service: Option<&str>, method: Option<&str>) -> bool {
    let parts: Vec<&str> = path[1..].split('/').collect();
    match (service, method) {
        (None, None) => true,
        (Some(service), None) => parts[0] == service,
        (service, Some(method)) => {
            parts.len() == 2 && parts[1] == method && !parts[0].is_empty() && service.is_none_or(|service| service == parts[0])
        }
    }
}

/// What the filters make of it.
pub enum Filtered {
    Refused(&'static str),
    /// One of them answers, with this status, after these.
    Answer(u16, Vec<String>),
    Sent,
}

pub fn filtered(rule: &Rule, ask: &Ask) -> Filtered {
    let has = |kind| rule.filters.contains(&kind);
    if has(Filter::Unknown) {
        return Filtered::Refused("invalid_filter");
    }
    let field = |name: &str| ask.headers.iter().any(|(got, _)| got == name);
    let preflight = ask.method == "OPTIONS" && field("Origin") && field("Access-Control-Request-Method");
    let mut ran: Vec<String> = has(Filter::Cors).then(|| "CORS".to_owned()).into_iter().collect();
    if has(Filter::Cors) && preflight {
        return Filtered::Answer(204, ran);
    }
    if !has(Filter::Redirect) {
        return Filtered::Sent;
    }
    ran.push("RequestRedirect".to_owned());
    ran.extend(has(Filter::ResponseHeaders).then(|| "ResponseHeaderModifier".to_owned()));
    Filtered::Answer(301, ran)
}

/// All that runs for a request that goes to this backend, in the order of the phases; `true` where it always does.
pub fn ran(namespace: &str, rule: &Rule, backend: &Backend) -> Vec<(String, bool)> {
    let mut all = Vec::new();
    let mut add = |filters: &[Filter], kind: &str, of: &str| {
        for filter in filters.iter().filter(|filter| filter.kind() == kind) {
            match filter {
                // A mirror that leads nowhere is left out.
                Filter::Mirror(_, 0) | Filter::Mirror("gone", _) => {}
                Filter::Mirror(to, percent) if namespace == "shop" => all.push((format!("{of}{kind} shop/{to}:80"), *percent == 100)),
                Filter::Mirror(..) => {}
                _ => all.push((format!("{of}{kind}"), true)),
            }
        }
    };
    for kind in ["CORS", "RequestHeaderModifier", "URLRewrite", "RequestMirror"] {
        add(&rule.filters, kind, "");
    }
    for kind in ["RequestHeaderModifier", "URLRewrite", "RequestMirror", "ResponseHeaderModifier"] {
        add(&backend.filters, kind, "backend ");
    }
    add(&rule.filters, "ResponseHeaderModifier", "");
    all
}
