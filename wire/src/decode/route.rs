//! Routes from bytes. Expressions are compiled here, so that a bad one is refused with its route and never reaches the table.

use super::read::{Read, Result, list, port, some, text, texts, word, wrong};
use super::{address, header_name, hostname, key, key_of, labels, optional, origin, pattern, weight};
use crate::{limits, v1};
use model::backend::ExternalName;
use model::route::{HeaderEdits, Mirror, PathEdit, RankedMatch, Redirect, Rewrite};
use model::{
    Attachment, Backend, ExternalHost, Filter, HeaderMatch, Kind, Method, PathMatch, QueryMatch, Rank, Regex, Retry, RouteMatch, Rule,
    ServiceRef, Target, Timeouts, ValueMatch, WeightedBackend,
};
use std::sync::Arc;
use std::time::Duration;

pub(super) fn route(m: v1::Route) -> Result<model::Route> {
    Ok(model::Route {
        key: key_of(&m.key, Kind::Route)?,
        origin: origin(m.origin)?,
        protocol: word(m.protocol).at("protocol")?,
        attachments: list(m.attachments, "attachments", attachment)?,
        rules: list(m.rules, "rules", rule)?,
    })
}

fn attachment(m: v1::Attachment) -> Result<Attachment> {
    use v1::attachment::Target as T;
    let target = match some(m.target).at("target")? {
        T::Listener(listener) => Target::Listener(key(&listener).at("listener")?),
        T::Service(s) => Target::Service {
            service: key(&s.service).at("service")?,
            port: s.port.map(port).transpose().at("port")?,
            callers: optional(s.callers).at("callers")?,
        },
    };
    let hosts = list(m.hosts, "hosts", |host| pattern(&host))?;
    // No host would read as any host somewhere: the model says never empty.
    if hosts.is_empty() { Err(wrong("is empty")).at("hosts") } else { Ok(Attachment { target, hosts }) }
}

fn rule(m: v1::Rule) -> Result<Rule> {
    let matches = list(m.matches, "matches", ranked)?;
    if matches.is_empty() {
        return Err(wrong("is empty")).at("matches");
    }
    Ok(Rule {
        name: text(m.name).at("name")?,
        matches,
        filters: list(m.filters, "filters", filter)?,
        backends: list(m.backends, "backends", weighted)?,
        timeouts: some(m.timeouts).map(timeouts).at("timeouts")?,
        retry: m.retry.map(retry).transpose().at("retry")?.map(Box::new),
        session: m.session.map(super::traffic::session).transpose().at("session")?.map(Box::new),
    })
}

fn timeouts(m: v1::Timeouts) -> Timeouts {
    Timeouts { request: m.request_nanos.map(Duration::from_nanos), backend_request: m.backend_request_nanos.map(Duration::from_nanos) }
}

fn retry(m: v1::Retry) -> Result<Retry> {
    if m.codes.len() > limits::RETRY_CODES {
        return Err(wrong(format!("has more than {} members", limits::RETRY_CODES))).at("codes");
    }
    let codes = list(m.codes, "codes", status)?;
    Ok(Retry { codes, attempts: m.attempts, backoff: Duration::from_nanos(m.backoff_nanos) })
}

fn status(code: u32) -> Result<u16> {
    u16::try_from(code).ok().filter(|code| (100..600).contains(code)).ok_or_else(|| wrong(format!("{code} is no HTTP status")))
}

fn ranked(mut m: v1::RankedMatch) -> Result<RankedMatch> {
    let rank = some(m.rank.take()).at("rank")?;
    let order = rank.order.try_into().map_err(|_| wrong("has not five members")).at("order").at("rank")?;
    let rank = Rank { order, created: rank.created, name: text(rank.name).at("rank.name")?, rule: rank.rule, position: rank.position };
    Ok(RankedMatch { rank, matches: matches(m)? })
}

/// Without its rank.
pub(super) fn matches(m: v1::RankedMatch) -> Result<RouteMatch> {
    let path = m.path.map(path).transpose().at("path")?;
    let method = m.method.map(|name| Method::parse(&name).ok_or_else(|| wrong("is no method"))).transpose().at("method")?;
    let headers = list(m.headers, "headers", header)?;
    let query = list(m.query, "query", |q| Ok(QueryMatch { name: text(q.name).at("name")?, value: value(q.value).at("value")? }))?;
    Ok(RouteMatch { path, method, headers, query })
}

fn path(m: v1::PathMatch) -> Result<PathMatch> {
    use v1::path_match::Path as P;
    Ok(match some(m.path)? {
        P::Exact(path) => PathMatch::Exact(text(path).at("exact")?),
        P::Prefix(path) => PathMatch::prefix(&text(path).at("prefix")?),
        P::Regex(pattern) => PathMatch::Regex(regex(&pattern).at("regex")?),
    })
}

fn value(m: Option<v1::ValueMatch>) -> Result<ValueMatch> {
    use v1::value_match::Value as V;
    Ok(match some(some(m)?.value)? {
        V::Exact(value) => ValueMatch::Exact(text(value).at("exact")?),
        V::Regex(pattern) => ValueMatch::Regex(regex(&pattern).at("regex")?),
    })
}

fn regex(pattern: &str) -> Result<Regex> {
    Regex::new(pattern).map_err(wrong)
}

/// A filter that is not known may be one that guards: its requests are answered 500, and go nowhere without it.
fn filter(m: v1::Filter) -> Result<Filter> {
    use v1::filter::Filter as F;
    let Some(filter) = m.filter else {
        return Ok(Filter::Invalid { message: "a filter of a kind that this release does not know".into() });
    };
    Ok(match filter {
        F::RequestHeaders(edits) => Filter::RequestHeaders(header_edits(edits).at("request_headers")?),
        F::ResponseHeaders(edits) => Filter::ResponseHeaders(header_edits(edits).at("response_headers")?),
        F::Redirect(r) => Filter::Redirect(redirect(r).at("redirect")?),
        F::Rewrite(r) => {
            let rewrite = Ok(Rewrite { host: optional(r.host).at("host")?, path: r.path.map(path_edit).transpose().at("path")? });
            Filter::Rewrite(rewrite.at("rewrite")?)
        }
        F::Mirror(m) => Filter::Mirror(mirror(m).at("mirror")?),
        F::Cors(c) => Filter::Cors(cors(c).at("cors")?),
        // A route that is refused for it would stand as it was before, perhaps without one.
        F::ExternalAuth(m) => match super::authorizer::asking(m) {
            Ok(asking) => Filter::ExternalAuth(Arc::new(asking)),
            Err(why) => Filter::Invalid { message: format!("the authorizer cannot be read: {} {}", why.field, why.why).into() },
        },
        F::Invalid(message) => Filter::Invalid { message: text(message).at("invalid")? },
    })
}

fn redirect(r: v1::Redirect) -> Result<Redirect> {
    let code = status(r.code).at("code")?;
    if !(300..400).contains(&code) {
        return Err(wrong("is no redirect")).at("code");
    }
    Ok(Redirect {
        scheme: r.scheme.map(word).transpose().at("scheme")?,
        host: optional(r.host).at("host")?,
        path: r.path.map(path_edit).transpose().at("path")?,
        port: r.port.map(port).transpose().at("port")?,
        code,
    })
}

fn mirror(m: v1::Mirror) -> Result<Mirror> {
    if m.denominator == 0 || m.numerator > m.denominator {
        return Err(wrong("is no share of requests")).at("denominator");
    }
    Ok(Mirror { backend: backend(some(m.backend).at("backend")?).at("backend")?, fraction: (m.numerator, m.denominator) })
}

fn cors(c: v1::Cors) -> Result<model::route::Cors> {
    Ok(model::route::Cors {
        allow_origins: texts(c.allow_origins, "allow_origins")?,
        allow_methods: texts(c.allow_methods, "allow_methods")?,
        allow_headers: texts(c.allow_headers, "allow_headers")?,
        expose_headers: texts(c.expose_headers, "expose_headers")?,
        allow_credentials: c.allow_credentials,
        max_age: Duration::from_nanos(c.max_age_nanos),
    })
}

fn header_edits(edits: v1::HeaderEdits) -> Result<HeaderEdits> {
    let pair = |pair: v1::NameValue| {
        let value = text(pair.value).at("value")?;
        // A line break in a value would be another field.
        if !value.bytes().all(model::http::is_value_byte) {
            return Err(wrong("has bytes that no header value may have")).at("value");
        }
        Ok((header_name(pair.name).at("name")?, value))
    };
    Ok(HeaderEdits {
        set: list(edits.set, "set", pair)?,
        add: list(edits.add, "add", pair)?,
        remove: list(edits.remove, "remove", header_name)?,
    })
}

fn path_edit(edit: v1::PathEdit) -> Result<PathEdit> {
    use v1::path_edit::Path as P;
    Ok(match some(edit.path)? {
        P::Full(path) => PathEdit::Full(text(path).at("full")?),
        P::Prefix(path) => PathEdit::Prefix(text(path).at("prefix")?),
    })
}

fn weighted(m: v1::WeightedBackend) -> Result<WeightedBackend> {
    Ok(WeightedBackend {
        weight: weight(m.weight).at("weight")?,
        backend: backend(some(m.backend).at("backend")?).at("backend")?,
        filters: list(m.filters, "filters", filter)?,
    })
}

pub(super) fn backend(m: v1::Backend) -> Result<Backend> {
    use v1::backend::Backend as B;
    Ok(match some(m.backend)? {
        B::Service(s) => Backend::Service(ServiceRef {
            service: key(&s.service).at("service")?,
            port: port(s.port).at("port")?,
            subset: s.subset.map(|subset| labels(subset.labels)).transpose().at("subset")?,
        }),
        B::External(e) => Backend::External(Arc::new(external(e).at("external")?)),
        B::Invalid(i) => {
            let reason = word(i.reason).at("reason")?;
            Backend::Invalid { reason, message: text(i.message).at("message")? }
        }
    })
}

fn external(e: v1::ExternalHost) -> Result<ExternalHost> {
    use v1::external_host::Host;
    Ok(ExternalHost {
        key: key(&e.key).at("key")?,
        host: match some(e.host).at("host")? {
            Host::Dns(name) => ExternalName::Dns(hostname(&name).at("dns")?),
            Host::Address(ip) => ExternalName::Address(address(&ip).at("address")?),
        },
        port: port(e.port).at("port")?,
        protocol: word(e.protocol).at("protocol")?,
        tls: e.tls.map(super::tls::upstream).transpose().at("tls")?.map(Arc::new),
    })
}

pub(super) fn header(h: v1::NamedMatch) -> Result<HeaderMatch> {
    let name = header_name(h.name.to_ascii_lowercase()).at("name")?;
    Ok(HeaderMatch { name, value: value(h.value).at("value")? })
}
